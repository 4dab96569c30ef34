"""What a pipeline is shown of a source: no litter, endings in their usual spelling, and what stands in for a file."""

from __future__ import annotations

import copy
import gzip
import os
import re
from pathlib import Path

import pytest

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, SourceError
from sar_data.sealed.opened import Build
from sar_data.sources.archives.open import open_tree
from sar_data.sources.placeholder import detect_placeholder
from sar_data.sources.tree import Folder
from tests.contract.trees import walked
from tests.mini.archives import Files, files_of, folder, spanned_bytes, tar_bytes, zip_bytes

LITTER = (
    *("__MACOSX/a.tif", "._a.tif", ".DS_Store", "Thumbs.db", "THUMBS.DB", "@eaDir/a.tif", "desktop.ini", ".git/HEAD"),
    "x/.ipynb_checkpoints/a.json",
)
CHIPS: Files = {f"x/{name}": name.encode() for name in ("a.TIF", "b.tiff", "c.tif", "c.TIFF", "d.JPEG", "e.Xml")}
NAMES = {"a.tif": "a.TIF", "b.tif": "b.tiff", "c.tif": "c.tif", "c.TIFF": "c.TIFF", "d.jpg": "d.JPEG", "e.xml": "e.Xml"}
SHOWN = {"x": None} | {f"x/{name}": true.encode() for name, true in NAMES.items()}


@pytest.fixture(params=["folder", "zip"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    files = {**CHIPS, **dict.fromkeys(LITTER, b"litter")}
    if request.param == "folder":
        return folder(files, tmp_path / "raw")
    path = tmp_path / "raw.zip"
    # An archive that a Mac made; a zip has no two names that differ in case alone.
    path.write_bytes(zip_bytes({name: data for name, data in files.items() if name != "THUMBS.DB"}))
    return path


def test_litter_is_hidden_and_suffixes_have_one_spelling(source: Path) -> None:
    tree = open_tree(source)
    assert walked(tree) == SHOWN
    again = copy.copy(tree)  # as another process gets it: nothing was listed yet
    assert again == tree
    for name, true in NAMES.items():
        assert again.read(f"x/{name}") == again.read(f"x/{true}") == true.encode()


def eurosat(root: Path, count: int = 20) -> Path:
    catalog.synthesise("eurosat-sar")(root, count=count, seed=0)
    return root


def built(source: Path, out: Path, say: list[str] | None = None) -> Build:
    request = BuildRequest(dataset="eurosat-sar", source=source, out=out, split="random")
    return build(request, say=None if say is None else say.append)


def test_records_with_any_suffix_spelling_keep_their_path(tmp_path: Path) -> None:
    source = eurosat(tmp_path / "raw")
    plain = built(source, tmp_path / "plain")
    for path, ending in zip(sorted(source.rglob("*.tif"))[:3], (".TIF", ".tiff", ".Tiff"), strict=True):
        path.rename(path.with_suffix(ending))
    odd = built(source, tmp_path / "odd")
    assert odd.manifest.content_digest == plain.manifest.content_digest
    paths = {file["path"] for row in odd.index()["files"].to_pylist() for file in row}
    assert all((source / path).is_file() for path in paths)


@pytest.mark.parametrize(
    ("head", "size", "said"),
    [
        (b"", 0, "expected the file, found an empty one"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234567\n",
            130,
            "1,234,567 bytes.*`git lfs",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n", 43, "the file itself is missing. Run `git lfs pull`"),
        (b"/annex/objects/MD5E-s5000--0123456789abcdef.tif\n", 48, "git-annex: 5,000 bytes.*`git annex get"),
        (b"../../.git/annex/objects/zX/9k/SHA256E-s77--00.tif/SHA256E-s77--00.tif", 70, "git-annex: 77 bytes"),
        (
            b"outs:\n- md5: a304afb96060aad90176268345e10355\n  size: 88\n  path: a.tif\n",
            70,
            "DVC: 88 bytes.*`dvc pull`",
        ),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><title>Log in</title>", 5000, "HTML page.*a login"),
        (b"<HTML><body>404", 5000, "HTML page"),
    ],
)
def test_a_placeholder_is_named_with_a_remedy(head: bytes, size: int, said: str) -> None:
    found = detect_placeholder(head, size)
    assert found
    assert re.search(said, found.reason)


@pytest.mark.parametrize("head", [b"II*\0", b"\x89PNG", b"<annotation>", b"{}", b"version 1", b"outs: none"])
def test_a_real_file_is_no_placeholder(head: bytes) -> None:
    assert detect_placeholder(head, 5000) is None


def test_a_file_that_no_memory_holds_is_a_bad_record(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    os.truncate(tmp_path / "a.tif", 1 << 42)  # of holes alone
    with pytest.raises(BadRecord, match=r"a\.tif: expected a file that the memory holds, found 4398046511104 bytes"):
        Folder.at(tmp_path).read("a.tif")


def test_a_broken_link_stops_and_shows_its_target(tmp_path: Path) -> None:
    source = eurosat(tmp_path / "raw")
    (source / "EuroSAT-SAR/SeaLake/SeaLake_77.tif").symlink_to("/nowhere/x.tif")
    with pytest.raises(BadRecord, match=r"SeaLake_77.tif: expected a file, found a link to '/nowhere/x.tif'"):
        built(source, tmp_path / "out")


def test_an_annotation_that_is_a_pointer_is_reported(tmp_path: Path) -> None:
    catalog.synthesise("hrsid")(tmp_path / "raw", count=4, seed=0)
    (path,) = (tmp_path / "raw").rglob("annotations/train2017.json")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 999\n")
    with pytest.raises(BadRecord, match=r"train2017.json: .*pointer of Git LFS: 999 bytes"):
        build(BuildRequest(dataset="hrsid", source=tmp_path / "raw", out=tmp_path / "out"))


# Archives.
FEW: Files = {"data/a.tif": b"II*\0" + bytes(5000), "data/b/c.txt": b"text"}
WHOLE = {"data": None, "data/b": None, **FEW}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("data.tar.gz?download=1", gzip.compress(tar_bytes(FEW))),
        ("data.zip?dl=1&x=2", zip_bytes(FEW)),
        ("data (1).tar.gz", gzip.compress(tar_bytes(FEW))),
        ("data.tar.gz", tar_bytes(FEW)),  # unpacked by a browser, which kept the name
        ("data.tgz", zip_bytes(FEW)),
        ("download", zip_bytes(FEW)),
        ("data.1", gzip.compress(tar_bytes(FEW))),
    ],
)
def test_an_archive_is_recognised_by_its_contents(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "raw" / name
    path.parent.mkdir()
    path.write_bytes(data)
    assert walked(open_tree(path, work=tmp_path / "work")) == WHOLE
    inside = walked(open_tree(path.parent, work=tmp_path / "work"))
    assert {f"/{key}".rpartition("/data/")[2] for key, value in inside.items() if value} == {"a.tif", "b/c.txt"}


def test_a_compressed_file_that_is_no_archive_is_a_file(tmp_path: Path) -> None:
    files: Files = {"list.csv.gz": gzip.compress(b"a,b\n"), "model.npz": zip_bytes(FEW), "noise.017": bytes(600)}
    assert walked(open_tree(folder(files, tmp_path / "raw"))) == dict(files)


def parted(data: bytes, to: Path, names: list[str]) -> Path:
    to.mkdir()
    step = -(-len(data) // len(names))
    for i, name in enumerate(names):
        (to / name).write_bytes(data[i * step : (i + 1) * step])
    return to


def spanned(files: Files, to: Path, names: list[str]) -> Path:
    return parted(spanned_bytes(files, len(names)), to, names)


@pytest.mark.parametrize("ends", [["zip.001", "zip.002", "zip.003"], ["z01", "z02", "zip"]])
def test_a_split_zip_is_read_in_place(tmp_path: Path, ends: list[str]) -> None:
    names = [f"data.{ending}" for ending in ends]
    files = {f"data/{i}.txt": bytes([i]) * 700 for i in range(9)}
    write = spanned if names[0].endswith(".z01") else lambda files, *rest: parted(zip_bytes(files), *rest)
    source = write(files, tmp_path / "raw", names)
    for asked in (source, source / names[0], source / names[-1]):
        found = walked(open_tree(asked, work=tmp_path / "work"))
        assert {f"data/{name.rpartition('/')[2]}": data for name, data in found.items() if data} == files
    assert files_of(source).keys() == set(names)
    (source / names[1]).unlink()
    with pytest.raises(SourceError, match=r"expected (the part before it|3 parts of one zip, found 2)"):
        open_tree(source, work=tmp_path / "work")


def test_a_zip_whose_last_part_is_missing_says_so(tmp_path: Path) -> None:
    source = spanned({"data/a": bytes(3000)}, tmp_path / "raw", ["data.z01", "data.z02", "data.zip"])
    (source / "data.zip").unlink()
    with pytest.raises(SourceError, match=r"data.zip: expected the last part, found none"):
        open_tree(source)


def test_unclaimed_files_are_counted_by_kind_and_reported(tmp_path: Path) -> None:
    source = eurosat(tmp_path / "raw")
    top = source / "EuroSAT-SAR"
    (top / "extra").mkdir()
    for name in ("a.png", "b.PNG", "notes.csv", "README.txt", "model.pt"):
        (top / "extra" / name).write_bytes(b"x" * 2000)
    (top / "extra/gone.bin").symlink_to("/nowhere/gone.bin")
    (top / "extra/page.jpg").write_bytes(b"<!doctype html>")
    (top / "extra/pointer.dat").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    (top / "extra/loop").symlink_to(top)
    said: list[str] = []
    built(source, tmp_path / "out", said)
    told = [line.removeprefix("in no record: ") for line in said if line.startswith("in no record: ")]
    assert told == [
        "HTML pages: 1, such as EuroSAT-SAR/extra/page.jpg",
        "files that may be labels: 1, such as EuroSAT-SAR/extra/notes.csv",
        "images: 2, such as EuroSAT-SAR/extra/a.png",
        "links to nowhere: 1, such as EuroSAT-SAR/extra/gone.bin",
        "pipes, devices and links that are not followed: 1, such as EuroSAT-SAR/extra/loop",
        "pointers of Git LFS: 1, such as EuroSAT-SAR/extra/pointer.dat",
    ]
    assert "20 of 27,000 published records" in " ".join(said)


def test_a_table_that_is_a_pointer_is_reported(tmp_path: Path) -> None:
    catalog.synthesise("bigearthnet-s1-v2")(tmp_path / "raw", count=3, seed=0)
    (tmp_path / "raw/metadata.parquet").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 999\n"
    )
    with pytest.raises(
        SourceError, match=r"^metadata\.parquet: expected the file, found a pointer of Git LFS: 999 bytes"
    ):
        build(BuildRequest(dataset="bigearthnet-s1-v2", source=tmp_path / "raw", out=tmp_path / "out"))


def test_pointers_instead_of_records_are_counted_in_the_error(tmp_path: Path) -> None:
    source = eurosat(tmp_path / "raw")
    for path in source.rglob("*_2.tif"):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 33152\n")
    with pytest.raises(BadRecord, match=r"33,152 bytes are missing.*\(the source has 10 pointers of Git LFS\)"):
        built(source, tmp_path / "out")


def test_all_published_records_may_be_asked_for(tmp_path: Path) -> None:
    source = eurosat(tmp_path / "raw")
    request = BuildRequest(dataset="eurosat-sar", source=source, out=tmp_path / "out", split="random", complete=True)
    with pytest.raises(SourceError, match=r"`complete=True`: expected all .*, found 20 of 27,000 .*Forest 2 of 3,000"):
        build(request)
    assert not (tmp_path / "out").exists()

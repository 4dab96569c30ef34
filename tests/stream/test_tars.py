"""What the webdataset library hands out is what the manifest says, whatever a tar of a stranger holds."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("webdataset")

from sar_data.errors import BuildError
from sar_data.formats.webdataset import header, members, npy_header
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from sar_data.torch import tars
from tests.mini import invented
from tests.mini.hostile import header as any_header
from tests.mini.resealed import edit, resealed

END = bytes(1024)
IMAGE = np.random.default_rng(0).normal(-15, 5, (2, 6, 5)).astype(np.float32)
MASK = np.zeros((6, 5), np.uint8)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    root = tmp_path_factory.mktemp("tars")
    plain, ragged = invented.archive(root / "plain", 12), invented.archive(root / "ragged", 12, ragged=True)
    return {
        "plain": invented.sealed(invented.pipeline("segmentation"), plain, root / "out", format="webdataset"),
        "ragged": invented.sealed(
            invented.pipeline("segmentation", shape=None), ragged, root / "ragged-out", format="webdataset"
        ),
        "frames": invented.sealed(
            invented.pipeline(frames=3, dtype="float16"), plain, root / "frames", format="webdataset"
        ),
    }


@pytest.fixture
def copy(sound: dict[str, Build], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(sound[name].path, tmp_path / name / sound[name].path.name))


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def member(name: str, data: bytes) -> bytes:
    return header(name, len(data)) + data + bytes(-len(data) % 512)


def sample(image: bytes, mask: bytes | None = npy(MASK), card: bytes = b"{}") -> bytes:
    parts = [("k.image.npy", image), *([("k.mask.npy", mask)] if mask is not None else []), ("k.json", card)]
    return b"".join(member(name, data) for name, data in parts) + END


def put(build: Path, shard: bytes) -> Path:
    """Put a shard of one sample into a build, whose manifest says so."""
    (build / "train/000000.tar").write_bytes(shard)
    edit(build, lambda document: document["splits"]["train"]["shards"][0].update(count=1))
    resealed(build)
    return build


@pytest.mark.parametrize("name", ["plain", "ragged", "frames"])
def test_samples_are_those_of_the_build(sound: dict[str, Build], name: str) -> None:
    build = sound[name]
    found = {sample["key"]: sample for sample in tars(build.path, normalize=None, fill=None, shuffle=0)}
    from sar_data.sealed.places import places

    with build.reader() as reader:
        for place in places(build.index()):
            if place.split == "train":
                one = found.pop(place.key)
                assert one["image"].numpy().tobytes() == reader.read(place).astype(np.float32).tobytes()
                assert ("mask" in one) == (name != "frames")
                assert one["json"]["key"] == place.key
    assert not found


@pytest.mark.parametrize("name", ["plain", "ragged"])
@pytest.mark.parametrize(
    "image",
    [
        *(npy(IMAGE[:1]), npy(np.zeros((2, 4096, 4096), np.float32)[:, :64]), npy(IMAGE[0]), npy(IMAGE[None])),
        *(npy(np.asfortranarray(IMAGE)), npy(IMAGE.astype(np.float64)), npy(IMAGE.astype(">f4"))),
        *(npy(IMAGE.astype(np.float16)), npy(IMAGE.astype(np.int32)), npy(IMAGE.astype(object), allow_pickle=True)),
        *(
            npy(IMAGE)[:-1],
            npy(IMAGE) + b"\0",
            npy(IMAGE)[:128],
            b"",
            b"\x93NUMPY",
            b"\x93NUMPY\1\0\xff\xff" + bytes(9),
        ),
        npy_header((2, 4096, 4096), "float32") + IMAGE.tobytes(),
        npy_header((2, 2**31, 2**31), "float32") + IMAGE.tobytes(),
        npy(IMAGE).replace(b"(2, 6, 5)", b"(2,-6,-5)"),
        npy(IMAGE).replace(b"(2, 6, 5)", b"(2,6,5.)  "),
        npy(IMAGE).replace(b"'descr': '<f4'", b"'descr': [('a', '<f4')]"),
        npy(IMAGE).replace(b"False", b"exit()"),
        pickle.dumps(IMAGE),
    ],
)
def test_an_array_that_is_not_what_the_manifest_says_is_refused(
    copy: Callable[[str], Path], name: str, image: bytes
) -> None:
    build = put(copy(name), sample(image))
    with pytest.raises(BuildError, match=r"k(\.image\.npy)?: expected"):
        list(tars(build, shuffle=0))


@pytest.mark.parametrize(
    ("shard", "words"),
    [
        (sample(npy(IMAGE), npy(MASK[:3])), r"mask"),
        (sample(npy(IMAGE), npy(MASK.astype(np.int64))), r"mask"),
        (sample(npy(IMAGE), None), "expected image, JSON and mask"),
        (sample(npy(IMAGE), card=b"{"), "k.json: expected JSON"),
        (sample(npy(IMAGE), card=b"[" * 100_000), "k.json: expected JSON"),
        (member("k.json", b"{}") + END, "expected image, JSON and mask"),
        (member("k.pickle", pickle.dumps(1)) + END, "k.pickle: expected an image"),
        (member("k.__url__", b"x") + END, "expected an image"),
        (member("k.__key__", b"x") + sample(npy(IMAGE)), "k.__key__: expected an image"),
    ],
)
def test_a_sample_that_no_writer_wrote_is_refused(copy: Callable[[str], Path], shard: bytes, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        list(tars(put(copy("plain"), shard), shuffle=0))


def with_tarfile(**fields: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("k.image.npy")
        info.size = len(npy(IMAGE))
        for name, value in fields.items():
            setattr(info, name, value)
        archive.addfile(info, io.BytesIO(npy(IMAGE)))
    return stream.getvalue()


@pytest.mark.parametrize(
    "shard",
    [
        *(b"", bytes(511), END[:600], b"x" * 2048, gzip.compress(sample(npy(IMAGE)))),
        *(with_tarfile(type=kind) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)),
        *(with_tarfile(mtime=1), with_tarfile(uname="root"), with_tarfile(type=tarfile.GNUTYPE_SPARSE, mtime=0)),
        any_header(b"k.image.npy", 2**33 - 1) + bytes(512),
        any_header(b"k.image.npy", b"\x80" + (2**60).to_bytes(11, "big")) + bytes(512),
        any_header(b"k.image.npy", b"-0000000001\0") + bytes(512),
        header("k.image.npy", 2**32) + bytes(512),
        sample(npy(IMAGE))[:700],
        sample(npy(IMAGE)).replace(b"0000644", b"0000755"),
    ],
)
def test_a_tar_that_no_writer_wrote_is_refused(copy: Callable[[str], Path], shard: bytes) -> None:
    build = put(copy("plain"), shard)
    with pytest.raises(BuildError, match=r"train/000000\.tar: .*expected"):
        list(tars(build, shuffle=0))


def test_a_shard_of_another_size_than_the_manifest_says_is_refused(copy: Callable[[str], Path]) -> None:
    build = copy("plain")
    with open(build / "train/000000.tar", "ab") as file:
        file.write(bytes(512))
    with pytest.raises(BuildError, match=r"000000\.tar: expected \d+ bytes, found"):
        list(tars(build))


def test_a_sound_sample_is_taken_and_a_second_one_is_not(copy: Callable[[str], Path]) -> None:
    build = copy("plain")
    (one,) = tars(put(build, sample(npy(IMAGE))), shuffle=0, normalize=None)
    assert one["image"].numpy().tobytes() == IMAGE.tobytes()
    two = sample(npy(IMAGE))[:-1024] + sample(npy(IMAGE)).replace(b"k.", b"l.")
    with pytest.raises(BuildError, match=r"expected a member's header|expected 1 samples, found 2"):
        list(tars(put(build, two), shuffle=0))


def test_members_are_read_as_tarfile_reads_them(sound: dict[str, Build]) -> None:
    path = sound["ragged"].path / "train/000000.tar"
    with tarfile.open(path) as archive:
        expected = [(info.name, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]
    assert [(name, data) for name, _, data in members(path, path.stat().st_size)] == expected
    assert json.loads(expected[2][1])["bands"] == ["VV", "VH"]


def parts(build: Path) -> list[tuple[str, bytes]]:
    path = build / "train/000000.tar"
    return [(name, data) for name, _, data in members(path, path.stat().st_size)]


def told(data: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(data) | changes).encode()


Parts = list[tuple[str, bytes]]
WALKED: dict[str, tuple[Callable[[Parts], Parts], str]] = {
    "one more": (lambda parts: [*parts, ("new.image.npy", npy(IMAGE))], "no more members, found new.image.npy"),
    "one twice": (lambda parts: [*parts[:3], *parts[:3], *parts[3:]], r"found s\d+.image.npy"),
    "a key of the library": (lambda parts: [*parts[:3], (f"{parts[0][0]}.__key__", b"x"), *parts[3:]], "__key__"),
    "another order": (lambda parts: [*parts[3:6], *parts[:3], *parts[6:]], r"expected s\d+.image.npy"),
    "another name": (lambda parts: [*parts[:2], ("k.json", parts[2][1]), *parts[3:]], r"found k\.json"),
    "other labels": (
        lambda parts: [(n, told(data, targets={"mask": [7]}) if i == 2 else data) for i, (n, data) in enumerate(parts)],
        r"targets \{'cover': \[2, 3\]\}, found \{'mask': \[7\]\}",
    ),
    "another key": (
        lambda parts: [(n, told(data, key="x") if i == 2 else data) for i, (n, data) in enumerate(parts)],
        "of this key",
    ),
    "a broken card": (lambda parts: [(n, b"{" if i == 2 else data) for i, (n, data) in enumerate(parts)], "in JSON"),
}


@pytest.mark.parametrize("name", WALKED)
def test_verify_walks_a_tar_as_a_reader_does(copy: Callable[[str], Path], name: str) -> None:
    change, words = WALKED[name]
    build = copy("plain")
    assert not verify(build, full=True)
    (build / "train/000000.tar").write_bytes(b"".join(member(*part) for part in change(parts(build))) + END)
    resealed(build)
    found = "\n".join(str(problem) for problem in verify(build, full=True) if problem.what == "members")
    assert re.search(words, found), found


def test_bytes_behind_the_end_of_a_tar_are_named(copy: Callable[[str], Path]) -> None:
    build = copy("plain")
    with (build / "train/000000.tar").open("ab") as file:
        file.write(sample(npy(IMAGE)))
    resealed(build)
    (problem,) = verify(build, full=True)
    assert problem.expected.startswith("the end of the archive at byte")

"""Bad input: `stop` names file and reason and seals nothing, `quarantine` lists it and leaves all others alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data import synth
from sar_data.builder.pack import pack
from sar_data.builder.prepare import prepare
from sar_data.builder.request import BuildRequest
from sar_data.builder.seal import seal
from sar_data.errors import BadRecord, BuildError, PipelineFault, SarDataError, SourceError, SplitError, TargetError
from sar_data.labels import corine
from sar_data.runners import Processes, Serial
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from tests.mini.builds import CONTAINERS, contents, make, options, snapshot, visible
from tests.mini.readers import flat, read_build
from tests.mini.sources import copied, facts, labels, patches, rewrite, tif

UTM = (10.0, 0.0, 404400.0, 0.0, -10.0, 5342400.0)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 58024\n"
HTML = b"<!DOCTYPE html><html><body>429 Too Many Requests</body></html>"


def foreign(patch: Path, image: np.ndarray, **other: Any) -> None:
    """Write VH anew, of another shape or type, at the place of VV."""
    import rasterio

    with rasterio.open(tif(patch, "VV")) as source:
        placed = {"epsg": source.crs.to_epsg(), "transform": tuple(source.transform)[:6]}
    tif(patch).write_bytes(synth.geotiff(image, **{**placed, "rows_per_strip": 17, **other}))


def vrt(patch: Path) -> None:
    """Put a virtual raster that reads another patch's pixels in the place of VH."""
    other = next(path for path in patches(patch.parents[1]) if path != patch)
    tif(patch).write_text(
        '<VRTDataset rasterXSize="120" rasterYSize="120"><VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{tif(other)}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )


def as_folder(path: Path) -> None:
    """Make a path that opens and does not read, even for root."""
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    """Make a path that cannot be opened, even by root."""
    path.unlink()
    path.symlink_to(path.name)


def astray(path: Path) -> None:
    """Make a link to what is not there, as of a file that was not fetched."""
    path.unlink()
    path.symlink_to("/nowhere/x.tif")


def twin(patch: Path) -> None:
    shutil.copytree(patch, patch.parents[1] / "a second download" / patch.name)


def append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


@dataclass(frozen=True)
class Damage:
    """What is done to a patch; the file that must be named; what the reason must say; whether scan can tell."""

    act: Callable[[Path], object]
    file: str
    reason: str
    at_scan: bool = False


DAMAGES = {
    "truncated": Damage(lambda p: os.truncate(tif(p), 58_000), "VH.tif", "expected 58,024 bytes, found 58,000"),
    "cut in half": Damage(lambda p: os.truncate(tif(p), 29_000), "VH.tif", "found 29,000"),
    "empty": Damage(lambda p: tif(p).write_bytes(b""), "VH.tif", "found an empty one", at_scan=True),
    "a web page": Damage(lambda p: tif(p).write_bytes(HTML), "VH.tif", "found an HTML page", at_scan=True),
    "a long web page": Damage(lambda p: tif(p).write_bytes(HTML * 90), "VH.tif", "found an HTML page"),
    "a pointer": Damage(lambda p: tif(p).write_bytes(POINTER), "VH.tif", "58,024 bytes are missing", at_scan=True),
    "a link to nowhere": Damage(lambda p: astray(tif(p)), "VH.tif", "link to '/nowhere/x.tif'", at_scan=True),
    "a virtual raster": Damage(vrt, "VH.tif", "VRTDataset|TIFF"),
    "too few rows": Damage(lambda p: foreign(p, np.zeros((1, 60, 120), np.float32)), "VH.tif", "60x120"),
    "two bands": Damage(lambda p: foreign(p, np.zeros((2, 120, 120), np.float32)), "VH.tif", "2 bands"),
    "whole numbers": Damage(lambda p: foreign(p, np.zeros((1, 120, 120), np.int16)), "VH.tif", "found int16"),
    "another place": Damage(
        lambda p: foreign(p, np.zeros((1, 120, 120), np.float32), transform=UTM), "VH.tif", "georeference"
    ),
    "a band all NaN": Damage(
        lambda p: rewrite.write(p, "VH", np.full((120, 120), np.nan)), "VH.tif", "band VH: expected some valid pixels"
    ),
    "a band all infinite": Damage(
        lambda p: rewrite.write(p, "VV", np.full((120, 120), -np.inf)), "VV.tif", "band VV: expected some valid pixels"
    ),
    "a folder for a file": Damage(lambda p: as_folder(tif(p)), "VH.tif", "found a folder", at_scan=True),
    "not to be opened": Damage(lambda p: loop(tif(p)), "VH.tif", "symbolic links", at_scan=True),
    "band missing": Damage(lambda p: tif(p, "VV").unlink(), "VV.tif", "expected a file, found none", at_scan=True),
    "json missing": Damage(lambda p: facts(p).unlink(), "metadata.json", "expected a file, found none", at_scan=True),
    "json broken": Damage(lambda p: os.truncate(facts(p), 40), "metadata.json", "expected (a )?JSON", at_scan=True),
    "json not to be read": Damage(lambda p: as_folder(facts(p)), "metadata.json", "found a folder", at_scan=True),
    "unknown label": Damage(
        lambda p: rewrite.facts(p, labels=["Lava fields"]), "metadata.json", "Lava fields", at_scan=True
    ),
}


def damaged(source: Path, to: Path, act: Callable[[Path], object], number: int = 5) -> tuple[Path, Path]:
    """Return a damaged copy of an archive, and the damaged patch."""
    copy = copied(source, to)
    patch = patches(copy)[number]
    act(patch)
    return copy, patch


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory, bigearthnet: Pipeline, small_source: Path) -> Build:
    """A clean build of the source without the patch that the tests damage."""
    out = tmp_path_factory.mktemp("without")
    copy, _ = damaged(small_source, out / "source", shutil.rmtree)
    return make(bigearthnet, copy, out / "out", format="zarr")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bigearthnet: Pipeline, small_source: Path) -> Build:
    return make(bigearthnet, small_source, tmp_path_factory.mktemp("whole"), format="zarr")


@pytest.mark.parametrize("name", DAMAGES)
def test_stop_names_file_and_reason_and_seals_nothing(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, name: str
) -> None:
    damage = DAMAGES[name]
    source, patch = damaged(small_source, tmp_path / "source", damage.act)
    with pytest.raises(BadRecord, match=damage.reason) as caught:
        make(bigearthnet, source, tmp_path / "out")
    assert caught.value.path == f"BigEarthNet-S1-v1.0/{patch.name}/{patch.name}_{damage.file}".replace(
        "_metadata", "_labels_metadata"
    )
    assert visible(tmp_path / "out") == []
    assert list((tmp_path / "out").rglob("manifest.json")) == []
    if damage.at_scan:
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", DAMAGES)
def test_quarantine_lists_it_and_every_other_record_is_bit_identical(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, without: Build, name: str
) -> None:
    damage = DAMAGES[name]
    source, patch = damaged(small_source, tmp_path / "source", damage.act)
    build = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    (listed,) = build.manifest.quarantine
    assert listed.path.endswith(f"{patch.name}_{damage.file}".replace("_metadata", "_labels_metadata"))
    assert listed.key in (patch.name, None if damage.at_scan else patch.name)
    assert build.manifest.content_digest == without.manifest.content_digest
    assert patch.name not in build.index()["key"].to_pylist()
    assert sum(split.count for split in build.manifest.splits.values()) == len(flat(build.path))
    for one, other in zip(*(read_build(b.path).items() for b in (build, without)), strict=True):
        assert {key: image.tobytes() for key, image in one[1].items()} == {
            key: image.tobytes() for key, image in other[1].items()
        }


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_leaves_the_others_in_place(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, without: Build, whole: Build, container: str
) -> None:
    source, patch = damaged(small_source, tmp_path / "source", DAMAGES["truncated"].act)
    build = make(bigearthnet, source, tmp_path / "out", container=container, bad_records="quarantine", shard_length=4)
    assert build.manifest.content_digest == without.manifest.content_digest
    (listed,) = build.manifest.quarantine
    assert (listed.key, listed.path) == (patch.name, f"BigEarthNet-S1-v1.0/{patch.name}/{patch.name}_VH.tif")
    images = flat(whole.path)
    assert {key: image.tobytes() for key, image in flat(build.path).items()} == {
        key: image.tobytes() for key, image in images.items() if key != patch.name
    }


def test_the_slot_stays_in_zarr_and_says_that_it_is_not_valid(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, whole: Build
) -> None:
    import zarr

    (key, *_) = (row["key"] for row in whole.index().to_pylist() if row["split"] == "train")
    number = [patch.name for patch in patches(small_source)].index(key)
    source, _ = damaged(small_source, tmp_path / "source", DAMAGES["truncated"].act, number)
    build = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    group: Any = zarr.open_group(build.path / "train", mode="r")
    (lost,) = np.flatnonzero(~group["valid"][:])
    assert np.isnan(group["image"][lost]).all()
    assert group["key"][lost] == ""
    assert group["image"].shape[0] == build.manifest.splits["train"].count + 1
    positions = [row["position"] for row in build.index().to_pylist() if row["split"] == "train"]
    assert sorted([*positions, lost]) == list(range(len(positions) + 1))


def test_statistics_are_those_of_the_valid_records(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, without: Build
) -> None:
    source, _ = damaged(small_source, tmp_path / "source", DAMAGES["a long web page"].act)
    build = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    assert build.manifest.statistics is not None
    assert without.manifest.statistics is not None
    one, other = (b.manifest.statistics["train"].bands["VV"] for b in (build, without))  # type: ignore[index]
    assert (one.count, one.masked) == (other.count, other.masked)
    assert one.stored.mean == pytest.approx(other.stored.mean, rel=1e-12)


def test_many_bad_records_of_all_kinds_are_all_listed(
    bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path
) -> None:
    source, clean = copied(bigearthnet_source, tmp_path / "source"), copied(bigearthnet_source, tmp_path / "clean")
    used = [patch for patch in patches(source) if corine.group_classes(labels(patch))]  # no pixel of the unused is read
    bad = used[:: len(used) // len(DAMAGES)][: len(DAMAGES)]
    for patch, damage in zip(bad, DAMAGES.values(), strict=True):
        damage.act(patch)
        shutil.rmtree(clean / "BigEarthNet-S1-v1.0" / patch.name)
    with Processes(2) as runner:
        build = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine", runner=runner)
    assert {Path(one.path).parent.name for one in build.manifest.quarantine} == {patch.name for patch in bad}
    assert len(build.manifest.quarantine) == len(bad)
    expected = make(bigearthnet, clean, tmp_path / "out", container="lmdb")
    assert build.manifest.content_digest == expected.manifest.content_digest


def test_a_second_folder_of_the_same_patch_is_a_duplicate(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, whole: Build
) -> None:
    source, patch = damaged(small_source, tmp_path / "source", twin)
    with pytest.raises(BadRecord, match=f"duplicate key {patch.name}: also in") as caught:
        make(bigearthnet, source, tmp_path / "out")
    assert patch.name in caught.value.path
    build = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    (listed,) = build.manifest.quarantine
    assert listed.key == patch.name
    assert listed.reason.startswith(f"duplicate key {patch.name}: also in ")
    assert build.manifest.content_digest == whole.manifest.content_digest


def test_a_patch_in_no_official_list_is_bad_where_all_lists_are_present(
    bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path
) -> None:
    source = copied(bigearthnet_source, tmp_path / "source")
    train = source / "lists/train.csv"
    first, *rest = train.read_bytes().splitlines(keepends=True)
    train.write_bytes(b"".join(rest))
    with pytest.raises(BadRecord, match="in none of the official lists"):
        make(bigearthnet, source, tmp_path / "out", split="official")
    build = make(bigearthnet, source, tmp_path / "out", split="official", bad_records="quarantine")
    (listed,) = build.manifest.quarantine
    clean = copied(source, tmp_path / "clean")
    shutil.rmtree(clean / "BigEarthNet-S1-v1.0" / str(listed.key))
    assert make(bigearthnet, clean, tmp_path / "out", split="official").manifest.content_digest == (
        build.manifest.content_digest
    )
    (row,) = [row for row in build.index().to_pylist() if row["key"] == listed.key]
    assert row["split"] == "unused"
    assert {item["name"]: item["value"] for item in row["attrs"]}["s2_name"] == first.decode().strip()


def test_missing_official_lists_stop_the_build_with_the_remedy(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path
) -> None:
    source = copied(small_source, tmp_path / "source")
    (source / "lists/val.csv").unlink()
    for bad_records in ("stop", "quarantine"):
        with pytest.raises(SourceError, match=r"found no val\.csv.*`lists=…`"):
            make(bigearthnet, source, tmp_path / "out", split="official", bad_records=bad_records)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rehash", [False, True])
def test_a_file_that_grows_between_scan_and_pack_is_bad(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, rehash: bool
) -> None:
    source = copied(small_source, tmp_path / "source")
    chosen = options(rehash=rehash)
    with prepare(BuildRequest(dataset=bigearthnet, source=source, out=tmp_path / "out", **chosen), Serial()) as draft:
        append(tif(patches(source)[5]))
        with pytest.raises(BadRecord, match="changed since it was scanned"):
            pack([draft], Serial())
    assert visible(tmp_path / "out") == []


def test_new_pixels_of_the_same_size_are_seen_where_contents_were_hashed(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path
) -> None:
    source = copied(small_source, tmp_path / "source")
    chosen = options(rehash=True, bad_records="quarantine")
    with prepare(BuildRequest(dataset=bigearthnet, source=source, out=tmp_path / "out", **chosen), Serial()) as draft:
        rewrite.write(patches(source)[5], "VV", np.full((120, 120), -12, np.float32))
        pack([draft], Serial())
        build = seal(draft, Serial())
    (listed,) = build.manifest.quarantine
    assert (listed.key, listed.reason) == (patches(source)[5].name, "the file changed since it was scanned")


def test_after_a_stop_quarantine_goes_on_where_it_ended(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, whole: Build
) -> None:
    # The last train record in plan order, so that shards before it are done.
    rows = [row for row in whole.index().to_pylist() if row["split"] == "train"]
    source = copied(small_source, tmp_path / "source")
    patch = source / "BigEarthNet-S1-v1.0" / rows[-1]["key"]
    os.truncate(tif(patch), 1000)
    with pytest.raises(BadRecord):
        make(bigearthnet, source, tmp_path / "out", shard_length=4)
    (hidden,) = (tmp_path / "out").glob("*/*/.*.building")
    done = {path.name: path.stat().st_ino for path in (hidden / "build/train/image/c").rglob("0") if path.is_file()}
    before = snapshot(hidden / "build/train/image/c/0")
    assert done
    build = make(bigearthnet, source, tmp_path / "out", shard_length=4, bad_records="quarantine")
    assert snapshot(build.path / "train/image/c/0") == before
    assert [one.key for one in build.manifest.quarantine] == [patch.name]
    assert list((tmp_path / "out").glob("*/*/.*")) == []


def test_after_a_stop_a_repaired_source_is_built_as_if_nothing_had_been(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path
) -> None:
    source, patch = damaged(
        small_source, tmp_path / "source", lambda p: rewrite.write(p, "VH", np.full((120, 120), np.nan))
    )
    with pytest.raises(BadRecord):
        make(bigearthnet, source, tmp_path / "out")
    shutil.copy(tif(small_source / "BigEarthNet-S1-v1.0" / patch.name), tif(patch))
    repaired = make(bigearthnet, source, tmp_path / "out")
    assert contents(repaired.path) == contents(make(bigearthnet, small_source, tmp_path / "other").path)


@pytest.mark.parametrize("bad_records", ["stop", "quarantine"])
def test_a_former_build_stays(bigearthnet: Pipeline, small_source: Path, tmp_path: Path, bad_records: str) -> None:
    former = make(bigearthnet, small_source, tmp_path / "out")
    before = contents(former.path)
    source, _ = damaged(small_source, tmp_path / "source", DAMAGES["truncated"].act)
    if bad_records == "stop":
        with pytest.raises(BadRecord):
            make(bigearthnet, source, tmp_path / "out")
    else:
        assert make(bigearthnet, source, tmp_path / "out", bad_records=bad_records).path != former.path
    assert contents(former.path) == before


def test_nothing_but_bad_records_is_an_error_and_no_empty_build(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path
) -> None:
    source = copied(small_source, tmp_path / "source")
    for patch in patches(source):
        os.truncate(tif(patch), 58_000)
    with pytest.raises(SplitError, match="every train record was quarantined"):
        make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    for patch in patches(source):
        facts(patch).write_bytes(b"")
    with pytest.raises(SourceError, match="no record of bigearthnet-s1 found in the source; the first of 16 bad"):
        make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    assert visible(tmp_path / "out") == []


def test_a_worker_passes_the_bad_record_on_as_it_is(bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
    source, patch = damaged(small_source, tmp_path / "source", DAMAGES["truncated"].act)
    with Processes(2) as runner, pytest.raises(BadRecord) as caught:
        make(bigearthnet, source, tmp_path / "out", runner=runner)
    assert caught.value.path == f"BigEarthNet-S1-v1.0/{patch.name}/{patch.name}_VH.tif"
    assert visible(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("act", "file", "reason"),
    [
        (lambda root: os.truncate(root / "Forest/Forest_2.tif", 20_000), "Forest/Forest_2.tif", "found 20,000"),
        (lambda root: (root / "Forest/Forest_2.tif").write_bytes(HTML), "Forest/Forest_2.tif", "DOCTYPE"),
        (
            lambda root: (root / "Forest/Forest_2.tif").write_bytes(
                synth.geotiff(np.zeros((1, 64, 64), np.float32), epsg=32633, transform=UTM, rows_per_strip=16)
            ),
            "Forest/Forest_2.tif",
            "band",
        ),
        (
            lambda root: (
                shutil.copytree(root / "Forest", root / "Desert")
                and (root / "Desert/Forest_2.tif").rename(root / "Desert/Desert_1.tif")
                and [path.unlink() for path in (root / "Desert").glob("Forest_*")]
            ),
            "Desert/Desert_1.tif",
            "expected one of the classes",
        ),
    ],
)
def test_another_dataset_obeys_the_same_laws(
    eurosat: Pipeline, eurosat_source: Path, tmp_path: Path, act: Callable[[Path], object], file: str, reason: str
) -> None:
    source = copied(eurosat_source, tmp_path / "source")
    act(source / "EuroSAT-SAR")
    with pytest.raises(BadRecord, match=reason) as caught:
        make(eurosat, source, tmp_path / "out")
    assert caught.value.path == f"EuroSAT-SAR/{file}"
    assert visible(tmp_path / "out") == []
    build = make(eurosat, source, tmp_path / "out", bad_records="quarantine")
    assert [one.path for one in build.manifest.quarantine] == [f"EuroSAT-SAR/{file}"]
    if file.startswith("Forest"):
        (source / "EuroSAT-SAR" / file).unlink()
    else:
        shutil.rmtree(source / "EuroSAT-SAR/Desert")
    assert make(eurosat, source, tmp_path / "clean").manifest.content_digest == build.manifest.content_digest


class TestTarget:
    def test_a_file_where_out_should_be(self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("precious")
        with pytest.raises(TargetError, match="cannot write"):
            make(bigearthnet, small_source, tmp_path / "out")
        assert (tmp_path / "out").read_text() == "precious"

    def test_a_path_below_a_file(self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("precious")
        with pytest.raises(TargetError, match="Choose another `out=…`"):
            make(bigearthnet, small_source, tmp_path / "file" / "out")
        assert (tmp_path / "file").read_text() == "precious"

    def test_something_else_in_the_builds_place(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        build = make(bigearthnet, small_source, tmp_path / "out")
        shutil.rmtree(build.path)
        build.path.write_text("precious")
        with pytest.raises(SarDataError, match=r"manifest\.json"):
            make(bigearthnet, small_source, tmp_path / "out")
        build.path.unlink()
        (build.path / "mine").mkdir(parents=True)
        with pytest.raises(SarDataError, match=r"manifest\.json"):
            make(bigearthnet, small_source, tmp_path / "out")
        assert [path.name for path in build.path.iterdir()] == ["mine"]


class TestSource:
    @pytest.mark.parametrize("bad_records", ["stop", "quarantine"])
    def test_an_empty_folder_has_no_records(self, bigearthnet: Pipeline, tmp_path: Path, bad_records: str) -> None:
        (tmp_path / "source").mkdir()
        with pytest.raises(SourceError, match="no record of bigearthnet-s1 found"):
            make(bigearthnet, tmp_path / "source", tmp_path / "out", bad_records=bad_records)
        assert not (tmp_path / "out").exists()

    def test_a_missing_folder_and_a_file_that_is_no_archive(self, bigearthnet: Pipeline, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="expected a folder or an archive, found nothing"):
            make(bigearthnet, tmp_path / "source", tmp_path / "out")
        (tmp_path / "source").write_bytes(b"tar")
        with pytest.raises(SourceError, match="found another file"):
            make(bigearthnet, tmp_path / "source", tmp_path / "out")

    @pytest.mark.parametrize("level", [5000.0, -3000.0])
    def test_amplitudes_where_db_is_expected_are_bad(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path, level: float
    ) -> None:
        source = copied(small_source, tmp_path / "source")
        rewrite.write(patches(source)[5], "VH", np.full((120, 120), level, np.float32))
        with pytest.raises(BadRecord, match="dB"):
            make(bigearthnet, source, tmp_path / "out")
        build = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
        assert [one.key for one in build.manifest.quarantine] == [patches(source)[5].name]


def test_stop_does_not_accept_a_build_that_quarantine_sealed(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path
) -> None:
    source, _ = damaged(small_source, tmp_path / "s", DAMAGES["a band all NaN"].act)
    taken = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    with pytest.raises(BuildError, match=r"sealed without 1 bad records, the first .*_V[HV]\.tif"):
        make(bigearthnet, source, tmp_path / "out")
    assert make(bigearthnet, source, tmp_path / "out", bad_records="quarantine").path == taken.path


@pytest.mark.parametrize("container", ["zarr", "lmdb"])
def test_stop_does_not_go_on_from_shards_that_quarantine_left_with_holes(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    source, _ = damaged(small_source, tmp_path / "s", DAMAGES["a band all NaN"].act)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sar_data.builder.itinerary.seal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(bigearthnet, source, tmp_path / "out", container=container, bad_records="quarantine", shard_length=4)
    with pytest.raises(BadRecord):
        make(bigearthnet, source, tmp_path / "out", container=container, shard_length=4)


class TestPipelineFaults:
    """Code that fails is no bad record: it stops the build whatever the policy, and names the dataset and the unit."""

    @pytest.mark.parametrize("bad_records", ["stop", "quarantine"])
    @pytest.mark.parametrize("act", ["scan", "read"])
    def test_an_exception_names_the_unit_and_is_not_quarantined(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path, act: str, bad_records: str
    ) -> None:
        broken = replace(bigearthnet, **{act: _broken})
        with pytest.raises(PipelineFault, match=f"bigearthnet-s1: {act} failed at .*S1.*KeyError: 'acquird'"):
            make(broken, small_source, tmp_path / "out", bad_records=bad_records)

    @pytest.mark.parametrize("act", ["fit", "units"])
    def test_an_exception_before_the_scan_names_the_dataset(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path, act: str
    ) -> None:
        broken = replace(bigearthnet, **{act: lambda tree: _broken(tree, None)})
        with pytest.raises(PipelineFault, match=f"bigearthnet-s1: {act} failed at the source: KeyError: 'acquird'"):
            make(broken, small_source, tmp_path / "out")

    @pytest.mark.parametrize(
        ("change", "message"),
        [({"time": datetime(2020, 1, 1)}, "a time with a time zone"), ({"labels": {}}, "labels of each task")],
    )
    def test_a_record_that_breaks_a_promise_is_the_pipeline_s_fault(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        broken = replace(bigearthnet, scan=partial(_changed, bigearthnet, change))
        with pytest.raises(PipelineFault, match=f"expected {message}"):
            make(broken, small_source, tmp_path / "out")


def _broken(tree: Any, unit: Any) -> Any:
    return {}["acquird"]


def _changed(pipeline: Pipeline, change: dict[str, Any], tree: Any, unit: str) -> Any:
    return [replace(record, **change) for record in pipeline.scan(tree, unit)]

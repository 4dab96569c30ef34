"""A plan says the bytes of the builds that then stand, and leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import sar_data
from sar_data import catalog
from sar_data.builder.calibration import Sample, _extend, folder_bytes
from sar_data.builder.itinerary import carry_out
from sar_data.builder.request import BuildRequest
from sar_data.sealed.opened import Build

ERROR = 0.10  # of bytes, as promised
CONTAINERS = ["zarr", "webdataset", "lmdb"]
ALL: dict[str, Any] = {"format": CONTAINERS}
ZSTD: dict[str, Any] = {"format": "zarr", "compression": "zstd"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One band set, masks of several dates, and objects in images of many sizes."""
    folder = tmp_path_factory.mktemp("outlook")
    for name, count in (("eurosat-sar", 40), ("dfc2020", 8), ("ssdd", 16)):
        catalog.synthesise(name)(folder / name, count=count, seed=0)
    return {path.name: path for path in folder.iterdir()}


def sizes(path: Path) -> Mapping[tuple[str, bool], int]:
    """Return the bytes of each build below a folder, by container and whether it is baked."""
    builds = (Build.open(manifest.parent) for manifest in path.rglob("manifest.json"))
    return {(one.manifest.format, one.manifest.parent is not None): folder_bytes(one.path) for one in builds}


@pytest.mark.parametrize(
    ("dataset", "choices"),
    [
        ("eurosat-sar", {**ALL, "dtype": "int16"}),
        ("eurosat-sar", ZSTD),
        ("dfc2020", {**ALL, "normalize": "zscore"}),
        ("dfc2020", ZSTD),
        ("ssdd", {**ALL, "crop": 128}),
    ],
    ids=str,
)
def test_planned_bytes_are_those_of_the_builds(
    sources: dict[str, Path], tmp_path: Path, dataset: str, choices: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"source": sources[dataset], "out": tmp_path / "out", **choices}
    planned = sar_data.plan(dataset, **asked, split="random", runner="serial")
    assert list(tmp_path.iterdir()) == []
    results = carry_out(BuildRequest(dataset=dataset, split="random", **asked))
    found = sizes(tmp_path / "out")
    assert {(one.format, one.baked) for one in planned.builds} == found.keys()
    for one in planned.builds:
        assert one.bytes == pytest.approx(found[one.format, one.baked], rel=ERROR), one
    assert planned.written_bytes == pytest.approx(sum(found.values()), rel=ERROR)
    shards = {(r.build.manifest.format, r.parent is not None): r.build.manifest.splits for r in results}
    for one in planned.builds:
        if splits := shards.get((one.format, one.baked)):
            assert one.shards == sum(len(split.shards) for split in splits.values())
    raw = folder_bytes(sources[dataset])
    assert 0 < planned.read_bytes <= raw
    assert planned.peak_disk_bytes - planned.needed_bytes == raw


def test_an_archive_and_what_it_unpacks_to_count_for_the_disk(sources: dict[str, Path], tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "eurosat"), "gztar", sources["eurosat-sar"]))
    planned = sar_data.plan(
        "eurosat-sar", source=archive, out=tmp_path / "out", work=tmp_path / "work", split="random", runner="serial"
    )
    unpacked = [path for path in (tmp_path / "work").iterdir() if path.suffix == ".tar"]
    expected = archive.stat().st_size + sum(path.stat().st_size for path in unpacked)
    assert len(unpacked) == 1
    assert planned.peak_disk_bytes - planned.needed_bytes == expected


def test_a_disk_without_room_for_a_sample_is_named(
    sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=20_000))
    with pytest.raises(sar_data.errors.TargetError, match="needs"):
        sar_data.plan("eurosat-sar", source=sources["eurosat-sar"], out=tmp_path, split="random", runner="serial")


@pytest.mark.parametrize(
    ("pixels", "values", "total", "expected"),
    [
        ((10,), (5.0,), 30, 15.0),  # one sample: in proportion
        ((10, 20), (15.0, 20.0), 40, 30.0),  # what every build costs once counts once
        ((10, 20), (30.0, 20.0), 40, 40.0),  # the first sample was slow for another reason
        ((10, 20), (15.0, 20.0), 20, 20.0),
    ],
)
def test_a_line_goes_through_the_last_two_samples(
    pixels: tuple[int, ...], values: tuple[float, ...], total: int, expected: float
) -> None:
    samples = [Sample(count, 0.0, {}) for count in pixels]
    assert _extend(samples, values, total) == expected

"""Several builds in one batch: bands are matched by name, and what does not fit together is refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.manifest import Manifest
from sar_data.stream.collection import open_collection
from sar_data.stream.dataset import Stream
from sar_data.stream.kernels.copy import copy
from tests.mini import invented

pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
from sar_data.torch import loader

BANDS = {"first": ("VV", "VH"), "turned": ("VH", "VV"), "one": ("VV",), "others": ("VV", "HV")}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("several")
    source = invented.archive(root / "raw", 24)
    return {
        name: invented.sealed(invented.pipeline(bands=bands), source, root / name, format="webdataset").path
        for name, bands in BANDS.items()
    }


def images(paths: list[Path], **options: Any) -> np.ndarray[Any, Any]:
    with Stream(paths, batch_size=3, shuffle=False, **options) as stream:
        return np.concatenate([batch["image"] for batch in stream])


def tensors(paths: list[Path], **options: Any) -> np.ndarray[Any, Any]:
    with loader(paths, batch_size=3, shuffle=False, device="cpu", **options) as batches:
        return np.concatenate([batch["image"].numpy() for batch in batches])


@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("names", [("first", "turned"), ("turned", "first")])
def test_bands_in_another_order_are_matched_by_name(builds: dict[str, Path], names: tuple[str, str], io: str) -> None:
    paths = [builds[name] for name in names]
    right = np.concatenate([images([path], bands=BANDS[names[0]]) for path in paths])
    assert np.array_equal(images(paths, io=io), right)
    assert np.allclose(tensors(paths, io=io), right, atol=1e-6)


@pytest.mark.parametrize("names", [("first", "one"), ("one", "first"), ("one", "others")])
def test_a_band_that_all_builds_have_is_taken_from_each(builds: dict[str, Path], names: tuple[str, str]) -> None:
    paths = [builds[name] for name in names]
    right = np.concatenate([images([path], bands=["VV"]) for path in paths])
    assert np.array_equal(images(paths, bands=["VV"]), right)
    assert np.allclose(tensors(paths, bands=["VV"]), right, atol=1e-6)


@pytest.mark.parametrize("names", [("first", "one"), ("one", "first"), ("first", "others")])
def test_builds_of_other_bands_are_refused(builds: dict[str, Path], names: tuple[str, str]) -> None:
    paths = [builds[name] for name in names]
    for read in (images, tensors):
        with pytest.raises(UsageError, match=r"builds differ in bands: .*: name those that both have by `bands`"):
            read(paths)
    with pytest.raises(UsageError, match="unknown band 'VH'"):
        images(paths, bands=["VH"])


@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_no_sample_is_copied_into_room_for_a_larger_one(builds: dict[str, Path], io: str) -> None:
    source = open_collection(builds["one"], io=io).sources[0]
    rows = np.arange(4)
    for shape in ((4, 2, 6, 5), (4, 1, 6, 6), (4, 1, 5, 6)):
        with pytest.raises(BuildError, match="expected room for images of one size"):
            source.copy(rows, rows, np.empty(shape, np.float32))


def test_what_was_read_is_all_that_a_loop_may_see(builds: dict[str, Path]) -> None:
    source = open_collection(builds["one"], io="pread").sources[0]
    rows = np.arange(4)
    for memory, order in source._chunks(rows):
        assert memory.size.tolist() == [len(order) * 6 * 5 * 4]
        with pytest.raises(BuildError, match="expected 121 bytes inside of 480"):
            copy(memory, order, np.empty((4, 121), np.uint8))


def test_a_build_without_samples_in_the_split_joins_the_others(tmp_path: Path) -> None:
    made = invented.pipeline()
    whole, empty = "random:train=0.5,val=0.2,test=0.3", "random:train=0.5,val=0.5,test=0"
    paths = [
        invented.sealed(made, invented.archive(tmp_path / f"raw{i}", 20), tmp_path / f"out{i}", split=split).path
        for i, split in enumerate((empty, whole))
    ]
    for order in (paths, paths[::-1]):
        with Stream(order, split="test", batch_size=4) as stream:
            assert sum(len(batch["key"]) for batch in stream) == Manifest.load(paths[1]).splits["test"].count > 0

"""Several builds in one batch: bands are matched by name, and what does not fit together is refused in a sentence."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.manifest import Manifest
from sar_data.spec import Task, TaskKind
from sar_data.stream.collection import open_collection
from sar_data.stream.dataset import Stream
from sar_data.stream.kernels.copy import copy
from sar_data.stream.member import Member
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


JOINT = ("water", "wood", "field", "town", "ice")
OTHERS = ("town", "ice", "water", "field")  # of the second build
NUMBERS = ((0, 1, 2, 3), (3, 4, 0, 2))


def joined(kind: TaskKind, out: Path, **chosen: Any) -> tuple[list[Path], list[Member]]:
    """Return two builds of samples of the same names, the second of other classes in another order."""
    source, paths, members = invented.archive(out / "raw", 40), [], []
    for name, classes, numbers in zip("ab", (invented.CLASSES, OTHERS), NUMBERS, strict=True):
        made = invented.pipeline(kind)
        made = replace(made, spec=replace(made.spec, tasks=(Task(name="cover", kind=kind, classes=classes),)))
        paths.append(invented.sealed(made, source, out / name, **chosen).path)
        (own,) = Manifest.load(paths[-1]).tasks
        joint = own.model_copy(update={"classes": list(JOINT)})
        members.append(Member(name, own, joint, numbers))
    return paths, members


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "segmentation", "detection"])
def test_members_have_keys_of_their_own_and_the_numbers_of_the_joint_classes(kind: TaskKind, tmp_path: Path) -> None:
    paths, members = joined(kind, tmp_path)
    alone = [_targets([path]) for path in paths]
    both = _targets(paths, members=members)
    assert both.keys() == {f"{name}/{key}" for name, one in zip("ab", alone, strict=True) for key in one}
    for name, one, numbers in zip("ab", alone, NUMBERS, strict=True):
        for key, target in one.items():
            found = both[f"{name}/{key}"]
            if kind == "multilabel":
                right = np.zeros(len(JOINT), np.float32)
                right[list(numbers)] = target
            elif kind == "detection":
                right, found = np.array(numbers)[target["labels"]], found["labels"]
            else:
                right = np.array([*numbers, *range(4, 256)])[target]
            assert np.array_equal(found, right)


def _targets(paths: list[Path], **options: Any) -> dict[str, Any]:
    with Stream(paths, batch_size=3, shuffle=False, **options) as stream:
        return {key: target for b in stream for key, target in zip(b["key"], b["target"], strict=True)}


def test_keys_of_members_select_samples_of_one_name_apart(tmp_path: Path) -> None:
    paths, members = joined("multiclass", tmp_path)
    keys = list(_targets(paths, members=members))
    with Stream(paths, batch_size=1, members=members, keys=keys[::3]) as stream:
        assert stream.keys == keys[::3]
        assert {batch["key"][0] for batch in stream} == set(keys[::3])
    with pytest.raises(UsageError, match="keys: 1 are in none of the builds' train, such as c/s0001"):
        Stream(paths, batch_size=1, members=members, keys=[keys[0], "c/s0001"])


def test_builds_of_two_types_make_one_batch(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 24)
    paths = [
        invented.sealed(invented.pipeline(unit="8-bit", dtype=kind), source, tmp_path / kind).path
        for kind in ("uint8", "uint16")
    ]
    right = np.concatenate([images([path]) for path in paths])
    assert np.array_equal(images(paths), right)
    assert np.allclose(tensors(paths), right, atol=1e-6)


@pytest.mark.parametrize("shuffle", ["samples", "shards"])
def test_a_mix_is_the_same_at_every_world_size_and_after_every_cut(
    builds: dict[str, Path], shuffle: str, tmp_path: Path
) -> None:
    paths, members = joined("multiclass", tmp_path)
    options: dict[str, Any] = {"members": members, "mix": (1, 3), "seed": 4, "shuffle": shuffle, "window": 16}
    with Stream(paths, batch_size=1, **options) as whole:
        epochs = [[batch["key"][0] for batch in whole] for _ in range(4)]
        count = len(epochs[0])
        for found in epochs:
            assert Counter(key[0] for key in found) == {"a": 17, "b": 49}  # of 66, 33 in each build
        first = [key for found in epochs for key in found if key[0] == "a"]
        if shuffle == "samples":
            assert len(set(first[:33])) == len(set(first[33:66])) == 33
        states = []
        whole.set_epoch(1)
        for _ in whole:
            states.append(whole.state_dict())
    for world in (1, 2, 4):
        ranks = [Stream(paths, batch_size=2, rank=rank, world=world, **options) for rank in range(world)]
        for cut in (3, 17, 40):
            for stream in ranks:
                stream.load_state_dict(states[cut - 1])
            parts = [[batch["key"] for batch in stream] for stream in ranks]
            found = [key for step in zip(*parts, strict=True) for keys in step for key in keys]
            assert found == epochs[1][cut : cut + len(found)]
            assert count - cut - len(found) < 2 * world
        for stream in ranks:
            stream.close()
    with Stream(paths, batch_size=1, **{**options, "mix": (1, 2)}) as other, pytest.raises(UsageError, match="order"):
        other.load_state_dict(states[0])

"""Targets of every kind, frames, and images of many sizes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import BuildError, UsageError
from sar_data.sealed.opened import Build
from sar_data.stream.dataset import Stream
from tests.mini import invented
from tests.mini.builds import CONTAINERS
from tests.mini.resealed import edit

Array = npt.NDArray[Any]
RAGGED = ("lmdb", "webdataset")


def built(tmp_path: Path, container: str, count: int = 40, *, ragged: bool = False, **kind: Any) -> Build:
    source = invented.archive(tmp_path / "raw", count, ragged=ragged)
    made = invented.pipeline(shape=None if ragged else (6, 5), **kind)
    name, _, compression = container.partition("+")
    return invented.sealed(made, source, tmp_path / "out", format=name, compression=compression or "none")


def raw(key: str, *, ragged: bool = False, **kind: Any) -> tuple[Array, Any, tuple[Any, ...]]:
    """Return image, mask and objects of a sample as the dataset itself draws them."""
    seed = int(key[1:])
    size = (6 + seed % 5, 5 + seed % 4) if ragged else (6, 5)
    spec = invented.pipeline(shape=None if ragged else (6, 5), **kind).spec
    random = np.random.default_rng(seed)
    random.integers(0, 4, 3)
    objects = tuple(invented._object(random, size) for _ in range(seed % 4))
    return invented.image(spec, seed, size), invented.mask("segmentation", seed, size), objects


def outlines(target: dict[str, Any]) -> list[list[Any]]:
    return [[ring.tolist() for ring in rings] for rings in target["polygons"]]


@pytest.mark.parametrize("container", CONTAINERS)
def test_masks_come_with_their_images(tmp_path: Path, container: str) -> None:
    build = built(tmp_path, container, kind="segmentation")
    for verify in (False, "first"):
        with Stream(build.path, batch_size=4, normalize=None, fill=None, verify=verify) as stream:
            for _epoch in range(2):
                for batch in stream:
                    for key, image, target in zip(batch["key"], batch["image"], batch["target"], strict=True):
                        expected, mask, _ = raw(key, kind="segmentation")
                        assert image.tobytes() == expected.tobytes()
                        assert target.dtype == np.uint8
                        np.testing.assert_array_equal(target, mask)


def test_a_damaged_mask_is_named_where_masks_are_verified(tmp_path: Path) -> None:
    build = built(tmp_path, "zarr", kind="segmentation")
    path = next(path for path in (build.path / "train/mask/c").rglob("*") if path.is_file())
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    with Stream(build.path, batch_size=4) as silent:
        assert sum(len(batch["key"]) for batch in silent)
    with pytest.raises(BuildError, match=r"train/mask/c/\d/0/0: s\d+: expected mask_xxh3 [0-9a-f]{32}, found"):
        list(Stream(build.path, batch_size=4, verify="first"))
    with pytest.raises(UsageError, match="verify: expected 'first' or False, found 'always'"):
        Stream(build.path, verify="always")


@pytest.mark.parametrize("container", CONTAINERS)
def test_frames_are_an_axis_before_the_bands(tmp_path: Path, container: str) -> None:
    build = built(tmp_path, container, kind="multilabel", frames=3)
    with Stream(build.path, batch_size=4, bands=("VH", "VV-VH"), normalize=None, fill=None, verify=True) as stream:
        for batch in stream:
            assert batch["image"].shape == (4, 3, 2, 6, 5)
            for key, image in zip(batch["key"], batch["image"], strict=True):
                expected, _, _ = raw(key, kind="multilabel", frames=3)
                np.testing.assert_array_equal(image[:, 0], expected[:, 1])
                np.testing.assert_array_equal(image[:, 1], expected[:, 0] - expected[:, 1])


def test_several_labels_are_a_row_of_zeros_and_ones(tmp_path: Path) -> None:
    build = built(tmp_path, "zarr", kind="multilabel")
    index = {row["key"]: row["label_indices"] for row in build.index().select(["key", "label_indices"]).to_pylist()}
    with Stream(build.path, split="val", batch_size=3) as stream:
        for batch in stream:
            assert batch["target"].dtype == np.float32
            for key, target in zip(batch["key"], batch["target"], strict=True):
                assert np.flatnonzero(target).tolist() == index[key]
    with Stream(build.path, batch_size=2, weights="balanced") as stream:
        assert sum(batch["target"] for batch in stream).shape == (2, 4)


@pytest.mark.parametrize("container", CONTAINERS)
def test_boxes_are_as_ragged_as_they_are(tmp_path: Path, container: str) -> None:
    build = built(tmp_path, container, kind="detection")
    counts = set()
    with Stream(build.path, batch_size=4) as stream:
        for batch in stream:
            for key, target in zip(batch["key"], batch["target"], strict=True):
                _, _, objects = raw(key)
                counts.add(len(objects))
                assert target["labels"].tolist() == [thing.label for thing in objects]
                assert target["boxes"].shape == (len(objects), 4)
                np.testing.assert_allclose(
                    target["boxes"], np.array([o.box for o in objects]).reshape(-1, 4), rtol=1e-6
                )
                rotated = [o.rotated or (np.nan,) * 5 for o in objects]
                np.testing.assert_allclose(target["rotated"], np.array(rotated).reshape(-1, 5), rtol=1e-6)
                assert outlines(target) == [
                    [np.array(ring, np.float32).reshape(-1, 2).tolist() for ring in thing.polygons] for thing in objects
                ]
                assert all(ring.dtype == np.float32 for rings in target["polygons"] for ring in rings)
    assert counts == {0, 1, 2, 3}


@pytest.mark.parametrize("container", RAGGED)
def test_images_of_many_sizes_need_a_policy_and_the_error_names_one_that_works(tmp_path: Path, container: str) -> None:
    build = built(tmp_path, container, ragged=True, kind="segmentation")
    with pytest.raises(UsageError, match=r"the images differ in size, from 6.5 to 10.8: give `crop=…` .* or `pad=10`"):
        Stream(build.path, batch_size=4)
    with pytest.raises(UsageError, match=r"`pad=9`: .* has images of up to 10.8; take `pad=10`"):
        Stream(build.path, batch_size=4, pad=9)
    with Stream(build.path, batch_size=4, pad=10, normalize=None, fill=-1.0, verify=True) as stream:
        for batch in stream:
            for i, (key, (y, x, height, width)) in enumerate(zip(batch["key"], batch["window"].tolist(), strict=True)):
                image, mask, _ = raw(key, ragged=True, kind="segmentation")
                assert (y, x, height, width) == (0, 0, *image.shape[1:])
                np.testing.assert_array_equal(batch["image"][i, :, :height, :width], np.nan_to_num(image, nan=-1))
                assert (batch["image"][i, :, height:] == -1).all()
                assert (batch["image"][i, :, :, width:] == -1).all()
                np.testing.assert_array_equal(batch["target"][i, :height, :width], mask)
                assert (batch["target"][i, height:] == 255).all()


@pytest.mark.parametrize("container", RAGGED)
def test_windows_are_drawn_in_training_and_centred_in_evaluation(tmp_path: Path, container: str) -> None:
    build = built(tmp_path, container, ragged=True, kind="detection")
    corners = set()
    for split in ("train", "val"):
        with Stream(build.path, split=split, batch_size=4, crop=5, normalize=None, fill=None) as stream:
            for batch in (b for _ in range(2) for b in stream):
                for image, key, window, target in zip(
                    batch["image"], batch["key"], batch["window"].tolist(), batch["target"], strict=True
                ):
                    y, x = window[:2]
                    whole, _, objects = raw(key, ragged=True)
                    np.testing.assert_array_equal(image, whole[:, y : y + 5, x : x + 5])
                    corners.add((y, x))
                    if split == "val":
                        assert (y, x) == ((whole.shape[1] - 5) // 2, (whole.shape[2] - 5) // 2)
                    centres = [((o.box[0] + o.box[2]) / 2 - x, (o.box[1] + o.box[3]) / 2 - y) for o in objects]
                    kept = [o.label for o, (a, b) in zip(objects, centres, strict=True) if 0 <= a <= 5 and 0 <= b <= 5]
                    assert target["labels"].tolist() == kept
                    assert ((target["boxes"] >= 0) & (target["boxes"] <= 5)).all()
    assert len(corners) > 8


def test_a_window_cuts_objects_as_a_build_that_is_cropped_has_them_cut(tmp_path: Path) -> None:
    build = built(tmp_path, "webdataset", ragged=True, kind="detection")
    cropped = convert(ConvertRequest(parent=build.path, out=tmp_path / "cropped", crop=5))
    cut = 0
    with (
        Stream(build.path, split="val", batch_size=2, crop=5) as windows,
        Stream(cropped.path, split="val", batch_size=2) as whole,
    ):
        for one, other in zip(windows, whole, strict=True):
            assert one["key"] == other["key"]
            for key, drawn, stored in zip(one["key"], one["target"], other["target"], strict=True):
                for name in ("boxes", "labels", "rotated"):
                    np.testing.assert_allclose(drawn[name], stored[name], rtol=1e-6, atol=1e-6)
                for ours, theirs in zip(drawn["polygons"], stored["polygons"], strict=True):
                    for ring, expected in zip(ours, theirs, strict=True):
                        np.testing.assert_allclose(ring, expected, rtol=1e-6, atol=1e-6)
                _, _, objects = raw(key, ragged=True)
                cut += sum(len(ring) for rings in drawn["polygons"] for ring in rings) != sum(
                    len(ring) // 2 for thing in objects for ring in thing.polygons
                )
    assert cut


def test_a_window_drawn_anywhere_moves_the_outlines_along_and_holds_them(tmp_path: Path) -> None:
    build = built(tmp_path, "lmdb", ragged=True, kind="detection")
    inside = 0
    with Stream(build.path, batch_size=4, crop=5) as stream:
        for batch in (b for _ in range(2) for b in stream):
            for key, (y, x, height, width), target in zip(
                batch["key"], batch["window"].tolist(), batch["target"], strict=True
            ):
                assert len(target["polygons"]) == len(target["boxes"])
                moved = [
                    (np.array(ring).reshape(-1, 2) - (x, y)).astype(np.float32)
                    for thing in raw(key, ragged=True)[2]
                    for ring in thing.polygons
                ]
                found = [ring.tolist() for rings in target["polygons"] for ring in rings]
                assert all(0 <= a <= width and 0 <= b <= height for ring in found for a, b in ring)
                uncut = [ring.tolist() for ring in moved if ((ring > 0) & (ring < (width, height))).all()]
                assert all(ring in found for ring in uncut)
                inside += len(uncut)
    assert inside


def test_padding_leaves_outlines_where_they_are(tmp_path: Path) -> None:
    build = built(tmp_path, "webdataset", ragged=True, kind="detection")
    with Stream(build.path, split="val", batch_size=2, pad=12) as stream:
        for batch in stream:
            for key, target in zip(batch["key"], batch["target"], strict=True):
                expected = [thing.polygons for thing in raw(key, ragged=True)[2]]
                assert [len(rings) for rings in target["polygons"]] == [len(rings) for rings in expected]
                for ring, numbers in zip(
                    (ring for rings in target["polygons"] for ring in rings),
                    (ring for rings in expected for ring in rings),
                    strict=True,
                ):
                    np.testing.assert_allclose(ring.ravel(), numbers, rtol=1e-6)


def test_several_builds_of_objects_are_one_batch(tmp_path: Path) -> None:
    build = built(tmp_path, "zarr", kind="detection")
    other = convert(ConvertRequest(parent=build.path, out=tmp_path / "other", format="lmdb"))
    sources: Counter[str] = Counter()
    with Stream([build.path, other.path], batch_size=6, mix=(1, 1)) as stream:
        for batch in stream:
            for key, target in zip(batch["key"], batch["target"], strict=True):
                sources[key] += 1
                assert outlines(target) == [
                    [np.array(ring, np.float32).reshape(-1, 2).tolist() for ring in thing.polygons]
                    for thing in raw(key)[2]
                ]
    assert max(sources.values()) > 1


def test_windows_are_the_same_after_a_resume_and_at_another_world_size(tmp_path: Path) -> None:
    build = built(tmp_path, "webdataset", ragged=True)

    def windows(stream: Stream) -> dict[str, list[int]]:
        return {k: w for b in stream for k, w in zip(b["key"], b["window"].tolist(), strict=True)}

    with Stream(build.path, batch_size=4, crop=4, seed=1) as stream:
        whole = windows(stream)
    parts: dict[str, list[int]] = {}
    for rank in range(4):
        with Stream(build.path, batch_size=1, crop=4, seed=1, rank=rank, world=4) as stream:
            next(iter(stream))
            parts |= windows(stream)
    assert len(parts) == len(whole) - 4
    assert all(whole[key] == window for key, window in parts.items())


def test_quantiles_are_those_of_the_patch_before_the_crop(tmp_path: Path) -> None:
    build = built(tmp_path, "zarr")
    with (
        Stream(build.path, split="val", batch_size=2, crop=3, normalize="sarhub") as part,
        Stream(build.path, split="val", batch_size=2, normalize="sarhub") as whole,
    ):
        for small, large in zip(part, whole, strict=True):
            y, x = small["window"][0, :2]
            np.testing.assert_array_equal(small["image"], large["image"][:, :, y : y + 3, x : x + 3])


def test_a_sample_without_its_one_class_is_named(tmp_path: Path) -> None:
    build = built(tmp_path, "zarr", kind="multilabel")
    edit(build.path, lambda document: document["tasks"][0].update(kind="multiclass"))
    with pytest.raises(BuildError, match=r"s\d+: expected one class of cover, found [23]"):
        Stream(build.path, batch_size=1)

"""The law book of a container: what is read is what was written, bit for bit, by our reader and by others'."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sar_data import formats
from sar_data.errors import BuildError
from sar_data.formats.container import Entry, Format, Layout, Place
from sar_data.testing.slots import entries, layout, store

DTYPES = ("float32", "float16", "int16")


class FormatContract:
    """Inherit, set `name`, `compression`, and two readers of a split's folder, by third-party code.

    `read` gives {key: image}, `read_all` {key: (image [frame, VV and VH, y, x], mask)} of samples that have both.
    """

    name: str
    compression: str | None = None
    read: Callable[[Path], dict[str, npt.NDArray[Any]]]
    read_all: Callable[[Path], dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]]

    @property
    def container(self) -> Format:
        return formats.get(self.name, self.compression)

    def slots(self, length: int) -> int:
        """Return the shard length that this container makes of `length`."""
        return -(-length // self.container.multiple) * self.container.multiple

    def check(self, root: Path, plan: Layout, slots: Sequence[Entry], length: int) -> dict[str, Place]:
        """Write a split, and compare what both readers find with what was written."""
        places = store(self.container, root, plan, "train", slots, length)
        expected = {slot.record.key: slot.image for slot in slots if slot.image is not None}
        images = type(self).read(root / "build/train")
        assert images.keys() == expected.keys() == places.keys()
        reader = self.container.open(root / "build", plan, {"train": self.slots(length)})
        for key, image in expected.items():
            assert image is not None
            for same in (images[key], reader.read(places[key])):
                assert (same.shape, same.dtype) == (image.shape, image.dtype)
                assert same.tobytes() == image.tobytes()
        reader.close()
        return places

    # Each container runs the same property, which hypothesis takes for a mishap.
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        dtype=st.sampled_from(DTYPES),
        shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
        bands=st.sampled_from([("VV", "VH"), ("VH", "VV"), ("HH",), ("HH", "HV", "VV")]),
        count=st.integers(1, 9),
        length=st.integers(1, 5),
    )
    def test_what_is_read_is_what_was_written_to_the_last_bit(
        self, dtype: str, shape: tuple[int, int], bands: tuple[str, ...], count: int, length: int
    ) -> None:
        plan = layout(dtype, shape, bands)
        with tempfile.TemporaryDirectory() as folder:
            places = store(self.container, Path(folder), plan, "train", (slots := entries(plan, count)), length)
            reader = self.container.open(Path(folder, "build"), plan, {"train": self.slots(length)})
            for slot in slots:
                assert slot.image is not None
                assert reader.read(places[slot.record.key]).tobytes() == slot.image.tobytes()
            reader.close()

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        dtype=st.sampled_from([*DTYPES, "uint8", "uint16"]),
        one_shape=st.booleans(),
        frames=st.integers(1, 4),
        bands=st.sampled_from([("VV", "VH"), ("HH",), ("VV", "HH", "VH")]),
        masks=st.sampled_from([(), ("water", "wood", "town")]),
        lost=st.sets(st.integers(0, 6), max_size=3),
    )
    def test_masks_frames_and_sizes_come_back_to_the_last_bit(
        self, dtype: str, one_shape: bool, frames: int, bands: tuple[str, ...], masks: tuple[str, ...], lost: set[int]
    ) -> None:
        plan = layout(dtype, (5, 7) if one_shape or self.container.one_shape else None, bands, frames, masks)
        slots = entries(plan, 7, lost=sorted(lost))
        with tempfile.TemporaryDirectory() as folder:
            places = store(self.container, Path(folder), plan, "train", slots, 3)
            reader = self.container.open(Path(folder, "build"), plan, {"train": self.slots(3)})
            for slot in slots:
                if slot.image is None:
                    assert slot.record.key not in places
                    continue
                image = reader.read(places[slot.record.key])
                assert (image.shape, image.dtype) == (slot.image.shape, slot.image.dtype)
                assert image.tobytes() == slot.image.tobytes()
                if slot.mask is not None:
                    hidden = reader.mask(places[slot.record.key])
                    assert (hidden.shape, hidden.dtype) == (slot.mask.shape, np.dtype(np.uint8))
                    assert hidden.tobytes() == slot.mask.tobytes()
            reader.close()

    def test_other_software_finds_masks_and_frames(self, tmp_path: Path) -> None:
        plan = layout(frames=3, masks=("water", "wood", "town"))
        slots = entries(plan, 4, lost=[1])
        store(self.container, tmp_path, plan, "train", slots, 3)
        samples = type(self).read_all(tmp_path / "build/train")
        assert samples.keys() == {slot.record.key for slot in slots if slot.image is not None}
        for slot in slots:
            if slot.image is not None and slot.mask is not None:
                image, mask = samples[slot.record.key]
                assert image.tobytes() == slot.image.tobytes()
                assert mask.tobytes() == slot.mask.tobytes()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_other_software_finds_the_same_bits_and_nan_payloads_infinities_and_denormals_among_them(
        self, tmp_path: Path, dtype: str
    ) -> None:
        plan = layout(dtype)
        self.check(tmp_path, plan, entries(plan, 7), 3)

    def test_images_are_read_while_they_are_views_of_read_only_memory(self, tmp_path: Path) -> None:
        plan = layout()
        slots = entries(plan, 3)
        for slot in slots:
            assert slot.image is not None
            slot.image.flags.writeable = False
        self.check(tmp_path, plan, slots, 2)

    def test_an_empty_split_is_legal(self, tmp_path: Path) -> None:
        self.check(tmp_path, layout(), [], 1)

    @pytest.mark.parametrize("lost", [[0], [3, 4], [6], [3, 4, 5], range(7)])
    @pytest.mark.parametrize("dtype", ["float32", "int16"])
    def test_a_quarantined_slot_moves_no_other(self, tmp_path: Path, lost: Sequence[int], dtype: str) -> None:
        plan = layout(dtype)
        whole = store(self.container, tmp_path / "whole", plan, "train", entries(plan, 7), 3)
        places = self.check(tmp_path / "part", plan, entries(plan, 7, lost=lost), 3)
        for key, place in places.items():
            assert (place.shard, place.position) == (whole[key].shard, whole[key].position)

    def test_offsets_point_at_the_payload(self, tmp_path: Path) -> None:
        plan = layout()
        slots = entries(plan, 7, lost=[2])
        places = store(self.container, tmp_path, plan, "train", slots, 3)
        for slot in slots:
            place = places.get(slot.record.key)
            if slot.image is None or place is None or place.offset is None:
                continue
            file = next(iter(sorted((tmp_path / "build/train").rglob(self.shard_file(place.shard)))))
            at = np.fromfile(file, plan.dtype, count=slot.image.size, offset=place.offset)
            assert at.tobytes() == slot.image.tobytes()

    def shard_file(self, number: int) -> str:
        raise NotImplementedError

    def test_two_writes_give_the_same_bytes(self, tmp_path: Path) -> None:
        plan = layout()
        contents = []
        for name in ("one", "two"):
            store(self.container, tmp_path / name, plan, "train", entries(plan, 7, lost=[5]), 3)
            contents.append(self.comparable(tmp_path / name / "build/train"))
        assert contents[0] == contents[1]

    def comparable(self, split: Path) -> object:
        """Return what must be equal between two runs: here every file's bytes."""
        return {str(path.relative_to(split)): path.read_bytes() for path in split.rglob("*") if path.is_file()}

    def test_what_is_missing_or_short_is_an_error_that_names_the_place(self, tmp_path: Path) -> None:
        plan = layout()
        places = store(self.container, tmp_path, plan, "train", entries(plan, 3), 3)
        for path in (tmp_path / "build/train").rglob("*"):
            if path.is_file() and path.suffix != ".json":
                with open(path, "r+b") as file:
                    file.truncate(100)
        reader = self.container.open(tmp_path / "build", plan, {"train": self.slots(3)})
        with pytest.raises(BuildError, match="train"):
            reader.read(places["key_002"])
        reader.close()

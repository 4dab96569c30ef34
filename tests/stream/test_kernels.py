"""A compiled loop touches nothing but what it is given: whatever a caller says, it is done or refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import BuildError
from sar_data.normalization.stretch import stretch
from sar_data.stream.kernels.copy import copy
from sar_data.stream.kernels.gather import Channels, gather
from sar_data.stream.kernels.memory import Memory, inside, stored_bytes
from sar_data.system.positioned import read

NUMBERS = st.one_of(st.integers(-3, 20), st.integers(-(2**63), 2**63 - 1))
IMAGES = np.random.default_rng(0).normal(size=(4, 2, 30)).astype(np.float32)
GUARD = np.float32(123)


def rows(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def channels(first: Any = (0, 1), second: Any = (-1, -1), terms: Any = ((0, 1), (0, 1))) -> Channels:
    return Channels(rows(*first), rows(*second), np.array(terms, np.float32), np.float32(9), np.float32(np.nan))


def guarded(samples: int = 3) -> tuple[Any, Any]:
    """Return a batch and the array around it, whose margins show what was written outside."""
    around = np.full((samples + 2, 2, 30), GUARD)
    return around[1:-1], around


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=3), st.sampled_from(["float32", "float16"]))
def test_images_are_gathered_where_they_lie_inside_and_refused_where_they_do_not(
    samples: list[tuple[int, int, int]], dtype: str
) -> None:
    images = IMAGES.astype(dtype)
    blocks, offsets, places = (rows(*column) for column in zip(*samples, strict=True))
    memory = inside(images, offsets)._replace(block=blocks)
    out, around = guarded()
    size = images[0].nbytes
    right = [b == 0 and 0 <= o <= images.nbytes - size and 0 <= p < 3 for b, o, p in samples]
    for run in (
        lambda: gather(memory, dtype, 2, places, channels(), out),
        lambda: copy(memory, places, np.empty((3, size), np.uint8)),
    ):
        if all(right):
            run()
        else:
            with pytest.raises(BuildError, match=f"sample {right.index(False)} of a batch: expected"):
                run()
    assert (around[[0, -1]] == GUARD).all()
    for number, (_, offset, place) in enumerate(samples):
        if all(right) and place not in places[number + 1 :].tolist():
            there = np.frombuffer(images.tobytes(), dtype, 60, offset).reshape(2, 30).astype(np.float32)
            np.testing.assert_array_equal(out[place], np.where(np.isfinite(there), there, np.float32(9)))


@pytest.mark.parametrize(
    "change",
    [
        *({"first": (0, 2)}, {"first": (-1, 0)}, {"second": (2, -1)}, {"first": (2**62, 0)}),
        *({"first": (0,)}, {"second": (-1,)}, {"terms": ((0, 1),)}, {"terms": ((0, 1, 2), (0, 1, 2))}),
        *({"first": (0, 1, 1), "second": (-1, -1, -1), "terms": ((0, 1),) * 3},),
    ],
)
def test_channels_of_planes_that_are_not_there_are_refused(change: dict[str, Any]) -> None:
    out, around = guarded()
    for dtype in ("float32", "float16"):
        images = IMAGES.astype(dtype)
        with pytest.raises(BuildError, match="expected arrays that fit together"):
            gather(inside(images, rows(0)), dtype, 2, rows(0), channels(**change), out)
    assert (around == GUARD).all()


def test_planes_are_counted_before_memory_is_read() -> None:
    out, _ = guarded()
    for planes in (9, 2**40):
        with pytest.raises(BuildError, match="sample 0 of a batch"):
            gather(inside(IMAGES, rows(0)), "float32", planes, rows(0), channels(), out)
    for planes in (-1, 0, 2**62, 2**62 + 1):
        with pytest.raises(BuildError, match="expected arrays that fit together"):
            gather(inside(IMAGES, rows(0)), "float32", planes, rows(0), channels(), out)


def test_arrays_of_another_type_or_order_are_refused() -> None:
    out, around = guarded()
    memory, places = inside(IMAGES, rows(0)), rows(0)
    frozen = out.copy()
    frozen.flags.writeable = False
    for wrong in (out.astype(np.float64), np.asfortranarray(out), out[:, :, ::2], out[0], frozen):
        with pytest.raises(BuildError, match="C-contiguous arrays"):
            gather(memory, "float32", 2, places, channels(), wrong)
    for wrong in (places.astype(np.int32), rows(0, 0, 0)[::2], places[None]):
        with pytest.raises(BuildError, match="C-contiguous arrays"):
            gather(memory, "float32", 2, wrong, channels(), out)
    for kind in ("float64", "int32", "O", "S4", "complex64"):
        with pytest.raises(BuildError, match="stored: expected"):
            gather(memory, kind, 2, places, channels(), out)
    with pytest.raises(BuildError, match="C-contiguous"):
        copy(memory, places, np.asfortranarray(IMAGES[:1].copy().repeat(2, axis=0)))
    assert (around == GUARD).all()


def test_a_place_an_offset_and_a_block_are_wanted_for_each_sample() -> None:
    out, _ = guarded()
    whole = inside(IMAGES, rows(0, 240))
    for memory in (
        whole._replace(offset=rows(0)),
        whole._replace(block=rows(0)),
        whole._replace(size=rows(960, 960)),
        whole._replace(base=rows()),
    ):
        with pytest.raises(BuildError, match="expected arrays that fit together"):
            gather(memory, "float32", 2, rows(0, 1), channels(), out)
        with pytest.raises(BuildError, match="expected arrays that fit together"):
            copy(memory, rows(0, 1), out)


@settings(max_examples=100, deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS)
def test_bytes_are_looked_at_inside_of_a_block_alone(block: int, offset: int, size: int) -> None:
    memory = Memory(*inside(IMAGES, rows(offset))[:2], rows(block), rows(offset))
    if block == 0 and size >= 0 and 0 <= offset <= IMAGES.nbytes - size:
        assert stored_bytes(memory, 0, size).tobytes() == IMAGES.tobytes()[offset : offset + size]
    else:
        with pytest.raises(BuildError, match="sample 0: expected"):
            stored_bytes(memory, 0, size)


def test_what_is_read_fits_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)))
    file = os.open(path, os.O_RDONLY)
    around = np.full(120, 255, np.uint8)
    out = around[10:110]
    files = np.array([file, file], np.int32)
    assert read(files, rows(5, 100), rows(3, 97), out) == -1
    assert out.tobytes() == bytes([5, 6, 7, *range(100, 197)])
    assert read(files, rows(0, 199), rows(1, 2), out) == 1
    assert read(files, rows(-1, 0), rows(1, 1), out) == 0
    assert read(files, rows(0, 2**63 - 1), rows(1, 1), out) == 1
    for lengths in (rows(3, 98), rows(-1, 5), rows(2**63 - 1, 2**63 - 1), rows(101, -50), rows(1)):
        with pytest.raises(BuildError, match="expected arrays that fit together"):
            read(files, rows(0, 0), lengths, out)
    with pytest.raises(BuildError, match="C-contiguous arrays"):
        read(files.astype(np.int64), rows(0, 0), rows(1, 1), out)
    os.close(file)
    assert (around[:10] == 255).all()
    assert (around[110:] == 255).all()


def test_images_are_stretched_with_terms_for_each_channel() -> None:
    images = IMAGES.copy()
    for wrong in (np.ones((1, 2), np.float32), np.ones((2, 1), np.float32), np.ones((0, 2), np.float32)):
        with pytest.raises(BuildError, match="expected arrays that fit together"):
            stretch(images, True, wrong, np.float32(0))
    with pytest.raises(BuildError, match="C-contiguous arrays"):
        stretch(images[:, :, ::2], True, np.ones((2, 2), np.float32), np.float32(0))
    images[0] = np.nan
    stretch(images, False, np.ones((2, 2), np.float32), np.float32(7))
    assert (images[0] == 7).all()
    assert ((images[1:] >= 0) & (images[1:] <= 1)).all()

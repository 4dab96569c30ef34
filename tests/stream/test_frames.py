"""One image of a sample that has several: drawn of those with values, whatever the container, the device, the build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data.errors import UsageError
from sar_data.sealed.opened import Build
from sar_data.stream.dataset import Stream
from sar_data.stream.frames import choose
from sar_data.torch import loader
from tests.mini import invented
from tests.mini.builds import CONTAINERS

OPTIONS: dict[str, Any] = {"batch_size": 4, "normalize": None, "fill": None, "one_frame": True, "seed": 5}


def sealed(out: Path, container: str, frames: int = 3, count: int = 12) -> Build:
    source = invented.archive(out / f"raw{frames}", count)
    name, _, compression = container.partition("+")
    made = invented.pipeline(frames=frames)
    return invented.sealed(made, source, out / "out", format=name, compression=compression or "none")


def stored(key: str, frames: int = 3) -> np.ndarray[Any, Any]:
    """Return [frame, band, y, x] of a sample."""
    image = invented.image(invented.pipeline(frames=frames).spec, int(key.rpartition("s")[2]), (6, 5))
    return image.reshape(frames, 2, 6, 5)


def test_a_frame_with_values_is_as_likely_as_any_other_and_an_empty_one_never_comes() -> None:
    present = np.tile([True, False, True, True], (3000, 1))
    counts = np.bincount(choose(present, range(3000)), minlength=4)
    assert counts[1] == 0
    assert np.abs(counts[[0, 2, 3]] / 3000 - 1 / 3).max() < 0.035  # four standard deviations
    assert choose(present[:1], [7]) == choose(present, [*range(7), 7, *range(8, 3000)])[7]
    nothing = np.zeros((2, 4), bool)
    assert choose(nothing, [1, 2]).tolist() == choose(nothing, None).tolist() == [0, 0]
    assert choose(np.array([[False, True, True]]), None).tolist() == [1]


@pytest.mark.parametrize("container", CONTAINERS)
def test_each_epoch_draws_one_frame_of_every_sample_on_any_device(tmp_path: Path, container: str) -> None:
    build = sealed(tmp_path, container)
    drawn: set[tuple[str, int]] = set()
    bands = ("VH", "VV-VH")
    with (
        Stream(build.path, bands=bands, **OPTIONS) as stream,
        loader(build.path, bands=bands, device="cpu", verify="first", **OPTIONS) as there,
    ):
        for _ in range(6):
            for batch, sent in zip(stream, there, strict=True):
                assert batch["image"].shape == (4, 2, 6, 5)
                np.testing.assert_array_equal(sent["image"].numpy(), batch["image"])
                for key, image in zip(batch["key"], batch["image"], strict=True):
                    frames = stored(key)
                    expected = np.stack([frames[:, 1], frames[:, 0] - frames[:, 1]], axis=1)
                    equal = [np.array_equal(image, frame, equal_nan=True) for frame in expected]
                    assert sum(equal) == 1
                    drawn.add((key, equal.index(True)))
    assert len(drawn) > 2 * len({key for key, _ in drawn})


def test_windows_and_units_are_of_the_frame_that_is_drawn(tmp_path: Path) -> None:
    build = sealed(tmp_path, "zarr")
    with Stream(build.path, crop=3, unit="power", **OPTIONS) as stream:
        for batch in stream:
            for key, image, (y, x, height, width) in zip(batch["key"], batch["image"], batch["window"], strict=True):
                expected = 10 ** (stored(key)[..., y : y + height, x : x + width] / 10)
                assert sum(np.allclose(image, frame, rtol=1e-5, equal_nan=True) for frame in expected) == 1


def test_an_evaluation_takes_the_first_frame_with_values(tmp_path: Path) -> None:
    build = sealed(tmp_path, "webdataset")
    with Stream(build.path, shuffle=False, **OPTIONS) as stream:
        for batch in stream:
            for key, image in zip(batch["key"], batch["image"], strict=True):
                np.testing.assert_array_equal(image, stored(key)[0])


@pytest.mark.parametrize("device", [None, "cpu"])
def test_builds_of_other_numbers_of_frames_are_one_set(tmp_path: Path, device: str | None) -> None:
    builds = [sealed(tmp_path, "lmdb", frames=3, count=20).path, sealed(tmp_path, "zarr", frames=1, count=30).path]
    with pytest.raises(UsageError, match="builds differ in frames"):
        Stream(builds)
    kinds = set()
    with loader(builds, device=device, **OPTIONS) as stream:
        for batch in stream:
            for key, image in zip(batch["key"], batch["image"].numpy(), strict=True):
                matches = [
                    frames
                    for frames in (1, 3)
                    if any(np.array_equal(image, frame, equal_nan=True) for frame in stored(key, frames))
                ]
                assert matches
                kinds.update(matches)
    assert kinds == {1, 3}

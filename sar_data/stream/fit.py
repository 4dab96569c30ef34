"""Windows: how images of many sizes become one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sar_data.errors import UsageError
from sar_data.stream.bits import mix
from sar_data.stream.storage.store import Integers
from sar_data.stream.targets import Window


@dataclass(frozen=True, slots=True)
class Fit:
    """`crop` takes a window of this height and width, `pad` extends to it below and on the right; one or none of them.

    A cropped image that is smaller is padded, too.
    """

    crop: int | None = None
    pad: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("crop", self.crop), ("pad", self.pad)):
            if value is not None and value < 1:
                raise UsageError(f"{name}: expected at least 1 pixel, found {value}")
        if self.crop and self.pad:
            raise UsageError(f"`crop={self.crop}` and `pad={self.pad}`: choose one")

    def check(self, size: Integers, build: str, shape: tuple[int, int] | None = None) -> None:
        """Raise UsageError where images of these [sample, 2] sizes cannot make one batch; `shape` is that of all."""
        if self.crop is not None and shape is not None and self.crop > max(shape):
            raise UsageError(
                f"`crop={self.crop}`: all images of {build} are {shape[0]}×{shape[1]}, there is nothing to cut: "
                f"`pad={self.crop}` extends them"
            )
        if not len(size):
            return
        low, high = size.min(axis=0), size.max(axis=0)
        if self.crop is None and self.pad is None and (low != high).any():
            raise UsageError(
                f"{build}: the images differ in size, from {low[0]}×{low[1]} to {high[0]}×{high[1]}: give `crop=…` for "
                f"windows or `pad={high.max()}` for whole images"
            )
        if self.pad is not None and high.max() > self.pad:
            raise UsageError(
                f"`pad={self.pad}`: {build} has images of up to {high[0]}×{high[1]}; take `pad={high.max()}`"
            )

    def windows(self, size: Integers, seeds: Sequence[int] | None) -> list[Window]:
        """Return the window of each image: drawn from one seed each, or in the centre."""
        if self.crop is None:
            return [(0, 0, int(height), int(width)) for height, width in size]
        windows = []
        for i, (height, width) in enumerate(size.tolist()):
            room = max(height - self.crop, 0), max(width - self.crop, 0)
            y, x = room[0] // 2, room[1] // 2
            if seeds is not None:
                bits = mix(seeds[i])
                y, x = (bits >> 32) * (room[0] + 1) >> 32, (bits & 0xFFFFFFFF) * (room[1] + 1) >> 32
            windows.append((y, x, min(height, self.crop), min(width, self.crop)))
        return windows

    @property
    def side(self) -> int | None:
        """Height and width of what goes into a batch."""
        return self.crop or self.pad

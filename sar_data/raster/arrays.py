"""The planes of .npy and Phoenix files, which GDAL does not read, as a scene asks a dataset of rasterio for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sar_data.raster import npy, phoenix
from sar_data.record import Image

Masked = np.ma.MaskedArray[Any, np.dtype[Any]]


class Arrays:
    """The planes of one file: `shape` (y, x), `indexes` from 1 on, `descriptions`, None where a plane has no name.

    A .npy file is mapped while a window of it is read, so that memory does not grow with it; a Phoenix file is in
    memory. Neither says where it lies. Raises BadRecord for a file that is neither, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path
        self._planes = None if path.suffix.lower() == ".npy" else phoenix.read(path.read_bytes(), str(path))[1]
        planes = self._open()
        self.shape: tuple[int, int] = planes.shape[1:]
        self.indexes = range(1, len(planes) + 1)
        self.dtypes = [planes.dtype.name]
        named = ("magnitude", "phase")[: len(planes)]
        self.descriptions = [None] * len(planes) if self._planes is None else named

    transform = None

    def _open(self) -> Image:
        return npy.map_file(self._path) if self._planes is None else self._planes

    def read(self, number: int, *, out_shape: tuple[int, int], window: Any = None, masked: bool = True) -> Masked:
        """Return [y, x] of a plane: a window of rasterio's, or its nearest pixels in another size; none is masked."""
        plane = self._open()[number - 1]
        if window is not None:
            return np.ma.array(plane[window.toslices()])
        rows, columns = (
            (np.arange(count) + 0.5) * side // count for count, side in zip(out_shape, self.shape, strict=True)
        )
        return np.ma.array(plane[np.ix_(rows.astype(int), columns.astype(int))])


def is_phoenix(path: Path) -> bool:
    """Return whether the first bytes of a file are those of a Phoenix file; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return phoenix.begins(file.read(phoenix.HEAD_BYTES))
    except OSError:
        return False

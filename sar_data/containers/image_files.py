"""Images in files of their own, [band, y, x] or [frame, band, y, x].

The axes of an array follow from its shape, but for those of our own export: they are known there, and so is the number
of frames, whose bands lie one after another in files without an axis of frames.
"""

from __future__ import annotations

from dataclasses import replace

from sar_data.errors import BadRecord
from sar_data.raster import any_format, npy
from sar_data.record import Sample
from sar_data.spec import Tree


def header(tree: Tree, path: str, frames: int | None) -> tuple[tuple[int, ...], str]:
    """Return the shape and the dtype of an image, without its pixels; `frames` are those of an export, else None.

    Raises BadRecord.
    """
    if frames is None:
        return any_format.header(tree, path)
    shape, dtype = npy.stored_header(tree, path) if _is_array(path) else any_format.header(tree, path)
    return _with_frames(shape, frames, path), dtype


def read(tree: Tree, path: str, frames: int | None) -> Sample:
    """Return the image and what the file says of missing pixels; raise BadRecord."""
    if frames is None or not _is_array(path):
        sample = any_format.read(tree.read(path), path)
    else:
        sample = Sample(image=npy.read_stored(tree.read(path), path))
    if frames is None:
        return sample
    image = sample.image.reshape(_with_frames(sample.image.shape, frames, path))
    return replace(sample, image=image, nodata=sample.nodata if frames == 1 else ())


def _is_array(path: str) -> bool:
    return path.lower().endswith(".npy")


def _with_frames(shape: tuple[int, ...], frames: int, path: str) -> tuple[int, ...]:
    axes = 3 + (frames > 1)
    if len(shape) == 3 < axes and shape[0] % frames == 0:
        shape = frames, shape[0] // frames, *shape[1:]
    if len(shape) != axes or (frames > 1 and shape[0] != frames):
        raise BadRecord(path, f"expected {'[frame, band, y, x]' if frames > 1 else '[band, y, x]'}, found {shape}")
    return shape

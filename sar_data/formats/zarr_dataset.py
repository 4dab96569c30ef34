"""A split of a Zarr build in xarray, after its documents and chunks were compared with the manifest.

Only images and masks are left to the zarr library: what has text in it needs a decoder that believes its input, and is
known from the manifest and the index.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr.registry
from numcodecs.zstd import decompress
from zarr.codecs import Crc32cCodec, ZstdCodec

from sar_data.errors import BuildError
from sar_data.formats.zarr_documents import Split, chunk, shape_of
from sar_data.formats.zarr_shards import Shards
from sar_data.system.regular import open_regular

if TYPE_CHECKING:
    import xarray

TEXT = ("band", "key", "valid")


class BoundedZstd(ZstdCodec):
    """zarr's own codec, but for what a frame decodes to: no more than its chunk, whatever the frame says."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        found = np.empty(math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize, np.uint8)
        with _refused():
            await asyncio.to_thread(decompress, np.ascontiguousarray(chunk_bytes.as_numpy_array()), found)
        return chunk_spec.prototype.buffer.from_bytes(found.tobytes())


class CheckedCrc32c(Crc32cCodec):
    """zarr's own codec of a shard's index, but for the error of a wrong one."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        with _refused():
            return await super()._decode_single(chunk_bytes, chunk_spec)


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise BuildError(
            f"an inner chunk does not decode: {error}. `verify(full=True)` lists all that is wrong."
        ) from error


OURS = {"zstd": BoundedZstd, "crc32c": CheckedCrc32c}
for name, codec in OURS.items():
    zarr.registry.register_codec(name, codec)
BOUNDED = {f"codecs.{name}": f"{codec.__module__}.{codec.__qualname__}" for name, codec in OURS.items()}


def opened(split: Split, sizes: Sequence[int], keys: Mapping[int, str]) -> xarray.Dataset:
    """Return a split lazily: `image`, `mask` if any, and of each sample `key` and whether it is `valid`.

    `sizes` are the bytes of the image's chunks, `keys` the key of each slot that holds a sample. Raises BuildError
    where a document, or the form of a chunk, is not what the manifest says.
    """
    import xarray

    samples = split.check()
    for number, size in enumerate(sizes):
        for name in ("image", "mask") if split.layout.mask else ("image",):
            _check_chunk(split, name, number, size)
    with zarr.config.set(BOUNDED):
        data = xarray.open_zarr(split.folder, consolidated=True, zarr_format=3, drop_variables=list(TEXT))
    names, valid = np.full(samples, "", object), np.zeros(samples, np.bool_)
    slots = np.fromiter(keys, np.int64, len(keys))
    if len(slots) and slots.max() >= samples:
        raise BuildError(f"{split.folder}: expected {slots.max() + 1} samples or more, found {samples}")
    names[slots], valid[slots] = list(keys.values()), True
    named = data.assign_coords(band=("band", np.array(split.layout.bands, object)))
    found: xarray.Dataset = named.assign(key=("sample", names), valid=("sample", valid))
    return found


def _check_chunk(split: Split, name: str, number: int, size: int) -> None:
    """Raise BuildError where a chunk is no regular file, has another size, or would decode to another one."""
    path = chunk(split.folder, name, number, split.layout)
    sample = split.layout.image_bytes() if name == "image" else math.prod(shape_of(name, split.layout))
    if split.compression:
        Shards(split.slots, sample).check(path)
    else:
        os.close(open_regular(path, size if name == "image" else split.slots * sample))

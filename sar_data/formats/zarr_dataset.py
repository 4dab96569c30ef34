"""A split of a Zarr build in xarray, after its documents and chunks were compared with the manifest.

The zarr library reads only images and masks. Its decoder of text does not check its input, so texts come from the
manifest and the index.
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
from sar_data.formats.zarr_keys import KEYS
from sar_data.formats.zarr_shards import Shards
from sar_data.system.regular import open_regular

if TYPE_CHECKING:
    import xarray

TEXT = ("band", "key", KEYS, "valid")


class BoundedZstd(ZstdCodec):
    """zarr's own codec, except that a frame cannot decode to more than its chunk, even if the frame says so."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        out = np.empty(math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize, np.uint8)
        with _convert_errors():
            await asyncio.to_thread(decompress, np.ascontiguousarray(chunk_bytes.as_numpy_array()), out)
        return chunk_spec.prototype.buffer.from_bytes(out.tobytes())


class CheckedCrc32c(Crc32cCodec):
    """zarr's own codec of a shard's index, except that a wrong checksum raises BuildError."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        with _convert_errors():
            return await super()._decode_single(chunk_bytes, chunk_spec)


@contextmanager
def _convert_errors() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise BuildError(
            f"an inner chunk does not decode: {error}. `verify(full=True)` lists all that is wrong."
        ) from error


CODECS = {"zstd": BoundedZstd, "crc32c": CheckedCrc32c}
for name, codec in CODECS.items():
    zarr.registry.register_codec(name, codec)
BOUNDED = {f"codecs.{name}": f"{codec.__module__}.{codec.__qualname__}" for name, codec in CODECS.items()}


def open_split(split: Split, sizes: Sequence[int], keys: Mapping[int, str]) -> xarray.Dataset:
    """Return a split lazily: `image`, `mask` if any, and for each sample `key` and `valid`.

    `sizes` are the bytes of the image's chunks, `keys` the key of each slot that has a sample. Raises BuildError where
    a document, or the form of a chunk, contradicts the manifest.
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
    data = data.assign_coords(band=("band", np.array(split.layout.bands, object)))
    named: xarray.Dataset = data.assign(key=("sample", names), valid=("sample", valid))
    return named


def _check_chunk(split: Split, name: str, number: int, size: int) -> None:
    """Raise BuildError where a chunk is not a regular file, has another size, or would decode to another size."""
    path = chunk(split.folder, name, number, split.layout)
    sample = split.layout.image_bytes() if name == "image" else math.prod(shape_of(name, split.layout))
    if split.compression:
        Shards(split.slots, sample).check(path)
    else:
        os.close(open_regular(path, size if name == "image" else split.slots * sample))

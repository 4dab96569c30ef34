"""A miniature SSL4EO-S12 v1.1: zips of zarr v2 arrays, written by hand, a few places each."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import Blosc, VLenUTF8, Zlib

from pipelines.synth.ssl4eo_s12 import seasons

PLACES = 4  # a shard; the archive has 64
DIMENSIONS = ["sample", "time", "band", "y", "x"]


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` places to OUT/<split>/S1GRD, every fourth shard for val; shards differ in codec and text."""
    for shard in range(-(-count // PLACES)):
        split, number = ("val", shard // 4) if shard % 4 == 1 else ("train", shard - (shard + 2) // 4)
        folder = out / split / "S1GRD"
        folder.mkdir(parents=True, exist_ok=True)
        places = range(shard * PLACES, min(count, (shard + 1) * PLACES))
        bands = np.stack([np.stack([season.image for season in seasons(seed, i)]) for i in places]).astype(np.float16)
        names = [f"{80_000 + 7 * i:07}" for i in places]
        path = folder / f"ssl4eos12_{split}_seasonal_data_{number + 1:06}.zarr.zip"
        write(path, bands, names, deflated=shard % 2 == 1)


def write(
    path: Path, bands: npt.NDArray[Any], names: list[str], *, deflated: bool = False, order: str = "vv vh"
) -> None:
    """Write a shard: blosc in stored members and fixed text, or zlib in deflated members and text of any length."""
    codec = Zlib(1) if deflated else Blosc("lz4", 5, Blosc.BITSHUFFLE)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as file:

        def array(name: str, values: npt.NDArray[Any], chunks: tuple[int, ...], dimensions: list[str]) -> None:
            text = values.dtype == object
            facts = {
                "zarr_format": 2,
                "shape": values.shape,
                "chunks": chunks,
                "dtype": values.dtype.str,
                "order": "C",
                "compressor": codec.get_config(),
                "filters": [{"id": "vlen-utf8"}] if text else None,
                "fill_value": "NaN" if values.dtype.kind == "f" else None,
            }
            file.writestr(f"{name}/.zarray", json.dumps(facts))
            file.writestr(f"{name}/.zattrs", json.dumps({"_ARRAY_DIMENSIONS": dimensions}))
            for place in np.ndindex(*(-(-size // chunk) for size, chunk in zip(values.shape, chunks, strict=True))):
                part = values[tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, chunks, strict=True))]
                padded = np.zeros(chunks, values.dtype)
                padded[tuple(slice(n) for n in part.shape)] = part
                raw = VLenUTF8().encode(padded) if text else padded.tobytes()
                file.writestr(f"{name}/{'.'.join(map(str, place))}", bytes(codec.encode(raw)))

        file.writestr(".zgroup", json.dumps({"zarr_format": 2}))
        samples, size = len(names), bands.shape[-1]
        array("bands", bands, (3, 1, 2, size, size) if deflated else (1, 1, 2, size, size), DIMENSIONS)
        array("band", np.array(order.split()), (2,), ["band"])
        array("sample", np.array(names, object if deflated else None), (samples,), ["sample"])
        array("time", np.arange(4), (4,), ["time"])
        array("crs", np.full(samples, 32633), (samples,), ["sample"])
        array("center_lat", np.linspace(40, 41, samples), (samples,), ["sample"])
        array("center_lon", np.linspace(15, 16, samples), (samples,), ["sample"])

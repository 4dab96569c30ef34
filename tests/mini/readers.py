"""Read sealed builds with third-party code and none of ours: split → key → image."""

from __future__ import annotations

import gc
import io
import json
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import numpy.typing as npt
import safetensors.numpy
import webdataset
import xarray
import zarr

Image = npt.NDArray[Any]
BANDS = ("VV", "VH")


def lmdb_items(split: Path) -> list[tuple[bytes, bytes]]:
    """Return the (key, value) sequence of an environment."""
    with lmdb.open(str(split), readonly=True, lock=False) as env, env.begin() as transaction:
        return [(bytes(key), bytes(value)) for key, value in transaction.cursor()]


def read_lmdb(split: Path, bands: tuple[str, ...] = BANDS) -> dict[str, Image]:
    tensors = {key.decode(): safetensors.numpy.load(value) for key, value in lmdb_items(split)}
    return {key: np.stack([value[band] for band in bands]) for key, value in tensors.items()}


def tars(split: Path) -> list[Path]:
    return sorted(split.glob("*.tar"))


def tar_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            yield member, file.read()


def read_tar(split: Path) -> dict[str, Image]:
    return {
        member.name.removesuffix(".image.npy"): np.load(io.BytesIO(data), allow_pickle=False)
        for path in tars(split)
        for member, data in tar_members(path)
        if member.name.endswith(".image.npy")
    }


def tar_pairs(split: Path) -> dict[str, tuple[Image, Image]]:
    """Return key → (image, mask) of samples with both."""
    arrays = {
        member.name: np.load(io.BytesIO(data), allow_pickle=False)
        for path in tars(split)
        for member, data in tar_members(path)
        if member.name.endswith(".npy")
    }
    keys = [name.removesuffix(".image.npy") for name in arrays if name.endswith(".image.npy")]
    return {key: (arrays[f"{key}.image.npy"], arrays[f"{key}.mask.npy"]) for key in keys}


def lmdb_pairs(split: Path) -> dict[str, tuple[Image, Image]]:
    """Return key → (image [frame, band, y, x], mask)."""
    tensors = {key.decode(): safetensors.numpy.load(value) for key, value in lmdb_items(split)}
    return {key: (np.stack([t[band] for band in BANDS], axis=1), t["mask"]) for key, t in tensors.items()}


def zarr_pairs(split: Path) -> dict[str, tuple[Image, Image]]:
    """Return key → (image, mask); a slot that is not valid is left out."""
    group: Any = zarr.open_group(split, mode="r")
    rows = zip(group["key"][:], group["valid"][:], group["image"][:], group["mask"][:], strict=True)
    return {str(key): (image, mask) for key, valid, image, mask in rows if valid}


def decoded(sample: dict[str, Any]) -> dict[str, Any]:
    """Decode the two members a sample has; anything else is refused, and nothing is unpickled."""
    known = {"image.npy": lambda data: np.load(io.BytesIO(data), allow_pickle=False), "json": json.loads}
    return {
        name: value if name.startswith("__") else known[name](value)
        for name, value in sample.items()
        if name not in ("__url__", "__local_path__")
    }


def webdataset_samples(split: Path) -> list[dict[str, Any]]:
    """Return the samples as the webdataset library finds them, in order."""
    urls = [str(path) for path in tars(split)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the library leaves its last file to the collector
        samples = list(webdataset.WebDataset(urls, shardshuffle=False).map(decoded)) if urls else []
        gc.collect()
    return samples


def read_webdataset(split: Path) -> dict[str, Image]:
    return {sample["__key__"]: sample["image.npy"] for sample in webdataset_samples(split)}


def read_zarr(split: Path) -> dict[str, Image]:
    """Read stored values; a slot that is not valid is left out."""
    group: Any = zarr.open_group(split, mode="r")
    rows = zip(group["key"][:], group["valid"][:], group["image"][:], strict=True)
    return {str(key): image for key, valid, image in rows if valid}


def read_xarray(split: Path) -> dict[str, Image]:
    """Read physical values: scale, offset and missing value are applied by xarray."""
    with xarray.open_zarr(split, chunks=None) as data:
        image = data["image"].transpose("sample", "band", "y", "x").sel(band=list(BANDS)).values
        rows = zip(data["key"].values, data["valid"].values, image, strict=True)
        return {str(key): image for key, valid, image in rows if valid}


READERS = {"lmdb": read_lmdb, "webdataset": read_tar, "zarr": read_zarr}


def read_build(path: Path) -> dict[str, dict[str, Image]]:
    """Return every stored image of a build by split and key."""
    read = READERS[path.name.partition("-")[0]]
    return {split: read(path / split) for split in ("train", "val", "test")}


def flat(path: Path) -> dict[str, Image]:
    """Return every stored image of a build by key."""
    return {key: image for images in read_build(path).values() for key, image in images.items()}

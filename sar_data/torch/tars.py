"""A pipeline of the webdataset library over a WebDataset build, with decoders that execute nothing.

The library's own decoder unpickles members with certain endings, whatever its settings say, and its URLs may name shell
commands. Here the shards are those of the manifest, and a member is an .npy without pickle, JSON, or refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sar_data.errors import BuildError, UsageError, missing_extra, unknown
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.stream.kernels import gather as kernels
from sar_data.stream.kernels import quantiles
from sar_data.stream.normalize import Normalizer, normalizer
from sar_data.stream.storage.files import open_files

Array = npt.NDArray[Any]


def tars(
    path: str | Path,
    *,
    split: str = "train",
    bands: Sequence[str] | None = None,
    normalize: str | None = "zscore",
    fill: float | None = 0.0,
    shuffle: int = 1000,
    seed: int = 0,
) -> Any:
    """Return a webdataset.DataPipeline of samples: image float32 [C, H, W], normalized; json, key, and mask if any.

    Shards are shared out among ranks and DataLoader workers as that library does: approximately shuffled, in batches
    that may differ in number between ranks. Where that matters, use `loader`.
    """
    try:
        import webdataset
    except ImportError:
        raise missing_extra("webdataset", "webdataset") from None
    files = open_files(path)
    manifest = Manifest.load(files.path(NAME).parent)
    if manifest.format != "webdataset":
        raise UsageError(f"{path}: expected a webdataset build, found {manifest.format}: `convert(format=webdataset)`")
    if split not in manifest.splits:
        raise unknown("split", split, manifest.splits)
    how = normalizer(manifest, bands, normalize, fill=fill)
    urls = [str(files.path(shard.file)) for shard in manifest.splits[split].shards]
    stages = [
        webdataset.SimpleShardList(urls, seed=seed if shuffle else None),
        webdataset.split_by_node,
        webdataset.split_by_worker,
        webdataset.tarfile_to_samples(),
        *([webdataset.shuffle(shuffle, seed=seed)] if shuffle else []),
        webdataset.map(partial(decoded, how=how)),
    ]
    return webdataset.DataPipeline(*stages)


def decoded(sample: dict[str, Any], how: Normalizer) -> dict[str, Any]:
    """Return a sample's members as values; raise BuildError for a member that no build of ours has."""
    found: dict[str, Any] = {"key": sample["__key__"]}
    for name, data in sample.items():
        if name.startswith("__"):
            continue
        if name == "json":
            found[name] = json.loads(data)
        elif name in ("image.npy", "mask.npy"):
            found[name.removesuffix(".npy")] = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            raise BuildError(f"{sample.get('__url__')}: {sample['__key__']}.{name}: expected an image, a mask or JSON")
    found["image"] = torch.from_numpy(_normalized(found["image"], how))
    if "mask" in found:
        found["mask"] = torch.from_numpy(found["mask"]).long()
    return found


def _normalized(image: Array, how: Normalizer) -> Array:
    """Return one stored image [(frame,) band, y, x] as float32 channels."""
    frames = image.reshape(-1, *image.shape[-3:])
    out = np.empty((len(frames), len(how.channels), image.shape[-2] * image.shape[-1]), np.float32)
    halves = image.dtype == np.float16
    kernel = kernels.normalize_halves if halves else kernels.normalize
    like = np.empty(0, "u2" if halves else image.dtype)
    addresses = frames.ctypes.data + np.arange(len(frames)) * frames[0].nbytes
    fill = how.fill if how.stretch is None else np.float32(np.nan)
    places = np.arange(len(frames))
    kernel(like, frames.shape[1], addresses, places, how.first, how.second, how.terms, fill, how.missing, out)
    if how.stretch is not None:
        quantiles.stretch(out, how.stretch == "grey", how.grey, how.fill)
    return out.reshape(*image.shape[:-3], len(how.channels), *image.shape[-2:])

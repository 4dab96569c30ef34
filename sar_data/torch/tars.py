"""A pipeline of the webdataset library over a WebDataset build, with decoders that execute nothing.

The library's own decoder unpickles members with certain endings under all settings, its URLs may name
shell commands, and its tars may be compressed or sparse. Here the library shares out and shuffles; the shards are those
of the manifest, each a tar as the writer writes it, and a member is an .npy of the manifest's shape and type, or JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sar_data.errors import BuildError, UsageError, missing_extra, unknown
from sar_data.formats.container import Layout
from sar_data.formats.webdataset import member_array, members
from sar_data.normalization.stretch import stretch
from sar_data.sealed.documents import ShardDocument
from sar_data.sealed.files import open_files
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import layout_of
from sar_data.stream.kernels.gather import Channels, gather
from sar_data.stream.kernels.memory import inside
from sar_data.stream.normalize import Normalizer, normalizer

ENDINGS = ("image.npy", "mask.npy", "json")
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
    shards = manifest.splits[split].shards
    known = {str(files.path(shard.file)): shard for shard in shards}
    stages = [
        webdataset.SimpleShardList(list(known), seed=seed if shuffle else None),
        webdataset.split_by_node,
        webdataset.split_by_worker,
        partial(samples, known=known),
        *([webdataset.shuffle(shuffle, seed=seed)] if shuffle else []),
        webdataset.map(partial(decode, how=how, layout=layout_of(manifest))),
    ]
    return webdataset.DataPipeline(*stages)


def samples(shards: Iterable[dict[str, Any]], known: Mapping[str, ShardDocument]) -> Iterator[dict[str, Any]]:
    """Yield the members of each sample by their endings; raise BuildError for a tar that the writer did not write."""
    for shard in shards:
        path, document = shard["url"], known[shard["url"]]
        sample: dict[str, Any] = {}
        count = 0
        for name, _, data in members(Path(path), document.bytes):
            key, _, ending = name.partition(".")
            if ending not in ENDINGS:
                raise BuildError(f"{path}: {name}: expected an image, a mask or JSON")
            if sample and (sample["__key__"] != key or ending in sample):
                yield sample
                sample = {}
            count += not sample
            sample |= {"__key__": key, "__url__": path, ending: data}
        if sample:
            yield sample
        if count != document.count:
            raise BuildError(f"{path}: expected {document.count} samples, found {count}")


def decode(sample: dict[str, Any], how: Normalizer, layout: Layout) -> dict[str, Any]:
    """Return a sample's members as values; raise BuildError for a member that no build of this manifest has."""
    fields: dict[str, Any] = {"key": sample["__key__"]}
    shape = layout.image_shape()
    for ending, data in sample.items():
        name = f"{sample.get('__url__')}: {sample['__key__']}.{ending}"
        if ending == "json":
            fields[ending] = _card(name, data)
        elif ending == "image.npy":
            image = member_array(name, data, layout.shape and shape, len(shape), layout.dtype)
            if image.shape[:-2] != shape[:-2]:
                raise BuildError(f"{name}: expected {shape[:-2]} frames and bands, found {image.shape[:-2]}")
            fields["image"] = torch.from_numpy(_normalize(image, how))
        elif ending == "mask.npy":
            mask = member_array(name, data, layout.shape, 2, "uint8")
            fields["mask"] = torch.from_numpy(mask.copy()).long()
        elif ending not in ("__key__", "__url__"):
            raise BuildError(f"{name}: expected an image, a mask or JSON")
    if "image" not in fields or ("mask" in fields) != layout.mask or "json" not in fields:
        raise BuildError(
            f"{sample.get('__url__')}: {fields['key']}: expected image, JSON and mask if any, found {[*fields]}"
        )
    if "mask" in fields and fields["mask"].shape != fields["image"].shape[-2:]:
        raise BuildError(f"{sample.get('__url__')}: {fields['key']}: expected a mask of the image's height and width")
    return fields


def _card(name: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BuildError(f"{name}: expected JSON: {error}") from error


def _normalize(image: Array, how: Normalizer) -> Array:
    """Return one stored image [(frame,) band, y, x] as float32 channels."""
    frames = image.reshape(-1, *image.shape[-3:])
    out = np.empty((len(frames), len(how.first), image.shape[-2] * image.shape[-1]), np.float32)
    memory = inside(frames, np.arange(len(frames)) * frames[0].nbytes)
    channels = Channels(how.first, how.second, how.terms, how.blank, how.missing)
    gather(memory, image.dtype, frames.shape[1], np.arange(len(frames)), channels, out)
    out = how.convert(out.reshape(*out.shape[:2], *image.shape[-2:])).reshape(len(frames), len(how.channels), -1)
    if how.stretch is not None:
        stretch(out, how.stretch == "grey", how.grey, how.fill)
    return out.reshape(*image.shape[:-3], len(how.channels), *image.shape[-2:])

"""Encode once: every image of a split goes through the encoder, and later runs read its vectors from disk.

The folder's name has a digest of all that decides a vector: the encoder's weights, the preparation of images, the
build's contents, the view. So another run, label fraction or grid of heads does not encode again.
Vectors are float32, or float16 where the encoder itself runs in half precision.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from sar_data.errors import RunError
from sar_data.train.augment.steps import parse
from sar_data.train.data import Data
from sar_data.train.jobs import Batch
from sar_data.train.models.encoder import Backbone
from sar_data.train.probe.features import Features
from sar_data.train.probe.vectors import Put, VectorFiles, Vectors
from sar_data.train.ranks import Ranks
from sar_data.train.run.countdown import Countdown
from sar_data.train.run.halt import Halt
from sar_data.train.run.precision import AUTOCAST
from sar_data.train.settings import Probe

VERSION = 2  # of the features: version 1 used pixels without data as values where images were resized


class Encoding:
    """The encoding of the splits of one build; `images` is the number of images encoded, `seconds` the time spent."""

    def __init__(
        self,
        encoder: Backbone,
        data: Data,
        settings: Probe,
        folder: Path,
        ranks: Ranks,
        say: Callable[[str], None],
        halt: Halt,
    ) -> None:
        self._encoder, self._data, self._settings = encoder.eval(), data, settings
        self._folder, self._ranks, self._say, self._halt = folder, ranks, say, halt
        self._digest = digest(encoder)
        self._kept = torch.float32 if settings.amp == "none" else torch.float16
        self.images, self.seconds = 0, 0.0
        model: Any = encoder
        if settings.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self._model = torch.compile(model) if settings.compile else model

    def split(self, split: str, poolings: Sequence[str], *, views: int = 1) -> Features:
        """Return the features of a split, and encode those that are missing; view 0 is the image without augmentation.

        Where a share of the train split is used, only that is encoded, unless the whole split was encoded before.
        """
        loader = self._data.loader(split)
        samples, rows = loader.collection, loader.rows
        widths = {pooling: self._encoder.size(pooling) for pooling in poolings}
        used = rows
        stores = [self._store(split, view, None, len(samples)) for view in range(views)]
        if len(rows) < len(samples) and self._agree(any(store.missing(widths) for store in stores)):
            stores = [self._store(split, view, self._settings.share, len(rows)) for view in range(views)]
            used = np.arange(len(rows))
        for store in stores:
            if missing := self._agree(store.missing(widths)):
                with store.create(missing, self._ranks) as put:
                    self._encode(store, tuple(missing), put)
            else:
                self._say(f"{store}: {store.count:,} images were encoded before, {store.path}")
        labels = samples.labels(rows)
        files = {pooling: [store.file(pooling) for store in stores] for pooling in poolings}
        return Features(split, files, used, labels["target"], labels["key"], self._ranks.device)

    def _agree(self, answer: Any) -> Any:
        """Return the first rank's answer, for files may change while ranks look at them."""
        return self._ranks.gather(answer)[0]

    def _store(self, split: str, view: int, share: Mapping[str, Any] | None, count: int) -> VectorFiles:
        settings, data = self._settings, self._data
        identity = {
            "version": VERSION,
            "build": data.builds.digest,
            "split": split,
            "share": share,
            "encoder": [self._encoder.name, self._digest],
            "precision": settings.amp,
            "images": [data.channels, settings.normalize, settings.crop, settings.pad, data.side, settings.centre],
            "tone": parse(settings.augment).get("drae"),  # which also applies to view 0
            "view": [settings.augment, settings.seed, view] if view else None,
        }
        if data.together.statistics == "joint":
            identity["statistics"] = "joint"
        if share is not None and data.duplicates is not None:
            identity["kept"] = xxhash.xxh3_128_hexdigest("\n".join(data.duplicates.kept).encode())
        return VectorFiles(self._folder, identity, split, view, count, _dtype(self._kept))

    def _encode(self, store: VectorFiles, poolings: tuple[str, ...], put: Put) -> None:
        """Send this rank's share of a split through the encoder."""
        began, waited = time.monotonic(), 0.0
        countdown = Countdown(store.count, f"images of {store} encoded", self._say)
        batches = iter(self._data.encoding(store.split, store.view))
        while True:
            before = time.monotonic()
            step = next(batches, None)
            waited += time.monotonic() - before
            if step is None:
                break
            if self._halt.asked:
                self._halt.stop("the splits that were encoded are kept")
            first, batch = step
            real = int(batch["weight"].sum())
            put(first, self._vectors(batch, poolings, real))
            countdown.report(first + real)
        seconds = time.monotonic() - began
        self.images, self.seconds = self.images + store.count, self.seconds + seconds
        self._say(f"{store}: {store.count / seconds:,.0f} images/s, {waited / seconds:.1%} waiting for data")

    def _vectors(self, batch: Batch, poolings: tuple[str, ...], real: int) -> dict[str, Vectors]:
        """Return the vectors [sample, size] of a batch's first `real` images."""
        images = batch["image"]
        if self._settings.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        dtype = AUTOCAST.get(self._settings.amp)
        with torch.inference_mode(), torch.autocast(images.device.type, dtype) if dtype else nullcontext():
            pooled = self._model(images, poolings)
        features = {}
        for pooling, vectors in pooled.items():
            kept = vectors[:real].to(self._kept).cpu().numpy()
            if wrong := np.flatnonzero(~np.isfinite(kept).all(axis=1)).tolist():
                raise RunError(
                    f"{self._encoder.name}: expected finite features, found NaN or infinity in {pooling} of "
                    f"{len(wrong)} images such as {batch['key'][wrong[0]]}: look at the image, or take `amp=none`"
                )
            features[pooling] = kept
        return features


def _dtype(kept: torch.dtype) -> np.dtype[Any]:
    """Return numpy's dtype for one of torch."""
    return torch.empty(0, dtype=kept).numpy().dtype


def digest(encoder: torch.nn.Module) -> str:
    """Return a digest of all parameters and buffers of an encoder."""
    checksum = xxhash.xxh3_128()
    for name, value in encoder.state_dict().items():
        checksum.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        checksum.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return checksum.hexdigest()

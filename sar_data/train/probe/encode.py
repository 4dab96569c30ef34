"""Encode once: every image of a split goes through the encoder, its vectors stay on disk and are found again.

What decides a vector is in its folder's name as a digest: the encoder's numbers wherever they came from, how images are
prepared, the build's contents, the view. So another run, another label fraction, another grid of heads encodes nothing.
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
from sar_data.train.augment.steps import parsed
from sar_data.train.data import Data
from sar_data.train.jobs import Batch
from sar_data.train.models.encoder import Backbone
from sar_data.train.probe.features import Features
from sar_data.train.probe.vectors import Put, Shelf, Vectors
from sar_data.train.ranks import Ranks
from sar_data.train.run.countdown import Countdown
from sar_data.train.run.halt import Halt
from sar_data.train.run.precision import AUTOCAST
from sar_data.train.settings import Probe

VERSION = 2  # of the features: 1 took pixels without data for values where images were resized


class Encoding:
    """An encoder at work on the splits of one build. `images` counts what went through it, `seconds` how long."""

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
        """Return the features of a split, encoding what is not there yet; view 0 is the plain image.

        Of a share of the train split only that share is encoded, unless the whole is there.
        """
        loader = self._data.loader(split)
        samples, rows = loader.collection, loader.rows
        widths = {pooling: self._encoder.size(pooling) for pooling in poolings}
        used = rows
        shelves = [self._shelf(split, view, None, len(samples)) for view in range(views)]
        if len(rows) < len(samples) and self._agreed(any(shelf.lacking(widths) for shelf in shelves)):
            shelves = [self._shelf(split, view, self._settings.share, len(rows)) for view in range(views)]
            used = np.arange(len(rows))
        for shelf in shelves:
            if wanted := self._agreed(shelf.lacking(widths)):
                with shelf.writing(wanted, self._ranks) as put:
                    self._encode(shelf, tuple(wanted), put)
            else:
                self._say(f"{shelf}: {shelf.count:,} images were encoded before, {shelf.path}")
        labels = samples.labels(rows)
        files = {pooling: [shelf.file(pooling) for shelf in shelves] for pooling in poolings}
        return Features(split, files, used, labels["target"], labels["key"], self._ranks.device)

    def _agreed(self, answer: Any) -> Any:
        """Return the first rank's answer: what lies on the disk may change while ranks look."""
        return self._ranks.gather(answer)[0]

    def _shelf(self, split: str, view: int, share: Mapping[str, Any] | None, count: int) -> Shelf:
        told, data = self._settings, self._data
        identity = {
            "version": VERSION,
            "build": data.builds.digest,
            "split": split,
            "share": share,
            "encoder": [self._encoder.name, self._digest],
            "precision": told.amp,
            "images": [data.channels, told.normalize, told.crop, told.pad, data.side, told.centre],
            "tone": parsed(told.augment).get("drae"),  # which is done to the plain image, too
            "view": [told.augment, told.seed, view] if view else None,
        }
        if data.together.statistics == "joint":
            identity["statistics"] = "joint"
        if share is not None and data.duplicates is not None:
            identity["kept"] = xxhash.xxh3_128_hexdigest("\n".join(data.duplicates.kept).encode())
        return Shelf(self._folder, identity, split, view, count, _dtype(self._kept))

    def _encode(self, shelf: Shelf, poolings: tuple[str, ...], put: Put) -> None:
        """Send this rank's share of a split through the encoder."""
        began, waited = time.monotonic(), 0.0
        countdown = Countdown(shelf.count, f"images of {shelf} encoded", self._say)
        batches = iter(self._data.encoding(shelf.split, shelf.view))
        while True:
            before = time.monotonic()
            step = next(batches, None)
            waited += time.monotonic() - before
            if step is None:
                break
            if self._halt.asked:
                self._halt.leave("the splits that were encoded are kept")
            first, batch = step
            real = int(batch["weight"].sum())
            put(first, self._vectors(batch, poolings, real))
            countdown.report(first + real)
        seconds = time.monotonic() - began
        self.images, self.seconds = self.images + shelf.count, self.seconds + seconds
        self._say(f"{shelf}: {shelf.count / seconds:,.0f} images/s, {waited / seconds:.1%} waiting for data")

    def _vectors(self, batch: Batch, poolings: tuple[str, ...], real: int) -> dict[str, Vectors]:
        """Return the vectors [sample, size] of a batch's first `real` images."""
        images = batch["image"]
        if self._settings.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        dtype = AUTOCAST.get(self._settings.amp)
        with torch.inference_mode(), torch.autocast(images.device.type, dtype) if dtype else nullcontext():
            pooled = self._model(images, poolings)
        found = {}
        for pooling, vectors in pooled.items():
            kept = vectors[:real].to(self._kept).cpu().numpy()
            if wrong := np.flatnonzero(~np.isfinite(kept).all(axis=1)).tolist():
                raise RunError(
                    f"{self._encoder.name}: expected finite features, found NaN or infinity in {pooling} of "
                    f"{len(wrong)} images such as {batch['key'][wrong[0]]}: look at the image, or take `amp=none`"
                )
            found[pooling] = kept
        return found


def _dtype(kept: torch.dtype) -> np.dtype[Any]:
    """Return numpy's name for a type of tensors."""
    return torch.empty(0, dtype=kept).numpy().dtype


def digest(encoder: torch.nn.Module) -> str:
    """Return a digest of every number that an encoder computes with."""
    found = xxhash.xxh3_128()
    for name, value in encoder.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()

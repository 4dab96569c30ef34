"""Self-supervised pretraining: the job behind `pretrain`, which predicts the masked patches of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.torch.pinned import sent
from sar_data.train.augment import MASK
from sar_data.train.augment.draws import seeds
from sar_data.train.augment.power import power_of
from sar_data.train.augment.preparation import Preparation
from sar_data.train.augment.steps import parse
from sar_data.train.data import Data
from sar_data.train.jobs import Batch, Forward
from sar_data.train.models.encoder import Backbone
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.pictures.sheets import spread
from sar_data.train.pretrain.autoencoder import Autoencoder
from sar_data.train.pretrain.masking import errors, order
from sar_data.train.pretrain.sheet import sheet
from sar_data.train.pretrain.targets import Target
from sar_data.train.pretrain.watching import Watch
from sar_data.train.settings import Pretrain

SHOWN = 8  # images of the sheet


class Pretraining:
    """Train a masked autoencoder on the images of train; see sar_data.train.jobs.Job.

    The sums are the squared error of each masked patch, a mean over its values, and how many patches are masked: the
    loss is their quotient, MAE's, for a batch of any size. Where noise is asked for, the encoder sees images with it;
    targets are of the images without it.
    """

    linear = True

    def __init__(self, encoder: Backbone, data: Data, settings: Pretrain) -> None:
        self._target, self._settings = target(encoder, settings), settings
        self._target.check(data.side, settings.normalize)
        if settings.control == "shuffled-labels" and settings.batch_size == 1:
            raise UsageError("control shuffled-labels: expected 2 images a batch or more, whose targets are exchanged")
        self.encoder = encoder
        self.model: Autoencoder = network(encoder, settings)
        self.resolved: dict[str, Any] = {}
        self._watch = Watch(encoder, data, settings) if settings.watch else None
        self._input, self._side = data.input, data.side

    def sums(self, model: Forward, batch: Batch) -> Tensor:
        """Return [error, masked patches]."""
        where = self._order(batch)
        squares = errors(model(batch["image"], where), self._targets(batch), where, self.model.seen)
        return torch.stack([squares.sum(), self._count_masked(batch)])

    def known(self, batch: Batch) -> Tensor:
        count = self._count_masked(batch)
        return torch.stack([torch.zeros_like(count), count])

    def value(self, sums: Tensor) -> Tensor:
        return sums[0] / sums[1]

    def watch(self, epoch: int) -> dict[str, float]:
        due = epoch % self._settings.watch_every == 0 or epoch >= self._settings.epochs
        return self._watch() if self._watch is not None and due else {}

    def show(self, drawing: Drawing, keys: Sequence[str]) -> None:
        """Write a sheet of some images: their visible patches, the predictions, and the truth."""
        chosen = [keys[place] for place in spread(len(keys), SHOWN)]
        images = self._prepare(torch.stack([torch.from_numpy(image) for image, _ in drawing.images(chosen)]))
        where = order(torch.arange(len(chosen)), self.model.patches)
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            predicted = self.model.eval()(images.to(device), where.to(device)).float().cpu()
        hidden = torch.ones(where.shape, dtype=torch.bool).scatter(1, where[:, : self.model.seen], False)
        title = drawing.title(f"{drawing.split}: {len(chosen)} of {len(keys):,} samples")
        sheet(drawing.file("reconstructions"), self._target, images, hidden, predicted, chosen, title)

    def _prepare(self, images: Tensor) -> Tensor:
        """Return images [n, C, H, W] in physical units as the encoder sees them."""
        settings, given = self._settings, self._input
        prepare = Preparation(
            parse(settings.augment),
            given.normalizer(settings.normalize),
            size=self._side,
            power=power_of(settings.resample, given.units, settings.normalize, given.figures),
        )
        prepared: Tensor = prepare({"image": images})["image"]
        return prepared

    def _order(self, batch: Batch) -> Tensor:
        """Return the order of each image's patches, of which the first are visible."""
        return order(sent(seeds(batch["chance"][:, MASK]), batch["image"].device), self.model.patches)

    def _targets(self, batch: Batch) -> Tensor:
        targets = self._target(batch["clean"])
        return targets.roll(1, dims=0) if self._settings.control == "shuffled-labels" else targets

    def _count_masked(self, batch: Batch) -> Tensor:
        images: Tensor = batch["image"]
        count = len(images) * (self.model.patches - self.model.seen)
        return images.new_full((), count, dtype=torch.float32)  # without a copy, for which the processor would wait


def target(encoder: Backbone, settings: Pretrain) -> Target:
    """Return what is predicted of a patch."""
    patch = encoder.patch or 1  # the autoencoder refuses an encoder without patches
    return Target(settings.target, patch, len(encoder.channels), settings.mgf_radii, settings.standardize)


def network(encoder: Backbone, settings: Pretrain) -> Autoencoder:
    """Return a fresh autoencoder on an encoder."""
    return Autoencoder(
        encoder,
        target(encoder, settings).values,
        settings.mask_ratio,
        width=settings.decoder_width,
        depth=settings.decoder_depth,
        heads=settings.decoder_heads,
    )

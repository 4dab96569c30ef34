"""Augmentation of whole batches on their device, by named steps, without any state.

Every choice is a function of a sample's own random numbers (draws.py), except in mixup, which pairs neighbours. Steps
are taken in one fixed order, that of the table in steps.py: speckle in physical units and of original pixels, the
exchange of two dates, tone mapping or normalization of the whole image, the window, flips and turns, rotation, mixup.
Masks, boxes and all dates of a sample move alike. Pixels without data are NaN, so that no step uses them as values;
they become the fill value before images are mixed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence

import torch.nn.functional as F
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.sealed.manifest import Manifest
from sar_data.stream.normalize import Figures, figures_of, normalizer, of_channels, units_of
from sar_data.stream.targets import task_of
from sar_data.train.augment import objects, resample, steps, symmetry
from sar_data.train.augment.draws import seeds
from sar_data.train.augment.mixup import Mixup, mix
from sar_data.train.augment.power import Power
from sar_data.train.augment.preparation import Batch, Preparation, masks, side_by_side
from sar_data.train.augment.rotation import rotate, rotate_masks
from sar_data.train.augment.speckle import Speckle

LOG = logging.getLogger(__name__)
# The columns of a sample's random numbers that each step uses: adding or removing a step changes no other step.
TURNS, CROP, ROTATE, SPECKLE, TONE, MIXUP = slice(0, 3), slice(3, 25), 25, slice(26, 28), 28, slice(29, 31)
EXCHANGE = 31  # 32 is free
MASK = slice(33, 35)  # of patches that a network does not see (sar_data/train/pretrain)
CONTRASTS = ("amplitude", "DN", "8-bit")  # units whose smallest and largest values frame Reinhard-Devlin's


class Augment:
    """Steps by name for the batches of one build's loader.

    `channels`, `normalize` and `figures` are the loader's, which must have fill=None; where `physical` is true, it must
    have normalize=None, too, and images are normalized here. Pixels without data are 0 in the end. `image_size` is the
    side of the output, None that of the input; with `power` images are resampled in linear power. `notes` says
    which steps go beyond what the build declares; they are logged as warnings, too.

    UsageError for steps that do not exist or do not fit the build, its units or its task.
    """

    def __init__(
        self,
        names: Iterable[str],
        manifest: Manifest,
        channels: Sequence[str],
        *,
        normalize: str = "zscore",
        figures: Figures | None = None,
        image_size: int | None = None,
        power: Power | None = None,
        task: str | None = None,
    ) -> None:
        names = tuple(names)
        self.steps = steps.parse(names)
        self.physical = steps.physical(names, normalize)
        self._size = image_size
        self._task = task_of(manifest, task)
        how = normalizer(manifest, channels, normalize, figures=figures)
        own = figures if figures is not None else figures_of(manifest, channels, normalize)
        later = of_channels(units_of(manifest, channels), normalize, figures=own) if self.physical else None
        self._prepared = Preparation(self.steps, later, size=image_size, power=power)
        self._axes, notes = symmetry.flipped_axes(self.steps, manifest)
        self._speckle: Speckle | None = None
        if "speckle" in self.steps:
            affine = None if self.physical else how
            self._speckle = Speckle(manifest, channels, self.steps["speckle"], affine)
        if "drae" in self.steps:
            _refuse_tone(manifest, channels, normalize)
        kind = "" if self._task is None else self._task.kind
        if symmetry.EXCHANGE in self.steps:
            symmetry.check_exchange(manifest, kind)
        if "mixup" in self.steps and kind not in ("multiclass", "multilabel"):
            raise UsageError(f"mixup: expected a task of classes, found {kind or 'none'}: leave mixup out")
        if "rotate" in self.steps:
            if kind == "detection":
                raise UsageError("rotate: boxes have no sides to turn by a few degrees: leave rotate out")
            notes.append("rotate: as in published recipes, even where the build does not declare it")
        self._mixup = Mixup(self.steps["mixup"]) if "mixup" in self.steps else None
        self.notes = tuple(notes)
        for note in notes:
            LOG.warning(note)

    def __call__(self, batch: Batch, draws: Tensor, *, noise: bool = True) -> Batch:
        """Return a batch for training; `draws` float32 [B, columns] on the CPU are those of the batch's samples.

        Without `noise` the batch is the same, but no speckle is added.

        The image is normalized float32 [B, C, H, W], with the channels of one date after those of another; with mixup,
        targets are float32 [B, classes].
        """
        chance = draws.cpu()
        image = side_by_side(batch["image"])
        if self._speckle is not None and noise:
            image = self._speckle(image, seeds(chance[:, SPECKLE]))
        if symmetry.EXCHANGE in self.steps:
            image = symmetry.exchange_dates(image, chance[:, EXCHANGE] < 0.5)
        result = batch | {"image": self._prepared.map_tones(image, chance[:, TONE])}
        source = (image.shape[-2], image.shape[-1])
        if "crop" in self.steps:
            size = source if self._size is None else (self._size, self._size)
            windows = resample.random_windows(chance[:, CROP], source, size, (self.steps["crop"], 1.0))
            result = self._prepared.cut_windows(result, windows)
        else:
            result = self._prepared.fit(result, 1.0)
        turn = symmetry.TURN in self.steps
        if turn or self._axes:
            size = (result["image"].shape[-2], result["image"].shape[-1])
            result = _orient(result, symmetry.orientation(chance[:, TURNS], self._axes, turn, size), size)
        if "rotate" in self.steps:
            result = self._rotate(result, (2 * chance[:, ROTATE] - 1) * self.steps["rotate"])
        result = self._prepared.fill(result)
        return result if self._mixup is None else self._mix(result, self._mixup.shares(chance[:, MIXUP]))

    def prepare(self, batch: Batch, centre: float = 1.0) -> Batch:
        """Return a batch for evaluation, without anything random (see Preparation)."""
        return self._prepared(batch, centre)

    def _rotate(self, batch: Batch, degrees: Tensor) -> Batch:
        turned = batch | {"image": rotate(batch["image"], degrees, math.nan)}
        if masks(batch):
            turned["target"] = rotate_masks(batch["target"], degrees)
        return turned

    def _mix(self, batch: Batch, shares: Tensor) -> Batch:
        target = batch["target"]
        if self._task is not None and not target.is_floating_point():
            target = F.one_hot(target, len(self._task.classes)).float()
        return batch | {"image": mix(batch["image"], shares), "target": mix(target, shares)}


def _orient(batch: Batch, how: Tensor, size: tuple[int, int]) -> Batch:
    turned = batch | {"image": symmetry.orient(batch["image"], how)}
    target = batch.get("target")
    if masks(batch):
        turned["target"] = symmetry.orient(batch["target"], how)
    elif isinstance(target, list):
        turned["target"] = [objects.orient(item, turn, size) for item, turn in zip(target, how.tolist(), strict=True)]
    return turned


def _refuse_tone(manifest: Manifest, channels: Sequence[str], normalize: str | None) -> None:
    """Raise UsageError where tone mapping does not fit a build or its normalization."""
    if any(step.step == "normalize" for step in manifest.applied):
        raise UsageError("drae: this build is normalized already: take its parent")
    units = {band.name: band.unit for band in manifest.bands}
    if normalize == "sarhub" or (normalize == "minmax" and all(units.get(name) in CONTRASTS for name in channels)):
        return
    raise UsageError(
        f"drae: expected normalize 'sarhub' (percentile stretch) or, for {', '.join(CONTRASTS)}, 'minmax'"
        f" (Reinhard-Devlin), found {normalize!r} for {', '.join(f'{n} in {units.get(n)}' for n in channels)}"
    )

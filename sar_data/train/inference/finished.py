"""A finished run, opened: its options, what its model takes and says, its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import torch
from torch import nn

from sar_data.errors import BuildError, RunError, SarDataError, UsageError
from sar_data.sealed.names import first_flaw
from sar_data.system.checksum import sha256
from sar_data.train import comparison, documents
from sar_data.train.augment.steps import parse
from sar_data.train.data import Data
from sar_data.train.documents import CONFIG, METRICS
from sar_data.train.inference.leakage import check_local
from sar_data.train.input import Input
from sar_data.train.kinds import check_kind
from sar_data.train.metrics.thresholds import Thresholds
from sar_data.train.models import backbone
from sar_data.train.models.encoder import Backbone
from sar_data.train.models.finite import not_finite
from sar_data.train.preset import resolved
from sar_data.train.ranks import Ranks
from sar_data.train.run import checkpoint
from sar_data.train.settings import Settings, Tuned

# Images a step, and their pixels together, whatever a run says: its answers do not depend on that.
MOST_BATCH, MOST_PIXELS = 1 << 12, 1 << 26
LARGER = 2  # times its weights, at most: what a network computes for itself is small


@dataclass(frozen=True)
class Finished:
    """A run that trained a network: its folder, its config.json, and the checkpoint of the epoch that was chosen.

    `side` is what the network was made for; `settings.image_size` is None where images are seen as they are.
    """

    path: Path
    config: Mapping[str, Any]
    job: str
    settings: Tuned
    side: int
    input: Input
    checkpoint: Path

    def encoder(self) -> Backbone:
        """Return a fresh encoder, as the run's was made."""
        settings, channels = self.settings, self.settings.seen(self.input.channels, self.input.dates)
        return backbone(settings.model, channels, image_size=self.side, drop_path=settings.drop_path)

    def network(self) -> nn.Module:
        """Return the trained network on the processor, in evaluation mode."""
        return self._network(self.encoder())

    def trained_encoder(self) -> Backbone:
        """Return the encoder of the trained network."""
        encoder = self.encoder()
        self._network(encoder)
        return encoder

    def thresholds(self) -> Thresholds | None:
        """Return the run's thresholds of its labels, None where it chose none; raise RunError for those of others."""
        found = documents.metrics(self.path).get("thresholds")
        if found is None:
            return None
        if found["values"].keys() != set(self.input.classes):
            raise RunError(f"{self.path / METRICS}: expected a threshold of each class, found others")
        values = np.array([found["values"][name] for name in self.input.classes])
        return Thresholds(f"{found['chosen_on']} of the run's build", values)

    def _network(self, encoder: Backbone) -> nn.Module:
        return self.filled(self.fresh(encoder))

    def fresh(self, encoder: Backbone) -> nn.Module:
        """Return a network of the run's kind on an encoder, without the run's weights."""
        return _network(self.job, self.input.dates)(encoder, len(self.input.classes), self.settings)

    def of_build(self, digest: str) -> Mapping[str, Any] | None:
        """Return what the run recorded of one of its builds, None for another one."""
        return next((one for one in documents.builds(self.config) if one["content_digest"] == digest), None)

    @property
    def caution(self) -> str | None:
        """What is to be said of other images where the run normalized each of its builds by its own figures."""
        if "builds" not in self.config or self.config["together"].get("statistics") != "own" or not self.input.figures:
            return None
        return "the run normalized each of its builds by its own figures; other images are normalized by joint ones"

    def sha256(self) -> str:
        """Return the hash of the checkpoint; raise RunError where it cannot be read."""
        try:
            return sha256(self.checkpoint)
        except (BuildError, OSError) as error:
            raise RunError(f"{self.checkpoint}: expected the weights of this run, cannot read them: {error}") from error

    def filled(self, network: nn.Module) -> nn.Module:
        """Load the run's weights into a network of its kind; raise RunError where they do not fit."""
        state = checkpoint.load(self.checkpoint)
        with checkpoint.explain_mismatch(self.checkpoint, f"the weights of {self.settings.model} for {self.job}"):
            network.load_state_dict({} if state is None else state["model"])
        if name := not_finite(network):
            raise RunError(f"{self.checkpoint}: {name}: expected finite weights, found NaN or infinity: it is damaged")
        return network.eval()


def opened(run: str | Path, *, answers: bool = True) -> Finished:
    """Return the finished run in a folder, whose network `answers` something of an image.

    Raises RunError for a folder that is none, a run that is not finished or has no checkpoint, a probe and, where
    answers are asked for, a pretraining.
    """
    path = Path(run)
    config = comparison.opened([path])[0].config
    job = config["job"]
    if job == "probe":
        raise RunError(
            f"{path}: expected a run that trained a network, found a probe, which leaves the head that it chose and no "
            "network: train `finetune` with `freeze=True`"
        )
    try:
        given = dict(config["settings"])
        if given.get("tile") == given.get("crop"):
            given.pop("tile", None)  # which was not asked for, and may be smaller than what may be
        settings = resolved(job, None, given)
    except (UsageError, KeyError, TypeError) as error:
        raise RunError(f"{path / CONFIG}: expected options of this version, found others: {error}") from None
    if not isinstance(settings, Tuned) or settings.image_size is None:
        raise RunError(f"{path / CONFIG}: expected the options of a run that trained a network, found others")
    weights = path / "checkpoints" / (checkpoint.LAST if settings.select == "last" else checkpoint.BEST)
    if not weights.is_file():
        raise RunError(f"{weights}: expected the weights of this run, found nothing: copy a run with its checkpoints")
    if answers and not settings.labelled:
        raise RunError(
            f"{path}: expected a run whose network answers something, found a pretraining, which leaves an encoder: "
            f"other jobs take it by `weights={weights}`"
        )
    found = _recorded(path, config) or _of_build(path, config, settings)
    try:
        check_kind(settings, "of this run", found.kind)
        found.normalizer(settings.normalize)
        parse(settings.augment)
    except (BuildError, UsageError) as error:
        raise RunError(f"{path / CONFIG}: expected what a model can be made of, found another: {error}") from None
    side = settings.image_size
    longest = max(filter(None, (side, settings.pad, settings.crop, settings.tiles)))
    _check_side(path, longest)
    bounded = {"image_size": side if found.resized else None, "batch_size": batch_of(settings, longest)}
    seen = settings.model_copy(update=bounded)
    finished = Finished(path, config, job, seen, side, found, weights)
    _check_room(finished)
    return finished


def batch_of(settings: Settings, side: int) -> int:
    """Return how many images of a side are seen at once: as many as a run says, if memory has room for them."""
    return max(1, min(settings.batch_size, MOST_BATCH, MOST_PIXELS // side**2))


def _check_side(path: Path, side: int) -> None:
    """Raise RunError for images or windows of a run that would take gigabytes each."""
    if side**2 > MOST_PIXELS:
        most = math.isqrt(MOST_PIXELS)
        raise RunError(f"{path / CONFIG}: expected images and windows of at most {most} pixels a side, found {side}")


def _check_room(finished: Finished) -> None:
    """Raise RunError for a network that is far larger than its weights, before it takes any memory."""
    settings = finished.settings.model_copy(update={"drop_path": 0.0})  # which has no weights
    with torch.device("meta"):
        without = replace(finished, settings=settings)
        network = without.fresh(without.encoder())
    parts = chain(network.parameters(), network.buffers())
    need, there = sum(part.numel() * part.element_size() for part in parts), finished.checkpoint.stat().st_size
    if need > LARGER * there:
        raise RunError(
            f"{finished.checkpoint}: expected the weights of {settings.model} for {finished.job}, some {need:,} bytes, "
            f"found {there:,}"
        )


def _recorded(path: Path, config: Mapping[str, Any]) -> Input | None:
    """Return what a run recorded of its input, None for a run of a version that did not."""
    if "input" not in config:
        return None
    try:
        return Input.model_validate(config["input"])
    except pydantic.ValidationError as error:
        raise RunError(
            f"{path / CONFIG}: expected what the model takes, found others: input.{first_flaw(error)}"
        ) from None


def _of_build(path: Path, config: Mapping[str, Any], settings: Settings) -> Input:
    """Return a run's input from its build; raise RunError where that is not there any more."""
    try:
        place, digest, side = config["build"]["path"], config["build"]["content_digest"], settings.image_size
        check_local(place)
        plain = settings.model_copy(update={"image_size": None, "threads": 1})
        data = Data(place, plain, Ranks(0, 1, torch.device("cpu")))
    except (SarDataError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: an earlier version left the figures that normalize images to the run's build, which cannot be "
            f"read: {error}"
        ) from error
    try:
        if data.manifest.content_digest != digest:
            raise RunError(f"{path}: expected the run's build {digest[:8]} at {place}, found another one")
        return data.input.model_copy(update={"resized": data.side != side})
    finally:
        data.close()


def _network(job: str, dates: int) -> Callable[[Backbone, int, Any], nn.Module]:
    """Return what makes a job's network; only the one that is asked for is imported."""
    if job == "finetune":
        from sar_data.train.classification import network

        return network
    if job in ("segment", "change"):
        from sar_data.train.segment import network as segmenter

        return partial(segmenter, dates=dates)
    if job == "pretrain":
        from sar_data.train.pretrain import network as autoencoder

        return lambda encoder, classes, settings: autoencoder(encoder, settings)
    from sar_data.train.detect import network as detector

    return detector

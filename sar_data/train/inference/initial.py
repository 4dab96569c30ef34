"""A finished run as the start of another one of its job: encoder and head, but for what is of its classes alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sar_data.errors import UsageError
from sar_data.naming import few
from sar_data.train.families import UNKNOWN
from sar_data.train.inference.finished import Finished, opened
from sar_data.train.models.encoder import Backbone
from sar_data.train.models.finite import not_finite
from sar_data.train.run import checkpoint
from sar_data.train.settings import Tuned
from sar_data.train.weights.fit import reshape

log = logging.getLogger("sar_data.train")


def begin(
    network: nn.Module, encoder: Backbone, job: str, settings: Tuned, classes: Sequence[str]
) -> Mapping[str, Any]:
    """Load the weights of the run `settings.init` into a network on an encoder, and return where they came from.

    Positions are interpolated to another size. What depends on the number of classes is taken where both runs have the
    same classes in the same order, and begins afresh where they do not. Raises UsageError for a run of another job,
    model, head or bands, RunError for a folder that is no finished run with a network.
    """
    finished = opened(str(settings.init), answers=False)
    state = _state(finished, encoder, job)
    own: dict[str, Tensor] = network.state_dict()
    if names := sorted(own.keys() ^ state.keys()):
        raise UsageError(
            f"`init={settings.init}`: expected a run with the same head, found another: {few(names)} differ"
        )
    fresh = [] if tuple(classes) == tuple(finished.input.classes) else _of_classes(finished)
    resized: dict[str, str] = {}
    home = next(name for name, module in network.named_modules() if module is encoder.net)
    with checkpoint.explain_mismatch(finished.checkpoint, f"the weights of {encoder.name}"):
        for name, value in state.items():
            if name in fresh:
                state[name] = own[name]
            elif name.startswith(home):
                state[name] = reshape(name.removeprefix(f"{home}."), value, own[name], encoder.net, resized)
    if other := sorted(name for name, value in state.items() if value.shape != own[name].shape):
        raise UsageError(f"`init={settings.init}`: expected weights of the same shapes, found others: {few(other)}")
    network.load_state_dict(state)
    if wrong := not_finite(network):
        raise UsageError(f"`init={settings.init}`: {wrong}: expected finite weights, found NaN or infinity")
    if finished.settings.normalize != settings.normalize:
        log.warning(
            "%s: trained on images normalized by %s, this run normalizes by %s: results may suffer",
            *(settings.init, finished.settings.normalize, settings.normalize),
        )
    licence = (finished.config.get("weights") or {}).get("licence", UNKNOWN)
    return {
        "source": str(settings.init),
        "sha256": finished.sha256(),
        "fresh": sorted(fresh),
        "resized": dict(sorted(resized.items())),
        "licence": licence,
    }


def _state(finished: Finished, encoder: Backbone, job: str) -> dict[str, Tensor]:
    """Return a run's weights; raise UsageError where it is of another job, model or bands."""
    for what, expected, found in (
        ("job", job, finished.job),
        ("model", encoder.name, finished.settings.model),
        ("bands", encoder.channels, finished.settings.seen(finished.input.channels, finished.input.dates)),
    ):
        if expected != found:
            told = [", ".join(value) if isinstance(value, tuple) else value for value in (expected, found)]
            raise UsageError(f"`init={finished.path}`: expected a run of the {what} {told[0]}, found {told[1]}")
    state = checkpoint.load(finished.checkpoint)
    with checkpoint.explain_mismatch(finished.checkpoint, "the weights of a network"):
        tensors = {str(name): value for name, value in (state or {})["model"].items() if isinstance(value, Tensor)}
    return tensors


def _of_classes(finished: Finished) -> list[str]:
    """Return the names of weights whose shape depends on the number of classes."""
    settings = finished.settings.model_copy(update={"drop_path": 0.0})  # which has no weights
    more = finished.input.model_copy(update={"classes": (*finished.input.classes, "one more")})
    with torch.device("meta"):
        pair = [replace(finished, settings=settings, input=classes) for classes in (finished.input, more)]
        states = [run.fresh(run.encoder()).state_dict() for run in pair]
    return [name for name, value in states[0].items() if states[1][name].shape != value.shape]

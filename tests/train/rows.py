"""Recipes made small enough for a test: the preset's own settings, but for the size of network, images and training."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from sar_data.train import models, preset
from sar_data.train.detect import oriented_rcnn
from sar_data.train.models import vitae
from sar_data.train.models.rvsa import rotate_windows
from sar_data.train.settings import Settings

RVSA = "test_rvsa"
NO_TOKEN: dict[str, Any] = {"class_token": False, "global_pool": "avg", "fc_norm": False}
SHORT: dict[str, Any] = {"epochs": 1, "threads": 1, "device": "cpu"}
BOXES: dict[str, Any] = {**SHORT, "channels": 32, "batch_size": 2, "max_detections": 20}
SMALL_BOXES: dict[str, Any] = {**BOXES, "crop": None, "image_size": 64}
MASKS: dict[str, Any] = {**SHORT, "channels": 32, "crop": 32, "batch_size": 4}


class Row(NamedTuple):
    """A recipe on a miniature: the fixture of its build, and what is smaller than in the preset."""

    name: str
    build: str
    chosen: dict[str, Any]

    @property
    def preset(self) -> preset.Preset:
        return preset.find(self.name)

    def settings(self, **more: Any) -> Settings:
        """Return the preset's settings, but for what is smaller and what is asked for."""
        return preset.resolved(self.preset.job, self.preset, {**self.chosen, **more})


ROWS = {
    "rotated": Row(
        "ssdd-rotated-fcos", "few", {**BOXES, "model": "test_convnext", "pad": None, "image_size": None, "crop": 96}
    ),
    "oriented": Row("ssdd-oriented-rcnn", "few", {**SMALL_BOXES, "model": "test_resnet", "pad": 360}),
    "scenes": Row("ssdd-rotated-fcos", "scenes", {**SMALL_BOXES, "model": "test_resnet", "pad": 512}),
    "mtp": Row("mtp-oriented-rcnn", "scenes", {**SMALL_BOXES, "model": RVSA, "pad": 512}),
    "rsp": Row("rsp-upernet", "squares", {**MASKS}),
    "footprints": Row(
        "sarhub-segmentation", "squares", {**MASKS, "model": "mobilenetv3_small_050", "bands": ("VV",), "task": None}
    ),
}


def built(request: pytest.FixtureRequest, name: str) -> str:
    """Return the path of a row's build."""
    return str(getattr(found := request.getfixturevalue(ROWS[name].build), "path", found))


SMALLER: dict[tuple[ModuleType, str], Any] = {
    (oriented_rcnn, "PROPOSALS"): 40,  # of 2,000, each of which costs
    (vitae, "EMBED"): (8, 8, 8, 8),
    (vitae, "WIDTHS"): (8, 16, 16, 32),
    (vitae, "DEPTHS"): (1, 1, 2, 1),
    (vitae, "GROUPS"): ((1, 1), (8, 8), (8, 8), (8, 8)),
    # Two blocks that attend to the whole map, and six of windows.
    (models, "VARIANTS"): {**models.VARIANTS, RVSA: ("test_vit", NO_TOKEN | {"depth": 8, "dynamic_img_size": False})},
    (models, "CHANGES"): {**models.CHANGES, RVSA: rotate_windows},
}


def shrink(change: Callable[[object, str, Any], None] = setattr) -> None:
    """Make networks of recipes small, and add a small RVSA; `change` may be that of monkeypatch, which undoes it."""
    for (module, name), value in SMALLER.items():
        change(module, name, value)

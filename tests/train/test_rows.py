"""Each recipe of rotated boxes, RVSA, ViTAEv2 and SAR-HUB's masks runs from its preset on a miniature, and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sar_data.train import training
from tests.train import cut
from tests.train.rows import ROWS, built, shrink

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.mark.parametrize("name", ROWS)
def test_a_recipe_that_was_stopped_goes_on_to_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    shrink(monkeypatch.setattr)
    row, build = ROWS[name], built(request, name)

    def start(out: Path) -> None:
        training.run(row.preset.job, build, out, row.settings(), preset=row.preset, say=lambda line: None)

    cut.assert_resumes(start, tmp_path, monkeypatch, 1)
    assert json.loads((tmp_path / "whole" / "config.json").read_text())["preset"] == row.name

"""The notebook runs as it stands, from top to bottom, in an empty folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sar_data.cli import main
from tests.places import ROOT

NOTEBOOK = ROOT / "docs" / "first-minutes.ipynb"
COMMAND = "!sar-data "


def cells() -> list[str]:
    """Return the cells with code."""
    found = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def run(line: str) -> None:
    """Run a line that a notebook gives to the shell."""
    result = CliRunner().invoke(main, shlex.split(line.removeprefix(COMMAND)))
    assert result.exit_code == 0, f"{line}\n{result.output}"
    print(result.stdout)


def test_the_notebook_runs_from_nothing_to_a_probe_with_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    for cell in cells():
        code: list[str] = []
        for line in cell.splitlines():
            if line.startswith(COMMAND):
                run(line)
            else:
                code.append(line)
        exec(compile("\n".join(code), str(NOTEBOOK), "exec"), names)
    said = capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.png")} == {"sheet.png", "histograms.png"}
    assert (tmp_path / "report.html").is_file()
    assert f"OA {names['test']['oa']:.3f}" in said
    assert "blocks:size=2" in said
    assert "We train resnet18 (job probe), starting from random numbers, with seed 0." in said


def test_the_notebook_has_no_outputs_and_is_small() -> None:
    document = json.loads(NOTEBOOK.read_text())
    assert not any(cell.get("outputs") for cell in document["cells"])
    assert NOTEBOOK.stat().st_size < 20_000

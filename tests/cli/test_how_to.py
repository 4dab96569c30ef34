"""The commands of a page by task run in their order, on a miniature."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from sar_data.cli import main
from tests.places import ROOT


def test_the_commands_of_the_page_of_honest_splits_run_in_their_order(
    bigearthnet_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAR_DATA_BUILDS", raising=False)
    Path("raw").symlink_to(bigearthnet_source)
    text = (ROOT / "docs" / "how-to" / "is-my-split-honest.md").read_text()
    lines = re.findall(r"^sar-data (.*)", text, re.MULTILINE)
    assert len(lines) == 5
    for line in ["build bigearthnet-s1 --source raw --out builds", *lines]:
        words = shlex.split(line, comments=True)
        result = CliRunner().invoke(main, words + ["--workers", "1"] * (words[0] == "build"))
        assert result.exit_code == 0, (line, result.output)
    assert Path("pairs.png").is_file()

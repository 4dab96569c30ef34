"""What docs/streaming.md shows, runs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from sar_data import catalog
from sar_data.sealed.opened import Build
from tests.mini.builds import make
from tests.places import ROOT

pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")

PAGE = ROOT / "docs" / "streaming.md"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    root = tmp_path_factory.mktemp("demo")
    catalog.synthesise("bigearthnet-s1")(root / "raw", count=130, seed=1)
    pipeline = catalog.pipeline("bigearthnet-s1")
    return {name: make(pipeline, root / "raw", root / "builds", format=name) for name in ("zarr", "webdataset")}


def test_every_snippet_of_the_page_runs_from_top_to_bottom(
    demo: dict[str, Build], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"build": str(demo["zarr"].path), "webdataset_build": str(demo["webdataset"].path)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the webdataset library leaves its last file to the collector
        for snippet in snippets:
            exec(compile(snippet, str(PAGE), "exec"), names)
    assert len(snippets) == 11
    assert names["seen"] == demo["zarr"].manifest.splits["val"].count
    assert names["resumed"].epoch == 3
    assert names["image"].shape == (2, 120, 120)


def test_the_first_paragraph_on_trust_says_what_is_not_verified_and_what_it_costs_to_do_so() -> None:
    trust = PAGE.read_text().partition("\n## Trust\n")[2].partition("\n\n")[0]
    assert 'without `verify="first"` damaged pixels come out silently' in trust
    (share,) = re.findall(r"([\d.]+) % of an epoch of ResNet-18", trust)
    assert float(share) <= 3
    assert "Training jobs of `sar-data train` do so" in trust

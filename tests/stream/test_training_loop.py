"""The training script of docs/streaming.md learns, and goes on to the last bit when it is killed and started again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data import catalog
from sar_data.sealed.opened import Build
from tests.mini.builds import make
from tests.places import ROOT

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")

from sar_data.torch import loader  # noqa: E402

PAGE = ROOT / "docs" / "streaming.md"


class Killed(Exception):
    """The job ends here, between two steps."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    root = tmp_path_factory.mktemp("demo")
    catalog.synthesise("bigearthnet-s1")(root / "raw", count=200, seed=1)
    pipeline = catalog.pipeline("bigearthnet-s1")
    return {name: make(pipeline, root / "raw", root / "builds", format=name) for name in ("zarr", "lmdb")}


@pytest.fixture(scope="module")
def whole(demo: dict[str, Build], tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of a job that nothing happens to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        return losses(demo["zarr"])


def losses(build: Build, *, steps: int | None = None) -> list[float]:
    """Run the page's script in this folder, at most so many steps; return the losses it prints."""
    (script,) = re.findall(r"```python\n([^`]*?optimiser.step.*?)```", PAGE.read_text(), re.DOTALL)
    found: list[float] = []

    def printed(epoch: int, loss: float) -> None:
        if len(found) == steps:
            raise Killed
        found.append(loss)

    names: dict[str, Any] = {"build": str(build.path), "loader": loader, "print": printed}
    try:
        exec(compile(script, str(PAGE), "exec"), names)
    except Killed:
        pass
    finally:
        names["train"].close()
    return found


def test_the_loss_of_the_page_s_script_falls_and_is_stable(whole: list[float]) -> None:
    assert len(whole) == 100
    assert np.mean(whole[-20:]) < 0.6 * np.mean(whole[:2])
    assert np.std(whole[-20:]) < 0.05
    assert max(whole[-20:]) < min(whole[:3])


@pytest.mark.parametrize(
    ("steps", "saved", "container"), [(7, 5, "zarr"), (38, 35, "lmdb"), (50, 50, "lmdb"), (3, 0, "zarr")]
)
def test_the_page_s_script_is_killed_twice_and_goes_on_to_the_last_bit(
    demo: dict[str, Build],
    whole: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    saved: int,
    container: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert losses(demo["zarr"], steps=steps) == whole[:steps]
    assert losses(demo[container], steps=8) == whole[saved : saved + 8]
    assert losses(demo["zarr"]) == whole[saved + 5 :]

"""Knowledge points: on the patch that an answer depends on, everywhere for random weights, and as files."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from sar_data.errors import TargetError, UsageError
from sar_data.train import explain, knowledge
from sar_data.train.knowledge.noise import FIRST, GAUSS, MOST, entropies
from sar_data.train.knowledge.points import points, row, summary
from sar_data.train.knowledge.regions import BACKGROUND, SHADOW, TARGET, of_cells, regions
from sar_data.train.models import backbone
from sar_data.train.run.halt import Halted
from tests.train.conftest import Finished

SIDE, CELLS = 32, 8
PATCH = (slice(8, 16), slice(16, 24))  # 2 × 2 cells of 4 × 4 pixels
PLANTED = torch.zeros(CELLS, CELLS, dtype=torch.bool)
PLANTED[2:4, 4:6] = True


def chips(count: int = 2) -> Tensor:
    """Return speckle with a bright patch: what the planted networks look at, and the eye too."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(count, 1, SIDE, SIDE, generator=draw)
    images[:, :, *PATCH] += 4
    return images


def network() -> Callable[[Tensor], Tensor]:
    """Return the coarsest feature map of a frozen ResNet with random weights."""
    torch.manual_seed(0)
    return backbone("test_resnet", ("VV",), image_size=SIDE).eval().requires_grad_(False).grid


def found(features: Callable[[Tensor], Tensor], images: Tensor, **how: int) -> Tensor:
    return entropies(features, images, **{"cells": CELLS, "draws": 2, "steps": 40, "seed": 0, **how})


def test_points_lie_on_the_patch_that_an_answer_depends_on_and_spread_for_random_weights() -> None:
    random, shown = network(), torch.zeros(SIDE, SIDE)
    shown[PATCH] = 1
    background = torch.full((CELLS, CELLS), BACKGROUND, dtype=torch.uint8)
    planted = found(lambda images: random(images * shown), chips())
    free = found(random, chips())
    for entropy in planted:
        chosen = points(entropy, background)
        assert chosen[PLANTED].all()
        assert (chosen & PLANTED).sum() > 0.9 * chosen.sum()
    for entropy in free:
        lowest = entropy.flatten().argsort()[:12]
        assert PLANTED.flatten()[lowest].sum() < 6
        assert len({(int(place) // CELLS // 4, int(place) % CELLS // 4) for place in lowest}) >= 3  # of four quarters


def test_linear_features_give_the_noise_of_the_closed_form() -> None:
    """D is then the sum of (J σ)² over cells: ln σ of two cells differs by that of how strongly they are seen."""
    weight = torch.full((1, 1, 4, 4), 2.0)
    weight[..., :2] = 4.0
    images = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    entropy = entropies(lambda images: images * weight, images, cells=2, draws=64, steps=60, seed=0)[0]
    apart = entropy[:, 1] - entropy[:, 0]
    torch.testing.assert_close(apart, torch.full((2,), 2.0).log(), atol=0.15, rtol=0)


def test_noise_is_bounded_repeated_and_of_each_image_alone() -> None:
    images = chips(3)
    images[2, :, :4] = torch.nan
    blind = found(lambda images: images.new_ones(len(images), 2) + 0 * images.nan_to_num().sum(), images)
    torch.testing.assert_close(blind, torch.full_like(blind, MOST + GAUSS))
    random = network()
    alone = found(lambda images: random(images.nan_to_num()), images[:1], steps=2)
    again = found(lambda images: random(images.nan_to_num()), images[:1], steps=2)
    assert torch.equal(alone, again)
    assert (alone != FIRST + GAUSS).all()
    assert found(lambda images: random(images.nan_to_num()), images, steps=2).isfinite().all()


def test_target_shadow_and_background_are_found_from_the_pixels_wherever_they_are() -> None:
    draw = torch.Generator().manual_seed(4)
    for top, left in ((20, 20), (8, 36)):
        image = torch.randn(64, 64, generator=draw) * 0.3
        image[top : top + 12, left : left + 10] = 5 + torch.randn(12, 10, generator=draw)
        image[top + 4 : top + 6, left + 4 : left + 6] = -3  # a hole
        image[top + 13 : top + 23, left : left + 10] = -4
        image[60:, :3] = 6  # bright, but too small
        pixels = regions(image)
        inside = pixels[top : top + 12, left : left + 10]
        assert (inside == TARGET).float().mean() > 0.9
        assert (pixels[top + 4 : top + 6, left + 4 : left + 6] == TARGET).all()
        assert (pixels == TARGET).sum() < 1.3 * 120
        assert (pixels[top + 15 : top + 21, left + 2 : left + 8] == SHADOW).all()
        assert (pixels[:, :4] == BACKGROUND).all() if left > 30 else True
    assert (regions(torch.full((16, 16), torch.nan)) == BACKGROUND).all()
    assert (regions(torch.zeros(16, 16)) == BACKGROUND).all()


def test_the_table_counts_points_by_region() -> None:
    region = torch.zeros(4, 4, dtype=torch.uint8)
    region[0], region[1, 0] = TARGET, SHADOW
    entropy = torch.full((4, 4), 1.0)
    entropy[0, :3], entropy[1, 0], entropy[3, 3] = 0.0, 0.5, 0.0
    chosen = points(entropy, region, 0.3)
    assert chosen.sum() == 5
    told = row("a", "test", entropy, region, chosen)
    assert [told[f"points_{name}"] for name in ("target", "shadow", "background")] == [3, 1, 1]
    assert [told[f"share_{name}"] for name in ("target", "shadow", "background")] == [0.6, 0.2, 0.2]
    assert told["entropy_target"] == 0.25
    both = summary([told, told])
    assert (both["chips"], both["points"], both["points_target"], both["cells_target"]) == (2, 10, 0.6, 0.25)
    assert of_cells(torch.eye(8, dtype=torch.uint8), 2).tolist() == [[0, 0], [0, 0]]


def test_a_run_is_explained_in_tables_and_pictures(classes: str, finished: Finished, tmp_path: Path) -> None:
    how = {"split": "test", "count": 2, "cells": 4, "draws": 1, "steps": 2, "device": "cpu"}
    sums = explain(finished.out, classes, out=tmp_path / "out", **how)
    with (tmp_path / "out" / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    maps = pq.read_table(tmp_path / "out" / "entropy.parquet").to_pylist()
    assert [one["key"] for one in rows] == [one["key"] for one in maps]
    assert [len(one["entropy"]) for one in maps] == [16, 16]
    assert sums["chips"] == 2
    assert len(list((tmp_path / "out" / "pictures").glob("*.png"))) == 2
    about = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert (about["model"], about["steps"], about["points"]) == ("test_vit", 2, sums["points"])
    before = (tmp_path / "out" / "points.csv").read_bytes()
    explain(finished.out, classes, out=tmp_path / "out", **how)
    assert (tmp_path / "out" / "points.csv").read_bytes() == before


@pytest.mark.usefixtures("unrendered")
def test_an_explanation_that_was_stopped_goes_on_to_the_same_tables(
    classes: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"split": "train", "count": 18, "cells": 2, "draws": 1, "steps": 1, "device": "cpu"}
    explain(finished.out, classes, out=tmp_path / "plain", **how)
    with monkeypatch.context() as patch:
        patch.setattr(knowledge, "draw", lambda *_: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Halted, match="what was explained is kept; the same command continues from there"):
            explain(finished.out, classes, out=tmp_path / "stopped", **how)
    assert not (tmp_path / "stopped" / "points.csv").exists()
    lines = list[str]()
    explain(finished.out, classes, out=tmp_path / "stopped", say=lines.append, **how)
    assert lines[0] == "16 chips are there already"
    for name in ("points.csv", "entropy.parquet"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == sorted(
        path.name for path in (tmp_path / "plain").iterdir()
    )


@pytest.mark.parametrize("name", ["entropy.parquet", "pictures"])
def test_an_explanation_of_a_stranger_leads_nowhere(
    name: str, classes: str, finished: Finished, tmp_path: Path
) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    (out / "explain.json").write_text("{}")
    precious.mkdir() if name == "pictures" else precious.write_text("precious")
    (out / name).symlink_to(precious)
    how = {"split": "test", "count": 1, "cells": 2, "draws": 1, "steps": 1, "device": "cpu"}
    if name == "pictures":
        with pytest.raises(TargetError, match="pictures: expected a folder of our own, found a link"):
            explain(finished.out, classes, out=out, **how)
        assert not list(precious.iterdir())
    else:
        explain(finished.out, classes, out=out, **how)
        assert precious.read_text() == "precious"


def test_what_cannot_be_explained_is_said_in_a_sentence(classes: str, finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cells: expected 1 to 256, found 0"):
        explain(finished.out, classes, out=tmp_path / "out", cells=0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(UsageError, match="expected a new folder or one of an earlier explanation"):
        explain(finished.out, classes, out=tmp_path / "mine", device="cpu")
    with pytest.raises(UsageError, match="expected a new folder or one of an earlier explanation"):
        explain(finished.out, classes, out=tmp_path / "mine" / "notes.txt", device="cpu")
    weights = str(finished.out / "checkpoints" / "best.pt")
    settings = {"model": "test_vit", "image_size": 32, "normalize": "fgmae-uint8"}
    with pytest.raises(UsageError, match="stretches each image by its own quantiles"):
        explain(weights, classes, out=tmp_path / "out", device="cpu", settings=settings)

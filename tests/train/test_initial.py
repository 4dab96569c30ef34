"""A run that starts from another: its encoder and head to the last bit, but for other classes and other sizes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from sar_data.errors import RunError, UsageError
from sar_data.train import training as run
from sar_data.train.classification import network
from sar_data.train.inference.finished import opened
from sar_data.train.inference.initial import begin
from sar_data.train.models import backbone
from sar_data.train.run import checkpoint
from sar_data.train.settings import Finetune
from sar_data.train.weights.fit import reshape
from tests.train import cut
from tests.train.conftest import TINY, Finished

pytestmark = pytest.mark.usefixtures("unrendered")


def asked(first: Path, **chosen: Any) -> Finetune:
    return Finetune(**{**TINY, "init": str(first), "pooling": "cls", **chosen})


def begun(first: Path, classes: tuple[str, ...], side: int = 32, **chosen: Any) -> tuple[Any, Any]:
    settings = asked(first, **chosen)
    encoder = backbone(settings.model, ("VV", "VH"), image_size=side)
    made = network(encoder, len(classes), settings)
    return made, begin(made, encoder, "finetune", settings, classes)


def kept(out: Path) -> dict[str, torch.Tensor]:
    state = checkpoint.load(opened(out).checkpoint)
    assert state is not None
    return dict(state["model"])


def test_a_run_starts_from_encoder_and_head_of_another(classes: str, finished: Finished, tmp_path: Path) -> None:
    settings = asked(finished.out, epochs=1, lr=1e-12, weight_decay=0)
    run.run("finetune", classes, tmp_path / "run", settings, say=lambda line: None)
    for name, value in kept(tmp_path / "run").items():
        torch.testing.assert_close(value, kept(finished.out)[name], rtol=0, atol=1e-6)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["weights"]["source"] == str(finished.out)
    assert config["weights"]["sha256"] == opened(finished.out).sha256()
    assert config["weights"]["fresh"] == []


def test_a_run_that_started_from_another_and_was_stopped_goes_on_to_the_same_bits(
    classes: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(out: Path) -> None:
        run.run("finetune", classes, out, asked(finished.out, epochs=1), say=lambda line: None)

    cut.assert_resumes(start, tmp_path, monkeypatch, 2)


def test_other_classes_begin_afresh_and_other_sizes_are_interpolated(finished: Finished) -> None:
    before = kept(finished.out)
    made, told = begun(finished.out, ("water", "wood", "field", "harbour"), side=64)
    after = made.state_dict()
    assert told["fresh"] == ["head.0.bias", "head.0.weight"]
    assert list(told["resized"]) == ["encoder.net.pos_embed".removeprefix("encoder.net.")]
    same = [
        name for name in after if after[name].shape == before[name].shape and torch.equal(after[name], before[name])
    ]
    assert set(after) - set(same) == {"head.0.bias", "head.0.weight", "encoder.net.pos_embed"}
    made, told = begun(finished.out, ("a", "b"))
    assert made.state_dict()["head.0.weight"].shape[0] == 2


@pytest.mark.parametrize("positions", [0, 1, 3])
def test_positions_of_no_square_are_refused_in_a_sentence(finished: Finished, tmp_path: Path, positions: int) -> None:
    out = Path(shutil.copytree(finished.out, tmp_path / "run"))
    path = opened(out).checkpoint
    state = torch.load(path, weights_only=True)
    name = "encoder.net.pos_embed"
    state["model"][name] = state["model"][name][:, :1].repeat(1, positions, 1)
    torch.save(state, path)
    with pytest.raises(UsageError, match=rf"expected weights of the same shapes, found others: {name}"):
        begun(out, ("a", "b"))


@pytest.mark.parametrize("rows", [0, 8, 9])
def test_a_table_of_relative_positions_is_interpolated_from_a_square_alone(rows: int) -> None:
    table, own, resized = torch.ones(rows, 2), torch.zeros(25, 2), dict[str, str]()
    after = reshape("a.relative_position_bias_table", table, own, None, resized)
    assert (after.shape == own.shape, len(resized)) == ((True, 1) if rows == 9 else (False, 0))


def test_a_run_of_another_kind_is_refused_in_a_sentence(finished: Finished, tmp_path: Path) -> None:
    for chosen, said in (
        ({"model": "test_vit2", "pooling": "mean"}, "expected a run of the model test_vit2, found test_vit"),
        ({"head": "bn-linear"}, "expected a run with the same head, found another: head.0"),
    ):
        with pytest.raises(UsageError, match=said):
            begun(finished.out, ("water", "wood", "field", "town"), **chosen)
    settings = asked(finished.out)
    encoder = backbone("test_vit", ("VH", "VV"), image_size=32)
    with pytest.raises(UsageError, match="expected a run of the bands VH, VV, found VV, VH"):
        begin(network(encoder, 4, settings), encoder, "finetune", settings, ("water",))
    with pytest.raises(UsageError, match="expected a run of the job segment, found finetune"):
        begin(network(encoder, 4, settings), encoder, "segment", settings, ("water",))
    with pytest.raises(RunError):
        begun(tmp_path, ("water",))
    with pytest.raises(ValueError, match="expected one of both to start from"):
        asked(finished.out, weights="best.pt")

"""A run that is stopped, killed, refused or begun twice: nothing is lost, nothing is mixed up."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from sar_data.errors import RunError, UsageError
from sar_data.train import training as run
from sar_data.train.models import backbone
from sar_data.train.run.folder import Folder
from sar_data.train.run.halt import Halted, delay_signals
from sar_data.train.run.schedule import optimiser
from sar_data.train.settings import Finetune
from tests.train import cut
from tests.train.conftest import Finished
from tests.train.test_run import trained, weights

pytestmark = pytest.mark.usefixtures("unrendered")


def test_an_interrupted_epoch_tells_the_throughput_of_all_its_time(
    classes: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run, "Data", cut.at(3, cut.stop))
        with pytest.raises(Halted):
            trained(classes, out, epochs=1)
    state = torch.load(out / "checkpoints" / "last.pt", weights_only=True)
    assert state["progress"]["seconds"] > 0
    state["progress"] |= {"seconds": 1000.0, "waited": 500.0}
    torch.save(state, out / "checkpoints" / "last.pt")
    trained(classes, out, epochs=1)
    (row,) = weights(out)["progress"]["rows"]
    assert row["samples_s"] < 80 / 1000
    assert 0.4 < row["waiting"] <= 0.5 + 1e-3


def test_an_epoch_whose_rest_other_ranks_cannot_share_is_closed_all_the_same(
    classes: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """87 samples in steps of 16: after 4 of them 23 are left, no step of 2 × 16."""
    with monkeypatch.context() as patch:
        patch.setattr(run, "Data", cut.at(3, cut.stop))
        with pytest.raises(Halted):
            trained(classes, out, epochs=1)
    monkeypatch.setattr(run, "Data", cut.larger_steps(2))
    assert trained(classes, out, epochs=1)["test"]["count"] == 8
    assert [row["epoch"] for row in weights(out)["progress"]["rows"]] == [1]
    assert (out / "checkpoints" / "best.pt").is_file()


def test_a_signal_that_comes_twice_at_once_is_one_and_later_is_two(monkeypatch: pytest.MonkeyPatch) -> None:
    with delay_signals() as halt:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # as a scheduler and torchrun do
        assert halt.asked
        monkeypatch.setattr("sar_data.train.run.halt.ECHO_S", -1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        halt.asked = False


def test_a_signal_that_nobody_heeded_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), delay_signals():
        signal.raise_signal(signal.SIGINT)


def test_options_that_were_refused_do_not_occupy_the_folder(classes: str, out: Path) -> None:
    with pytest.raises(UsageError, match="expected a GPU"):
        trained(classes, out, amp="fp16")
    assert trained(classes, out, epochs=1)["test"]["count"] == 8


def test_two_processes_do_not_share_a_folder(classes: str, out: Path) -> None:
    other = Folder(out, print)
    config = {"settings": {}}
    other.begin(config)
    with pytest.raises(RunError, match="another process works"):
        trained(classes, out)
    other.close()
    assert trained(classes, out, epochs=1)["test"]["count"] == 8


def test_weights_that_changed_under_their_name_are_another_run(
    classes: str, finished: Finished, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = finished.copied(tmp_path / "first") / "checkpoints" / "best.pt"
    with monkeypatch.context() as patch:
        patch.setattr(run, "Data", cut.at(1, cut.stop))
        with pytest.raises(Halted):
            trained(classes, out, weights=str(file))
    state = torch.load(file, weights_only=True)
    torch.save({**state, "epoch": 7}, file)
    with pytest.raises(UsageError, match="contents of weights was"):
        trained(classes, out, weights=str(file))


def test_a_killed_process_leaves_no_part_of_a_file_for_ever(classes: str, finished: Finished, out: Path) -> None:
    torn = finished.copied(out) / "checkpoints" / "last.pt.123.partial"
    torn.write_bytes(b"torn")
    trained(classes, out)
    assert not torn.exists()


def test_tokens_and_positions_do_not_decay_with_adamw() -> None:
    encoder = backbone("test_vit", ("VV",), image_size=32)
    adam = optimiser(encoder, encoder, Finetune(optimiser="adamw"))
    decayed = {id(one) for group in adam.param_groups if group["weight_decay"] for one in group["params"]}
    spared = {name for name, one in encoder.net.named_parameters() if id(one) not in decayed}
    assert {"cls_token", "pos_embed", "norm.weight", "blocks.0.attn.qkv.bias"} <= spared
    assert not spared & {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"}

"""Features are what the encoder gives, are found again by whoever asks for the same, and are whole or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sar_data.errors import RunError, TargetError
from sar_data.sealed.opened import Build
from sar_data.train.data import Data
from sar_data.train.models import backbone
from sar_data.train.probe.encode import Encoding, digest
from sar_data.train.probe.features import Features
from sar_data.train.ranks import Ranks
from sar_data.train.run.halt import Halt, Halted
from sar_data.train.settings import Probe
from tests.mini.invented import archive, pipeline, sealed

ALONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    out = tmp_path_factory.mktemp("encode")
    return sealed(pipeline(shape=(32, 32)), _archive(out), out / "builds", split="random:train=0.6,val=0.2,test=0.2")


def _archive(out: Path) -> Path:
    folder = archive(out / "raw", 50)
    for path in folder.iterdir():
        path.write_text(path.read_text().replace('"height": 6, "width": 5', '"height": 32, "width": 32'))
    return folder


class Desk:
    """An encoder with a build open, as a run has them."""

    def __init__(self, build: Build, folder: Path, *, seed: int = 0, halt: Halt | None = None, **chosen: Any) -> None:
        self.settings = Probe(**{"model": "test_vit", "batch_size": 8, "image_size": 32, **chosen})
        self.data = Data(str(build.path), self.settings, ALONE)
        torch.manual_seed(seed)
        self.encoder = backbone(self.settings.model, self.data.channels, image_size=32)
        self.lines: list[str] = []
        self.encoding = Encoding(
            self.encoder, self.data, self.settings, folder, ALONE, self.lines.append, halt or Halt()
        )

    def split(self, split: str = "train", *poolings: str, views: int = 1) -> Features:
        try:
            return self.encoding.split(split, poolings or self.encoder.poolings, views=views)
        finally:
            self.data.close()


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.npy*"))


def test_features_are_what_the_encoder_gives_for_evaluated_images_in_stored_order(build: Build, tmp_path: Path) -> None:
    desk = Desk(build, tmp_path)
    found = desk.split()
    plain = {pooling: found.whole(pooling) for pooling in desk.encoder.poolings}
    at = 0
    for batch in desk.data.evaluation("train"):
        real = int(batch["weight"].sum())
        assert found.keys[at : at + real] == batch["key"][:real]
        torch.testing.assert_close(found.target[at : at + real], batch["target"][:real])
        with torch.inference_mode():
            for pooling, vectors in desk.encoder(batch["image"]).items():
                torch.testing.assert_close(plain[pooling][at : at + real], vectors[:real])
        at += real
    assert at == len(found) == build.manifest.splits["train"].count


def test_nothing_is_encoded_twice(build: Build, tmp_path: Path) -> None:
    first, second = Desk(build, tmp_path), Desk(build, tmp_path, batch_size=5, lrs=(3.0,), threads=1)
    one, other = first.split(), second.split()
    assert first.encoding.images == len(one)
    assert second.encoding.images == 0
    assert "encoded before" in second.lines[0]
    torch.testing.assert_close(one.whole("cls"), other.whole("cls"), rtol=0, atol=0)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"model": "test_vit2"},
        {"normalize": "minmax"},
        {"bands": ("VH", "VV")},
        {"centre": 0.5},
        {"amp": "bf16"},
    ],
    ids=str,
)
def test_whatever_changes_a_vector_is_encoded_anew(build: Build, tmp_path: Path, other: dict[str, Any]) -> None:
    Desk(build, tmp_path).split()
    desk = Desk(build, tmp_path, **other)
    assert desk.encoding.images == 0
    found = desk.split()
    assert desk.encoding.images == len(found)


def test_tone_mapping_is_of_the_plain_image_too_and_encoded_anew(build: Build, tmp_path: Path) -> None:
    for number, drae in enumerate(("drae:2", "drae:40")):
        desk = Desk(build, tmp_path, normalize="sarhub", augment=(drae,))
        assert desk.split().views == 1
        assert desk.encoding.images > 0, number


@pytest.mark.parametrize("damage", ["cut short", "emptied", "no array", "another shape"])
def test_a_torn_file_is_made_anew(build: Build, tmp_path: Path, damage: str) -> None:
    whole = Desk(build, tmp_path).split().whole("mean").clone()
    (path,) = tmp_path.rglob("mean.npy")
    data = path.read_bytes()
    if damage == "another shape":
        np.save(path, np.zeros((3, 4), np.float32))
    else:
        path.write_bytes({"cut short": data[:-1], "emptied": b"", "no array": b"x" * len(data)}[damage])
    desk = Desk(build, tmp_path)
    torch.testing.assert_close(desk.split().whole("mean"), whole, rtol=0, atol=1e-6)
    assert path.read_bytes()[:128] == data[:128]
    assert desk.encoding.images > 0


def test_only_the_poolings_that_are_missing_are_encoded(build: Build, tmp_path: Path) -> None:
    Desk(build, tmp_path).split("train", "cls")
    (cls,) = tmp_path.rglob("cls.npy")
    made = cls.stat().st_mtime_ns
    Desk(build, tmp_path).split("train", "cls", "last4")
    assert [name.split("/")[1] for name in files(tmp_path)] == ["cls.npy", "last4.npy"]
    assert cls.stat().st_mtime_ns == made


def test_a_share_is_encoded_alone_and_taken_from_the_whole_where_that_is_there(build: Build, tmp_path: Path) -> None:
    small = Desk(build, tmp_path, fraction=0.3)
    alone = small.split("train", "cls")
    assert small.encoding.images == len(alone) == 9
    whole = Desk(build, tmp_path).split("train", "cls")
    wider = Desk(build, tmp_path, fraction=0.5)
    half = wider.split("train", "cls")
    assert wider.encoding.images == 0
    assert set(alone.keys) < set(half.keys) < set(whole.keys)
    by_key = dict(zip(whole.keys, whole.whole("cls"), strict=True))
    for found in (alone, half):
        expected = torch.stack([by_key[key] for key in found.keys])
        torch.testing.assert_close(found.whole("cls"), expected, rtol=0, atol=1e-5)


def test_views_are_augmented_alike_each_time_and_the_first_is_plain(build: Build, tmp_path: Path) -> None:
    chosen = {"augment": ("crop",)}
    plain = Desk(build, tmp_path / "a").split("train", "cls")
    one = Desk(build, tmp_path / "a", **chosen).split("train", "cls", views=3)
    again = Desk(build, tmp_path / "b", **chosen, batch_size=5).split("train", "cls", views=3)
    every = torch.arange(len(one))
    torch.testing.assert_close(one.take("cls", every, 0), plain.whole("cls"), rtol=0, atol=0)
    for view in (1, 2):
        torch.testing.assert_close(one.take("cls", every, view), again.take("cls", every, view), rtol=0, atol=1e-5)
        assert not torch.equal(one.take("cls", every, view), plain.whole("cls"))
    assert not torch.equal(one.take("cls", every, 1), one.take("cls", every, 2))


def test_half_precision_is_kept_in_half_the_space(build: Build, tmp_path: Path) -> None:
    exact = Desk(build, tmp_path).split("train", "mean").whole("mean")
    rounded = Desk(build, tmp_path, amp="bf16").split("train", "mean").whole("mean")
    assert rounded.dtype == torch.float32
    assert sorted(np.load(path).dtype.name for path in tmp_path.rglob("mean.npy")) == ["float16", "float32"]
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1)


def test_features_that_are_no_numbers_stop_with_the_image(build: Build, tmp_path: Path) -> None:
    desk = Desk(build, tmp_path)
    with torch.no_grad():
        desk.encoder.net.norm.bias.fill_(torch.nan)
    with pytest.raises(RunError, match="found NaN or infinity in cls of 8 images such as s0"):
        desk.split()
    assert files(tmp_path) == []


def test_a_signal_leaves_whole_files_only(build: Build, tmp_path: Path) -> None:
    halt = Halt()
    desk = Desk(build, tmp_path, halt=halt)
    desk.encoding.split("val", ("cls",))
    halt.asked = True
    with pytest.raises(Halted, match="are kept"):
        desk.split("train", "cls")
    assert [name.split("-")[0] for name in files(tmp_path)] == ["val"]


def test_a_full_disk_is_told_and_leaves_nothing(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(TargetError, match="disk full"):
        Desk(build, tmp_path).split("train", "cls")
    assert files(tmp_path) == []


def test_a_digest_is_of_every_number_and_of_its_name() -> None:
    encoder = backbone("test_resnet", ("VV",), image_size=32)
    before = digest(encoder)
    with torch.no_grad():
        next(iter(encoder.buffers()))[0] += 1e-3  # batch statistics count, too
    assert digest(encoder) != before

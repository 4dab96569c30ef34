"""Weights come from where they are said to come from, and no file of them is executed."""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import types
from enum import Enum
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from sar_data.errors import BuildError, FetchError, MissingExtra, UsageError
from sar_data.train.models import backbone
from sar_data.train.weights import Provenance, load
from sar_data.train.weights.known import known
from sar_data.train.weights.reading import read

RESNET = "test_resnet"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def state(channels: int = 2, name: str = RESNET) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(timm.create_model(name, in_chans=channels, num_classes=0).state_dict())


def loaded(spec: str, **options: Any) -> Provenance:
    encoder = backbone(RESNET, ("VV", "VH"), image_size=32)
    return load(encoder, spec, **{"pooling": None, "normalize": "zscore", **options})


# Reading.


class Payload:
    """A pickle of this writes a file when it is loaded by anything that executes pickles."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def hidden(payload: Payload) -> dict[str, object]:
    """Return contents that hide a payload where a published file has its own plain values."""
    return {
        "beside the tensors": {"model": state(), "args": payload},
        "in the arguments": {"model": state(), "args": argparse.Namespace(lr=payload)},
        "in an array of objects": {"model": state(), "loss": np.array([payload], dtype=object)},
        "instead of everything": payload,
        "as a tensor's name": {"model": {**state(), "evil": payload}},
    }


@pytest.mark.parametrize("place", sorted(hidden(Payload(Path()))))
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_something_is_refused_and_never_runs(tmp_path: Path, place: str, zipped: bool) -> None:
    fired = tmp_path / "fired"
    torch.save(hidden(Payload(fired))[place], tmp_path / "B2_rn50_moco.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        BuildError, match=r"a pickle that asks for (posix\.system|numpy\.dtypes\.ObjectDType), and nothing"
    ):
        loaded(str(tmp_path / "B2_rn50_moco.pth"))
    assert not fired.exists()


def test_a_plain_pickle_that_would_run_something_never_runs(tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"model": Payload(fired)}, protocol=2))
    with pytest.raises(BuildError, match=r"x\.pkl: expected (tensors and plain values|safetensors)"):
        loaded(str(tmp_path / "x.pkl"))
    assert not fired.exists()


def test_the_payload_of_these_tests_does_fire_where_pickles_are_executed(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "fired")))  # noqa: S301 (so that the tests above can fail)
    assert (tmp_path / "fired").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_values_beside_the_tensors_are_read(tmp_path: Path, zipped: bool) -> None:
    content = {
        "model": state(),
        "args": argparse.Namespace(lr=0.1, betas=(0.9, 0.95), name="mae"),
        "epoch": np.int64(3),
        "loss": np.float32(0.25),
        "curve": np.linspace(0, 1, 5),
    }
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert read(tmp_path / "x.pth").part == "model"


def test_numbers_of_numpy_1_are_read_too(tmp_path: Path) -> None:
    torch.save({"model": state(), "loss": np.float64(0.25)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    written = (tmp_path / "x.pth").read_bytes()
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    assert new in written
    (tmp_path / "x.pth").write_bytes(written.replace(new, old))
    assert read(tmp_path / "x.pth").part == "model"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"epoch": 3, "model": {"name": "vit"}}, "expected weights, found name"),
        ({}, "expected weights, found nothing"),
        ([torch.zeros(1)], "expected weights by name, found list"),
    ],
)
def test_a_checkpoint_without_weights_says_what_it_holds(tmp_path: Path, content: object, reason: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(BuildError, match=reason):
        read(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"\x08\0\0\0\0\0\0\0{broken}", b"PK\x03\x04torn"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "B2_rn50_moco.pth").write_bytes(content)
    with pytest.raises(BuildError, match=r"B2_rn50_moco\.pth: expected safetensors or a PyTorch checkpoint"):
        read(tmp_path / "B2_rn50_moco.pth")


@pytest.mark.parametrize("content", [b"", b"hello, I am weights\n"])
def test_an_empty_or_a_text_file_is_told_to_be_no_pickle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(BuildError, match="cannot read it: it is no pickle of tensors"):
        read(tmp_path / "w.pth")


def test_a_torn_checkpoint_is_named(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "x.pth")
    whole = (tmp_path / "x.pth").read_bytes()
    (tmp_path / "x.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BuildError, match=r"x\.pth: expected safetensors or a PyTorch checkpoint"):
        read(tmp_path / "x.pth")


# Finding.


def test_a_path_that_is_not_there_is_told_with_what_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected PATH, hf:REPO/FILE@REVISION"):
        loaded(str(tmp_path / "none.pth"))


def test_a_folder_is_told_to_be_one_and_that_of_a_run_names_its_best_weights(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found a folder"):
        loaded(str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.pt").touch()
    with pytest.raises(UsageError, match=r"found the folder of a run: its weights are .*checkpoints/best\.pt"):
        loaded(str(tmp_path))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the hub's cache on a machine without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def cached(hub: Path, repository: str, file: str, tensors: dict[str, torch.Tensor]) -> None:
    """Lay a file down as the hub's client does after fetching it."""
    home = hub / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(REVISION)
    folder = home / "snapshots" / REVISION
    folder.mkdir(parents=True)
    if file.endswith(".safetensors"):
        save_file(tensors, folder / file)
    else:
        torch.save(tensors, folder / file)


def test_a_file_of_the_hub_that_was_fetched_before_needs_no_network(hub: Path) -> None:
    cached(hub, "wangyi111/FGMAE", "B2_rn50_moco.pth", state())
    told = loaded(f"hf:wangyi111/FGMAE/B2_rn50_moco.pth@{REVISION}")
    assert (told.family, told.file) == ("ssl4eo", "B2_rn50_moco.pth")


@pytest.mark.parametrize("rest", ["owner/repo/file.pth", "owner/repo/file.pth@", "owner/file.pth@main"])
def test_a_file_of_the_hub_without_a_revision_is_asked_to_be_pinned(hub: Path, rest: str) -> None:
    with pytest.raises(UsageError, match="pin it by the commit"):
        loaded(f"hf:{rest}")


def test_a_hub_that_does_not_answer_says_to_fetch_the_file_elsewhere(hub: Path) -> None:
    with pytest.raises(FetchError, match="download the file where there is a network, and give its path"):
        loaded(f"hf:owner/repo/file.pth@{REVISION}")


def test_a_tag_of_timm_is_its_own_file_adapted_to_the_bands(hub: Path) -> None:
    tag = timm.get_pretrained_cfg(RESNET).tag
    cached(hub, f"timm/{RESNET}.{tag}", "model.safetensors", state(3))
    told = loaded(f"timm:{RESNET}.{tag}")
    assert told.family == f"timm:{RESNET}.{tag}"
    assert told.channels["VV"] == "rgb: repeated × 3/2"


@pytest.mark.parametrize("tag", ["resnet50.nope", "nothing_of_the_kind", ""])
def test_a_tag_that_timm_does_not_have_is_told(tag: str) -> None:
    with pytest.raises(UsageError, match="no such model or tag"):
        loaded(f"timm:{tag}")


def test_torchgeo_s_names_ask_for_torchgeo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchgeo", None)
    with pytest.raises(MissingExtra, match="pip install torchgeo, or download the file and give its path"):
        loaded("torchgeo:ResNet50_Weights.SENTINEL1_GRD_MOCO")


@pytest.fixture
def torchgeo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for torchgeo, which is not among our dependencies: its names, URLs and metadata."""
    server, home = tmp_path / "server", tmp_path / "home"
    server.mkdir()

    class ResNet50_Weights(Enum):
        SENTINEL1_GRD_MOCO = "b2_rn50_moco-1.pth", {"in_chans": 2, "bands": ("VV", "VH")}
        OTHER_DUAL = "other-1.pth", {"in_chans": 2, "bands": ("VH", "VV")}
        SENTINEL2_RGB = "rgb-1.pth", {"in_chans": 3, "bands": ("B4", "B3", "B2")}
        ABSENT = "absent-1.pth", {"in_chans": 2}

        @property
        def url(self) -> str:
            return (server / self.value[0]).as_uri()

        @property
        def meta(self) -> dict[str, Any]:
            return self.value[1]

    def get_weight(name: str) -> ResNet50_Weights:
        enum, _, member = name.partition(".")
        if enum != "ResNet50_Weights":
            raise ValueError(f"{name} is not a valid WeightsEnum")
        return ResNet50_Weights[member]

    models = types.ModuleType("torchgeo.models")
    models.get_weight = get_weight  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchgeo", types.ModuleType("torchgeo"))
    monkeypatch.setitem(sys.modules, "torchgeo.models", models)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(home))
    torch.save(state(), server / "b2_rn50_moco-1.pth")
    torch.save(state(), server / "other-1.pth")
    torch.save(state(3), server / "rgb-1.pth")
    return home / "checkpoints"


@pytest.mark.parametrize(
    ("member", "family", "seen", "normalize"),
    [
        ("SENTINEL1_GRD_MOCO", "ssl4eo", ("VV", "VH"), ("zscore",)),
        ("OTHER_DUAL", "torchgeo", ("VH", "VV"), ()),
        ("SENTINEL2_RGB", "torchgeo", ("rgb", "rgb", "rgb"), ()),
    ],
)
def test_torchgeo_s_names_bring_the_file_and_its_bands(
    torchgeo: Path, member: str, family: str, seen: tuple[str, ...], normalize: tuple[str, ...]
) -> None:
    told = loaded(f"torchgeo:ResNet50_Weights.{member}")
    assert (told.family, told.checkpoint_channels, told.normalize) == (family, seen, normalize)
    assert (torchgeo / told.file).is_file()
    assert loaded(f"torchgeo:ResNet50_Weights.{member}") == told


@pytest.mark.parametrize("name", ["ResNet50_Weights.NONE", "Other.SENTINEL1"])
def test_a_name_that_torchgeo_does_not_have_is_told(torchgeo: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected a name such as ViTSmall16_Weights"):
        loaded(f"torchgeo:{name}")


def test_a_server_of_torchgeo_that_does_not_answer_leaves_nothing_behind(torchgeo: Path) -> None:
    with pytest.raises(FetchError, match=r"absent-1\.pth: cannot be fetched.*give its path"):
        loaded("torchgeo:ResNet50_Weights.ABSENT")
    assert not list(torchgeo.iterdir())


@pytest.mark.parametrize(
    ("name", "family", "channels", "normalize"),
    [
        ("ViTSmall16_Weights.SENTINEL1_GRD_FGMAE", "fgmae", ("VV", "VH"), ("zscore", "fgmae-uint8")),
        ("ViTHuge14_Weights.SENTINEL1_GRD_MAE", "fgmae", ("VV", "VH"), ("zscore", "fgmae-uint8")),
        ("Swin_V2_B_Weights.SENTINEL1_MI_SATLAS", "satlas", ("VH", "VV"), ("satlas-uint8",)),
        ("B2_vith14_fgmae_ep399.pth", "fgmae", ("VV", "VH"), ("fgmae-uint8",)),
        ("B2_vits16_fgmae_ep99_enc.pth", "fgmae", ("VV", "VH"), ("fgmae-uint8",)),
        ("B2_vitl16_mae_ep99.pth", "fgmae", ("VV", "VH"), ("fgmae-uint8",)),
        ("sentinel1_swinb_si-3981c153.pth", "satlas", ("VH", "VV"), ("satlas-uint8",)),
        ("ResNet101_OSU.pth", "sar-hub", ("grey",) * 3, ("sarhub",)),
        ("rsp-resnet-50-ckpt.pth", "rsp", ("rgb",) * 3, ()),
        ("aid_28-rsp-swin-t-ckpt.pth", "rsp", ("rgb",) * 3, ()),
        ("scalemae-vitlarge-800.pth", "scale-mae", ("rgb",) * 3, ()),
        ("vit_large_patch16_224_fmow_rgb_scalemae-98ed9821.pth", "scale-mae", ("rgb",) * 3, ()),
        ("fmow_pretrain.pth", "satmae", ("rgb",) * 3, ()),
        ("last_vit_l_rvsa_ss_is_rd_pretrn_model_encoder.pth", "mtp", ("rgb",) * 3, ()),
    ],
)
def test_published_files_are_known_by_their_names(
    name: str, family: str, channels: tuple[str, ...], normalize: tuple[str, ...]
) -> None:
    row = known(name)
    assert row is not None
    assert (row.family, row.channels, row.normalize) == (family, channels, normalize)


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("ViTSmall16_Weights.SENTINEL1_GRD_FGMAE", "CC-BY-4.0"),
        ("B2_vitl16_mae_ep99.pth", "CC-BY-4.0"),
        ("ResNet50_Weights.SENTINEL1_GRD_MOCO", "CC-BY-4.0"),
        ("ViTBase14_DINOv2_Weights.SENTINEL1_GRD_SOFTCON", "CC-BY-4.0"),
        ("ResNet50_Weights.SENTINEL1_GRD_DECUR", "Apache-2.0"),
        ("Swin_V2_B_Weights.SENTINEL1_MI_SATLAS", "ODC-BY"),
        ("sentinel1_swinb_si-3981c153.pth", "ODC-BY"),
        ("scalemae-vitlarge-800.pth", "CC-BY-NC-4.0"),
        ("ResNet101_OSU.pth", "unknown"),
        ("rsp-resnet-50-ckpt.pth", "unknown"),
    ],
)
def test_weights_have_the_licence_of_their_publisher(name: str, licence: str) -> None:
    row = known(name)
    assert row is not None
    assert row.licence == licence


def test_weights_that_allow_no_commercial_use_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, licence in (("scalemae.safetensors", "CC-BY-NC-4.0"), ("mine.safetensors", "unknown")):
        caplog.clear()
        save_file(state(3), tmp_path / name)
        assert loaded(str(tmp_path / name), stem="rgb").licence == licence
        warned = f"the licence of these weights, {licence}, allows no commercial use" in caplog.text
        assert warned == (licence != "unknown")


@pytest.mark.parametrize("name", ["best.pt", "resnet50-19c8e357.pth", "crispy.pth", "tempt.pth", "B13_rn50_moco.pth"])
def test_other_files_are_not_taken_for_published_ones(name: str) -> None:
    assert known(name) is None

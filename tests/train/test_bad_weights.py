"""Bad weights of every family that loads end in one sentence: code inside, another network's tensors, a missing one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch import Tensor, nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

from sar_data.errors import BuildError, UsageError
from sar_data.train.families import families
from sar_data.train.models import backbone
from sar_data.train.models.encoder import Backbone
from sar_data.train.weights import load
from sar_data.train.weights.known import known
from tests.train import test_foundation, test_rvsa, test_weights
from tests.train.rows import shrink
from tests.train.test_weights import saved

BLOCK = "blocks.1.attn.qkv.weight"
TOKEN: dict[str, Any] = {"class_token": True, "global_pool": "token", "fc_norm": None}
WIDTH, DEPTH, PIXELS = test_foundation.WIDTH, test_foundation.DEPTH, 2 * test_foundation.PATCH**2


class Case(NamedTuple):
    """An encoder, tensors as its family publishes them, one of them that is to be missing, and its name here."""

    encoder: Backbone
    state: dict[str, Tensor]
    gone: str = BLOCK
    named: str = BLOCK


def vit(bands: tuple[str, ...]) -> Case:
    encoder = test_foundation.small("plain", bands, **TOKEN)
    return Case(encoder, encoder.net.state_dict())


def resnet(bands: tuple[str, ...]) -> Case:
    encoder = backbone("test_resnet", bands, image_size=32)
    return Case(encoder, encoder.net.state_dict(), *["layer2.0.conv1.weight"] * 2)


def satlas(bands: tuple[str, ...]) -> Case:
    source = test_weights.torchvision_swin(8, block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)
    source.features[0][0] = nn.Conv2d(2, 16, 4, 4)
    name = "swinv2_tiny_window8_256"
    encoder = Backbone(test_weights.swin(name, 256, 2), name, bands, 256)
    return Case(encoder, source.state_dict(), "features.1.1.mlp.0.weight", "layers.0.blocks.1.mlp.fc1.weight")


def terramind(bands: tuple[str, ...]) -> Case:
    shapes = test_foundation.terramind_shapes(WIDTH, DEPTH, PIXELS, 16, gated=False)
    return Case(test_foundation.small("terramind-t"), test_foundation.numbers(shapes), "encoder.1.attn.qkv.weight")


def croma(bands: tuple[str, ...]) -> Case:
    state = test_foundation.numbers(test_foundation.croma_shapes(WIDTH, DEPTH, PIXELS))
    encoder = test_foundation.small("croma-b", pos_embed="none", qkv_bias=False)
    return Case(encoder, state, "transformer.layers.1.0.to_qkv.weight")


def dofa(bands: tuple[str, ...]) -> Case:
    encoder = test_foundation.small("dofa-b", **TOKEN)
    body = {name: value for name, value in encoder.net.state_dict().items() if not name.startswith("patch_embed")}
    return Case(encoder, body | test_foundation.dofa_state()[0])


def rvsa(bands: tuple[str, ...]) -> Case:
    encoder = test_rvsa.small(28)
    return Case(encoder, encoder.net.state_dict(), *["blocks.0.attn.sampling_angles.2.weight"] * 2)


def vitae(bands: tuple[str, ...]) -> Case:
    encoder = backbone("vitaev2-s", bands, image_size=32)
    return Case(encoder, encoder.net.state_dict(), *["layers.1.RC.PCM.0.weight"] * 2)


FAMILIES: dict[str, tuple[str, Callable[[tuple[str, ...]], Case]]] = {
    "fgmae": ("B2_vits16_fgmae_ep99.pth", vit),
    "decur": ("B2_rn50_decur.pth", resnet),
    "ssl4eo": ("B2_rn50_moco.pth", resnet),
    "ssl4eo-1.1": ("ssl4eo_s12_v1.1_vits16_mae.pth", vit),
    "satlas": ("sentinel1_swinb_si.pth", satlas),
    "terramind": ("TerraMind_v1_tiny.pt", terramind),
    "croma": ("CROMA_base.pt", croma),
    "dofa": ("DOFA_ViT_base_e100.pth", dofa),
    "sarmae": ("SARMAE_vitb_checkpoint-last", vit),
    "sar-hub": ("ResNet18_TSX.pth", resnet),
    "rsp": ("rsp-vitaev2-s-ckpt.pth", vitae),
    "gersp": ("gersp.pth", resnet),
    "geoaware": ("moco_tp.pth.tar", resnet),
    "cmid": ("CMID_ResNet50_bk_200ep.pth", resnet),
    "mtp": ("last_vit_b_rvsa_ss_is_rd_pretrn_model_encoder.pth", rvsa),
    "scale-mae": ("scalemae-vitlarge-800.pth", vit),
    "satmae": ("fmow_pretrain.pth", vit),
}


def case(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Case, str | None]:
    """Return the name of a family's file, its case, and what says which of its first layers is taken."""
    shrink(monkeypatch.setattr)
    file, make = FAMILIES[name]
    row = known(file)
    assert row is not None
    assert row.family == name
    return (
        file,
        make(("R", "G", "B") if len(row.channels) == 3 else ("VV", "VH")),
        "s1grd" if make is terramind else None,
    )


def test_every_family_that_loads_is_tried() -> None:
    assert FAMILIES.keys() == {name for name, family in families().items() if not family.why}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_missing_tensor_of_a_family_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, (encoder, state, gone, named), stem = case(name, monkeypatch)
    load(encoder, saved(tmp_path, file, state), pooling=None, normalize=None, stem=stem)
    spec = saved(tmp_path, file, {key: value for key, value in state.items() if key != gone})
    with pytest.raises(UsageError) as raised:
        load(encoder, spec, pooling=None, normalize=None, stem=stem)
    assert f"{spec}: expected every weight of {encoder.name}, found missing: {named}: take" in str(raised.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_another_network_under_the_name_of_a_family_is_told_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, (encoder, _, _, _), stem = case(name, monkeypatch)
    other = vit(encoder.channels) if encoder.name == "test_resnet" else resnet(encoder.channels)
    spec = saved(tmp_path, file, other.state)
    with pytest.raises(UsageError, match=r"expected weights of .*, found a checkpoint of another kind") as raised:
        load(encoder, spec, pooling=None, normalize=None, stem=stem)
    assert spec in str(raised.value)
    assert len(str(raised.value).replace(spec, "")) < 400


@pytest.mark.parametrize("name", FAMILIES)
def test_code_in_a_file_of_a_family_is_named_and_not_executed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    file, (encoder, state, gone, _), stem = case(name, monkeypatch)
    spec = saved(tmp_path, file, {**state, gone: Evil()})
    with pytest.raises(BuildError, match=r"a pickle that asks for \w+\.system, and nothing of it was executed"):
        load(encoder, spec, pooling=None, normalize=None, stem=stem)
    assert not (tmp_path / "ran").exists()

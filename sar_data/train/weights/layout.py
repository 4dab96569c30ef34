"""How families of checkpoints name their tensors, and the names that timm's networks have for the same.

A layout is recognised by one name that no other layout has:

- vit: timm's own, as in the files of MAE, FG-MAE, SatMAE, Scale-MAE and MTP; likewise resnet and densenet, whose
  names torchvision shares.
- swin-microsoft (RSP, SAR-HUB): Microsoft's code merges patches at the end of a stage, timm's at the start of the next.
- swin-torchvision (Satlas) and mobilenet-torchvision: torchvision numbers its layers; its Swin V2 keeps the biases of
  query, key and value in one, and sets the key's to zero when it computes.
  Where a map is smaller than a window, timm shrinks the window and torchvision pads the map: the function is the same
  for images from 32 windows a side (256 pixels for Satlas).
- mobilenet-sarhub and senet-sarhub: SAR-HUB's own networks (github.com/XAI4SAR/SAR-HUB at 01f4ddc, models/network.py).
  They compute another function than timm's, so they need a model of ours.
- vitaev2 (RSP): names of its own network (sar_data/train/models/vitae.py).
- terramind, croma and dofa: foundation models (foundation.py).
- timm: any other network of timm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sar_data.errors import UsageError
from sar_data.train.models.encoder import Backbone
from sar_data.train.weights.foundation import GENERATOR, TERRAMIND, croma, dofa, terramind

Tensors = Mapping[str, Tensor]
ANY = ("any",)
_TORCHVISION_EPS = 1e-3  # of MobileNetV3's batch norms


@dataclass(frozen=True)
class Layout:
    """A way to name tensors: one name that only it has, and the function that renames its tensors."""

    name: str
    marker: str
    renamed: Callable[[Tensors, Any], dict[str, Tensor]]
    models: tuple[str, ...] = ()  # the models of ours that it needs, () for any of timm
    bands: tuple[str, ...] = ()  # those of the first layer, where the layout fixes them; ANY: those of the run


def layout_of(tensors: Tensors, encoder: Backbone) -> Layout:
    """Return the layout of a checkpoint; raise UsageError for one that its encoder cannot take."""
    if "patch_embed.0.proj.weight" in tensors:
        raise UsageError(
            "the checkpoint embeds groups of channels (SatMAE for several spectral bands), which a plain ViT does not "
            "have: expected a file with one patch embedding, such as SatMAE's for red, green and blue"
        )
    layout = next(layout for layout in LAYOUTS if layout.marker in tensors or not layout.marker)
    if layout.models and encoder.name not in layout.models:
        raise UsageError(
            f"the checkpoint is of a network that timm does not have: expected `model={' or '.join(layout.models)}`, "
            f"found {encoder.name}"
        )
    return layout


def _kept(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    return dict(tensors)


def _densenet(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    """Older files have norm.1 for norm1, from when names could have dots."""
    return {re.sub(r"\.(norm|conv)\.(\d)\.", r".\1\2.", name): value for name, value in tensors.items()}


def _swin_microsoft(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    def later(name: re.Match[str]) -> str:
        return f"layers.{int(name[1]) + 1}.downsample."

    return {re.sub(r"^layers\.(\d+)\.downsample\.", later, name): value for name, value in tensors.items()}


def _swin_torchvision(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        name = re.sub(r"^features\.0\.0\.", "patch_embed.proj.", name)
        name = re.sub(r"^features\.0\.2\.", "patch_embed.norm.", name)
        if stage := re.match(r"features\.(\d+)\.(.*)", name):
            place, rest = divmod(int(stage[1]), 2), stage[2]
            name = f"layers.{place[0]}.blocks.{rest}" if place[1] else f"layers.{place[0]}.downsample.{rest}"
            name = re.sub(r"\.mlp\.0\.", ".mlp.fc1.", name)
            name = re.sub(r"\.mlp\.3\.", ".mlp.fc2.", name)
        if name.endswith("attn.qkv.bias") and f"{name.removesuffix('qkv.bias')}q_bias" in net.state_dict():
            home = name.removesuffix("qkv.bias")
            renamed[f"{home}q_bias"], _, renamed[f"{home}v_bias"] = value.chunk(3)
        else:
            renamed[name] = value
    return renamed


def _mobilenet_torchvision(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("features."))
    named = {"features.0.0": "conv_stem", "features.0.1": "bn1", "classifier.0": "conv_head"}
    homes = _homes(net)
    named |= {f"features.{last}.0": f"{homes[-1]}.conv", f"features.{last}.1": f"{homes[-1]}.bn1"}
    for block, home in enumerate(homes[:-1], start=1):
        numbers = _numbers(tensors, rf"features\.{block}\.block\.(\d+)\.0\.weight$")
        for number, (convolution, norm) in zip(numbers, _STEPS.get(len(numbers), ()), strict=False):
            named[f"features.{block}.block.{number}.0"] = f"{home}.{convolution}"
            named[f"features.{block}.block.{number}.1"] = f"{home}.{norm}"
        for number in _numbers(tensors, rf"features\.{block}\.block\.(\d+)\.fc1\.weight$"):
            named[f"features.{block}.block.{number}.fc1"] = f"{home}.se.conv_reduce"
            named[f"features.{block}.block.{number}.fc2"] = f"{home}.se.conv_expand"
    renamed = _by_module(tensors, named)
    # A norm adds eps to the variance; the difference to timm's eps is added to the variance, for the same function.
    missing = _TORCHVISION_EPS - getattr(getattr(net, "bn1", None), "eps", _TORCHVISION_EPS)
    return {name: value + missing if name.endswith("running_var") else value for name, value in renamed.items()}


def _mobilenet_sarhub(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    homes = _homes(net)
    named = {"features.0.0": "conv_stem", "features.0.1": "bn1", "classifier.0": "conv_head"}
    named |= {"conv.0": f"{homes[-1]}.conv", "conv.1": f"{homes[-1]}.bn1"}
    for block, home in enumerate(homes[:-1], start=1):
        start = f"features.{block}.conv"
        numbers = [
            n
            for n in _numbers(tensors, rf"features\.{block}\.conv\.(\d+)\.weight$")
            if tensors[f"{start}.{n}.weight"].ndim == 4
        ]
        for number, (convolution, norm) in zip(numbers, _STEPS.get(len(numbers), ()), strict=False):
            named[f"{start}.{number}"], named[f"{start}.{number + 1}"] = f"{home}.{convolution}", f"{home}.{norm}"
        for number in _numbers(tensors, rf"features\.{block}\.conv\.(\d+)\.fc\.0\.weight$"):
            named[f"{start}.{number}.fc.0"] = f"{home}.se.conv_reduce"
            named[f"{start}.{number}.fc.2"] = f"{home}.se.conv_expand"
    return _by_module(tensors, named)


def _senet_sarhub(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    inner = {
        "conv1.0": "conv1",
        "conv1.1": "bn1",
        "conv2.0": "conv2",
        "conv2.1": "bn2",
        "conv3.0": "conv3",
        "conv3.1": "bn3",
        "shortcut.0": "downsample.0",
        "shortcut.1": "downsample.1",
        "se.1": "se.fc1",
        "se.3": "se.fc2",
    }
    named = {"conv1.0": "conv1", "conv1.1": "bn1"}
    for module in {name.rpartition(".")[0] for name in tensors}:
        if block := re.match(r"conv([2-5])\.(\d+)\.(.*)", module):
            named[module] = f"layer{int(block[1]) - 1}.{block[2]}.{inner.get(block[3], block[3])}"
    return _by_module(tensors, named)


# The convolutions of a block of MobileNetV3 with their norms, by their number: without and with an expansion.
_STEPS = {2: (("conv_dw", "bn1"), ("conv_pw", "bn2")), 3: (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))}


def _homes(net: Any) -> list[str]:
    """Return the names of all blocks of timm's MobileNetV3 in order; [""] for another network."""
    blocks = getattr(net, "blocks", [])
    return [f"blocks.{i}.{j}" for i, s in enumerate(blocks) if hasattr(s, "__len__") for j in range(len(s))] or [""]


def _numbers(tensors: Tensors, pattern: str) -> list[int]:
    return sorted(int(match[1]) for name in tensors if (match := re.match(pattern, name)))


def _by_module(tensors: Tensors, named: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename the modules that are named, and leave the others as they are."""
    split = {name: name.rpartition(".") for name in tensors}
    return {f"{named.get(module, module)}.{leaf}": tensors[name] for name, (module, _, leaf) in split.items()}


_DUAL = ("VV", "VH")
LAYOUTS = (
    Layout("dofa", GENERATOR, dofa, ("dofa-b", "dofa-l"), ANY),
    Layout("terramind", TERRAMIND, terramind, ("terramind-t", "terramind-s", "terramind-b", "terramind-l"), _DUAL),
    Layout("croma", "transformer.layers.0.0.to_qkv.weight", croma, ("croma-b", "croma-l"), _DUAL),
    Layout("vit", "blocks.0.attn.qkv.weight", _kept),
    Layout("vitaev2", "layers.0.RC.PCM.0.weight", _kept, ("vitaev2-s",)),
    Layout("swin-microsoft", "layers.0.downsample.reduction.weight", _swin_microsoft),
    Layout("swin-torchvision", "features.1.0.attn.qkv.weight", _swin_torchvision),
    Layout("mobilenet-torchvision", "features.1.block.0.0.weight", _mobilenet_torchvision),
    Layout("mobilenet-sarhub", "features.1.conv.0.weight", _mobilenet_sarhub, ("mobilenetv3-small-sarhub",)),
    Layout("senet-sarhub", "conv2.0.conv1.0.weight", _senet_sarhub, ("se-resnet50-sarhub",)),
    Layout("densenet", "features.denseblock1.denselayer1.norm1.weight", _densenet),
    Layout("densenet", "features.denseblock1.denselayer1.norm.1.weight", _densenet),
    Layout("resnet", "layer1.0.conv1.weight", _kept),
    Layout("timm", "", _kept),
)

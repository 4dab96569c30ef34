"""Names of networks and files of weights, looked up before torch and timm are imported, for that takes seconds."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sar_data.errors import UsageError, unknown

MODELS = {
    "vit-s": "vit_small_patch16_224",
    "vit-b": "vit_base_patch16_224",
    "vit-l": "vit_large_patch16_224",
    "vit-h": "vit_huge_patch14_224",
    "vit-s14": "vit_small_patch14_dinov2",
    "vit-b14": "vit_base_patch14_dinov2",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "se-resnet50": "seresnet50",
    "mobilenetv3-small": "mobilenetv3_small_100",
    "mobilenetv3-large": "mobilenetv3_large_100",
    "densenet121": "densenet121",
    "swin-t": "swin_tiny_patch4_window7_224",
    "swin-b": "swin_base_patch4_window7_224",
    "swin-v2-b": "swinv2_base_window8_256",
    "convnext-t": "convnext_tiny",
    "convnext-s": "convnext_small",
    "convnext-b": "convnext_base",
}
"""Short name → timm's. Any other name of timm is taken as it is."""
CHECKPOINT = Path("checkpoints", "best.pt")  # of a run's folder
SPECS = "PATH, hf:REPO/FILE@REVISION, torchgeo:ENUM or timm:TAG"
ELSEWHERE = ("hf", "torchgeo", "timm")
_NO_CLASS_TOKEN: dict[str, Any] = {"class_token": False, "global_pool": "avg", "fc_norm": False}
_NO_BIAS = {"qkv_bias": False, "proj_bias": False}
_CROMA = {"num_heads": 16, "pos_embed": "none", "qkv_bias": False}
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "vit-b-gap": ("vit_base_patch16_224", _NO_CLASS_TOKEN),
    "vit-l-gap": ("vit_large_patch16_224", _NO_CLASS_TOKEN),
    "vit-b-rvsa": ("vit_base_patch16_224", _NO_CLASS_TOKEN),
    "vit-l-rvsa": ("vit_large_patch16_224", _NO_CLASS_TOKEN),
    "terramind-t": ("vit_tiny_patch16_224", _NO_CLASS_TOKEN),
    "terramind-s": ("vit_small_patch16_224", _NO_CLASS_TOKEN),
    "terramind-b": ("vit_base_patch16_224", _NO_CLASS_TOKEN | _NO_BIAS),
    "terramind-l": ("vit_large_patch16_224", _NO_CLASS_TOKEN | _NO_BIAS),
    "croma-b": ("vit_base_patch8_224", _NO_CLASS_TOKEN | _CROMA | {"depth": 6}),
    "croma-l": ("vit_large_patch16_224", _NO_CLASS_TOKEN | _CROMA | {"depth": 12, "patch_size": 8}),
    "dofa-b": ("vit_base_patch16_224", {}),
    "dofa-l": ("vit_large_patch16_224", {}),
    "swin-t-window4": ("swin_tiny_patch4_window7_224", {"window_size": 4}),
    "swin-b-window4": ("swin_base_patch4_window7_224", {"window_size": 4}),
    "se-resnet50-sarhub": ("seresnet50", {}),
    "mobilenetv3-small-sarhub": ("mobilenetv3_small_100", {}),
}
"""Network that published weights need and timm does not have → the network of timm that it is made of, options."""
OWN = ("vitaev2-s",)
"""Networks that are made here from the ground up."""


def local(spec: str) -> Path | None:
    """Return the file of weights that a specification names, None for one from elsewhere; raise UsageError for none."""
    kind, colon, _ = spec.partition(":")
    if colon and kind in ELSEWHERE:
        return None
    path = Path(spec).expanduser()
    if not path.is_file():
        found = "a folder: name the file in it" if path.is_dir() else "no file of that name"
        if (best := path / CHECKPOINT).is_file():
            found = f"the folder of a run: its weights are {best}"
        raise UsageError(f"`weights={spec}`: expected {SPECS}, found {found}")
    return path


def check_model(name: str) -> None:
    """Raise UsageError for a name that neither the tables nor the source files of timm have.

    There each network is a function, and each former name of one a key. Once timm is imported, it is asked itself where
    the network is made.
    """
    spec = find_spec("timm")
    if name in (*MODELS, *VARIANTS, *OWN) or "timm" in sys.modules or spec is None or spec.origin is None:
        return
    plain = re.escape(name.partition(".")[0])
    written = re.compile(rf"^def {plain}\(|'{plain}':", re.MULTILINE)
    files = {path.stem: path.read_text(encoding="utf-8") for path in Path(spec.origin).parent.glob("models/*.py")}
    if not any(map(written.search, files.values())):
        vits = re.findall(r"^def (vit_\w+)\(", files["vision_transformer"], re.MULTILINE)
        raise unknown("model", name, [*MODELS, *VARIANTS, *OWN, *vits])

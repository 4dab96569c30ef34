"""A pretraining as a file that FG-MAE's own scripts read (github.com/zhu-xlab/FGMAE at 1144e55, models_mae.py).

DIR/fgmae.pth    {"model": tensors}: the encoder by timm's names, which are theirs, the decoder's with `decoder_` before
                 them, and the fixed kernels that their network keeps for HOG
    model.json   what the encoder sees: bands, units, normalization, size; what was predicted, and from where
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sar_data import __version__
from sar_data.errors import UsageError
from sar_data.progress import Say
from sar_data.system import durable
from sar_data.train.inference.finished import Finished
from sar_data.train.pretrain.hog import gaussian
from sar_data.train.settings import Pretrain

FILE = "fgmae.pth"
SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))


def write(finished: Finished, out: Path, say: Say) -> Path:
    """Write the file and its description to a folder, and return the file's path.

    Raises UsageError for a run that is no pretraining, or predicts what their network does not.
    """
    settings = finished.settings
    if not isinstance(settings, Pretrain) or settings.target == "mgf":
        actual = f"`target={settings.target}`" if isinstance(settings, Pretrain) else finished.job
        raise UsageError(f"{finished.path}: fgmae: expected a pretraining of pixels or HOG, found {actual}")
    tensors = rename(finished.network().state_dict())
    if settings.target == "hog":
        tensors |= _kernels(len(finished.input.channels))
    sink = io.BytesIO()
    torch.save({"model": tensors}, sink)
    with durable.explain_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    path = out / FILE
    durable.write(path, sink.getvalue())
    described = {
        "sar-data": __version__,
        "file": path.name,
        "run": str(finished.path),
        "model": settings.model,
        "image_size": finished.side,
        "units": finished.input.units,
        "normalize": settings.normalize,
        "target": settings.target,
        "mask_ratio": settings.mask_ratio,
        "weights": finished.config.get("weights"),
    }
    durable.write(out / "model.json", (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode())
    say(f"{path}: {len(tensors)} tensors")
    return path


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an autoencoder's tensors by their names in FG-MAE's network."""
    tensors = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        if part == "encoder":
            tensors[rest.removeprefix("net.")] = value
        else:
            tensors[rest if rest == "mask_token" else f"decoder_{rest}"] = value
    return tensors


def _kernels(channels: int) -> dict[str, Tensor]:
    """Return what their network keeps for HOG: Sobel's kernels of each channel and the Gaussian window."""
    along = torch.tensor(SOBEL).repeat(channels, 1, 1, 1)
    return {"hog.weight_x": along, "hog.weight_y": along.transpose(2, 3).contiguous(), "hog.gkern": gaussian().float()}

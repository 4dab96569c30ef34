"""Tensors from a checkpoint file, without executing anything in it.

safetensors are read by their own library. Everything else goes through PyTorch's restricted unpickler
(train/unpickle.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from sar_data.errors import BuildError
from sar_data.naming import few
from sar_data.train.unpickle import unpickle

# Entries of a file that may have the weights; self-distillation publishes those of the teacher.
PARTS = ("model", "state_dict_ema", "state_dict", "teacher", "student", "module", "s1_encoder", "encoder")
MOST_WRAPPED = 16  # nested wrappers around an encoder
PREFIXES = (
    *("module.", "backbone.", "encoder.", "model.", "net.", "encoder_q.", "base_encoder."),
    *("sar_encoder.", "s1_encoder."),  # SARMAE, CROMA
)
WHOLE = "encoder_norm.weight"  # TerraMind's embeddings lie beside its encoder, and belong to it


@dataclass(frozen=True)
class Contents:
    """Tensors by their names without prefixes, and other facts from a file.

    `part` is the entry that has them (nested entries by dots), "" for a file of tensors alone. `dropped` are the names
    that are no part of the encoder. `channels` and `normalize` are those of the images that a checkpoint of ours was
    trained on, None elsewhere.
    """

    tensors: dict[str, Tensor]
    part: str
    dropped: tuple[str, ...]
    channels: tuple[str, ...] | None
    normalize: str | None


def read(path: Path) -> Contents:
    """Read a checkpoint onto the CPU; raise BuildError for a file without weights, or one that wants to run code."""
    contents = _load(path)
    state: Any = contents
    parts: list[str] = []
    while part := next((name for name in PARTS if isinstance(state.get(name), Mapping)), None):
        parts.append(part)
        state = state[part]
    tensors = {str(name): value.detach() for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BuildError(
            f"{path}: expected weights, found {few(list(state)) if state else 'nothing'}: a checkpoint has its tensors "
            f"by name, alone or under one of {', '.join(PARTS)}"
        )
    kept, dropped = _bare(tensors)
    channels, normalize = contents.get("channels"), contents.get("normalize")
    return Contents(
        kept,
        ".".join(parts),
        dropped,
        tuple(channels) if isinstance(channels, list | tuple) and {*map(type, channels)} == {str} else None,
        normalize if isinstance(normalize, str) else None,
    )


def _load(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # A safetensors file begins with the length of its header, which is JSON.
        if start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
            contents: Any = safetensors.torch.load_file(path)
        else:
            contents = unpickle(path)
    except UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)|got <class '([\w.]+)'>", str(error))
        if asked is None:
            raise _unreadable(path, "it is no pickle of tensors, or a torn one") from None
        raise BuildError(
            f"{path}: expected tensors and plain values, found a pickle that asks for {asked[1] or asked[2]}, and "
            "nothing of it was executed: convert it to safetensors where you trust it"
        ) from None
    except (OSError, ValueError, SafetensorError) as error:
        if isinstance(error, BuildError):
            raise
        # For an empty or a text file the unpickler's own message means nothing.
        silent = isinstance(error.__cause__, EOFError | LookupError)
        raise _unreadable(path, "it is no pickle of tensors, or a torn one" if silent else error) from error
    if not isinstance(contents, Mapping):
        raise BuildError(
            f"{path}: expected weights by name, found {type(contents).__name__}: save the model's state_dict()"
        )
    return contents


def _unreadable(path: Path, reason: object) -> BuildError:
    return BuildError(
        f"{path}: expected safetensors or a PyTorch checkpoint, cannot read it: {reason}: fetch the file again"
    )


def _bare(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Strip the prefixes of wrappers off an encoder's names; return its tensors, and the names of the others."""
    dropped: list[str] = []
    for _ in range(MOST_WRAPPED):
        prefix = next((p for p in PREFIXES if any(name.startswith(p) for name in tensors)), None)
        if prefix is None or WHOLE in tensors:
            break
        dropped += [name for name in tensors if not name.startswith(prefix)]
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return tensors, tuple(dropped)

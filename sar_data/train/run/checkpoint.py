"""Checkpoints: whole or not there, and read without executing anything."""

from __future__ import annotations

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from sar_data.errors import RunError
from sar_data.system import durable

VERSION = 1
LAST, BEST = "last.pt", "best.pt"


def save(path: Path, **state: Any) -> None:
    """Write a checkpoint atomically; raise TargetError where the disk refuses."""
    sink = io.BytesIO()
    torch.save({"version": VERSION, **state}, sink)
    with durable.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    durable.write(path, sink.getbuffer())


def load(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint's state on the CPU, None where there is none; raise RunError where it is not one of ours."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise RunError(
            f"{path}: expected a checkpoint of a run, cannot read it: {error}; remove it to go on"
        ) from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        found = state.get("version") if isinstance(state, dict) else type(state).__name__
        raise RunError(f"{path}: expected a checkpoint of version {VERSION}, found {found}")
    return state

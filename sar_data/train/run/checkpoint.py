"""Checkpoints: written whole or not at all, and read without executing anything."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from sar_data.errors import BuildError, RunError, SarDataError
from sar_data.system import durable
from sar_data.train.unpickle import Unreadable, unpickle

VERSION = 1
LAST, BEST = "last.pt", "best.pt"


def save(path: Path, **state: Any) -> None:
    """Write a checkpoint atomically; raise TargetError where the disk refuses it."""
    sink = io.BytesIO()
    torch.save({"version": VERSION, **state}, sink)
    with durable.explain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    durable.write(path, sink.getbuffer())


@contextmanager
def explain_mismatch(path: Path, expected: str) -> Iterator[None]:
    """Raise RunError with the checkpoint's path where its state does not fit the model that it is loaded into."""
    try:
        yield
    except SarDataError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(f"{path}: expected {expected}, found others: {str(error)[:300]}") from None


def load(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint's state on the CPU, None where there is no file; raise RunError where it is no checkpoint."""
    if not path.exists():
        return None
    try:
        state = unpickle(path)
    except (BuildError, Unreadable, UnpicklingError) as error:
        raise RunError(
            f"{path}: expected a checkpoint of a run, cannot read it: {error}; remove it to continue"
        ) from error
    version = state.get("version") if isinstance(state, dict) else None
    if not isinstance(version, int) or version != VERSION:
        description = version if isinstance(version, int | str) else type(state).__name__
        raise RunError(f"{path}: expected a checkpoint of version {VERSION}, found {description!r:.80}")
    return dict(state)

"""The precision that numbers are computed in, on processors and on a GPU's matrix units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}  # the dtype of the forward pass by `amp`


def settle(device: torch.device) -> None:
    """Let the GPU's matrix units compute float32 as TF32; processors compute exactly and reproducibly."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True


def precision(amp: str, device: torch.device) -> Any:
    """Return the context for a forward pass in the precision `amp`."""
    dtype = AUTOCAST.get(amp)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


@contextmanager
def exact() -> Iterator[None]:
    """Multiply in full float32: TF32's ten bits find other neighbours where features have large means."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before

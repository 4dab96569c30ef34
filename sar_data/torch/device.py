"""Batches on a device: numpy arrays as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sar_data.stream.collection import Batch
from sar_data.torch.pinned import sent


def tensors(batch: Mapping[str, Any], device: torch.device | None = None) -> Batch:
    """Return a batch with tensors for its arrays, masks as int64; without a device they are the arrays' own memory."""
    return {name: _tensors(value, device) for name, value in batch.items()}


def _tensors(value: Any, device: torch.device | None) -> Any:
    if isinstance(value, np.ndarray):
        tensor = sent(torch.from_numpy(value), device)
        return tensor.long() if tensor.dtype == torch.uint8 else tensor
    return _fill(value, iter(_sent([torch.from_numpy(array) for array in _arrays(value)], device)))


def _arrays(value: Any) -> Iterator[Any]:
    """Yield the arrays of nested lists and dicts."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays(part)


def _fill(value: Any, tensors: Iterator[Tensor]) -> Any:
    """Return nested lists and dicts with the next of `found` for each of their arrays."""
    if isinstance(value, np.ndarray):
        return next(tensors)
    if isinstance(value, dict):
        return {name: _fill(part, tensors) for name, part in value.items()}
    return [_fill(part, tensors) for part in value] if isinstance(value, list) else value


def _sent(parts: list[Tensor], device: torch.device | None) -> list[Tensor]:
    """Send many small tensors as one buffer a type: a transfer takes longer than what it carries."""
    if device is None:
        return parts
    tensors = list(parts)
    for kind in {part.dtype for part in parts}:
        places = [i for i, part in enumerate(parts) if part.dtype == kind]
        there = sent(torch.cat([parts[i].ravel() for i in places]), device)
        for i, flat in zip(places, torch.split(there, [parts[i].numel() for i in places]), strict=True):
            tensors[i] = flat.view(parts[i].shape)
    return tensors

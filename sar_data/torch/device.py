"""Batches on a device: numpy arrays as tensors, and stored images normalised where they have been sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sar_data.stream.collection import Batch
from sar_data.stream.normalise import Normaliser
from sar_data.stream.quantiles import HIGH, LEVELS, LOW
from sar_data.stream.store import Integers


def tensors(batch: Mapping[str, Any], device: torch.device | None = None) -> Batch:
    """Return a batch with tensors for its arrays, masks as int64; without a device they are the arrays' own memory."""
    return {name: _tensors(value, device) for name, value in batch.items()}


def _tensors(value: Any, device: torch.device | None) -> Any:
    if isinstance(value, np.ndarray):
        found = torch.from_numpy(value).to(device, non_blocking=True)
        return found.long() if found.dtype == torch.uint8 else found
    return _filled(value, iter(_sent([torch.from_numpy(array) for array in _arrays(value)], device)))


def _arrays(value: Any) -> Iterator[Any]:
    """Yield the arrays of nested lists and dicts."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays(part)


def _filled(value: Any, found: Iterator[Tensor]) -> Any:
    """Return nested lists and dicts with the next of `found` for each of their arrays."""
    if isinstance(value, np.ndarray):
        return next(found)
    if isinstance(value, dict):
        return {name: _filled(part, found) for name, part in value.items()}
    return [_filled(part, found) for part in value] if isinstance(value, list) else value


def _sent(parts: list[Tensor], device: torch.device | None) -> list[Tensor]:
    """Send many small tensors as one buffer a type: a transfer takes longer than what it carries."""
    if device is None:
        return parts
    found = list(parts)
    for kind in {part.dtype for part in parts}:
        places = [i for i, part in enumerate(parts) if part.dtype == kind]
        there = torch.cat([parts[i].ravel() for i in places]).to(device, non_blocking=True)
        for i, flat in zip(places, there.split([parts[i].numel() for i in places]), strict=True):
            found[i] = flat.view(parts[i].shape)
    return found


def normalised(stored: Tensor, how: Normaliser, planes: Integers) -> Tensor:
    """Return float32 [sample, (frame,) channel, y, x] of stored images [sample, plane, y, x], on their device.

    `planes` [frame, band] says where the bands are. The same operations in the same order as in the CPU's compiled
    loop, on the whole batch at once.
    """

    def there(values: Any) -> Tensor:
        return torch.as_tensor(values, device=stored.device)

    shape = (len(stored), len(planes), -1, *stored.shape[2:])
    raw = stored.index_select(1, there(planes[:, how.first].ravel())).float().view(shape)
    if not np.isnan(how.missing):
        raw.masked_fill_(raw == float(how.missing), torch.nan)
    pairs = np.flatnonzero(how.second >= 0)
    if len(pairs):
        other = stored.index_select(1, there(planes[:, how.second[pairs]].ravel())).float().view(shape)
        if not np.isnan(how.missing):
            other.masked_fill_(other == float(how.missing), torch.nan)
        raw[:, :, there(pairs)] -= other
    terms = there(how.terms)[:, :, None, None]
    image = raw.sub_(terms[:, 0]).mul_(terms[:, 1])
    fill = float(how.fill)
    if how.stretch is None:
        return _framed(image.nan_to_num_(nan=fill, posinf=fill, neginf=fill))
    image.nan_to_num_(nan=torch.nan, posinf=torch.nan, neginf=torch.nan)
    floor, span = there(how.grey)[:, 0, None, None], there(how.grey)[:, 1, None, None]
    low, high = _quantiles(image.flatten(3))
    if how.stretch == "range":
        floor, span = low, torch.where(high > low, high - low, 1.0)
    image = image.clamp_(low, high).sub_(floor).div_(span)
    if how.stretch == "grey":
        image = image.mul_(LEVELS).clamp_(0, LEVELS).floor_().div_(LEVELS)
    return _framed(image.nan_to_num_(nan=fill))


def _framed(images: Tensor) -> Tensor:
    """Return images [sample, frame, channel, y, x] without the axis of a single frame."""
    return images if images.shape[1] > 1 else images[:, 0]


def _quantiles(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return both quantiles [sample, frame, channel, 1, 1] of the valid values of [sample, frame, channel, pixel]."""
    last = (~values.isnan()).sum(dim=-1, keepdim=True) - 1
    ascending = values.sort(dim=-1).values.double()
    found = []
    for share in (LOW, HIGH):
        at = last.double() * share
        rank = at.floor().clamp_min(0).long()
        low = ascending.gather(-1, rank)
        high = ascending.gather(-1, torch.minimum(rank + 1, last.clamp_min(0)))
        found.append((low + (high - low) * (at - rank)).float().unsqueeze(-1))
    return found[0], found[1]

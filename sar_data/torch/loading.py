"""The loader: a Stream whose batches are tensors, on the device they are wanted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.stream.buffers import Buffers
from sar_data.stream.collection import Batch
from sar_data.stream.dataset import Stream
from sar_data.stream.member import Member
from sar_data.stream.storage.store import Integers
from sar_data.torch.device import tensors
from sar_data.torch.normalize import Normalizing
from sar_data.torch.pinned import Flights, block, sent


class Options(TypedDict, total=False):
    """What `loader` takes besides its own arguments; see sar_data.stream.dataset.Stream."""

    unit: str | None
    task: str | None
    normalize: str | None
    figures: Mapping[str, tuple[float, float]] | None
    fill: float | None
    one_frame: bool
    crop: int | None
    pad: int | None
    shuffle: bool | str | None
    window: int
    fraction: float | None
    draw: int
    each_class: bool
    keys: Iterable[str] | None
    where: Any
    weights: str | Mapping[str, float] | None
    mix: Sequence[float] | None
    members: Sequence[Member] | None
    threads: int
    ahead: int
    io: str
    verify: bool | str
    cache: str | Path | None
    cache_bytes: int | None


def loader(
    path: str | Path | Sequence[str | Path],
    *,
    split: str = "train",
    batch_size: int = 256,
    bands: Sequence[str] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    rank: int | None = None,
    world: int | None = None,
    **options: Unpack[Options],
) -> Loader:
    """Return an iterable over one split of a sealed build, or of several.

    Each batch is {"image": float32 [B, C, H, W], normalized with the build's train statistics, "target": int64 [B] or
    float32 [B, classes], "key": list of str}; of splits other than train also "weight", float32 [B]. With `device` the
    stored bytes are sent and normalized there. `rank` and `world` default to those of torch.distributed where it is
    initialised. Further options, and what an epoch is, are explained by sar_data.stream.dataset.Stream.
    """
    if rank is None and world is None:
        initialised = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, world = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if initialised else (0, 1)
    if rank is None or world is None:
        raise UsageError(f"rank and world belong together: found rank {rank}, world {world}")
    return Loader(
        path,
        split=split,
        batch_size=batch_size,
        bands=bands,
        seed=seed,
        device=device,
        rank=rank,
        world=world,
        **options,
    )


class Loader(Stream):
    """A Stream whose batches are tensors; see `loader`."""

    def __init__(self, builds: Any, *, device: str | torch.device | None = None, **options: Any) -> None:
        super().__init__(builds, **options)
        self._use_device(device)

    def _use_device(self, device: str | torch.device | None) -> None:
        self._device = None if device is None else torch.device(device)
        self._flights: Flights | None = None
        if self._device is not None and self._device.type == "cuda":
            self.collection.buffers, self._flights = Buffers(block), Flights(self._device)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen_loader, (super().__reduce__(), self._device)

    def _make_batch(self, rows: Integers, seeds: list[int] | None) -> Batch:
        # Windows are cut on the CPU, which must not send what is thrown away.
        if self._device is None or not self.collection.stackable:
            return super()._make_batch(rows, seeds)
        return self.collection.read_stored(rows, seeds)

    def _hand_out(self, start: int, future: Future[Batch]) -> Batch:
        batch = super()._hand_out(start, future)
        sent_tensors = {name: self._sent(batch.pop(name)) for name in ("image", "stored") if name in batch}
        if "image" in sent_tensors:
            return sent_tensors | tensors(batch, self._device)
        stored, parts = sent_tensors["stored"], batch.pop("parts")
        counts = [count for _, count in parts]
        images = [self._normalizing[n](part) for (n, _), part in zip(parts, torch.split(stored, counts), strict=True)]
        image = images[0]
        if len(images) > 1:
            places = sent(torch.from_numpy(batch.pop("places")), self._device)
            image = image.new_empty((len(stored), *image.shape[1:]))
            for where, part in zip(torch.split(places, counts), images, strict=True):
                image.index_copy_(0, where, part)
        return {"image": image, **tensors(batch, self._device)}

    @cached_property
    def _normalizing(self) -> list[Normalizing]:
        """What to do with the stored images of each source; made when they have arrived, not before a fork."""
        samples, device = self.collection, self._device or torch.device("cpu")
        return [Normalizing(how, samples.planes(number), device) for number, how in enumerate(samples.hows)]

    def _sent(self, images: Any) -> Tensor:
        """Send the images of a batch; from pinned memory without waiting, and keep that memory until they arrived."""
        tensor = torch.from_numpy(images).to(self._device, non_blocking=True)
        if self._flights is not None:
            self._flights.hold(images)
        return tensor


def _reopen_loader(stream: tuple[Any, ...], device: torch.device | None) -> Loader:
    reopen, values = stream
    loader: Loader = reopen(*values)
    loader._use_device(device)
    return loader

"""The stream of batches: ordered by a pure function, read by threads, resumed to the sample."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from sar_data.errors import UsageError
from sar_data.stream import fetch_order, selection
from sar_data.stream.bits import Purpose, mix
from sar_data.stream.collection import Batch, Builds, Collection, Reading
from sar_data.stream.fit import Fit
from sar_data.stream.measured import measured_figures
from sar_data.stream.member import Member
from sar_data.stream.normalize import View
from sar_data.stream.order import Order, Pace
from sar_data.stream.selection import Sampling
from sar_data.stream.storage.access import Access
from sar_data.stream.storage.store import Integers

VERSION = 1  # of the state
SHUFFLES: dict[object, str | None] = {True: "samples", "samples": "samples", "shards": "shards", False: None}


class Stream:
    """Batches of one split, as {"image", "target", "key"} of numpy arrays; iterate it, once an epoch.

    A training stream (split="train" or shuffle=True) gives every rank equally many full batches and leaves out the
    tail; it goes on where it stopped, also inside an epoch, and after an epoch's end with the next. Any other stream
    evaluates: each iteration is one whole pass in stored order, each sample exactly once over all ranks;
    `batch["weight"]` is 0 for at most world - 1 repetitions that fill up the last step, 1 otherwise.

    builds      path or URL of a sealed build, or several to be concatenated
    crop        windows of this height and width: drawn in training, in the centre otherwise; small images are padded
    pad         extend images below and on the right to this height and width
    bands       names, or derived ones such as "VV-VH", "VV/VH", "VV+VH" (the span) and "RVI:VV:VH", of powers
                (stream/channels.py); default: all bands in the build's order
    unit        "dB", "power" or "amplitude", from another of the three; default: as stored
    task        nomenclature of the targets; default: the first; "" for images alone
    normalize   a name of sar_data/normalization/presets.toml, such as "zscore", "robust" or "ssl4eo", or None
    figures     channel → what to subtract and what to divide by, such as mean and std; default: the build's own, of
                which there are none for derived bands of powers: `measured` reads train once and returns them
    fill        what a masked pixel becomes, after normalization; None leaves NaN
    one_frame   take one image of a sample that has several, such as four seasons: one with values, drawn in training,
                the first otherwise; builds may then differ in their number
    shuffle     True (every sample anywhere), "shards" (neighbours within `window` samples: few files at once) or False
    fraction    random share of the samples, without repetition; smaller shares are parts of larger ones
    draw        number of the share that is drawn, from 0: another one for each, for several few-shot runs
    each_class  the share is one of each class, with a sample of each at least
    keys, where only these samples: by key; by a pyarrow expression or filter list over index.parquet's columns
    weights     "balanced" (every class equally often) or weights by key: samples are drawn in proportion
    mix         of several builds: each one's share of the draws. An epoch has as many as there are samples; a build
                goes on in its own order from epoch to epoch, so that none of it repeats before all of it came
    members     of several builds: what each is called in keys, and its classes by joint numbers (stream/member.py)
    threads     that read and normalize, `ahead` batches in front of the consumer
    io          "mmap", "pread", or "auto": mapped where the split fits into half of the memory
    verify      "first" compares each image and mask with its recorded hash when this process first reads it
    cache       folder that a remote build's files come through, at most `cache_bytes`

    `rows` are those of `collection` that are used, ascending; `draws` says how they are drawn, None: each once.
    """

    def __init__(
        self,
        builds: str | Path | Sequence[str | Path],
        *,
        split: str = "train",
        batch_size: int = 256,
        bands: Sequence[str] | None = None,
        unit: str | None = None,
        task: str | None = None,
        normalize: str | None = "zscore",
        figures: Mapping[str, tuple[float, float]] | None = None,
        fill: float | None = 0.0,
        one_frame: bool = False,
        crop: int | None = None,
        pad: int | None = None,
        seed: int = 0,
        shuffle: bool | str | None = None,
        window: int = 4096,
        rank: int = 0,
        world: int = 1,
        fraction: float | None = None,
        draw: int = 0,
        each_class: bool = False,
        keys: Iterable[str] | None = None,
        where: Any = None,
        weights: str | Mapping[str, float] | None = None,
        mix: Sequence[float] | None = None,
        members: Sequence[Member] | None = None,
        threads: int = 2,
        ahead: int = 2,
        io: str = "auto",
        verify: bool | str = False,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        training = split == "train" if shuffle is None else bool(shuffle)
        shuffle = training if shuffle is None else shuffle
        if shuffle not in SHUFFLES:
            raise UsageError(f"shuffle: expected True, 'shards' or False, found {shuffle!r}")
        if not training and (weights is not None or mix is not None):
            raise UsageError("weights and mix draw samples, an evaluation has each of them once: give shuffle=True")
        if threads < 1 or ahead < 1:
            raise UsageError(f"threads and ahead: expected at least 1, found {threads} and {ahead}")
        reading = Reading(
            split=split,
            task=task,
            members=members,
            view=View(bands=bands, unit=unit, normalize=normalize, figures=figures, fill=fill, one_frame=one_frame),
            fit=Fit(crop=crop, pad=pad),
            access=Access(io=io, verify=verify, cache=cache, cache_bytes=cache_bytes),
        )
        sampling = Sampling(
            order=Order(seed=seed, shuffle=SHUFFLES[shuffle], window=window),
            keys=None if keys is None else list(keys),
            where=where,
            fraction=fraction,
            draw=draw,
            each_class=each_class,
            weights=weights,
            mix=mix,
        )
        pace = Pace(batch=batch_size, rank=rank, world=world, whole=not training)
        self._open(builds, reading, sampling, pace, threads, ahead)

    def _open(self, builds: Builds, reading: Reading, sampling: Sampling, pace: Pace, threads: int, ahead: int) -> None:
        """Open the builds; a stream is pickled by these values and opened again where it arrives."""
        self._opened = builds, reading, sampling, pace, threads, ahead
        self.pace, self._order, self._threads, self._ahead = pace, sampling.order, threads, ahead
        self.collection = Collection(builds, reading)
        self.rows = selection.select(
            self.collection,
            keys=sampling.keys,
            where=sampling.where,
            fraction=sampling.fraction,
            draw=sampling.draw,
            each_class=sampling.each_class,
        )
        fetch_order.check(self.collection, self._order, len(self.rows))
        by_shards = self._order.shuffle == "shards"
        self._shards = selection.shards(self.collection, self.rows) if by_shards else self.rows[:0]
        self.draws = selection.draws(self.collection, self.rows, sampling.weights, sampling.mix)
        self._epoch = self._position = 0
        self._fresh = True  # nothing was consumed since the beginning of an epoch or since a state was loaded
        self._pool: ThreadPoolExecutor | None = None
        self._turn = 0
        if not pace.whole and not pace.steps(len(self.rows)):
            raise UsageError(
                f"{reading.split}: {len(self.rows)} samples are selected, fewer than one step of "
                f"{pace.batch} × world {pace.world}: take `batch_size={max(len(self.rows) // pace.world, 1)}` or less"
            )

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels of an image."""
        return self.collection.channels

    @property
    def keys(self) -> list[str]:
        """The keys of the samples that are used, in stored order."""
        return self.collection.keys(self.rows)

    @property
    def tail(self) -> int:
        """How many samples of this epoch no step takes, from where the stream is."""
        return self.pace.tail(len(self.rows) - self._position)

    @property
    def epoch(self) -> int:
        """The epoch of the next batch."""
        return self._epoch + self._over()

    @staticmethod
    def measure(
        builds: str | Path | Sequence[str | Path], bands: Sequence[str], unit: str | None = None
    ) -> Mapping[str, tuple[float, float]]:
        """Return the `figures` of channels, mean and standard deviation over the pixels of all train splits.

        Those of bands and differences are recorded; for derived bands of powers train is read once. Raises UsageError
        for a band that does not exist, BuildError for one without a value.
        """
        paths = [builds] if isinstance(builds, str | Path) else builds
        return measured_figures(paths, bands, unit=unit) or {}

    def __len__(self) -> int:
        """Return the batches of a whole epoch, the same number on every rank."""
        return self.pace.steps(len(self.rows))

    def __getitem__(self, index: object) -> NoReturn:
        """Raise UsageError: a torch DataLoader that was given a stream asks it for samples by their numbers."""
        raise UsageError(
            f"{type(self).__name__}: gives batches by iteration, and no sample by its number: iterate it as it is. For "
            "a torch DataLoader take sar_data.torch.Samples, with collate_fn=Samples.collate"
        )

    def __repr__(self) -> str:
        left = self.pace.tail(len(self.rows))
        out = f", {left} left out each epoch" if left else ""
        builds = ", ".join(source.build for source in self.collection.sources)
        return (
            f"<{type(self).__name__} of {builds} {self.collection.split}: {len(self.rows)} samples, "
            f"{len(self)} steps of {self.pace.batch} × {self.pace.world}{out}>"
        )

    def _over(self) -> bool:
        """Say whether this epoch has been begun and has no step left."""
        return self._position > 0 and not self.pace.steps(len(self.rows) - self._position)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; the epoch the stream is in goes on, so that a resumed one does."""
        if epoch < 0:
            raise UsageError(f"epoch: expected at least 0, found {epoch}")
        if epoch != self.epoch:
            self._go(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream is: small, the same on every rank, for any world and batch size."""
        return {**self._identity, "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go where a state was taken; raise UsageError for one of another build, split, seed, selection or version."""
        for name, own in self._identity.items():
            if state.get(name) != own:
                raise UsageError(f"state: expected {name} {own!r}, found {state.get(name)!r}: it is of another stream")
        epoch, position = state.get("epoch"), state.get("position")
        if not (isinstance(epoch, int) and isinstance(position, int) and 0 <= position <= len(self.rows)):
            raise UsageError(
                f"state: expected an epoch and a position up to {len(self.rows)}, found {epoch}, {position}"
            )
        self._go(epoch, position)

    def _go(self, epoch: int, position: int) -> None:
        """Continue there; an iteration that runs is not the stream's own any more."""
        self._epoch, self._position, self._fresh = epoch, position, True
        self._turn += 1

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """Return what a position refers to."""
        order = selection.digest(self.rows, self.draws, self._order)
        samples, seed = self.collection, self._order.seed
        return {"version": VERSION, "digest": samples.digest, "split": samples.split, "seed": seed, "order": order}

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of this epoch from where the stream is; the position moves as a batch is handed over."""
        if self._over():
            self._epoch, self._position = self._epoch + 1, 0
        elif self.pace.whole and not self._fresh:
            self._position = 0
        self._turn += 1
        turn, self._fresh = self._turn, False
        order = self._order.epoch(self._epoch, self.rows, self._shards, self.draws)
        steps = self.pace.steps(len(order) - self._position)
        starts = range(self._position, self._position + steps * self.pace.step, self.pace.step)
        pending: deque[tuple[int, Future[Batch]]] = deque()
        pool = self._pool = ThreadPoolExecutor(self._threads, "sar-data")
        try:
            for start in starts:
                self._ask(turn)
                fetch_order.announce(self.collection, self._order, order[start:])
                pending.append((start, pool.submit(self._step, order, self._epoch, start)))
                if len(pending) > self._ahead:
                    yield self._hand_out(*pending.popleft())
            while pending:
                self._ask(turn)
                yield self._hand_out(*pending.popleft())
            if turn == self._turn:
                self._go(self._epoch + 1, 0)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _step(self, order: Integers, epoch: int, start: int) -> Batch:
        rows, first, real = self.pace.share(order, start)
        draws = range(first, first + len(rows))
        drawing = self.collection.is_drawn and not self.pace.whole
        seeds = [mix(Purpose.CROP, self._order.seed, epoch, draw) for draw in draws] if drawing else None
        batch = self._make_batch(rows, seeds)
        if self.pace.whole:
            batch["weight"] = (np.arange(len(rows)) < real).astype(np.float32)
        return batch

    def _make_batch(self, rows: Integers, seeds: list[int] | None) -> Batch:
        return self.collection.batch(rows, seeds)

    def _ask(self, turn: int) -> None:
        """Raise UsageError where an iteration is not the loader's own any more."""
        if turn != self._turn:
            raise UsageError("this iteration ended: the loader was closed or iterated again, or a state was loaded")

    def _hand_out(self, start: int, future: Future[Batch]) -> Batch:
        """Return a finished batch, from which on the position is behind it."""
        batch = future.result()
        self._position = min(start + self.pace.step, len(self.rows))
        return batch

    def close(self) -> None:
        """End the threads and give back maps and files. A closed stream opens again when it is iterated."""
        self._turn += 1
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self.collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._opened, self._epoch, self._position)


def _reopen(kind: type[Stream], values: tuple[Any, ...], epoch: int, position: int) -> Stream:
    stream = kind.__new__(kind)
    stream._open(*values)
    stream._go(epoch, position)
    return stream

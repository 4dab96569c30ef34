"""Samples of one split of one or more builds, numbered through, and batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import UsageError
from sar_data.sealed import INDEX_NAME
from sar_data.stream import quantiles, targets
from sar_data.stream.buffers import Buffers
from sar_data.stream.normalise import normaliser
from sar_data.stream.rows import matching
from sar_data.stream.source import Source
from sar_data.stream.store import Integers

Array = npt.NDArray[Any]
Batch = dict[str, Any]


class Collection:
    """One split of some builds, concatenated. Fork-safe; pickled by its arguments and opened again where it arrives."""

    def __init__(
        self,
        builds: str | Path | Sequence[str | Path],
        *,
        split: str = "train",
        bands: Sequence[str] | None = None,
        task: str | None = None,
        normalise: str | None = "zscore",
        fill: float | None = 0.0,
        io: str = "auto",
        verify: bool = False,
        cache: Path | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        paths = [builds] if isinstance(builds, str | Path) else list(builds)
        if not paths:
            raise UsageError("builds: expected at least one sealed build, found none")
        self._arguments = (paths, split, bands, task, normalise, fill, io, verify, cache, cache_bytes)
        how: dict[str, Any] = {"io": io, "verify": verify, "task": task, "cache": cache, "cache_bytes": cache_bytes}
        self.sources = [Source(path, split, **how) for path in paths]
        self.split = split
        self._how = [normaliser(source.manifest, bands, normalise, fill=fill) for source in self.sources]
        self.starts = np.concatenate([[0], np.cumsum([len(source) for source in self.sources])])
        self.buffers = Buffers()
        self.task = self.sources[0].task
        self._targets = [targets.classes(s.task, s.rows) if s.task else None for s in self.sources]
        self._agree()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, self._arguments

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels of an image."""
        return self._how[0].channels

    @property
    def digest(self) -> str:
        """What the builds hold, whatever their containers."""
        return "+".join(source.manifest.content_digest for source in self.sources)

    def _agree(self) -> None:
        """Raise UsageError where the builds cannot make one batch."""
        first = self.sources[0]
        for other in self.sources[1:]:
            for what, a, b in (
                ("image shape", first.layout.shape, other.layout.shape),
                ("dtype", first.layout.dtype, other.layout.dtype),
                ("task", first.task, other.task),
                ("unit", first.layout.unit, other.layout.unit),
            ):
                if a != b:
                    raise UsageError(f"builds differ in {what}: {first.build} has {a}, {other.build} has {b}")

    def _parts(self, rows: Integers) -> Iterable[tuple[int, Integers]]:
        """Yield the number of each source that some rows are of, and their places among the rows."""
        which = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(which) if len(self.sources) > 1 else [0]:
            yield int(number), np.flatnonzero(which == number)

    def batch(self, rows: Integers) -> Batch:
        """Return image float32 [sample, channel, y, x], normalised; target and key of each."""
        image = self.buffers.array((len(rows), len(self.channels), *self.sources[0].layout.shape), np.float32)
        for number, places in self._parts(rows):
            own = rows[places] - self.starts[number]
            self.sources[number].gather(own, places, self._how[number], image)
        how = self._how[0]
        if how.stretch is not None:
            quantiles.stretch(image.reshape(*image.shape[:2], -1), how.stretch == "grey", how.grey, how.fill)
        return {"image": image, **self.labels(rows)}

    def stored(self, rows: Integers) -> Batch:
        """Return the stored images [sample, plane, y, x], and how to normalise which of them on a device."""
        layout = self.sources[0].layout
        images = self.buffers.array((len(rows), len(layout.bands), *layout.shape), layout.dtype)
        parts = []
        for number, places in self._parts(rows):
            source = self.sources[number]
            source.copy(rows[places] - self.starts[number], places, images)
            parts.append((self._how[number], source.plane, places))
        return {"stored": images, "parts": parts, **self.labels(rows)}

    def labels(self, rows: Integers) -> Batch:
        """Return target (where the build has a task) and key of some rows."""
        found: Batch = {}
        keys = np.empty(len(rows), object)
        for number, places in self._parts(rows):
            own = rows[places] - self.starts[number]
            keys[places] = self.sources[number].rows.keys(own)
            known = self._targets[number]
            if known is not None:
                part = targets.taken(known, own)
                found.setdefault("target", np.empty((len(rows), *part.shape[1:]), part.dtype))[places] = part
        return found | {"key": keys.tolist()}

    def shards(self, rows: Integers) -> Integers:
        """Return the shard of each row, numbered through all builds."""
        shards = np.empty(len(rows), np.int64)
        before = 0
        for number, source in enumerate(self.sources):
            places = np.flatnonzero((rows >= self.starts[number]) & (rows < self.starts[number + 1]))
            shards[places] = source.rows.shard[rows[places] - self.starts[number]] + before
            before += len(source.manifest.splits[self.split].shards)
        return shards

    def select(self, keys: Iterable[str] | None, where: Any) -> Integers:
        """Return the rows that have one of `keys` and fulfil `where`, ascending; all of them for None."""
        rows = [np.arange(len(source)) for source in self.sources]
        if where is not None:
            rows = [s.rows.find(matching(s.files.path(INDEX_NAME), self.split, where)) for s in self.sources]
        found = np.concatenate([own + start for own, start in zip(rows, self.starts, strict=False)])
        if keys is None:
            return found
        return np.intersect1d(found, self._find(list(keys)))

    def _find(self, keys: list[str]) -> Integers:
        if len(self.sources) == 1:
            return self.sources[0].rows.find(keys)
        known = [set(source.rows.key.to_pylist()) for source in self.sources]
        lost = [key for key in keys if not any(key in names for names in known)]
        if lost:
            raise UsageError(f"keys: {len(lost)} are in none of the builds' {self.split}, such as {lost[0]}")
        parts = [s.rows.find(set(keys) & names) for s, names in zip(self.sources, known, strict=True)]
        return np.concatenate([own + start for own, start in zip(parts, self.starts, strict=False)])

    def weights(
        self, rows: Integers, given: str | Mapping[str, float] | None, mix: Sequence[float] | None
    ) -> npt.NDArray[np.float64] | None:
        """Return how likely each row is drawn: by class, by key, and with `mix` each build's share of all draws."""
        if given is None and mix is None:
            return None
        parts = [(number, places) for number, places in self._parts(rows)]
        weights = np.ones(len(rows))
        if given == "balanced":
            found = [known for known in self._targets if known is not None]
            if not found:
                raise UsageError("weights='balanced': this build has no classes to balance")
            weights = targets.balance(np.concatenate(found)[rows])
        elif isinstance(given, Mapping):
            try:
                weights = np.array([given[key] for key in self.labels(rows)["key"]], np.float64)
            except KeyError as error:
                raise UsageError(f"weights: none for {error}; each sample that is selected needs one") from None
        elif given is not None:
            raise UsageError(f"weights: expected 'balanced' or a weight by key, found {given!r}")
        if mix is not None:
            if len(mix) != len(self.sources):
                raise UsageError(f"mix: expected {len(self.sources)} shares, one a build, found {len(mix)}")
            for number, places in parts:
                weights[places] *= mix[number] / max(weights[places].sum(), 1e-300)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise UsageError("weights: expected finite numbers, none below 0 and one above it")
        return weights

    @property
    def room(self) -> int | None:
        """The bytes of the cache that remote builds come through, None where all are at hand."""
        return min((source.files.room for source in self.sources if source.files.room is not None), default=None)

    def prefetch(self, rows: Integers) -> None:
        """Say which rows come next, in order."""
        for number, places in self._parts(rows):
            self.sources[number].prefetch(rows[places] - self.starts[number])

    def close(self) -> None:
        """Give back maps and files."""
        for source in self.sources:
            source.close()


def _reopened(builds: list[str | Path], *options: Any) -> Collection:
    names = ("split", "bands", "task", "normalise", "fill", "io", "verify", "cache", "cache_bytes")
    return Collection(builds, **dict(zip(names, options, strict=True)))

"""Samples of one split of one or more builds, numbered through, and batches of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import UsageError, unknown
from sar_data.naming import few
from sar_data.normalization.stretch import stretch
from sar_data.record import IGNORE
from sar_data.stream.bits import Purpose
from sar_data.stream.buffers import Buffers
from sar_data.stream.fit import Fit
from sar_data.stream.frames import choose
from sar_data.stream.member import Member
from sar_data.stream.normalize import Normalizer, View, normalizer
from sar_data.stream.order import permutation
from sar_data.stream.source import Source
from sar_data.stream.storage.access import Access
from sar_data.stream.storage.store import Integers
from sar_data.stream.targets import Boxes, Classes, Window

Array = npt.NDArray[Any]
Builds = str | Path | Sequence[str | Path]
Batch = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read of some builds: a split, and the targets of a task (None: the first task).

    `members` has one for each build: how its keys and classes become those of the joint set. `view` says what a batch
    shows of an image, `fit` how images get one size, `access` how files are read.
    """

    split: str = "train"
    task: str | None = None
    members: Sequence[Member] | None = None
    view: View = field(default_factory=View)
    fit: Fit = field(default_factory=Fit)
    access: Access = field(default_factory=Access)


class Collection:
    """One split of some builds, concatenated.

    With `members` keys begin with the name of their build, and the classes of all builds are joined. A collection is
    safe to fork. It is pickled by its arguments and opened again in the other process.
    """

    def __init__(self, builds: Builds, reading: Reading) -> None:
        self._arguments = builds, reading
        view, members = reading.view, reading.members
        paths = [builds] if isinstance(builds, str | Path) else list(builds)
        if not paths:
            raise UsageError("builds: expected at least one sealed build, found none")
        self.split, self._fit, self.buffers = reading.split, reading.fit, Buffers()
        self._one_frame = view.one_frame
        self._whole = Buffers()  # of images before a window is cut
        whose: Sequence[Member | None] = members or [None] * len(paths)
        self.sources = [
            Source(path, reading.split, task=reading.task, access=reading.access, member=member)
            for path, member in zip(paths, whose, strict=True)
        ]
        bands = view.bands
        if bands is None:
            bands = common_bands([(source.build, source.layout.bands) for source in self.sources])
        self.hows: list[Normalizer] = [
            normalizer(s.manifest, bands, view.normalize, fill=view.fill, unit=view.unit, figures=view.figures)
            for s in self.sources
        ]
        self.starts = np.concatenate([[0], np.cumsum([len(source) for source in self.sources])])
        self._agree()
        first = self.sources[0]
        self.fixed = first.layout.shape if self._fit.side is None else None
        # Whether stored images make one array; builds of other types, or with other bands beside those asked for, meet
        # once they are numbers of a batch.
        alike = {(self.planes(number).size, source.layout.dtype) for number, source in enumerate(self.sources)}
        self.stackable = self.fixed is not None and len(alike) == 1
        height, width = (self._fit.side,) * 2 if self._fit.side else self._largest()
        frames = (first.layout.frames,) if first.layout.frames > 1 and not view.one_frame else ()
        self.shape = (*frames, len(self.channels), height, width)

    def __reduce__(self) -> tuple[Any, ...]:
        return Collection, self._arguments

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels of an image."""
        return self.hows[0].channels

    @property
    def digest(self) -> str:
        """What the builds have in common, without their containers."""
        return "+".join(source.manifest.content_digest for source in self.sources)

    @property
    def is_drawn(self) -> bool:
        """Whether something of an image is drawn by a seed: its window, or one of its frames."""
        return self.fixed is None or self._one_frame

    def planes(self, number: int) -> Integers:
        """Return [frame, band], where the bands of the manifest lie in what `read_stored` gives of a source."""
        plane = self.sources[number].plane
        return np.arange(plane.shape[1])[None] if self._one_frame else plane

    def _agree(self) -> None:
        """Raise UsageError where the builds cannot make one batch; bands are matched by name, in any order."""
        first, size = self.sources[0], self._first_size()
        for source, how in zip(self.sources, self.hows, strict=True):
            own = size if self._fit.side or not len(source.size) else tuple(source.size[0].tolist())
            # Beside larger images, small ones are extended to a window.
            self._fit.check(source.size, source.build, source.layout.shape if len(self.sources) == 1 else None)
            for what, a, b in (
                *([] if self._one_frame else [("frames", first.layout.frames, source.layout.frames)]),
                ("task", first.task, source.task),
                ("unit", _units(first, self.hows[0]), _units(source, how)),
                ("normalization", self.hows[0].stretch, how.stretch),
                ("size", size, own),
            ):
                if a != b:
                    raise UsageError(f"builds differ in {what}: {first.build} has {a}, {source.build} has {b}")

    def _first_size(self) -> tuple[int, int] | None:
        """Return the (height, width) of the first sample, None where there is none."""
        return next(((int(s.size[0][0]), int(s.size[0][1])) for s in self.sources if len(s.size)), None)

    def _largest(self) -> tuple[int, int]:
        return self.sources[0].layout.shape or self._first_size() or (0, 0)

    def parts(self, rows: Integers) -> Iterator[tuple[int, Integers, Integers]]:
        """Yield the number of each source that some rows are of, those rows by its own count, and their places."""
        if len(self.sources) == 1:
            yield 0, rows, np.arange(len(rows))
            return
        which = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(which):
            places = np.flatnonzero(which == number)
            yield int(number), rows[places] - self.starts[number], places

    def batch(self, rows: Integers, seeds: Sequence[int] | None = None) -> Batch:
        """Return image float32 [sample, (frame,) channel, y, x], normalized, target and key of some rows.

        Of cropped images also window [sample, 4], as row, column, height and width; `seeds` draws it, one a sample, and
        the frame, where one of several is taken.
        """
        image = self.buffers.array((len(rows), *self.shape), np.float32)
        flat = image.reshape(len(rows), -1, *self.shape[-2:])
        windows: list[Window] | None = None
        if self._fit.side is None:
            for number, own, places, frames in self._chosen(rows, seeds):
                self._gather(number, own, places, flat, frames)
            self._stretch(flat)
        else:
            windows = self._windows(rows, seeds)
            flat[:] = self.hows[0].fill
            for i, patch in self._patches(rows, seeds):
                y, x, height, width = windows[i]
                flat[i, :, :height, :width] = patch[:, y : y + height, x : x + width]
        return {"image": image, **self.labels(rows, windows)}

    def _chosen(
        self, rows: Integers, seeds: Sequence[int] | None
    ) -> Iterator[tuple[int, Integers, Integers, Integers | None]]:
        """Yield the parts of some rows with the number of the frame that is taken of each image, None for all."""
        for number, own, places in self.parts(rows):
            frames = None
            if self._one_frame:
                present = self.sources[number].present(own, self.hows[number])
                frames = choose(present, None if seeds is None else [seeds[place] for place in places])
            yield number, own, places, frames

    def _gather(self, number: int, rows: Integers, places: Integers, out: Array, frames: Integers | None) -> None:
        """Put images of one source into out[places], converted and normalized; stretching is left to do."""
        source, how = self.sources[number], self.hows[number]
        if not how.conversions:
            source.gather(rows, places, how, out, frames)
            return
        count = out.shape[1] // len(self.channels) * len(how.first)
        planes = self._whole.array((len(rows), count, *out.shape[-2:]), np.float32)
        source.gather(rows, np.arange(len(rows)), how, planes, frames)
        out[places] = how.convert(planes)

    def _patches(self, rows: Integers, seeds: Sequence[int] | None) -> Iterator[tuple[int, Array]]:
        """Yield whole normalized images one by one: quantiles are those of the patch before any crop."""
        planes = math.prod(self.shape[:-2])
        for number, own, places, frames in self._chosen(rows, seeds):
            for i, place in enumerate(places.tolist()):
                patch = self._whole.array((1, planes, *self.sources[number].size[own[i]].tolist()), np.float32)
                frame = None if frames is None else frames[i : i + 1]
                self._gather(number, own[i : i + 1], np.zeros(1, np.int64), patch, frame)
                self._stretch(patch)
                yield place, patch[0]

    def _windows(self, rows: Integers, seeds: Sequence[int] | None) -> list[Window]:
        size = np.empty((len(rows), 2), np.int64)
        for number, own, places in self.parts(rows):
            size[places] = self.sources[number].size[own]
        return self._fit.windows(size, seeds)

    def _stretch(self, images: Array) -> None:
        how = self.hows[0]
        if how.stretch == "clip":
            np.clip(images, 0, 1, out=images)
            images[np.isnan(images)] = how.fill
        elif how.stretch is not None:
            frames = images.shape[1] // len(how.grey)
            grey = np.tile(how.grey, (frames, 1))
            stretch(images.reshape(*images.shape[:2], -1), how.stretch == "grey", grey, how.fill)

    def read_stored(self, rows: Integers, seeds: Sequence[int] | None = None) -> Batch:
        """Return the stored images [sample, plane, y, x], the `parts` (source, count) they lie in, and their labels.

        Of several parts also `places`, where in the batch each image belongs. `seeds` draw the frame, where one of
        several is taken.
        """
        images = self.buffers.array((len(rows), self.planes(0).size, *self.shape[-2:]), self.sources[0].layout.dtype)
        parts, together, low = [], [], 0
        for number, own, places, frames in self._chosen(rows, seeds):
            self.sources[number].copy(own, np.arange(low, low + len(own)), images, frames)
            parts.append((number, len(own)))
            together.append(places)
            low += len(own)
        where = {"places": np.concatenate(together)} if len(parts) > 1 else {}
        return {"stored": images, "parts": parts, **where, **self.labels(rows)}

    def labels(self, rows: Integers, windows: list[Window] | None = None) -> Batch:
        """Return target (where the build has a task), key and window of some rows."""
        batch: Batch = {}
        for number, own, places in self.parts(rows):
            source = self.sources[number]
            if isinstance(source.targets, Classes):
                part = source.targets.take(own)
                batch.setdefault("target", np.empty((len(rows), *part.shape[1:]), part.dtype))[places] = part
            elif isinstance(source.targets, Boxes):
                boxes = batch.setdefault("target", [None] * len(rows))
                for row, place in zip(own, places, strict=True):
                    boxes[place] = source.targets.take(int(row), windows[place] if windows else None)
            elif source.task is not None:
                masks = batch.setdefault("target", np.full((len(rows), *self.shape[-2:]), IGNORE, np.uint8))
                self._masks(source, own, places, windows, masks)
        batch |= {} if windows is None else {"window": np.array(windows, np.int64)}
        return batch | {"key": self.keys(rows)}

    def _masks(
        self, source: Source, rows: Integers, places: Integers, windows: list[Window] | None, out: Array
    ) -> None:
        if windows is None:
            source.mask(rows, places, out)
            return
        for row, place in zip(rows, places, strict=True):
            whole = self._whole.array((1, *source.size[row].tolist()), np.uint8)
            source.mask(np.array([row]), np.zeros(1, np.int64), whole)
            y, x, height, width = windows[place]
            out[place, :height, :width] = whole[0, y : y + height, x : x + width]

    def keys(self, rows: Integers) -> list[str]:
        """Return the keys of some rows, as batches have them."""
        names = np.empty(len(rows), object)
        for number, own, places in self.parts(rows):
            names[places] = self.sources[number].keys(own)
        return list(names)

    def classes(self) -> Array | None:
        """Return the classes of all samples, int64 [sample] or uint8 [sample, class]; None where no image has any."""
        targets = [source.targets.whole() for source in self.sources if isinstance(source.targets, Classes)]
        return np.concatenate(targets) if targets else None

    def permute_targets(self, seed: int) -> None:
        """Give every sample the classes or the mask of another one of its build; UsageError where that cannot be."""
        for source in self.sources:
            source.permute(permutation(len(source), Purpose.CONTROL, seed))

    def prefetch(self, rows: Integers) -> None:
        """Say which rows come next, in order."""
        for number, own, _ in self.parts(rows):
            self.sources[number].prefetch(own)

    def close(self) -> None:
        """Give back maps and files."""
        for source in self.sources:
            source.close()


def common_bands(builds: Sequence[tuple[str, Sequence[str]]]) -> Sequence[str]:
    """Return the bands of all builds, in the order of the first; raise UsageError where one has others."""
    first, bands = builds[0]
    for build, own in builds:
        if set(bands) != set(own):
            raise UsageError(
                f"builds differ in bands: {first} has {few(bands)}, {build} has {few(own)}: name those that both have "
                "by `bands`"
            )
    return bands


def _units(source: Source, how: Normalizer) -> list[str]:
    """Return the unit of each band of each channel, as a batch has it."""
    if how.conversions:
        return [conversion.target for conversion in how.conversions]
    return [source.layout.units[band] for band in (*how.first, *how.second) if band >= 0]


def open_collection(
    builds: Builds,
    *,
    split: str = "train",
    task: str | None = None,
    members: Sequence[Member] | None = None,
    **options: Any,
) -> Collection:
    """Return a collection by the names of its options: the fields of View, Fit and Access.

    Raises UsageError for a name that does not exist, and what the collection itself raises.
    """
    kinds = {"view": View, "fit": Fit, "access": Access}
    owner = {part.name: name for name, kind in kinds.items() for part in fields(kind)}
    chosen: dict[str, dict[str, Any]] = {name: {} for name in kinds}
    for name, value in options.items():
        if name not in owner:
            raise unknown("option", name, [*owner, "split", "task", "members"])
        chosen[owner[name]][name] = value
    values: dict[str, Any] = {name: kind(**chosen[name]) for name, kind in kinds.items()}
    return Collection(builds, Reading(split=split, task=task, members=members, **values))

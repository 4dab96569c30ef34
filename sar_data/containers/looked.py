"""Look at some samples of a container: their axes, type, size and labels, and the order of their bands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from sar_data.containers.axes import Axes, axes_of, same
from sar_data.containers.entry import Container, Entry, Head, Labels
from sar_data.errors import BadRecord, SourceError
from sar_data.naming import few
from sar_data.record import Image
from sar_data.spec import Tree

MOST_HEADS, MOST_IMAGES = 512, 32  # that are looked at; of larger containers every n-th
LIKE, CROSS = frozenset({"VV", "HH"}), frozenset({"VH", "HV"})
CLEAR, AGREEING = 2.0, 0.9  # dB between two bands, and the share of images, from which on their order is clear


@dataclass(frozen=True, slots=True)
class Looked:
    """What some samples have in common. `sizes` are those that were seen, the most frequent first.

    `bands` are the names in the container, `labels` and `keys` those of the heads, in their order; `images` are
    [frame, band, y, x], all of which have a mask where `masks` says so; `boxes` says whether the heads have objects.
    """

    entries: Sequence[Entry]
    axes: Axes
    dtype: str
    sizes: tuple[tuple[int, int], ...]
    bands: tuple[str, ...]
    labels: tuple[Labels, ...]
    images: tuple[Image, ...]
    keys: tuple[str, ...]
    masks: bool
    boxes: bool


def look(tree: Tree, container: Container, bands: Sequence[str], count: int | None) -> Looked:
    """Look at a container whose samples have `count` bands, None where that is not known; `bands` are their names.

    Raises SourceError where there is no sample, and the first BadRecord where no sample is sound.
    """
    entries = container.entries(tree, bands)
    if not entries:
        named = f" with the bands {few(bands)}" if bands else ""
        raise SourceError(f"{few(container.files)}: expected samples{named}, found none in {container.sentence()}")
    seen: list[tuple[Entry, Head, Axes]] = []
    flaw: BadRecord | None = None
    for entry in entries[:: max(1, len(entries) // MOST_HEADS)]:
        try:
            head = container.head(tree, entry)
            axes = axes_of(head, count, entry.where)
            if seen:
                same(axes, seen[0][2], entry.where, seen[0][0].where)
            seen.append((entry, head, axes))
        except BadRecord as error:  # scan refuses it or leaves it out
            flaw = flaw or error
    if not seen:
        raise flaw or SourceError(f"{container.sentence()}: expected samples, found none")
    images, masks = [], []
    for entry, _, axes in seen[:: max(1, len(seen) // MOST_IMAGES)]:
        with suppress(BadRecord):
            sample = container.read(tree, entry)
            images.append(arrange(sample.image, axes))
            masks.append(sample.mask is not None)
    kinds = Counter(head.dtype for _, head, _ in seen)
    return Looked(
        entries=entries,
        axes=seen[0][2],
        dtype=kinds.most_common(1)[0][0],
        sizes=tuple(size for size, _ in Counter(axes.size for *_, axes in seen).most_common()),
        bands=seen[0][1].bands,
        labels=tuple(head.labels if entry.labels is None else entry.labels for entry, head, _ in seen),
        images=tuple(images),
        keys=tuple(entry.name for entry, *_ in seen),
        masks=bool(masks) and all(masks),
        boxes=any(head.objects is not None for _, head, _ in seen),
    )


def arrange(image: Image, axes: Axes) -> Image:
    """Return a stored image as [frame, band, y, x]."""
    ordered = image.transpose(axes.order)
    return ordered.reshape(axes.frames, axes.bands, *ordered.shape[-2:])


def by_means(looked: Looked, names: Sequence[str], unit: str) -> tuple[tuple[str, ...], str] | None:
    """Return the order of two bands by their means, and the means in words; None where these do not tell it.

    A cross-polarized band is weaker than a like-polarized one over nearly all ground, by 5 to 10 dB.
    """
    like, cross = (next((name for name in names if name in kind), None) for kind in (LIKE, CROSS))
    if len(names) != 2 or like is None or cross is None or looked.axes.bands != 2 or not looked.images:
        return None
    levels = np.array([_levels(image, unit) for image in looked.images])
    levels = levels[np.isfinite(levels).all(1)]
    if not len(levels):
        return None
    gaps = levels[:, 0] - levels[:, 1]
    first = bool(np.median(gaps) > 0)
    clear = abs(np.median(gaps)) >= CLEAR and np.mean((gaps > 0) == first) >= AGREEING
    means = " and ".join(f"{level:.1f} dB" for level in levels.mean(0))
    return ((like, cross) if first else (cross, like), f"means of {means} in {len(levels)} samples") if clear else None


def _levels(image: Image, unit: str) -> tuple[float, float]:
    """Return the mean of each of two bands [frame, band, y, x] in dB, NaN where there is none."""
    with np.errstate(all="ignore"):
        values = np.where(np.isfinite(image), image, np.nan).astype(np.float64)
        means = [float(np.nanmean(plane)) if np.isfinite(plane).any() else np.nan for plane in values.swapaxes(0, 1)]
        first, second = (
            mean if unit == "dB" else (20 if unit == "amplitude" else 10) * np.log10(mean) for mean in means
        )
    return float(first), float(second)


def is_normalized(images: Sequence[Image]) -> bool:
    """Say whether images that should be in dB look like a z-score or a scale from 0 to 1: a small mean and spread."""
    values = np.concatenate([image[np.isfinite(image)].ravel()[::7] for image in images]) if images else np.empty(0)
    return bool(values.size and abs(np.median(values)) < 3 and np.std(values) < 2)

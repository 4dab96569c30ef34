"""What the files of a folder show of what they do not say: values, masks, places, names of bands. A person decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.dtypes import scaled
from sar_data.errors import BadRecord, SarDataError
from sar_data.own.classes import labels_of
from sar_data.own.declaration import Declaration
from sar_data.own.noted import Noted, noted
from sar_data.own.reading import footprint_of
from sar_data.own.survey import Survey
from sar_data.raster import any_format, tiff
from sar_data.record import FARTHEST, IGNORE, Image, Record
from sar_data.spec import Tree
from sar_data.split.neighbours import boxes_of, find_near

LEAST_DB, MOST_DB = -60.0, 40.0  # between them lies all backscatter in dB
LARGEST_DB = 100.0  # of any number of 16 bits, be it uncalibrated
MANY = 0.05  # share of negative values that are no noise
MOST_HEADS, MOST_IMAGES, MOST_MASKS, MOST_PLACES = 20_000, 8, 200, 2000  # that are looked at
MOST_PIXELS = 1 << 22  # of an image that is read to look at it
MOST_VALUES = 32  # of a mask: one with more is none


@dataclass(frozen=True, slots=True)
class Values:
    """Figures of some images' finite pixels."""

    dtype: str
    low: float
    high: float
    median: float
    negative: float
    zeros: float

    @classmethod
    def of(cls, *images: Image) -> Values | None:
        """Return the figures of images of one dtype, None where no pixel is finite and real."""
        if not images or images[0].dtype.kind not in "iuf":
            return None
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            values = np.concatenate([np.asarray(image, np.float64).ravel() for image in images])
        values = values[np.isfinite(values)]
        if not values.size:
            return None
        negative, zeros = float(np.mean(values < 0)), float(np.mean(values == 0))
        low, high, median = float(values.min()), float(values.max()), float(np.median(values))
        return cls(images[0].dtype.name, low, high, median, negative, zeros)

    def sentence(self) -> str:
        """Say the range of the values, and what it suggests."""
        span = f"values lie between {self.low:.4g} and {self.high:.4g}, half of them below {self.median:.4g}"
        return f"{span}: {SUGGESTED[self._kind()][0]}"

    def contradicts(self, unit: str) -> bool:
        """Say whether the values are unlikely to be in a unit."""
        kind = self._kind()
        if kind == "beyond" and (self.negative < MANY or (unit == "dB" and LEAST_DB <= self.median <= MOST_DB)):
            return False
        if kind == "large" and self.high <= LARGEST_DB:  # dB of uncalibrated numbers
            return False
        return unit in SUGGESTED[kind][1]

    def _kind(self) -> str:
        if self.dtype == "uint8":
            return "picture"
        if self.negative > MANY and self.low >= LEAST_DB and self.high <= MOST_DB:
            return "dB"
        if self.negative:
            return "beyond"
        return "linear" if self.median < 1 and self.dtype.startswith("float") else "large"


SUGGESTED = {
    "picture": ("pixels of 8 bits suggest a picture, stretched for the eye", ("dB", "power")),
    "dB": ("negative values in the range of backscatter suggest dB", ("power", "amplitude", "8-bit")),
    "beyond": (
        "negative values are no power and no amplitude, and dB does not reach so far",
        ("dB", "power", "amplitude", "8-bit"),
    ),
    "linear": ("small positive numbers suggest linear power or amplitude, not dB", ("dB",)),
    "large": ("large positive numbers suggest amplitude or uncalibrated DN, not dB", ("dB",)),
}
"""Kind of values → what it suggests, and the units that it contradicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen: `kinds` counts (bands, height, width, dtype) of files, `crs` their reference systems.

    `values` are those of some images, `noted` what the files note of their bands, `scaled` the values by that scaling.
    `placed` are images whose places are known, with their labels, `touching` the share of them that touch another one
    (None where there are none). `mask_values` are the values of masks with the pixels of each, `pixel_size` is that of
    metric grids, `unreadable` counts files that cannot be read.
    """

    kinds: Counter[tuple[int, int, int, str]]
    crs: Counter[str]
    values: Values | None
    noted: Noted
    scaled: Values | None
    placed: tuple[Record, ...]
    touching: float | None
    mask_values: Counter[int]
    pixel_size: float | None
    unreadable: int


def evidence_of(tree: Tree, declaration: Declaration, found: Survey) -> Evidence:
    """Look at the heads of images, at the pixels of a few, and at masks."""
    kinds: Counter[tuple[int, int, int, str]] = Counter()
    crs: Counter[str] = Counter()
    placed: list[Record] = []
    number: dict[str, int] = {}  # of a label
    sizes: set[float] = set()
    unreadable = 0
    for unit in spread(list(found.chips), MOST_HEADS):
        chip = found.chips[unit]
        try:
            (bands, height, width), dtype = any_format.header(tree, chip.files[0])
            place = tiff.georeference(tree, chip.files[0]) if any_format.is_tiff(chip.files[0]) else (None, None)
        except SarDataError:
            unreadable += 1
            continue
        kinds[bands, height, width, dtype] += 1
        crs[place[0] or "none"] += 1
        box = footprint_of(place, (height, width))
        if box is not None and max(map(abs, box)) <= FARTHEST and box[0] < box[2] and box[1] < box[3]:
            if len(placed) == MOST_PLACES:
                continue
            labels = tuple(number.setdefault(word, len(number)) for word in labels_of(declaration, found, unit))
            placed.append(Record(key=unit, files=(), labels={"class": labels}, crs=place[0], footprint=box))
            if place[0] and place[1] and place[0][5:8] in ("326", "327"):  # UTM, whose unit is the metre
                sizes.add(abs(place[1][0]))
    a_sample = len(declaration.band_suffixes) or 1
    notes = noted(tree, [found.chips[unit].files[:a_sample] for unit in spread(list(found.chips), MOST_IMAGES)])
    images = _looked_at(tree, spread([chip.files[0] for chip in found.chips.values()], MOST_IMAGES))
    return Evidence(
        kinds=kinds,
        crs=crs,
        values=Values.of(*images),
        noted=notes,
        scaled=_scaled(images, notes),
        placed=tuple(placed),
        touching=_touching(placed),
        mask_values=_mask_values(tree, spread(sorted(found.masks.values()), MOST_MASKS)),
        pixel_size=sizes.pop() if len(sizes) == 1 else None,
        unreadable=unreadable,
    )


def spread(paths: Sequence[str], most: int) -> list[str]:
    """Return up to `most` of the paths, spread over all of them."""
    return list(paths[:: max(1, -(-len(paths) // most))])


def _looked_at(tree: Tree, paths: Sequence[str]) -> list[Image]:
    """Return images of one dtype."""
    images: list[Image] = []
    for path in paths:
        try:
            (bands, height, width), _ = any_format.header(tree, path)
            if bands * height * width > MOST_PIXELS:
                continue
            image = any_format.read(tree.read(path), path).image
        except SarDataError:
            continue
        if not images or image.dtype == images[0].dtype:
            images.append(image)
    return images


def _scaled(images: Sequence[Image], notes: Noted) -> Values | None:
    """Return the figures of images by the scaling that they note, None where they note none."""
    if notes.scaling is None:
        return None
    return Values.of(*(scaled(image, *notes.scaling) for image in images if len(image) == len(notes.scaling[0])))


def _touching(placed: Sequence[Record]) -> float | None:
    """Return the share of images that touch another one, None where no places are known."""
    touch = []
    for crs in {record.crs for record in placed}:
        boxes = boxes_of([record for record in placed if record.crs == crs])
        for i in range(len(boxes)):
            touch.append(bool(find_near(boxes[i : i + 1], np.delete(boxes, i, axis=0))[0]))
    return sum(touch) / len(touch) if touch else None


def _mask_values(tree: Tree, paths: Sequence[str]) -> Counter[int]:
    """Return how many pixels of masks have each value, none where these are no masks."""
    counts: Counter[int] = Counter()
    for path in paths:
        try:
            mask = any_format.codes(tree.read(path), path)
        except BadRecord:
            continue
        if len(mask) != 1 or mask.dtype.kind not in "iu":
            return Counter()
        values, pixels = np.unique(mask, return_counts=True)
        if len(values) > MOST_VALUES or values[0] < 0:
            return Counter()
        counts.update(dict(zip(values.tolist(), pixels.tolist(), strict=True)))
    return counts


def class_values(counts: Counter[int]) -> tuple[int, ...]:
    """Return the values of masks that are classes: 255 is "nothing to learn" where there are two others at least."""
    values = sorted(counts)
    return tuple(value for value in values if value != IGNORE or len(values) < 3)

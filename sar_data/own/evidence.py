"""Facts about the files of a folder that its declaration leaves out: values, masks, positions, band names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.dtypes import apply_scale
from sar_data.errors import BadRecord, SarDataError
from sar_data.own.band_metadata import BandMetadata, read_band_metadata
from sar_data.own.classes import labels_of
from sar_data.own.declaration import Declaration
from sar_data.own.survey import Survey
from sar_data.raster import any_format, tiff
from sar_data.record import FARTHEST, IGNORE, Image, Record
from sar_data.spec import Tree
from sar_data.split.ground.neighbours import boxes_of, find_near

MIN_DB, MAX_DB = -60.0, 40.0  # all backscatter in dB lies between them
LARGEST_DB = 100.0  # of any 16-bit number, even uncalibrated
MANY = 0.05  # share of negative values above which they are no noise
MAX_HEADS, MAX_IMAGES, MAX_MASKS, MAX_PLACES = 20_000, 8, 200, 2000  # that are looked at
MAX_PIXELS = 1 << 22  # of an image that is read for its values
MAX_VALUES = 32  # of a mask: one with more values is no mask


@dataclass(frozen=True, slots=True)
class Values:
    """Statistics of the finite pixels of some images."""

    dtype: str
    low: float
    high: float
    median: float
    negative: float
    zeros: float

    @classmethod
    def of(cls, *images: Image) -> Values | None:
        """Return the statistics of images of one dtype, None where no pixel is finite and real."""
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
        """Return the range of the values, and what it suggests."""
        span = f"values lie between {self.low:.4g} and {self.high:.4g}, half of them below {self.median:.4g}"
        return f"{span}: {SUGGESTED[self._kind()][0]}"

    def contradicts(self, unit: str) -> bool:
        """Say whether the values are improbable for a unit."""
        kind = self._kind()
        if kind == "beyond" and (self.negative < MANY or (unit == "dB" and MIN_DB <= self.median <= MAX_DB)):
            return False
        if kind == "large" and self.high <= LARGEST_DB:  # dB of uncalibrated numbers
            return False
        return unit in SUGGESTED[kind][1]

    def _kind(self) -> str:
        if self.dtype == "uint8":
            return "picture"
        if self.negative > MANY and self.low >= MIN_DB and self.high <= MAX_DB:
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
    """Facts about the files: `kinds` counts (bands, height, width, dtype), `crs` the reference systems.

    `values` are statistics of some images, `metadata` those of their bands, `scaled` the statistics after that scaling.
    `placed` are images with known positions and their labels, `touching` the share of them that touch another one (None
    where there are none). `mask_values` counts the pixels of each mask value, `pixel_size` is that of metric grids,
    `unreadable` counts unreadable files.
    """

    kinds: Counter[tuple[int, int, int, str]]
    crs: Counter[str]
    values: Values | None
    metadata: BandMetadata
    scaled: Values | None
    placed: tuple[Record, ...]
    touching: float | None
    mask_values: Counter[int]
    pixel_size: float | None
    unreadable: int


def evidence_of(tree: Tree, declaration: Declaration, survey: Survey) -> Evidence:
    """Read the headers of images, the pixels of a few, and masks."""
    kinds: Counter[tuple[int, int, int, str]] = Counter()
    crs: Counter[str] = Counter()
    placed: list[Record] = []
    number: dict[str, int] = {}  # of a label
    sizes: set[float] = set()
    unreadable = 0
    for unit in spaced_sample(list(survey.chips), MAX_HEADS):
        chip = survey.chips[unit]
        try:
            (bands, height, width), dtype = any_format.header(tree, chip.files[0])
            place = tiff.georeference(tree, chip.files[0]) if any_format.is_tiff(chip.files[0]) else (None, None)
        except SarDataError:
            unreadable += 1
            continue
        kinds[bands, height, width, dtype] += 1
        crs[place[0] or "none"] += 1
        box = tiff.footprint_of(*place, (height, width))
        if box is not None and max(map(abs, box)) <= FARTHEST and box[0] < box[2] and box[1] < box[3]:
            if len(placed) == MAX_PLACES:
                continue
            labels = tuple(number.setdefault(word, len(number)) for word in labels_of(declaration, survey, unit))
            placed.append(Record(key=unit, files=(), labels={"class": labels}, crs=place[0], footprint=box))
            if place[0] and place[1] and place[0][5:8] in ("326", "327"):  # UTM, whose unit is the metre
                sizes.add(abs(place[1][0]))
    a_sample = len(declaration.band_suffixes) or 1
    notes = read_band_metadata(
        tree, [survey.chips[unit].files[:a_sample] for unit in spaced_sample(list(survey.chips), MAX_IMAGES)]
    )
    images = _read_images(tree, spaced_sample([chip.files[0] for chip in survey.chips.values()], MAX_IMAGES))
    return Evidence(
        kinds=kinds,
        crs=crs,
        values=Values.of(*images),
        metadata=notes,
        scaled=_scaled_values(images, notes),
        placed=tuple(placed),
        touching=_touching_share(placed),
        mask_values=_mask_values(tree, spaced_sample(sorted(survey.masks.values()), MAX_MASKS)),
        pixel_size=sizes.pop() if len(sizes) == 1 else None,
        unreadable=unreadable,
    )


def spaced_sample(paths: Sequence[str], most: int) -> list[str]:
    """Return up to `most` of the paths, evenly spaced over all of them."""
    return list(paths[:: max(1, -(-len(paths) // most))])


def _read_images(tree: Tree, paths: Sequence[str]) -> list[Image]:
    """Return images of one dtype."""
    images: list[Image] = []
    for path in paths:
        try:
            (bands, height, width), _ = any_format.header(tree, path)
            if bands * height * width > MAX_PIXELS:
                continue
            image = any_format.read(tree.read(path), path).image
        except SarDataError:
            continue
        if not images or image.dtype == images[0].dtype:
            images.append(image)
    return images


def _scaled_values(images: Sequence[Image], notes: BandMetadata) -> Values | None:
    """Return the statistics of images after the scaling of their metadata, None without one."""
    if notes.scaling is None:
        return None
    return Values.of(*(apply_scale(image, *notes.scaling) for image in images if len(image) == len(notes.scaling[0])))


def _touching_share(placed: Sequence[Record]) -> float | None:
    """Return the share of images that touch another one, None where no positions are known."""
    touch = []
    for crs in {record.crs for record in placed}:
        boxes = boxes_of([record for record in placed if record.crs == crs])
        for i in range(len(boxes)):
            touch.append(bool(find_near(boxes[i : i + 1], np.delete(boxes, i, axis=0))[0]))
    return sum(touch) / len(touch) if touch else None


def _mask_values(tree: Tree, paths: Sequence[str]) -> Counter[int]:
    """Return the number of pixels per value in masks, empty where these are no masks."""
    counts: Counter[int] = Counter()
    for path in paths:
        try:
            mask = any_format.codes(tree.read(path), path)
        except BadRecord:
            continue
        if len(mask) != 1 or mask.dtype.kind not in "iu":
            return Counter()
        values, pixels = np.unique(mask, return_counts=True)
        if len(values) > MAX_VALUES or values[0] < 0:
            return Counter()
        counts.update(dict(zip(values.tolist(), pixels.tolist(), strict=True)))
    return counts


def class_values(counts: Counter[int]) -> tuple[int, ...]:
    """Return the values of masks that are classes; 255 means "ignore" where there are at least two others."""
    values = sorted(counts)
    return tuple(value for value in values if value != IGNORE or len(values) < 3)

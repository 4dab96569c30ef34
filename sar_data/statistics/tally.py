"""Band statistics, computed while a build writes the pixels: one tally for each shard.

Values are centred on the mean of the first sample, a float32, and summed in float64, so that the sums of a shard depend
only on its pixels. BLAS is not used, because its order of summation depends on its threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sar_data.record import Image
from sar_data.statistics.figures import (
    AT_ENDS,
    FIGURES,
    MASKED,
    MAX,
    MIN,
    QUANTILES,
    ZEROS,
    Figures,
    set_moments,
    set_values,
)
from sar_data.statistics.quantiles import quantiles
from sar_data.statistics.stats import REASONS, BandStats, Counts, Floats, Moments, empty_histogram
from sar_data.statistics.units import DB_TO_NEPER, DOMAINS, HISTOGRAMS, LINEAR, axis, domains

Valid = npt.NDArray[np.bool_]
USUAL_DB = -15.0  # the centre of a band without a valid pixel in the first image: around 0 dB, powers lose precision


@dataclass(frozen=True, slots=True)
class Survey:
    """An image as values [band, pixel], with the extremes [band] and the masked pixels of its bands.

    Where every pixel is valid, `valid` is None and `masked` (reason → pixels [band]) is empty.
    """

    flat: Image
    low: Image
    high: Image
    least: float
    most: float
    valid: Valid | None = None
    masked: dict[str, Counts] = field(default_factory=dict)


def survey(image: Image, nodata: Sequence[int] = ()) -> Survey:
    """Return the survey of an image [band, y, x] or [frame, band, y, x].

    `nodata` [band] is how many of its NaN are pixels that the source marks as no data.
    """
    if image.ndim == 4:
        image = image.swapaxes(0, 1)
    flat = np.ascontiguousarray(image, np.float32).reshape(len(image), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    lows, highs = low.tolist(), high.tolist()
    if all(map(math.isfinite, lows)) and all(map(math.isfinite, highs)):  # a band with NaN has NaN extremes
        return Survey(flat, low, high, min(lows), max(highs))
    valid = np.isfinite(flat)
    low, high = np.where(valid, flat, np.inf).min(axis=1), np.where(valid, flat, -np.inf).max(axis=1)
    filled = np.array(nodata or [0] * len(flat), np.int64)
    masked = {"nodata": filled, "nan": np.isnan(flat).sum(axis=1) - filled, "inf": np.isinf(flat).sum(axis=1)}
    return Survey(flat, low, high, float(low.min()), float(high.max()), valid, masked)


def figures_of(survey: Survey) -> Figures:
    """Return the figures [band, FIGURES] that a survey has; the others are NaN."""
    figures = np.full((len(survey.flat), len(FIGURES)), np.nan)
    figures[:, MIN], figures[:, MAX], figures[:, MASKED] = survey.low, survey.high, 0
    for place, reason in enumerate(REASONS if survey.masked else (), MASKED.start):
        figures[:, place] = survey.masked[reason]
    return figures


class _Whole(NamedTuple):
    """The sums of an image whose pixels are all valid, kept until `figures` needs them."""

    place: int
    pixels: int
    low: Image
    high: Image
    measured: Floats


class _Domain:
    """Sums of (value - centre) / scale of the bands that have one further domain."""

    def __init__(self, bands: int) -> None:
        self.centre, self.scale = np.zeros(bands), np.ones(bands)
        self.count = np.zeros(bands, np.int64)
        self.sum, self.square = np.zeros(bands), np.zeros(bands)

    def moments(self, count: Counts) -> Moments:
        excess = self.sum / np.maximum(count, 1)
        return Moments(
            np.diag(count),
            np.diag(np.where(count, self.centre + self.scale * excess, 0.0)),
            *2 * (np.diag(self.scale**2 * (self.square - self.sum * excess)),),
        )


class Tally:
    """Adds up the statistics of one shard, a sample at a time, while its pixels are in the cache."""

    def __init__(self, units: Sequence[str]) -> None:
        bands = len(units)
        self._units = tuple(units)
        self._samples = 0
        self._centre: Floats | None = None
        self._count = np.zeros((bands, bands), np.int64)
        self._pixels = 0  # of whole images, where every pair of bands has every pixel
        self._sum, self._square, self._product = (np.zeros((bands, bands)) for _ in range(3))
        self._domains = {name: _Domain(bands) for unit in self._units for name in domains(unit)}
        self._low, self._high = np.full(bands, np.inf), np.full(bands, -np.inf)
        self._least, self._zeros = np.full(bands, np.inf), np.zeros(bands, np.int64)
        self._histogram = empty_histogram(units)
        self._masked = {reason: np.zeros(bands, np.int64) for reason in REASONS}
        self._whole: list[_Whole] = []
        self._summed = 0  # of these
        self._rest: list[tuple[int, Figures]] = []  # place and figures of the images that are not whole
        self._ends: list[Counts] = []  # [band, 2] of each image
        self._measure: Callable[[Image, Floats], Floats] | None = None
        # The compiled loops take only bands of one unit that is its own axis.
        first, width, bins = HISTOGRAMS[self._units[0]]
        compiled = len(set(units)) == 1 and units[0] in LINEAR and not DOMAINS.get(units[0])
        self._range = (first, first + width * bins) if compiled else (math.inf, -math.inf)

    def add(self, survey: Survey) -> None:
        """Add one surveyed image."""
        from sar_data.statistics.ends import at_ends  # numba, as below

        for reason in REASONS if survey.masked else ():
            self._masked[reason] += survey.masked[reason]
        self._samples += 1
        self._ends.append(at_ends(survey.flat, survey.low, survey.high))
        if self._centre is None:
            self._centre = self._begin(survey)
        if survey.valid is None and self._range[0] <= survey.least and survey.most < self._range[1]:
            self._add_whole(survey, self._centre)
        else:
            valid = np.ones(survey.flat.shape, np.bool_) if survey.valid is None else survey.valid
            figures = figures_of(survey)
            self._add_masked(survey.flat, self._centre, valid, figures)
            self._rest.append((self._samples - 1, figures))
            np.minimum(self._low, survey.low, out=self._low)
            np.maximum(self._high, survey.high, out=self._high)

    def _begin(self, survey: Survey) -> Floats:
        """Return the centres of the bands from the first sample, and set those of the further domains."""
        valid = np.True_ if survey.valid is None else survey.valid
        count = np.broadcast_to(valid, survey.flat.shape).sum(axis=1)
        mean = np.where(valid, survey.flat, 0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
        usual = [USUAL_DB if unit == "dB" else 0.0 for unit in self._units]
        centre = np.where(count, mean, usual).astype(np.float32).astype(np.float64)
        for i, unit in enumerate(self._units):
            if unit == "dB":  # sums of 10 ** ((x - centre) / 10) - 1, which the compiled loop gives
                power = self._domains["power"]
                power.centre[i] = power.scale[i] = np.exp(centre[i] * DB_TO_NEPER)
            for name, convert in DOMAINS.get(unit, {}).items():
                converted = convert(survey.flat[i].astype(np.float64))
                known = converted[np.isfinite(converted)]
                self._domains[name].centre[i] = known.mean() if len(known) else 0.0
        return np.asarray(centre)

    def _add_whole(self, survey: Survey, centre: Floats) -> None:
        if self._measure is None:
            from sar_data.statistics import kernel  # importing numba takes 0.3 s; reading a manifest does not need it

            first, width, _ = HISTOGRAMS[self._units[0]]
            bins = kernel.Bins(first, 1 / width, self._histogram)
            self._measure = partial(kernel.measure, bins=bins, decibels=self._units[0] == "dB")
        measured = self._measure(survey.flat, centre)
        self._whole.append(_Whole(self._samples - 1, survey.flat.shape[1], survey.low, survey.high, measured))

    def _add_masked(self, flat: Image, centre: Floats, valid: Valid, figures: Figures) -> None:
        """Add an image that the compiled loops do not take: of another unit, or with masked or extreme pixels."""
        centred = np.where(valid, flat, centre[:, None]) - centre[:, None]
        weight = valid.astype(np.float64)
        self._count += np.einsum("ip,jp->ij", weight, weight).astype(np.int64)
        self._sum += np.einsum("ip,jp->ij", centred, weight)
        self._square += np.einsum("ip,jp->ij", centred * centred, weight)
        self._product += np.einsum("ip,jp->ij", centred, centred)
        for i, (unit, values, mask) in enumerate(zip(self._units, flat, valid, strict=True)):
            known = values[mask]
            set_values(figures[i], "", known)
            figures[i, ZEROS], figures[i, QUANTILES] = np.count_nonzero(known == 0), quantiles(known)
            self._zeros[i] += int(figures[i, ZEROS])
            if "dB" in DOMAINS.get(unit, {}):
                self._least[i] = min(self._least[i], known.min(initial=np.inf, where=known > 0))
            if unit == "dB":
                self._add_domain(i, "power", np.expm1(centred[i] * DB_TO_NEPER))
                set_values(figures[i], "power", np.exp(known.astype(np.float64) * DB_TO_NEPER))
            for name, convert in DOMAINS.get(unit, {}).items():
                converted = convert(known.astype(np.float64))
                converted = converted[np.isfinite(converted)]
                self._domains[name].count[i] += len(converted)
                self._add_domain(i, name, converted - self._domains[name].centre[i])
                set_values(figures[i], name, converted)
            first, width, bins = HISTOGRAMS[unit]
            scaled = (axis(known, unit) - np.float32(first)) * np.float32(1 / width)
            places = np.floor(np.clip(scaled, -1, bins)).astype(np.intp) + 1
            self._histogram[i] += np.bincount(places, minlength=self._histogram.shape[1])

    def _add_domain(self, band: int, name: str, values: Floats) -> None:
        self._domains[name].sum[band] += values.sum()
        self._domains[name].square[band] += np.einsum("p,p->", values, values)

    def figures(self) -> Figures:
        """Return the figures [sample, band, FIGURES] of the images, in the order in which they were added."""
        figures = np.full((self._samples, len(self._units), len(FIGURES)), np.nan)
        for place, rest in self._rest:
            figures[place] = rest
        if self._whole:  # at once: for each image alone these lines would take as long as its sums
            places, pixels, low, high, measured = zip(*self._whole, strict=True)
            figures[list(places)] = self._figures_of_whole(np.array(pixels)[:, None], np.array(measured))
            figures[list(places), :, MIN], figures[list(places), :, MAX] = low, high
        if self._ends:
            figures[..., AT_ENDS] = np.array(self._ends)
        return figures

    def _figures_of_whole(self, pixels: Counts, measured: Floats) -> Figures:
        from sar_data.statistics.kernel import Measured

        images = Measured.of(measured)
        figures = np.full((len(measured), len(self._units), len(FIGURES)), np.nan)
        centre = np.zeros(1) if self._centre is None else self._centre
        shift = images.linear / pixels
        set_moments(figures, "", pixels, centre + shift, images.square.diagonal(axis1=1, axis2=2) / pixels - shift**2)
        figures[..., MASKED], figures[..., ZEROS], figures[..., QUANTILES] = 0, images.zeros, images.quantiles
        if self._units[0] == "dB":
            scale = self._domains["power"].scale
            excess, square = (sums / pixels for sums in images.power)
            set_moments(figures, "power", pixels, scale * (1 + excess), scale**2 * (square - excess**2))
        return figures

    def _add_sums(self, whole: Sequence[_Whole]) -> None:
        """Add the sums of images whose pixels are all valid, in their order."""
        from sar_data.statistics.kernel import Measured

        self._pixels += sum(image.pixels for image in whole)
        self._low = np.min([self._low, *(image.low for image in whole)], axis=0)
        self._high = np.max([self._high, *(image.high for image in whole)], axis=0)
        total = Measured.of(np.sum([image.measured for image in whole], axis=0))
        self._sum += total.linear[:, None]
        self._product += total.square
        self._square += total.square.diagonal()[:, None]
        self._zeros += total.zeros.astype(np.int64)
        if self._units[0] == "dB":
            power = self._domains["power"]
            power.sum += total.power[0]
            power.square += total.power[1]

    def finish(self) -> BandStats:
        """Return the statistics of the images that were added."""
        if len(self._whole) > self._summed:
            self._add_sums(self._whole[self._summed :])
            self._summed = len(self._whole)
        centre = np.zeros(len(self._units)) if self._centre is None else self._centre
        counted, linear = self._count + self._pixels, self._sum
        shift = linear / np.maximum(counted, 1)
        # Where no pixel is valid in both bands there is no mean: it is 0 and not the centre.
        mean = np.where(counted, centre[:, None] + shift, 0.0)
        in_db = np.array([unit == "dB" for unit in self._units])
        return BandStats(
            self._units,
            self._samples,
            Moments(counted, mean, self._square - linear * shift, self._product - linear * shift.T),
            {
                name: domain.moments(np.where(in_db & (name == "power"), np.diag(counted), domain.count))
                for name, domain in self._domains.items()
            },
            self._low,
            self._high,
            self._least,
            self._zeros,
            self._histogram,
            self._masked,
        )

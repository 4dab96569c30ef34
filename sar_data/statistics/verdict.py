"""Comparison of the means and deviations of one's own data with others, such as those that a model normalizes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sar_data.statistics.published import Figures

NEAR = 0.25  # most difference of similar means, in standard deviations
TIMES = 1.5  # largest ratio of similar standard deviations
COPIED = 1e-6  # most relative difference of a deviation and a mean that are the same number
LEAST_FILL = 0.02  # share of pixels
CLOSE = 0.1  # most relative difference of figures that count as equal


class Difference(NamedTuple):
    """The figures of a band on both sides: `mean` and `std` of one's own data, `other_mean` and `other_std`.

    `sigma` is (other_mean - mean) / std, `ratio` is other_std / std.
    """

    mean: float
    std: float
    other_mean: float
    other_std: float
    sigma: float
    ratio: float


def differences(own: Figures, other: Figures) -> dict[str, Difference]:
    """Return the difference of each band that both sides have and that is constant on neither."""
    return {
        band: Difference(mean, std, *other[band], (other[band][0] - mean) / std, other[band][1] / std)
        for band, (mean, std) in own.items()
        if band in other and min(std, other[band][1]) > 0
    }


def verdict(own: Figures, other: Figures, unit: str) -> list[str]:
    """Return sentences that compare the figures `other` with those of one's own data, both in one `unit`."""
    bands = differences(own, other)
    if not bands:
        return ["no band in common: nothing can be compared"]
    sentences = [*_find_other_unit(bands, unit), *_find_copies(other), *_find_swap(bands)]
    sentences += _find_fill(bands) if unit == "dB" and not sentences else []
    sentences += _find_wrong_spread(bands) if not sentences else []
    far = [band for band, figures in bands.items() if abs(figures.sigma) > NEAR]
    if not sentences and not far:
        return [f"alike: means within {NEAR} σ and deviations within a factor of {TIMES}"]
    if not sentences:
        shown = ", ".join(f"{band} {bands[band].sigma:+.2f} σ" for band in far)
        sentences = [f"means differ ({shown}): other ground, season, calibration or processing"]
    return sentences


def _find_other_unit(bands: dict[str, Difference], unit: str) -> Iterator[str]:
    if unit == "dB" and all(band.mean < -3 and 0 < band.other_mean < 1 for band in bands.values()):
        yield "another unit: the means look like power, and not like dB"
    if unit in ("power", "amplitude") and all(band.other_mean < 0 for band in bands.values()):
        yield f"another unit: the means look like dB, and not like {unit}"


def _find_copies(other: Figures) -> Iterator[str]:
    for band, (mean, std) in other.items():
        if mean and abs(abs(mean) - std) <= COPIED * std:
            yield f"{band}: the standard deviation {std:g} is a copy of the mean"


def _find_swap(bands: dict[str, Difference]) -> Iterator[str]:
    if len(bands) != 2:
        return
    (first, a), (second, b) = bands.items()
    straight = abs(a.mean - a.other_mean) + abs(b.mean - b.other_mean)
    crossed = abs(a.mean - b.other_mean) + abs(b.mean - a.other_mean)
    apart = abs(a.mean - b.mean)
    if crossed < apart / 2 and crossed < straight / 2:
        yield f"{first} and {second} are swapped: each has the mean of the other"


def _find_fill(bands: dict[str, Difference]) -> Iterator[str]:
    """Yield a sentence where the other figures are those of one's own data with a share of pixels at 0 dB."""
    shares = {band: 1 - figures.other_mean / figures.mean for band, figures in bands.items() if figures.mean < 0}
    if len(shares) < len(bands) or min(shares.values()) < LEAST_FILL or max(shares.values()) >= 1:
        return
    for band, share in shares.items():
        figures = bands[band]
        expected = ((1 - share) * (figures.std**2 + figures.mean**2) - figures.other_mean**2) ** 0.5
        if abs(figures.other_std / expected - 1) > CLOSE or figures.other_std < figures.std * (1 + CLOSE):
            return
    middle = sum(shares.values()) / len(shares)
    if max(shares.values()) - min(shares.values()) <= CLOSE:
        yield f"as if {100 * middle:.0f} % of the pixels were missing and counted as 0 dB, which is a bright value"


def _find_wrong_spread(bands: dict[str, Difference]) -> Iterator[str]:
    for band, own in bands.items():
        if own.std > 0 and abs(own.other_std / own.std**2 - 1) < 0.02 and abs(own.std - 1) > CLOSE:
            yield f"{band}: the standard deviation {own.other_std:g} looks like a variance"
        elif not 1 / TIMES <= own.ratio <= TIMES:
            low, high = sorted((own.mean + sign * 2 * own.std - own.other_mean) / own.other_std for sign in (-1, 1))
            yield (
                f"{band}: the standard deviation is {own.ratio:.3g} times ours, so that ours within 2 σ end between "
                f"{low:.3g} and {high:.3g}"
            )

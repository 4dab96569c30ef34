"""What is odd about means and deviations that somebody normalizes by, seen from those of one's own data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sar_data.statistics.published import Figures

NEAR = 0.25  # deviations that means may differ by and still count as alike
TIMES = 1.5  # that a deviation may be larger or smaller
COPIED = 1e-6  # relative difference of a deviation and a mean that are the same number
LEAST_FILL = 0.02  # share of pixels
CLOSE = 0.1  # relative


class Difference(NamedTuple):
    """A band's figures here and there, the difference of the means in deviations of ours, and their std over ours."""

    mean: float
    std: float
    other_mean: float
    other_std: float
    sigma: float
    ratio: float


def differences(ours: Figures, theirs: Figures) -> dict[str, Difference]:
    """Return by how much the bands that both have differ, without those that are constant on a side."""
    return {
        band: Difference(mean, std, *theirs[band], (theirs[band][0] - mean) / std, theirs[band][1] / std)
        for band, (mean, std) in ours.items()
        if band in theirs and min(std, theirs[band][1]) > 0
    }


def verdict(ours: Figures, theirs: Figures, unit: str) -> list[str]:
    """Return sentences about figures `theirs` for data that have `ours`, both in one `unit`."""
    found = differences(ours, theirs)
    if not found:
        return ["no band in common: nothing can be compared"]
    told = [*_unit(found, unit), *_copied(theirs), *_swapped(found)]
    told += _filled(found) if unit == "dB" and not told else []
    told += _spread(found) if not told else []
    far = [band for band, one in found.items() if abs(one.sigma) > NEAR]
    if not told and not far:
        return [f"alike: means within {NEAR} σ and deviations within a factor of {TIMES}"]
    if not told:
        shown = ", ".join(f"{band} {found[band].sigma:+.2f} σ" for band in far)
        told = [f"means differ ({shown}): other ground, season, calibration or processing"]
    return told


def _unit(found: dict[str, Difference], unit: str) -> Iterator[str]:
    if unit == "dB" and all(one.mean < -3 and 0 < one.other_mean < 1 for one in found.values()):
        yield "another unit: the means look like power, and not like dB"
    if unit in ("power", "amplitude") and all(one.other_mean < 0 for one in found.values()):
        yield f"another unit: the means look like dB, and not like {unit}"


def _copied(theirs: Figures) -> Iterator[str]:
    for band, (mean, std) in theirs.items():
        if mean and abs(abs(mean) - std) <= COPIED * std:
            yield f"{band}: the standard deviation {std:g} is a copy of the mean"


def _swapped(found: dict[str, Difference]) -> Iterator[str]:
    if len(found) != 2:
        return
    (first, a), (second, b) = found.items()
    straight = abs(a.mean - a.other_mean) + abs(b.mean - b.other_mean)
    crossed = abs(a.mean - b.other_mean) + abs(b.mean - a.other_mean)
    apart = abs(a.mean - b.mean)
    if crossed < apart / 2 and crossed < straight / 2:
        yield f"{first} and {second} are swapped: each has the mean of the other"


def _filled(found: dict[str, Difference]) -> Iterator[str]:
    """Tell whether mean and deviation are those of our data with a share of pixels at 0 dB."""
    shares = {band: 1 - one.other_mean / one.mean for band, one in found.items() if one.mean < 0}
    if len(shares) < len(found) or min(shares.values()) < LEAST_FILL or max(shares.values()) >= 1:
        return
    for band, share in shares.items():
        one = found[band]
        expected = ((1 - share) * (one.std**2 + one.mean**2) - one.other_mean**2) ** 0.5
        if abs(one.other_std / expected - 1) > CLOSE or one.other_std < one.std * (1 + CLOSE):
            return
    middle = sum(shares.values()) / len(shares)
    if max(shares.values()) - min(shares.values()) <= CLOSE:
        yield f"as if {100 * middle:.0f} % of the pixels were missing and counted as 0 dB, which is a bright value"


def _spread(found: dict[str, Difference]) -> Iterator[str]:
    for band, one in found.items():
        if one.std > 0 and abs(one.other_std / one.std**2 - 1) < 0.02 and abs(one.std - 1) > CLOSE:
            yield f"{band}: the standard deviation {one.other_std:g} looks like a variance"
        elif not 1 / TIMES <= one.ratio <= TIMES:
            low, high = sorted((one.mean + sign * 2 * one.std - one.other_mean) / one.other_std for sign in (-1, 1))
            yield (
                f"{band}: the standard deviation is {one.ratio:.3g} times ours, so that ours within 2 σ end between "
                f"{low:.3g} and {high:.3g}"
            )

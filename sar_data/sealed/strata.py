"""Statistics of parts of a build, merged from the rows of samples.parquet; only those of dates read pixels.

Counts, means, deviations and extremes are exact; percentiles are estimated from the quantiles of each image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import BuildError, UsageError, unknown
from sar_data.radiometry import CONVERTIBLE, DECIBELS
from sar_data.sealed.dates import samples_by_date
from sar_data.sealed.documents import BandDocument, BandStatistics, Circular, DomainStatistics, SplitStatistics
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_file import read_index
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.recorded import nonempty_splits
from sar_data.sealed.samples import SAMPLES_NAME, THUMBNAIL, read_samples
from sar_data.sealed.summary import CONVERSIONS, PERCENTILES
from sar_data.split.policy import SPLITS
from sar_data.statistics.figures import DOMAINS, QUANTILE_NAMES
from sar_data.statistics.sketch import Sketch, kolmogorov_smirnov, sketch, stability
from sar_data.statistics.stats import REASONS
from sar_data.statistics.units import domains

Floats = npt.NDArray[np.float64]
BY = ("split", "class", "pass", "orbit", "season", "month", "year", "platform", "place", "group")
DATE = "date"
COLUMNS = {"split": "split", "pass": "orbit_pass", "orbit": "relative_orbit", "place": "place", "group": "group"}
SEASONS = ("DJF", "MAM", "JJA", "SON")  # by months: the same in both hemispheres
UNKNOWN = "unknown"
OF_ROWS = ("at_min", "at_max", "below_noise")  # figures that no manifest has
SENTINEL1 = re.compile(r"(?:^|[^A-Z])(S1[A-D])_", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stratum:
    """The images of one part, their figures, and the distribution of each band, None without a valid pixel."""

    images: int
    figures: SplitStatistics
    sketches: Mapping[str, Sketch | None]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a band of a part is from that of a reference.

    `sigma` is the difference of the means in deviations of the reference, `ks` the largest difference of the shares of
    pixels below any value (Kolmogorov and Smirnov), `psi` the population stability index over the reference's tenths.
    """

    sigma: float | None
    ks: float
    psi: float


def strata(build: Build, by: str, split: str | None = None) -> dict[str, Stratum]:
    """Return the parts of a build, or of one split, that differ in `by`: the largest first, splits and times in order.

    `by` is one of BY, DATE or an attribute of the index. An image of several classes is in the part of each of them;
    dates come in the image's order. Raises UsageError for a `by` that does not exist or that no image has, BuildError
    without samples.parquet.
    """
    index = read_index(build.path / INDEX_NAME)
    index = index.filter(pc.is_in(index["split"], pa.array(nonempty_splits(build.manifest, split))))
    if by == DATE:
        parts: dict[str, Stratum] = {}
        for date, table in samples_by_date(build, index).items():
            keys = table["key"].unique()
            parts |= _strata(table, keys, build.manifest, {date: range(len(keys))})
        return parts
    samples = read_samples(build.path, without=[THUMBNAIL])
    if samples is None:
        raise BuildError(f"{build.place}: expected {SAMPLES_NAME}, found none: builds of schema 2 have no such table")
    return divide(index, samples, build.manifest, by)


def divide(index: pa.Table, samples: pa.Table, manifest: Manifest, by: str) -> dict[str, Stratum]:
    """Return the parts of packed rows of an index, as `strata` does; `samples` has the rows of these samples at least.

    Raises UsageError for a `by` that does not exist or that no image has, BuildError for impossible figures.
    """
    values = [_plain(value) for value in _values(index, by)]
    if all(value == [UNKNOWN] for value in values):
        raise UsageError(f"by={by!r}: this build does not know it of any image")
    there = set(index["split"].unique().to_pylist()) if by == "split" else ()
    rows: dict[str, list[int]] = {name: [] for name in SPLITS if name in there}
    for place, names in enumerate(values):
        for name in dict.fromkeys(names):
            rows.setdefault(name, []).append(place)
    if by in ("month", "year"):
        rows = dict(sorted(rows.items(), key=lambda part: (part[0] == UNKNOWN, part[0])))
    elif by != "split":
        rows = dict(sorted(rows.items(), key=lambda part: (-len(part[1]), part[0])))
    return _strata(samples, index["key"], manifest, rows)


def _strata(
    samples: pa.Table, keys: pa.ChunkedArray | pa.Array, manifest: Manifest, rows: Mapping[str, Sequence[int]]
) -> dict[str, Stratum]:
    """Return the parts whose samples are `rows` of the keys."""
    tables = _by_band(samples, keys, layout_of(manifest).bands)
    bands = {band.name: band for band in manifest.bands}
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            return {name: _stratum(tables, bands, places) for name, places in rows.items()}
    except (ArithmeticError, ValueError) as error:
        raise BuildError(f"{SAMPLES_NAME}: expected figures of images, found others: {error}"[:500]) from error


def add_row_figures(build: Build, figures: Mapping[str, SplitStatistics]) -> dict[str, SplitStatistics]:
    """Return the figures of splits with those that only the rows of samples.parquet have.

    These are the pixels with extreme values and those below the noise floor. Without samples.parquet nothing is added.
    """
    if not (build.path / SAMPLES_NAME).is_file():
        return dict(figures)
    parts = strata(build, "split")
    splits = {}
    for name, split in figures.items():
        rows = parts[name].figures.bands
        bands = {
            name: band.model_copy(update={field: getattr(rows[name], field) for field in OF_ROWS})
            for name, band in split.bands.items()
        }
        splits[name] = split.model_copy(update={"bands": bands})
    return splits


def shifts(parts: Mapping[str, Stratum], reference: str | None = None) -> dict[str, dict[str, Shift]]:
    """Return how far each band of each part is from that of the reference part, the first one by default.

    Raises UsageError for a reference that is no part.
    """
    if reference is not None and reference not in parts:
        raise unknown("reference", reference, parts)
    known = parts[next(iter(parts)) if reference is None else reference]
    return {name: shift(known, part) for name, part in parts.items() if part is not known}


def shift(reference: Stratum, other: Stratum) -> dict[str, Shift]:
    """Return the shift of each band that has valid pixels on both sides."""
    shifts = {}
    for band, known in reference.sketches.items():
        sketch = other.sketches.get(band)
        if known is None or sketch is None or known.unit != sketch.unit:
            continue
        a, b = (part.figures.bands[band].stored for part in (reference, other))
        sigma = (b.mean - a.mean) / a.std if a.std and a.mean is not None and b.mean is not None else None
        shifts[band] = Shift(sigma, kolmogorov_smirnov(known, sketch), stability(known, sketch))
    return shifts


def _values(index: pa.Table, by: str) -> list[Any]:
    """Return each row's value, or list of values, of `by`."""
    if by in COLUMNS:
        return list(index[COLUMNS[by]].to_pylist())
    if by == "class":
        return list(index["labels"].to_pylist())
    if by in ("season", "month", "year"):
        return [_period(time, by) for time in index["time"].to_pylist()]
    attrs = [{pair["name"]: pair["value"] for pair in row} for row in index["attrs"].to_pylist()]
    if by == "platform":
        texts = zip(index["dates"].to_pylist(), index["group"].to_pylist(), index["key"].to_pylist(), strict=True)
        return [row.get("platform") or _platform(*text) for row, text in zip(attrs, texts, strict=True)]
    if not any(by in row for row in attrs):
        raise unknown("by", by, [*BY, DATE, *sorted({name for row in attrs for name in row})])
    return [row.get(by) for row in attrs]


def _period(time: datetime | None, by: str) -> str | None:
    if time is None:
        return None
    if by == "season":
        return SEASONS[time.month % 12 // 3]
    return f"{time:%Y-%m}" if by == "month" else f"{time:%Y}"


def _platform(dates: Sequence[Mapping[str, Any]], group: str | None, key: str) -> str | None:
    """Return the platforms of an image's dates, or the Sentinel-1 satellite in the name of its group or key."""
    if known := {date["platform"] for date in dates or () if date["platform"]}:
        return " and ".join(sorted(known))
    matches = (SENTINEL1.search(name) for name in (group, key) if name)
    return next((match[1] for match in matches if match), None)


def _plain(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value] or [UNKNOWN]
    return [UNKNOWN if value is None else str(value)]


def _by_band(samples: pa.Table, keys: pa.ChunkedArray | pa.Array, bands: Sequence[str]) -> dict[str, pa.Table]:
    """Return the rows of each band in the order of the keys."""
    tables = {band: samples.filter(pc.equal(samples["band"].cast(pa.string()), band)) for band in bands}
    return {band: table.take(pc.index_in(keys, table["key"])) for band, table in tables.items()}


def _stratum(tables: Mapping[str, pa.Table], known: Mapping[str, BandDocument], rows: Sequence[int]) -> Stratum:
    bands: dict[str, BandStatistics] = {}
    sketches: dict[str, Sketch | None] = {}
    for band, table in tables.items():
        part = table.take(pa.array(rows, pa.int64()))
        counts = _column(part, "count")
        quantiles = np.stack([_column(part, name) for name in ("min", *QUANTILE_NAMES, "max")], axis=1)
        sketches[band] = sketch(counts, quantiles, known[band].unit)
        bands[band] = _band(part, known[band], sketches[band])
    return Stratum(len(rows), SplitStatistics(bands=bands, co_moments=[]), sketches)


def noise_floor(band: BandDocument) -> float | None:
    """Return the stated noise floor of a band, in its unit; None where none is stated or the band is not sigma0."""
    stated = band.processing.noise_floor if band.processing and band.calibration == "sigma0" else None
    if stated is None or band.unit not in CONVERTIBLE:
        return None
    return stated if band.unit == "dB" else 10 ** (stated / DECIBELS[band.unit])


def _at(part: pa.Table, name: str) -> int | None:
    """Return how many pixels have the extreme value of all images ("min" or "max"), None where it was not counted."""
    counts, values = part[f"at_{name}"], part[name]
    if counts.null_count == len(counts):
        return None
    extreme = getattr(pc, name)(values)
    return int(pc.sum(counts.filter(pc.equal(values, extreme))).as_py() or 0)


def _band(part: pa.Table, band: BandDocument, sketch: Sketch | None) -> BandStatistics:
    unit, floor = band.unit, noise_floor(band)
    names = domains(unit)
    extremes = [
        float(value) if value is not None else None
        for value in (pc.min(part["min"]).as_py(), pc.max(part["max"]).as_py())
    ]
    percentiles = {f"p{p}": sketch.quantile(p / 100) for p in PERCENTILES} if sketch else {}
    other = {name: _domain(part, name, unit, extremes, percentiles) for name in DOMAINS[:2] if name in names}
    return BandStatistics(
        count=int(pc.sum(part["count"]).as_py() or 0),
        masked={reason: int(pc.sum(part[reason]).as_py() or 0) for reason in REASONS},
        zeros=int(pc.sum(part["zeros"]).as_py() or 0),
        at_min=_at(part, "min"),
        at_max=_at(part, "max"),
        below_noise=None if floor is None or sketch is None else sketch.below(floor),
        stored=_domain(part, "", unit, extremes, percentiles),
        power=other.get("power"),
        db=other.get("dB"),
        circular=_circular(part) if "cos" in names else None,
    )


def _domain(
    part: pa.Table, domain: str, unit: str, extremes: Sequence[float | None], percentiles: Mapping[str, float]
) -> DomainStatistics:
    """Return the figures of a domain, "" for the stored unit; a percentile without a value there is None."""
    prefix = f"{domain.lower()}_" if domain else ""
    counts, means, variances = (_column(part, f"{prefix}{name}") for name in ("count", "mean", "variance"))
    count = float(counts.sum())
    if not count:
        return DomainStatistics(unit=domain or unit, count=0, mean=None, std=None, min=None, max=None, percentiles={})
    convert = CONVERSIONS[unit, domain] if domain else float
    mean = float((counts * means).sum() / count)
    low, high = (None if value is None else convert(value) for value in extremes)
    return DomainStatistics(
        unit=domain or unit,
        count=int(count),
        mean=mean,
        std=float(np.sqrt((counts * (variances + (means - mean) ** 2)).sum() / count)),
        min=low,
        max=high,
        percentiles={name: convert(value) for name, value in percentiles.items()},
    )


def _circular(part: pa.Table) -> Circular | None:
    weights = _column(part, "cos_count")
    if not weights.sum():
        return None
    x, y = (float((weights * _column(part, f"{name}_mean")).sum() / weights.sum()) for name in ("cos", "sin"))
    return Circular(mean_direction=float(np.arctan2(y, x)), resultant_length=float(np.hypot(x, y)))


def _column(part: pa.Table, name: str) -> Floats:
    """Return a column as floats, 0 for null."""
    return np.asarray(pc.fill_null(part[name], 0).to_numpy(zero_copy_only=False), np.float64)

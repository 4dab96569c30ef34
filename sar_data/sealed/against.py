"""Comparison of a build's figures with published figures, those of a file, or those of another build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic

from sar_data.errors import UsageError, unknown
from sar_data.sealed.documents import SplitStatistics
from sar_data.sealed.manifest import NAME
from sar_data.sealed.names import first_flaw
from sar_data.sealed.opened import Build
from sar_data.sealed.recorded import statistics
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.sealed.strata import Shift, shift, strata
from sar_data.statistics.published import PublishedFigures, published_figures
from sar_data.statistics.verdict import Difference, differences, verdict
from sar_data.system import strict_json
from sar_data.system.regular import read_regular

LARGEST = 1e12  # beyond any backscatter
SHOWN = '{"unit": "dB", "mean": {"VV": -12.6}, "std": {"VV": 5.1}}'


class _Document(pydantic.BaseModel):
    """A JSON file of figures; it may have other fields too."""

    model_config = pydantic.ConfigDict(strict=True, allow_inf_nan=False)

    unit: str | None = None
    mean: dict[str, Annotated[float, pydantic.Field(ge=-LARGEST, le=LARGEST)]]
    std: dict[str, Annotated[float, pydantic.Field(gt=1 / LARGEST, le=LARGEST)]]

    @pydantic.model_validator(mode="after")
    def _check_bands(self) -> Self:
        if not self.mean or self.mean.keys() != self.std.keys():
            raise ValueError("mean and std: expected both of each band")
        return self


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of a build's split compared with other figures.

    `name` says what the other figures describe and `source` where they come from. `unit` is the unit of both sides,
    `bands` has the differences and `verdict` sentences about them. `shifts` has the distances of the distributions
    where the other figures are those of a build.
    """

    name: str
    unit: str
    source: str
    bands: Mapping[str, Difference]
    verdict: tuple[str, ...]
    shifts: Mapping[str, Shift] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the comparison as a JSON document."""
        return asdict(self) | {"bands": {band: difference._asdict() for band, difference in self.bands.items()}}


def against(build: Build, other: str | Path, split: str = "train") -> Comparison:
    """Compare the figures of a build's split with `other`: a name of published.toml, a JSON file, or another build.

    A file has {"unit": …, "mean": {band: …}, "std": {band: …}}; without a unit, means below 0 are read as dB. Another
    build is compared by the same split. Raises UsageError for another `other`, BuildError for a build without figures.
    """
    own = statistics(build, split)[split]
    path = Path(other)
    if (path / NAME).is_file():
        return _compare_builds(build, Build.open(path), split)
    if str(other) in published_figures():
        figures = published_figures()[str(other)]
    elif path.is_file():
        figures = _read(path)
    else:
        raise unknown("figures", str(other), published_figures())
    return _compare(str(other), own, figures)


def _compare_builds(build: Build, other: Build, split: str) -> Comparison:
    own_figures, other_figures = (statistics(side, split)[split] for side in (build, other))
    units = {band.stored.unit for figures in (own_figures, other_figures) for band in figures.bands.values()}
    unit = units.pop() if len(units) == 1 else "dB"  # power and amplitude have figures in dB, too
    source = f"{split} of {other.path}"
    comparison = _compare(str(other.path), own_figures, PublishedFigures(unit, _figures(other_figures, unit), source))
    if not all((side.path / SAMPLES_NAME).is_file() for side in (build, other)):
        return comparison
    reference, part = (strata(side, "split", split)[split] for side in (build, other))
    return replace(comparison, shifts=shift(reference, part))


def _compare(name: str, statistics: SplitStatistics, other: PublishedFigures) -> Comparison:
    own = _figures(statistics, other.unit)
    if not own:
        units = sorted({figures.stored.unit for figures in statistics.bands.values()})
        sentences = [f"another unit: this build has figures in {', '.join(units)}, those are in {other.unit}"]
    else:
        sentences = verdict(own, other.bands, other.unit)
    known = [f"known to be wrong: {other.wrong}"] if other.wrong else []
    return Comparison(name, other.unit, other.source, differences(own, other.bands), (*known, *sentences))


def _figures(statistics: SplitStatistics, unit: str) -> dict[str, tuple[float, float]]:
    """Return mean and deviation of the bands that have figures in a unit."""
    bands = {}
    for band, figures in statistics.bands.items():
        domains = (figures.stored, figures.db, figures.power)
        domain = next((domain for domain in domains if domain is not None and domain.unit == unit), None)
        if domain is not None and domain.mean is not None and domain.std is not None:
            bands[band] = (domain.mean, domain.std)
    return bands


def _read(path: Path) -> PublishedFigures:
    """Read figures from a JSON file; raise UsageError for a file without them."""
    try:
        document = _Document.model_validate(strict_json.loads(read_regular(path)))
    except pydantic.ValidationError as error:
        raise UsageError(f"{path}: expected figures such as {SHOWN}, found others: {first_flaw(error)}") from None
    except ValueError as error:
        raise UsageError(f"{path}: expected figures such as {SHOWN}, found others: {error}"[:600]) from error
    bands = {band: (mean, document.std[band]) for band, mean in document.mean.items()}
    guessed = "dB" if any(mean < 0 for mean in document.mean.values()) else "power"
    return PublishedFigures(
        document.unit or guessed, bands, f"{path}" + ("" if document.unit else f", read as {guessed}")
    )

"""A build's figures beside published ones, those of a file, or those of another build, with a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
    """A file of figures. Other fields may stand beside them."""

    model_config = pydantic.ConfigDict(strict=True, allow_inf_nan=False)

    unit: str | None = None
    mean: dict[str, Annotated[float, pydantic.Field(ge=-LARGEST, le=LARGEST)]]
    std: dict[str, Annotated[float, pydantic.Field(gt=1 / LARGEST, le=LARGEST)]]

    @pydantic.model_validator(mode="after")
    def _both(self) -> Self:
        if not self.mean or self.mean.keys() != self.std.keys():
            raise ValueError("mean and std: expected both of each band")
        return self


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the figures of a build's split lie beside others.

    `name` is what they are of, `unit` the unit that both are told in, `source` where they come from, `bands` the
    differences, `shifts` the distances of the distributions where the others are of a build, `verdict` sentences.
    """

    name: str
    unit: str
    source: str
    bands: Mapping[str, Difference]
    verdict: tuple[str, ...]
    shifts: Mapping[str, Shift] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return asdict(self) | {"bands": {band: one._asdict() for band, one in self.bands.items()}}


def against(build: Build, other: str | Path, split: str = "train") -> Comparison:
    """Set the figures of a build's split beside `other`: a name of published.toml, a JSON file, or another build.

    A file has {"unit": …, "mean": {band: …}, "std": {band: …}}; without a unit, means below 0 are read as dB. Of
    another build it is the same split. Raises UsageError for another `other`, BuildError for a build without figures.
    """
    ours = statistics(build, split)[split]
    path = Path(other)
    if (path / NAME).is_file():
        return _beside(build, Build.open(path), split)
    if str(other) in published_figures():
        theirs = published_figures()[str(other)]
    elif path.is_file():
        theirs = _read(path)
    else:
        raise unknown("figures", str(other), published_figures())
    return _compared(str(other), ours, theirs)


def _beside(build: Build, other: Build, split: str) -> Comparison:
    ours, theirs = (statistics(one, split)[split] for one in (build, other))
    units = {figures.stored.unit for one in (ours, theirs) for figures in one.bands.values()}
    unit = units.pop() if len(units) == 1 else "dB"  # power and amplitude are told in dB, too
    found = _compared(str(other.path), ours, PublishedFigures(unit, _figures(theirs, unit), f"{split} of {other.path}"))
    tables = all((one.path / SAMPLES_NAME).is_file() for one in (build, other))
    parts = [strata(one, "split", split)[split] for one in (build, other)] if tables else []
    moved = shift(*parts) if parts else {}
    return Comparison(found.name, found.unit, found.source, found.bands, found.verdict, moved)


def _compared(name: str, ours: SplitStatistics, theirs: PublishedFigures) -> Comparison:
    own = _figures(ours, theirs.unit)
    if not own:
        units = sorted({figures.stored.unit for figures in ours.bands.values()})
        told = [f"another unit: this build has figures in {', '.join(units)}, those are in {theirs.unit}"]
    else:
        told = verdict(own, theirs.bands, theirs.unit)
    known = [f"known to be wrong: {theirs.wrong}"] if theirs.wrong else []
    return Comparison(name, theirs.unit, theirs.source, differences(own, theirs.bands), (*known, *told))


def _figures(statistics: SplitStatistics, unit: str) -> dict[str, tuple[float, float]]:
    """Return mean and deviation of the bands that have figures in a unit."""
    found = {}
    for band, figures in statistics.bands.items():
        domains = (figures.stored, figures.db, figures.power)
        told = next((one for one in domains if one is not None and one.unit == unit), None)
        if told is not None and told.mean is not None and told.std is not None:
            found[band] = (told.mean, told.std)
    return found


def _read(path: Path) -> PublishedFigures:
    """Read figures from a JSON file; raise UsageError for one that says something else."""
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

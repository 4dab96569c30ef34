"""Statistics counted from pixels, those of a sealed build or of raw files, and the figures that people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sar_data import catalog
from sar_data.builder.raw_statistics import ALL, fitting, raw_statistics, recognise
from sar_data.errors import UsageError, unknown
from sar_data.progress import Progress
from sar_data.runners import Runner
from sar_data.sealed.documents import SplitStatistics
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.recorded import nonempty_splits
from sar_data.sealed.recount import recount
from sar_data.sealed.summary import summarise
from sar_data.statistics.stats import BandStats
from sar_data.system.store import Place, place_of
from sar_data.system.suffixes import PICTURES, check_suffix


@dataclass(frozen=True, kw_only=True)
class StatsRequest:
    """Whose band statistics are asked for.

    `path` is a sealed build, a folder or a URL, or raw files or their archive, of which `dataset` and `variant` say
    what they are where they do not tell. `split` is one of a build's; the one of raw files is "all". A build has its
    figures recorded; `recompute`, raw files, and `plot`, a picture of histograms, read every pixel. With `by` figures
    are those of the parts of a build that differ in split, class, pass, orbit, season, month, year, platform, place,
    group or an attribute of the index.
    """

    path: Place
    split: str | None = None
    by: str | None = None
    recompute: bool = False
    dataset: str | None = None
    variant: str | None = None
    plot: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", place_of(self.path))
        if self.plot is not None:
            check_suffix(self.plot, PICTURES, name="plot")
        if self.by is not None and self.reads:
            raise UsageError(f"`by={self.by}`: merges recorded figures: expected no `recompute=True` and no `plot=…`")

    @property
    def reads(self) -> bool:
        """Whether pixels are read, of a sealed build too."""
        return self.recompute or self.plot is not None

    def open(self) -> Build | None:
        """Return the sealed build, None for raw files; raise UsageError where one is needed, or another dataset's."""
        build = open_build(self.path, self.dataset, self.variant)
        if build is None and self.by is not None:
            raise UsageError(f"`by={self.by}`: expected a sealed build, whose recorded figures are merged")
        return build


@dataclass(frozen=True, slots=True)
class Counted:
    """Statistics by split, of bands in order."""

    title: str
    bands: tuple[str, ...]
    statistics: Mapping[str, BandStats]

    def figures(self) -> dict[str, SplitStatistics]:
        """Return what people read of them, by split."""
        return {name: summarise(statistics, self.bands) for name, statistics in self.statistics.items()}


def open_build(path: Place, dataset: str | None = None, variant: str | None = None) -> Build | None:
    """Return the sealed build at `path`, None for raw files; raise UsageError for a build of another dataset."""
    if isinstance(path, Path) and not (path / NAME).exists():
        return None
    build = Build.open(path)
    if variant is not None and variant != build.manifest.variant:
        raise UsageError(f"`variant={variant}`: expected {build.manifest.variant or 'none'}, of which this is a build")
    if dataset is not None and catalog.resolve(dataset) != build.manifest.dataset:
        raise UsageError(f"`dataset={dataset}`: expected {build.manifest.dataset}, of which this is a build")
    return build


def count(request: StatsRequest, runner: Runner, progress: Progress | None = None) -> Counted:
    """Read every pixel of a build's split, or of all; or of a raw folder or archive, whose one split is "all".

    Raises UsageError for a split or a dataset that does not fit, SourceError for files of no dataset, BuildError and
    BadRecord for the first image that is not sound.
    """
    split = request.split
    if build := request.open():
        manifest = build.manifest
        figures = recount(build, nonempty_splits(manifest, split), runner, progress)
        return Counted(manifest.title, layout_of(manifest).bands, figures)
    if split not in (None, ALL):
        raise unknown("split of a raw folder", str(split), [ALL])
    pipeline = catalog.pipeline(request.dataset) if request.dataset else recognise(Path(request.path))
    fit = fitting(catalog.variant_of(pipeline, request.variant), Path(request.path), progress)
    spec = fit.pipeline.spec
    figures = {ALL: raw_statistics(fit, runner, progress)}
    return Counted(spec.title, tuple(band.name for band in spec.bands), figures)

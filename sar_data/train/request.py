"""What a run, or a finished one, is asked for: values that check themselves, for command line, flows and Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from sar_data.errors import UsageError, unknown
from sar_data.radiometry import CONVERTIBLE, spell_unit
from sar_data.sealed import manifest
from sar_data.system.suffixes import PICTURES
from sar_data.train import suites
from sar_data.train.builds import STATISTICS, Together
from sar_data.train.preset import Preset, find, resolved
from sar_data.train.settings import JOBS, Settings
from sar_data.train.suites import Suite

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """A training run on a sealed build, or on several as one set.

    `job` is probe, finetune, segment, change, detect or pretrain; `build` the folder of a sealed build, or its URL, or
    a list of them; `out` the folder of the run, in which an unfinished one goes on. `preset` is a published recipe by
    its name, or a .toml file; `settings` are the job's options that differ from it, by their names in
    sar_data/train/settings.py.
    Several builds are one set, whose classes are joined by name. `mix` has each one's share of what an epoch draws, by
    default each sample comes once; `statistics` says whose figures normalize the images: each build's own (the
    default), or joint ones. `drop_duplicates` leaves out train samples that a val or test split has, or train has
    twice.

    Raises UsageError for a name that does not exist and for options that contradict each other.
    """

    job: str
    build: str | Path | Sequence[str | Path]
    out: str | Path
    preset: str | None = None
    settings: Mapping[str, Any] | None = None
    mix: Sequence[float] | None = None
    statistics: str | None = None
    drop_duplicates: bool | None = None

    def __post_init__(self) -> None:
        if self.job not in JOBS:
            raise unknown("job", self.job, JOBS)
        if not self.builds:
            raise UsageError("build: expected a sealed build, found none")
        _ = self.options  # which are checked here
        self.together.check(len(self.builds), self.job)

    @property
    def builds(self) -> list[str]:
        """The builds, one or several."""
        given = [self.build] if isinstance(self.build, str | Path) else self.build
        return [str(one) for one in given]

    @property
    def together(self) -> Together:
        """How several builds are one set."""
        return Together(
            mix=None if self.mix is None else tuple(map(float, self.mix)),
            statistics=self.statistics or STATISTICS[0],
            drop_duplicates=bool(self.drop_duplicates),
        )

    @cached_property
    def recipe(self) -> Preset | None:
        """The preset, read."""
        return None if self.preset is None else find(self.preset)

    @cached_property
    def options(self) -> Settings:
        """All options of the job: those that were asked for, else the preset's, else the defaults."""
        return resolved(self.job, self.recipe, dict(self.settings or {}))


WHOSE = ("run", "build")
FORMATS = tuple(suffix[1:] for suffix in PICTURES)
LIMITS = ("fixed", "run")


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """A finished run to be judged on one split of a build.

    `run` is its folder; `build` the folder of a sealed build of the same task, or its URL; `out` where the figures go,
    by default a folder in the run's. `normalize_by` says whose figures normalize the images: the run's own, of its
    train split, or the build's. `picture_format` is png, pdf or svg; a finished evaluation is drawn again in another
    one. `device` is cpu or cuda, by default a GPU where there is one.

    Raises UsageError for a name that does not exist.
    """

    run: str | Path
    build: str | Path
    split: str = "test"
    out: str | Path | None = None
    normalize_by: str = "run"
    picture_format: str = "png"
    device: str | None = None

    def __post_init__(self) -> None:
        _check_format(self.picture_format)
        if self.normalize_by not in WHOSE:
            raise unknown("normalize_by", self.normalize_by, WHOSE)
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)


DTYPES = ("float16", "float32")
GRID = "grid"  # in place of a pooling
WEIGHTED = ("model", "stem", "bands", "unit", "normalize", "image_size", "resample", "crop", "pad", "batch_size")
"""Options of an encoder that comes from weights; a run has its own."""


@dataclass(frozen=True, kw_only=True)
class EmbedRequest:
    """The features of a build's images, one vector a sample, by an encoder.

    `source` is the folder of a finished run, or weights as a training job takes them: PATH, hf:REPO/FILE@REVISION,
    torchgeo:ENUM or timm:TAG, of which `settings` say the rest (WEIGHTED). `build` is the folder of a sealed build, or
    its URL; `out` the Parquet file. `split` is one of the build's, all by default; `pooling` cls, mean or last4, by
    default the run's or the encoder's first, or grid: every token of a ViT or place of the coarsest feature map. `like`
    is a key whose nearest neighbours are drawn beside the file, in `picture_format` png, pdf or svg.

    Raises UsageError for a name that does not exist.
    """

    source: str | Path
    build: str | Path
    out: str | Path
    split: str | None = None
    pooling: str | None = None
    dtype: str = "float16"
    like: str | None = None
    picture_format: str = "png"
    device: str | None = None
    settings: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_format(self.picture_format)
        if self.split is not None and self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.dtype not in DTYPES:
            raise unknown("dtype", self.dtype, DTYPES)
        if self.like is not None and self.pooling == GRID:
            raise UsageError(f"`like={self.like}`: expected one vector an image, found `pooling={GRID}`: take another")
        _check_weighted(self.source, self.settings)

    @cached_property
    def options(self) -> Settings:
        """The options of an encoder that comes from weights."""
        return _weighted(self.source, self.settings)


@dataclass(frozen=True, kw_only=True)
class ExplainRequest:
    """What an encoder leans on in the images of a build: its knowledge points.

    `source` and `settings` are those of EmbedRequest; `build` is the folder of a sealed build, or its URL; `out` the
    folder of tables and pictures. Of a `split` the first `count` chips are explained, each in `cells` × `cells` cells;
    noise is drawn `draws` times a step, for so many `steps`, by `seed`. A cell is a point where the entropy of its
    noise lies below the background's mean by more than `threshold` nats. `picture_format` is png, pdf or svg.

    Raises UsageError for a name that does not exist and numbers that mean nothing.
    """

    source: str | Path
    build: str | Path
    out: str | Path
    split: str = "test"
    count: int = 16
    cells: int = 16
    draws: int = 8
    steps: int = 60
    threshold: float = 0.3
    seed: int = 0
    picture_format: str = "png"
    device: str | None = None
    settings: Mapping[str, Any] | None = None
    pooling: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check_format(self.picture_format)
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        for name, most in (("count", 1 << 20), ("cells", 256), ("draws", 1 << 10), ("steps", 1 << 16)):
            if not 1 <= getattr(self, name) <= most:
                raise UsageError(f"{name}: expected 1 to {most:,}, found {getattr(self, name)}")
        _check_weighted(self.source, self.settings)

    @cached_property
    def options(self) -> Settings:
        """The options of an encoder that comes from weights."""
        return _weighted(self.source, self.settings)


def _check_weighted(source: str | Path, settings: Mapping[str, Any] | None) -> None:
    """Raise UsageError for options of weights that do not exist, or are given of a run."""
    for name in settings or ():
        if name not in WEIGHTED:
            raise unknown("option of weights", name, WEIGHTED)
    if settings and Path(source).is_dir():
        raise UsageError(f"{', '.join(settings)}: of weights; a run has its own, as it was trained: leave it out")


def _weighted(source: str | Path, settings: Mapping[str, Any] | None) -> Settings:
    return resolved("probe", None, {"weights": str(source), **(settings or {})})


@dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """What a finished run's model says of images.

    `run` is its folder; `source` a sealed build (its folder, or its URL), a folder of images, or one image of any size,
    on disk or behind a URL; `out` the folder of the answers, in which an unfinished prediction goes on. Of a build
    `split` is one of its splits, all by default. Of images `bands` names the bands of a file in their order, by default
    as the files describe them, and `unit` is what their values are, by default the model's: dB, power or amplitude.
    `tile` is the side in pixels of the windows of images larger than that, by default what the model was trained on.
    A model of several labels says those whose share is above 0.5 (`thresholds` fixed), or above the thresholds that the
    run has chosen on its val (run).
    `picture_format` of the sheet is png, pdf or svg. `device` is cpu or cuda, by default a GPU where there is one.

    Raises UsageError for a name that does not exist and for options that the source does not have.
    """

    run: str | Path
    source: str | Path
    out: str | Path
    split: str | None = None
    bands: Sequence[str] | None = None
    unit: str | None = None
    tile: int | None = None
    thresholds: str = "fixed"
    picture_format: str = "png"
    device: str | None = None

    def __post_init__(self) -> None:
        _check_format(self.picture_format)
        if self.split is not None and self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.thresholds not in LIMITS:
            raise unknown("thresholds", self.thresholds, LIMITS)
        if self.unit is not None and spell_unit(self.unit) not in CONVERTIBLE:
            raise unknown("unit", self.unit, CONVERTIBLE)
        if self.tile is not None and self.tile < 32:
            raise UsageError(f"`tile={self.tile}`: expected 32 pixels or more")
        others = ("bands", "unit", "tile") if self.of_build else ("split",)
        if given := [name for name in others if getattr(self, name) is not None]:
            what = "a sealed build, which says them itself" if self.of_build else "images, which have no splits"
            raise UsageError(f"{self.source}: expected no `{given[0]}=…` of {what}")

    @property
    def of_build(self) -> bool:
        """Say whether the source is a sealed build."""
        source = str(self.source)
        if "://" in source:
            return not source.lower().partition("?")[0].endswith((".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy"))
        return (Path(source) / manifest.NAME).is_file()


FORMS = ("onnx", "torchscript", "fgmae")


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """A finished run's model as a file for other programs.

    `run` is its folder; `to` onnx or torchscript, of a pretraining fgmae, whose names FG-MAE's scripts read; `out` the
    folder of the file, its description and, but for fgmae, its card.

    Raises UsageError for a form that does not exist.
    """

    run: str | Path
    to: str
    out: str | Path

    def __post_init__(self) -> None:
        if self.to not in FORMS:
            raise unknown("form", self.to, FORMS)


BENCHED = ("model", "stem", "normalize", "image_size", "batch_size", "epochs", "seed", "amp", "threads", "device")
"""Options of all rows of a benchmark; `model` and `stem` are of its encoder, and not of the small network beside it."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkRequest:
    """A published suite of tasks, run one after another.

    `suite` is copernicus-bench-s1; `builds` the folder in which the build of each task lies; `out` the folder of the
    runs, in which an unfinished benchmark goes on. `weights` are those of the frozen encoder, as a training job takes
    them; a supervised small network and a random encoder are run in any case. `settings` are options of all rows
    (BENCHED).

    Raises UsageError for a name that does not exist.
    """

    suite: str
    builds: str | Path
    out: str | Path
    weights: str | None = None
    settings: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _ = self.tasks  # which are looked up here
        for name in self.settings or ():
            if name not in BENCHED:
                raise unknown("option of a benchmark", name, BENCHED)

    @cached_property
    def tasks(self) -> Suite:
        """The suite, read."""
        return suites.find(self.suite)


OVER = ("seed",)


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Finished runs beside each other, as one table.

    `runs` are their folders, the first of which the others are tested against, on the samples that both were tested on.
    `split` is whose figures are shown. The table is Markdown; `csv` and `latex` (booktabs) are other forms. `over` seed
    gives mean and deviation of the runs that differ in this alone.

    Raises UsageError for a name that does not exist and for choices that exclude each other.
    """

    runs: str | Path | Sequence[str | Path]
    split: str = "test"
    over: str | None = None
    csv: bool = False
    latex: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.over is not None and self.over not in OVER:
            raise unknown("over", self.over, OVER)
        if sum((self.over is not None, self.csv, self.latex)) > 1:
            raise UsageError("`over=…`, `csv=True`, `latex=True`: expected at most one of them")

    @property
    def folders(self) -> list[Path]:
        """The folders, of one run or several."""
        return [Path(one) for one in ([self.runs] if isinstance(self.runs, str | Path) else self.runs)]


def _check_format(name: str) -> None:
    """Raise UsageError for a format that pictures do not have."""
    if name not in FORMATS:
        raise unknown("picture_format", name, FORMATS)

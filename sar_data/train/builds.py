"""The builds that a job reads: one, or several that are one set, whose classes are joined by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sar_data.errors import UsageError, unknown
from sar_data.naming import few
from sar_data.record import IGNORE
from sar_data.sealed.documents import TaskDocument
from sar_data.sealed.files import Files, open_files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.spec import MASKED
from sar_data.stream.channels import channel_of
from sar_data.stream.collection import common_bands
from sar_data.stream.member import Member
from sar_data.stream.normalize import in_unit, units_of
from sar_data.stream.targets import task_of
from sar_data.train.kinds import check_kind
from sar_data.train.matching import joined, task_like
from sar_data.train.settings import Settings

STATISTICS = ("own", "joint")


@dataclass(frozen=True, kw_only=True)
class Together:
    """How several builds are one set.

    `mix` has each build's share of what an epoch draws; None: each sample once. `statistics` are the figures that
    normalize the images: each build's own, of its train split, or joint, those of all train splits together.
    `drop_duplicates` leaves out train samples that are copies, or look like samples of a val or test split.

    Raises UsageError for shares that are none, and a name that does not exist.
    """

    mix: tuple[float, ...] | None = None
    statistics: str = "own"
    drop_duplicates: bool = False

    def __post_init__(self) -> None:
        if self.statistics not in STATISTICS:
            raise unknown("statistics", self.statistics, STATISTICS)
        if self.mix is not None and not all(math.isfinite(share) and share > 0 for share in self.mix):
            raise UsageError(
                f"`mix={','.join(f'{share:g}' for share in self.mix)}`: expected a share above 0 of each build; leave "
                "a build out that is not to be drawn"
            )

    def check(self, builds: int, job: str) -> None:
        """Raise UsageError for what a job does not do with so many builds."""
        if builds == 1 and (self.mix is not None or self.statistics != "own"):
            raise UsageError("mix and statistics: expected several builds, found one: leave them out")
        if self.mix is None:
            return
        if job == "probe":
            raise UsageError(
                "mix: a probe reads all features alike: leave it out, or take `finetune` with `freeze=True`"
            )
        if len(self.mix) != builds:
            raise UsageError(f"mix: expected {builds} shares, one a build, found {len(self.mix)}")


@dataclass(frozen=True)
class OpenBuild:
    """A build that is open: what it is called among others, where it lies, its files, its manifest, its task.

    There is no task where a job reads images alone.
    """

    name: str
    path: str
    files: Files
    manifest: Manifest
    task: TaskDocument | None

    @property
    def index(self) -> Path:
        """Where the build's index is."""
        return self.files.path(INDEX_NAME)

    def has(self, split: str) -> bool:
        """Say whether a split holds samples."""
        return split in self.manifest.splits and self.manifest.splits[split].count > 0


class Builds:
    """Some builds, opened and looked at: `each` of them, and the `task` of all, if a job reads one.

    Raises UsageError where a job with these settings cannot take them, alone or together; kinds of tasks are looked at
    where `checked`.
    """

    def __init__(self, paths: Sequence[str], settings: Settings, *, checked: bool = True) -> None:
        self.each: list[OpenBuild] = []
        self._files: list[Files] = []
        self._task: TaskDocument | None = None
        try:
            for path in paths:
                self._open(path, settings, checked)
            self.members: tuple[Member, ...] | None = None
            if len(self.each) > 1:
                _agree(self.each, settings)
                self.each = list(_named(self.each))
                self.members = _members(self.each)
                self._task = self.members[0].joint
        except BaseException:
            self.close()
            raise

    def _open(self, path: str, settings: Settings, checked: bool) -> None:
        files = open_files(path)
        self._files.append(files)
        manifest = Manifest.load(files.folder)
        task: TaskDocument | None = None
        if settings.labelled and self.each:
            first = self.task
            expected = f"{path}: expected a {first.kind} task beside {self.each[0].path}"
            task = task_like(first.kind, first.classes, manifest, settings.task or first.name, of=expected)
        elif settings.labelled:
            task = task_of(manifest, settings.task)
            if task is None:
                raise UsageError(f"{path}: has no task to train; it is for self-supervised learning: `pretrain`")
            if checked:
                check_kind(settings, task.name, task.kind)
        if task and (frames := layout_of(manifest).frames) > 1 and task.kind != "change":
            raise UsageError(
                f"{path}: expected one image a sample, found {frames}: only `change` takes several, with masks of what "
                "changed between them"
            )
        self._task = self._task or task
        self.each.append(OpenBuild(manifest.dataset, path, files, manifest, task))

    def __len__(self) -> int:
        return len(self.each)

    @property
    def task(self) -> TaskDocument:
        """What is to be learnt of all builds; raise UsageError where images alone are read."""
        if self._task is None:
            raise UsageError(f"{self.each[0].path}: expected a job with a task, found one that reads images alone")
        return self._task

    @property
    def labelled(self) -> bool:
        """Say whether a task is read."""
        return self._task is not None

    @property
    def places(self) -> str | list[str]:
        """The one build's path, or those of all, as a loader takes them."""
        return self.each[0].path if len(self) == 1 else [one.path for one in self.each]

    def manifest(self, unit: str | None) -> Manifest:
        """Return the manifest in a unit; of several that of the first, with what is true of all of them."""
        found = in_unit(self.each[0].manifest, unit)
        if len(self) == 1:
            return found
        manifests = [one.manifest for one in self.each]
        axes = {one.range_axis for one in manifests}
        return found.model_copy(
            update={
                "tasks": [self.task] if self.labelled else [],
                "symmetries": [name for name in found.symmetries if all(name in one.symmetries for one in manifests)],
                "range_axis": found.range_axis if len(axes) == 1 else "mixed",
            }
        )

    def has(self, split: str) -> bool:
        """Say whether a split holds samples in some build."""
        return any(one.has(split) for one in self.each)

    @cached_property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of all images, None where they differ."""
        shapes = {layout_of(one.manifest).shape for one in self.each}
        return shapes.pop() if len(shapes) == 1 else None

    @property
    def digest(self) -> str:
        """What the builds hold, whatever their containers."""
        return "+".join(one.manifest.content_digest for one in self.each)

    def keys(self, number: int, own: Sequence[str]) -> list[str]:
        """Return the keys that samples of a build have in a job."""
        return list(own) if self.members is None else [self.members[number].key(key) for key in own]

    def sentences(self) -> Iterator[str]:
        """Yield what became of the classes of several builds, and which a build has none of."""
        if self.members is None:
            return
        what = f"classes {few(self.task.classes)}" if self.labelled else "their images alone are read"
        yield f"{len(self)} builds, {', '.join(one.name for one in self.each)}: {what}"
        for member in self.members:
            if renamed := [f"{own} is {joint}" for own, joint in member.classes.items() if own != joint]:
                yield f"{member.name}: {few(renamed)}"

    def warnings(self) -> Iterator[str]:
        """Yield which classes a build says nothing of, and what then counts as wrong."""
        if not self.labelled:
            return
        what = {
            "multiclass": "it has no sample of them",
            "multilabel": "its samples count as without them",
            "detection": "such objects in its images count as background",
        }.get(self.task.kind, "its masks never have them")
        for member in self.members or ():
            known = set(member.numbers)
            if lacking := [name for number, name in enumerate(self.task.classes) if number not in known]:
                yield f"{member.name} annotates no {few(lacking)}: {what}"

    def close(self) -> None:
        """Give back files."""
        for files in self._files:
            files.close()


def _named(each: Sequence[OpenBuild]) -> Iterator[OpenBuild]:
    """Yield the builds by names of their own: the dataset's, with the beginning of a digest where that is not one."""
    datasets = [one.manifest.dataset for one in each]
    for one in each:
        dataset = one.manifest.dataset
        name = dataset if datasets.count(dataset) == 1 else f"{dataset}-{one.manifest.content_digest[:8]}"
        yield OpenBuild(name, one.path, one.files, one.manifest, one.task)


def _members(each: Sequence[OpenBuild]) -> tuple[Member, ...]:
    tasks = [one.task for one in each if one.task is not None]
    if not tasks:
        return tuple(Member(one.name, None, None, ()) for one in each)
    classes, numbers = joined([task.classes for task in tasks])
    first = tasks[0]
    if first.kind in MASKED and len(classes) > IGNORE:
        raise UsageError(f"classes: expected at most {IGNORE} in the masks of all builds, found {len(classes)}")
    joint = TaskDocument(name=first.name, kind=first.kind, classes=list(classes))
    return tuple(Member(one.name, one.task, joint, own) for one, own in zip(each, numbers, strict=True))


def _agree(each: Sequence[OpenBuild], settings: Settings) -> None:
    """Raise UsageError where builds cannot be one set."""
    first = each[0]
    digests = [one.manifest.content_digest for one in each]
    asked = settings.bands or common_bands([(one.path, layout_of(one.manifest).bands) for one in each])
    for place, one in enumerate(each):
        if (before := digests.index(digests[place])) != place:
            raise UsageError(f"{one.path}: expected other samples than those of {each[before].path}, found the same")
        if any(step.step == "normalize" for step in one.manifest.applied):
            raise UsageError(
                f"{one.path}: expected values in a unit beside other builds, found normalized ones: take its parent"
            )
        units = [units_of(in_unit(part.manifest, settings.unit), asked) for part in (first, one)]
        for channel, unit in units[0].items():
            if unit != units[1][channel]:
                raise UsageError(
                    f"builds differ in unit: {channel} is {unit} in {first.path}, {units[1][channel]} in {one.path}: "
                    "`unit=…` takes dB, power or amplitude from each other"
                )
        _check_polarizations(first, one, asked)


def _check_polarizations(first: OpenBuild, other: OpenBuild, channels: Sequence[str]) -> None:
    """Raise UsageError for a band whose polarization is known in both builds, and not the same."""
    ours, theirs = ({band.name: band.polarization for band in one.manifest.bands} for one in (first, other))
    for name in (name for channel in channels for name in channel_of(channel, list(ours)).bands):
        if "" not in (ours[name], theirs[name]) and ours[name] != theirs[name]:
            raise UsageError(
                f"builds differ in polarization: {name} is {ours[name]} in {first.path}, {theirs[name]} in "
                f"{other.path}: name bands of one polarization by `bands=…`, or leave one of the builds out"
            )

"""What a job reads: the splits of one build or of several, augmented for training, of one shape for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.naming import few
from sar_data.sealed.documents import TaskDocument
from sar_data.sealed.index_file import read_index
from sar_data.stream.channels import by_formula, channel_of
from sar_data.stream.collection import open_collection
from sar_data.stream.joint import joint_figures
from sar_data.stream.measured import measured_figures
from sar_data.stream.normalize import AFFINE, Figures, figures_of, in_unit, units_of
from sar_data.stream.order import Mix
from sar_data.stream.rows import largest
from sar_data.stream.selection import select
from sar_data.stream.targets import NO_TASK
from sar_data.torch import Loader, loader
from sar_data.train import duplicates
from sar_data.train.augment import Augment
from sar_data.train.augment.draws import draws
from sar_data.train.augment.power import Power, power_of
from sar_data.train.augment.steps import STEPS, parse, physical
from sar_data.train.builds import Builds, Together
from sar_data.train.duplicates import Duplicates
from sar_data.train.input import Input
from sar_data.train.jobs import Batch
from sar_data.train.matching import Matching
from sar_data.train.ranks import Ranks
from sar_data.train.settings import Pretrain, Probe, Settings

CARVED = "carved"  # the part of train that a probe sets aside to choose on, where a build has no val


@dataclass(frozen=True, slots=True)
class Trained:
    """What a trained model brings to a build, of which it reads one `split`, whole and in stored order.

    `figures` normalize its images; None: the build's own do. `side` is what the network was made for, `classes` are
    those that it knows, in its order.
    """

    split: str
    figures: Figures | None
    side: int
    classes: tuple[str, ...]


class Data:
    """A build, or several that are one set, as a job sees them; errors are those of sar_data.torch.loader.

    `build` is a path or a URL, or some of them, which are one set as `together` says; then keys are NAME/KEY.
    `samples` are those of train or, for a `trained` model, of the split that it reads; `classes` the model's.
    """

    def __init__(
        self,
        build: str | Sequence[str],
        settings: Settings,
        ranks: Ranks,
        trained: Trained | None = None,
        together: Together | None = None,
    ) -> None:
        self.settings, self.ranks, self._trained, self.together = settings, ranks, trained, together or Together()
        self._open: dict[str, Loader] = {}
        self.builds = Builds([build] if isinstance(build, str) else build, settings, checked=not trained)
        self.build = " + ".join(one.path for one in self.builds.each)
        own = tuple(self.task.classes) if settings.labelled else ()
        self.classes = trained.classes if trained else own
        self.manifest = self.builds.manifest(settings.unit)
        self.duplicates = self._duplicates() if self.together.drop_duplicates else None
        first = self.loader(trained.split if trained else "train")
        self.samples, self.channels = first.collection, first.channels
        self.select = settings.select if settings.select != "auto" else self._selected()
        self.side = trained.side if trained else settings.image_size or max(self.samples.shape[-2:])
        self._augment = Augment(
            settings.steps,
            self.manifest,
            self.channels,
            normalize=settings.normalize,
            figures=self._figures,
            image_size=settings.image_size,
            power=self._power,
            task=self._reads,
        )
        self._check_steps()

    @cached_property
    def task(self) -> TaskDocument:
        """What is to be learnt; raise UsageError where images alone are read."""
        return self.builds.task

    @cached_property
    def matching(self) -> Matching:
        """The classes of the builds by the numbers that a model has for them."""
        return Matching(self.task.kind, self.classes, tuple(self.task.classes))

    @property
    def _reads(self) -> str | None:
        """The task whose targets are read, as streams take it."""
        return self.task.name if self.settings.labelled else NO_TASK

    def _duplicates(self) -> Duplicates:
        """Look for duplicates, on the first rank."""
        names = [band.name for band in self.manifest.bands]
        bands = {name: None for channel in self.settings.bands or names for name in channel_of(channel, names).bands}
        looked: list[Duplicates] = self.ranks.gather(
            duplicates.found(self.builds, list(bands)) if self.ranks.first else None
        )
        return looked[0]

    @cached_property
    def _figures(self) -> Figures | None:
        """What normalizes the images of all builds alike, None where it is each one's own figures."""
        if self._trained:
            return self._trained.figures
        if self._formulas and len(self.builds) > 1 and self.together.statistics == "own":
            raise UsageError(f"{self._formulas[0]}: expected figures of all builds together: `statistics=joint`")
        return self._joint if self._formulas or self.together.statistics == "joint" else None

    @cached_property
    def _joint(self) -> Figures | None:
        told = self.settings
        bands = told.bands or [band.name for band in self.manifest.bands]
        if self._formulas:  # measured on the first rank
            paths = [one.path for one in self.builds.each]
            own = measured_figures(paths, bands, told.normalize, told.unit) if self.ranks.first else None
            found: list[Figures] = self.ranks.gather(own)
            return found[0]
        parts = [(one.manifest, one.files) for one in self.builds.each]
        return joint_figures(parts, bands, told.normalize, told.unit)

    @property
    def _formulas(self) -> list[str]:
        """The channels whose figures are measured, since no build records them."""
        names = [band.name for band in self.manifest.bands]
        return by_formula(self.settings.bands or (), names) if self.settings.normalize in AFFINE else []

    @cached_property
    def figures(self) -> list[Figures | None]:
        """What normalizes the images of each build."""
        if self._figures is not None:
            return [self._figures] * len(self.builds)
        told = self.settings
        manifests = [in_unit(one.manifest, told.unit) for one in self.builds.each]
        return [figures_of(manifest, self.channels, told.normalize) for manifest in manifests]

    def _check_steps(self) -> None:
        """Raise UsageError for steps in physical units on images that each build normalized by figures of its own."""
        steps = [f"augment {name}" for name in parse(self.settings.steps) if STEPS[name].physical]
        steps += ["resample power"] if self.settings.resample == "power" else []
        if steps and any(one != self.figures[0] for one in self.figures):
            raise UsageError(
                f"{steps[0]}: expected builds that are normalized alike, found figures of each one's own: "
                f"`statistics=joint` takes those of all, or leave it out"
            )

    @property
    def _power(self) -> Power | None:
        """What resamples images in power, None where they are resampled as they are."""
        told = self.settings
        if told.resample == "dB":
            return None
        return power_of(told.resample, self.input.units, told.normalize, self.figures[0], told.augment)

    @cached_property
    def input(self) -> Input:
        """What a model that is trained on this build takes and says."""
        normalized = any(step.step == "normalize" for step in self.manifest.applied)
        units = units_of(self.manifest, self.channels)
        figures = self.figures[0] if len(self.builds) == 1 else self._joint
        return Input(
            units=dict.fromkeys(units, "") if normalized else units,
            figures=None if figures is None else dict(figures),
            resized=self.settings.image_size is not None and self.samples.shape[-2:] != (self.side,) * 2,
            kind=self.task.kind if self.settings.labelled else "images",
            classes=self.classes,
            dates=self.dates,
        )

    @property
    def dates(self) -> int:
        """How many images of one place are seen of a sample: all of them, or one where images alone are read."""
        return self.manifest.frames if self.settings.labelled else 1

    def loader(self, split: str) -> Loader:
        """Return the loader of a split, opened once; raise UsageError where the split does not exist or is empty."""
        if split not in self._open:
            self._open[split] = self._opened(split)
        return self._open[split]

    def _opened(self, split: str) -> Loader:
        found = self._loader(split, self._kept if self._trains(split) else None)
        told = self.settings
        if not told.labelled:
            return found
        strange = self.matching.strange and self.task.kind == "multiclass"
        if split in ("train", "val") and told.control == "shuffled-labels" and not self._trained:
            found.collection.permute_targets(told.seed)  # val, too: the best of many by true labels is above chance
        if not strange or (classes := found.collection.classes()) is None:
            return found
        known = np.array([number is not None for number in self.matching.numbers])[classes]
        keys = found.collection.keys(np.flatnonzero(known))
        found.close()
        if not keys:
            raise UsageError(f"{self.build}: {split} has no sample of the classes that the model knows")
        return self._loader(split, keys)

    def _loader(self, split: str, keys: Sequence[str] | None) -> Loader:
        told = self.settings
        training = self._trains(split)
        later = physical(told.steps, told.normalize)  # some steps need the values before they are normalized
        return loader(
            self.builds.places,
            split=split,
            batch_size=told.batch_size,
            bands=told.bands,
            unit=told.unit,
            task=told.task if told.labelled else NO_TASK,
            seed=told.seed,
            normalize=None if later else told.normalize,
            figures=self._figures,
            fill=None,  # so that augmentation knows which pixels have data
            one_frame=not told.labelled,
            **self._fit(split),
            **({**told.share, "mix": self.together.mix} if training else {}),
            members=self.builds.members,
            keys=keys,
            # A probe encodes every split as it is stored, and a trained model only looks.
            shuffle=False if isinstance(told, Probe) or self._trained else None,
            threads=told.threads or 2,
            verify="first",  # damage is an error, and no worse model
            device=self.ranks.device,
            rank=self.ranks.rank,
            world=self.ranks.world,
        )

    def _trains(self, split: str) -> bool:
        return split == "train" and self._trained is None

    def _fit(self, split: str) -> dict[str, Any]:
        """Return crop and pad of a split: as asked for, but whole images where evaluation sees them in windows."""
        told = self.settings
        if self._trains(split) or told.tiles is None:
            return {"crop": told.crop, "pad": told.pad}
        if self.builds.shape is not None:
            return {"crop": None, "pad": None}
        sides = [largest(one.files, one.manifest, [split]) for one in self.builds.each]
        return {"crop": None, "pad": max(*sides, 1)}

    def _selected(self) -> str:
        """Return what the best epoch or head is chosen on where nothing was asked for."""
        if self.has("val"):
            return "val"
        return CARVED if isinstance(self.settings, Probe) else "last"

    @property
    def choice(self) -> str:
        """What the best epoch or head is chosen on, as a line of the log."""
        what = "the best head" if isinstance(self.settings, Probe) else "the best epoch"
        if not self.settings.labelled:
            return "the last epoch is taken: nothing is chosen on, and val and test are not read"
        if self.select == "last":
            told = "the last epoch is taken"
        elif self.select == CARVED:
            told = f"{what} is chosen on a part of train that is set aside"
        else:
            told = f"{what} is chosen on {self.select}"
        lacking = [one.name for one in self.builds.each if not one.has("val")]
        missing = f": {few(lacking)} {'has' if len(lacking) == 1 else 'have'} no val split" if lacking else ""
        if len(self.builds) == 1:
            missing = ": this build has no val split" if lacking else ""
        elif self.select not in ("last", CARVED):
            told += " of all builds that have it, together"
        untested = "" if self.has("test") else "; without a test split nothing is tested"
        return f"select {self.settings.select}{missing}: {told}{untested}"

    def sentences(self) -> Iterator[str]:
        """Yield how several builds are one set, and what is left out of train."""
        yield from self.builds.sentences()
        if self._formulas:
            yield f"the figures of {few(self._formulas)} were measured over train, since no build records them"
        if len(self.builds) > 1 and any(one is not None for one in self.figures):
            whose = "those of all train splits together" if self.together.statistics == "joint" else "its own figures"
            yield f"images of each build are normalized by {whose} (`statistics={self.together.statistics}`)"
        draws = self.loader("train").draws
        if isinstance(draws, Mix):
            parts = zip(draws.counts, self.builds.each, draws.sizes, strict=True)
            each = ", ".join(f"{count:,} of {one.name}, which has {size:,}" for count, one, size in parts)
            yield f"mix: an epoch draws {sum(draws.counts):,} train samples: {each}"
        if self.duplicates is not None:
            yield self.duplicates.sentence()

    def has(self, split: str) -> bool:
        """Say whether a split holds samples, of some build; one that judges, where images alone are read, does not."""
        return self.builds.has(split) and (self.settings.labelled or split == "train")

    @property
    def _kept(self) -> Sequence[str] | None:
        return None if self.duplicates is None else self.duplicates.kept

    def training(self) -> Iterator[Batch]:
        """Yield this epoch's batches from where the loader is, augmented by each sample's own random numbers."""
        train = self.loader("train")
        epoch, batch_size, rank, world = train.epoch, self.settings.batch_size, self.ranks.rank, self.ranks.world
        for batch in train:
            first = train.state_dict()["position"] - batch_size * (world - rank)
            yield self._shown(batch, draws(self.settings.seed, epoch, first, batch_size))

    def _shown(self, batch: Batch, chance: Tensor) -> Batch:
        """Return a batch as a network sees it; of images alone with the random numbers, and what has no added noise."""
        found, told = self._augment(batch, chance), self.settings
        if not isinstance(told, Pretrain):
            return found
        clean = self._augment(batch, chance, noise=False) if told.noise else found
        return found | {"chance": chance, "clean": clean["image"]}

    def evaluation(self, split: str, start: int = 0) -> Iterator[Batch]:
        """Yield a split's batches in stored order, all of the full batch size: the last is filled up with weight 0.

        `start` is the number of the first sample, which is in the share of the first rank.

        One shape for every batch and world size, so that kernels choose alike and a sample's answer does not depend on
        how many processes share the work.
        """
        stream = self.loader(split)
        if start:
            stream.load_state_dict({**stream.state_dict(), "position": start})
        for batch in stream:
            own = batch | {"target": self.matching.targets(batch["target"])}
            yield _filled(self._augment.prepare(own, self.settings.centre), self.settings.batch_size)

    def encoding(self, split: str, view: int = 0) -> Iterator[tuple[int, Batch]]:
        """Yield a split's batches as `evaluation` does, each with the number of its first sample in stored order.

        View 0 is the image as it is evaluated; every other one is augmented by random numbers of its own.
        """
        stream = self.loader(split)
        for step, batch in enumerate(stream):
            first = step * stream.pace.step + self.ranks.rank * len(batch["key"])
            if view:
                fitted = self._augment(batch, draws(self.settings.seed, view, first, len(batch["key"])))
            else:
                fitted = self._augment.prepare(batch, self.settings.centre)
            yield first, _filled(fitted, self.settings.batch_size)

    def keys(self, split: str) -> list[str]:
        """Return the keys of a split's evaluation in stored order."""
        return self.loader(split).keys

    @property
    def index(self) -> Path:
        """Where the build's index is, of several that of the first."""
        return self.builds.each[0].index

    @cached_property
    def groups(self) -> dict[str, str | None]:
        """What each key must not be torn from, such as its scene; None where the build knows nothing of it."""
        return self._by_key("group")

    @cached_property
    def places(self) -> dict[str, str | None]:
        """The place that each key shows, None where the build does not know it."""
        return self._by_key("place")

    def _by_key(self, column: str) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for number, one in enumerate(self.builds.each):
            table = read_index(one.index, ["key", column])
            keys, values = self.builds.keys(number, table["key"].to_pylist()), table[column].to_pylist()
            if self.builds.members is not None:  # names of two builds mean two things
                values = [None if value is None else self.builds.members[number].key(value) for value in values]
            found |= zip(keys, values, strict=True)
        return found

    def images(self, split: str, keys: Sequence[str]) -> list[tuple[npt.NDArray[np.float32], Any]]:
        """Return images float32 [(date,) C, H, W] of some keys in physical units, NaN where masked, and targets."""
        told, split = self.settings, "train" if split == CARVED else split
        stored = open_collection(
            self.builds.places,
            split=split,
            bands=told.bands,
            unit=told.unit,
            task=self._reads,
            members=self.builds.members,
            normalize=None,
            fill=None,
            one_frame=not told.labelled,
            **self._fit(split),
        )
        try:
            found = {}
            for row in select(stored, keys=keys):
                batch = stored.batch(np.array([row]))
                target = self.matching.targets(batch["target"])[0] if told.labelled else None
                found[batch["key"][0]] = batch["image"][0].copy(), target
            return [found[key] for key in keys]
        finally:
            stored.close()

    def close(self) -> None:
        """Give back threads, maps and files."""
        for one in self._open.values():
            one.close()
        self.builds.close()


def _filled(batch: Batch, size: int) -> Batch:
    """Return a batch of `size` samples: the last one repeated with weight 0."""
    missing = size - len(batch["key"])
    if missing <= 0:
        return batch

    def more(value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.cat([value, value[-1:].expand(missing, *value.shape[1:])])
        return [*value, *value[-1:] * missing]

    found = {name: more(value) for name, value in batch.items()}
    found["weight"][size - missing :] = 0
    return found

"""What a job reads: the splits of one build, augmented for training, of one shape for evaluation."""

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
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_file import read_index
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.stream.collection import Collection, open_collection
from sar_data.stream.normalize import Figures, figures_of, in_unit, units_of
from sar_data.stream.order import permutation
from sar_data.stream.storage.files import open_files
from sar_data.stream.targets import Classes, task_of
from sar_data.torch import Loader, loader
from sar_data.train.augment import Augment
from sar_data.train.augment.draws import draws
from sar_data.train.augment.steps import physical
from sar_data.train.input import Input
from sar_data.train.jobs import Batch
from sar_data.train.kinds import check_kind
from sar_data.train.matching import Matching
from sar_data.train.run.ranks import Ranks
from sar_data.train.settings import Probe, Settings
from sar_data.train.sizes import largest

CONTROL = 102  # the stream of random numbers that permutes labels
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
    """One build as a job sees it. `build` is a path or a URL; options and errors are those of sar_data.torch.loader.

    `samples` are those of train or, for a `trained` model, of the split that it reads; `classes` the model's.
    """

    def __init__(self, build: str, settings: Settings, ranks: Ranks, trained: Trained | None = None) -> None:
        self.build, self.settings, self.ranks, self._trained = build, settings, ranks, trained
        self._open: dict[str, Loader] = {}
        self._files = open_files(build)
        stored = Manifest.load(self._files.folder)
        self._layout = layout_of(stored)
        if self._layout.frames > 1:
            raise UsageError(f"{build}: has {self._layout.frames} images a sample; training takes builds of one")
        task = task_of(stored, settings.task)
        if task is None:
            raise UsageError(f"{build}: has no task to train; it is for self-supervised learning")
        if not trained:
            check_kind(settings, task.name, task.kind)
        self.task = task
        self.classes = trained.classes if trained else tuple(task.classes)
        self.matching = Matching(task.kind, self.classes, tuple(task.classes))
        self.manifest = in_unit(stored, settings.unit)
        first = self.loader(trained.split if trained else "train")
        self.samples, self.channels = first.collection, first.channels
        self.select = settings.select if settings.select != "auto" else self._selected()
        self.side = trained.side if trained else settings.image_size or max(self.samples.shape[-2:])
        self._augment = Augment(
            settings.augment,
            self.manifest,
            self.channels,
            normalize=settings.normalize,
            figures=self._figures,
            image_size=settings.image_size,
            task=settings.task,
        )

    @property
    def _figures(self) -> Figures | None:
        return self._trained.figures if self._trained else None

    @cached_property
    def input(self) -> Input:
        """What a model that is trained on this build takes and says."""
        normalized = any(step.step == "normalize" for step in self.manifest.applied)
        units = units_of(self.manifest, self.channels)
        figures = figures_of(self.manifest, self.channels, self.settings.normalize)
        return Input(
            units=dict.fromkeys(units, "") if normalized else units,
            figures=None if figures is None else dict(figures),
            resized=self.settings.image_size is not None and self.samples.shape[-2:] != (self.side,) * 2,
            kind=self.task.kind,
            classes=self.classes,
        )

    def loader(self, split: str) -> Loader:
        """Return the loader of a split, opened once; raise UsageError where the split does not exist or is empty."""
        if split not in self._open:
            self._open[split] = self._opened(split)
        return self._open[split]

    def _opened(self, split: str) -> Loader:
        found = self._loader(split, None)
        told, targets = self.settings, found.collection.sources[0].targets
        if split in ("train", "val") and told.control == "shuffled-labels" and not self._trained:
            _permute(found.collection, told.seed)  # val, too: the best of many by true labels is above chance
        if not (self.matching.strange and isinstance(targets, Classes) and self.task.kind == "multiclass"):
            return found
        known = np.array([number is not None for number in self.matching.numbers])[targets.whole()]
        keys = found.collection.sources[0].rows.keys(np.flatnonzero(known))
        found.close()
        if not keys:
            raise UsageError(f"{self.build}: {split} has no sample of the classes that the model knows")
        return self._loader(split, keys)

    def _loader(self, split: str, keys: list[str] | None) -> Loader:
        told = self.settings
        training = self._trains(split)
        later = physical(told.augment, told.normalize)  # some steps need the values before they are normalized
        return loader(
            self.build,
            split=split,
            batch_size=told.batch_size,
            bands=told.bands,
            unit=told.unit,
            task=told.task,
            seed=told.seed,
            normalize=None if later else told.normalize,
            figures=self._figures,
            fill=None,  # so that augmentation knows which pixels have data
            **self._fit(split),
            **(told.share if training else {}),
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
        if self._layout.shape is not None:
            return {"crop": None, "pad": None}
        return {"crop": None, "pad": max(largest(self._files, self.manifest, [split]), 1)}

    def _selected(self) -> str:
        """Return what the best epoch or head is chosen on where nothing was asked for."""
        if self.has("val"):
            return "val"
        return CARVED if isinstance(self.settings, Probe) else "last"

    @property
    def choice(self) -> str:
        """What the best epoch or head is chosen on, as a line of the log."""
        what = "the best head" if isinstance(self.settings, Probe) else "the best epoch"
        if self.select == "last":
            told = "the last epoch is taken"
        elif self.select == CARVED:
            told = f"{what} is chosen on a part of train that is set aside"
        else:
            told = f"{what} is chosen on {self.select}"
        missing = "" if self.has("val") else ": this build has no val split"
        untested = "" if self.has("test") else "; without a test split nothing is tested"
        return f"select {self.settings.select}{missing}: {told}{untested}"

    def has(self, split: str) -> bool:
        """Say whether a split holds samples."""
        return split in self.manifest.splits and self.manifest.splits[split].count > 0

    def training(self) -> Iterator[Batch]:
        """Yield this epoch's batches from where the loader is, augmented by each sample's own random numbers."""
        train = self.loader("train")
        epoch, batch_size, rank, world = train.epoch, self.settings.batch_size, self.ranks.rank, self.ranks.world
        for batch in train:
            first = train.state_dict()["position"] - batch_size * (world - rank)
            yield self._augment(batch, draws(self.settings.seed, epoch, first, batch_size))

    def evaluation(self, split: str) -> Iterator[Batch]:
        """Yield a split's batches in stored order, all of the full batch size: the last is filled up with weight 0.

        One shape for every batch and world size, so that kernels choose alike and a sample's answer does not depend on
        how many processes share the work.
        """
        for batch in self.loader(split):
            own = batch | {"target": self.matching.targets(batch["target"])}
            yield _filled(self._augment.fitted(own, self.settings.centre), self.settings.batch_size)

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
                fitted = self._augment.fitted(batch, self.settings.centre)
            yield first, _filled(fitted, self.settings.batch_size)

    def keys(self, split: str) -> list[str]:
        """Return the keys of a split's evaluation in stored order."""
        return self.loader(split).keys

    @property
    def index(self) -> Path:
        """Where the build's index is."""
        return self._files.path(INDEX_NAME)

    @cached_property
    def groups(self) -> dict[str, str | None]:
        """What each key must not be torn from, such as its scene; None where the build knows nothing of it."""
        return self._by_key("group")

    @cached_property
    def places(self) -> dict[str, str | None]:
        """The place that each key shows, None where the build does not know it."""
        return self._by_key("place")

    def _by_key(self, column: str) -> dict[str, str | None]:
        table = read_index(self.index, ["key", column])
        return dict(zip(table["key"].to_pylist(), table[column].to_pylist(), strict=True))

    def images(self, split: str, keys: Sequence[str]) -> list[tuple[npt.NDArray[np.float32], Any]]:
        """Return images float32 [C, H, W] of some keys in physical units, NaN where masked, and their targets."""
        told, split = self.settings, "train" if split == CARVED else split
        stored = open_collection(
            self.build,
            split=split,
            bands=told.bands,
            unit=told.unit,
            task=told.task,
            normalize=None,
            fill=None,
            **self._fit(split),
        )
        try:
            rows = [int(stored.sources[0].rows.find([key])[0]) for key in keys]
            batches = [stored.batch(np.array([row])) for row in rows]
            return [(batch["image"][0].copy(), self.matching.targets(batch["target"])[0]) for batch in batches]
        finally:
            stored.close()

    def close(self) -> None:
        """Give back threads, maps and files."""
        for one in self._open.values():
            one.close()
        self._files.close()


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


class _Permuted(Classes):
    """The targets of other samples of the split, so that nothing is left to be learnt."""

    def __init__(self, targets: Classes, order: npt.NDArray[np.int64]) -> None:
        self._targets, self._order = targets, order

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return self._targets.take(self._order[rows])


def _permute(samples: Collection, seed: int) -> None:
    """Give every sample the target of another one."""
    targets = samples.sources[0].targets
    if not isinstance(targets, Classes):
        raise UsageError("control shuffled-labels: expected a task of classes")
    samples.sources[0].targets = _Permuted(targets, permutation(len(samples), CONTROL, seed))

"""Diff: what differs between two sealed builds, by what they mean and not by how they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.builder.image_diff import Side, differing_images
from sar_data.builder.rebake import ORDER, bakes_of
from sar_data.naming import few
from sar_data.progress import Progress
from sar_data.runners import Runner
from sar_data.sealed.documents import Applied
from sar_data.sealed.index import SCAN
from sar_data.sealed.leaves import differing_leaves
from sar_data.sealed.manifest import Identity, Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.places import place_column, places_of

LONGEST = 200  # characters of a value
NAMED = ("targets", "attrs", "dropped")  # columns of named values, whose order means nothing
TITLES = {"targets": "labels"}
WINDOWED = ("height", "width", "objects", "transform", "footprint")  # columns that a crop or a resize changes
# Fields of an identity that follow from the steps of a conversion, and of a recipe that say how a build is stored.
STORED, HOW = {"storage", "shape", "pixel_size_m", "bands"}, {"format", "shard_length", "parent", "bake"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: what differs, of which record (None: of the build), and its value in each build."""

    what: str
    key: str | None
    first: str
    second: str

    def __str__(self) -> str:
        where = f"record {self.key}: " if self.key is not None else ""
        return f"{where}{self.what}: {self.first} | {self.second}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences of two builds; `notes` say what was compared in another form, or not at all."""

    differences: list[Difference]
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        rows = [asdict(difference) for difference in self.differences]
        return {"equal": not rows, "differences": rows, "notes": self.notes}


def diff(
    path: Path, other: Path, *, full: bool = False, runner: Runner, progress: Progress | None = None
) -> Comparison:
    """Return what differs between two builds: recipe, statistics, keys, splits, labels, objects, pixels to one ulp.

    The container, the shards and the order of samples are no difference. Pixels are read where their recorded hashes
    differ; `full` reads all of them. Where one build has further steps of baking, the pixels of the other one are
    compared after these steps. Raises BuildError for a build that cannot be read.
    """
    builds = Build.open(path), Build.open(other)
    left, right = (build.manifest for build in builds)
    steps = _further_steps(left, right)
    rows = _Rows(builds)
    differences = [*_recipe(left, right), *_statistics(left, right), *rows.lonely(), *rows.columns(steps)]
    if steps is not None:
        differences += _pixels(builds, rows.rows_to_read(every=full or bool(steps)), steps, runner, progress)
    return Comparison(differences, list(_notes(left, right, steps)))


def _further_steps(left: Manifest, right: Manifest) -> list[Applied] | None:
    """Return the steps that one build has behind those of the other; None where their pixels cannot be compared."""
    less, more = sorted((left.applied, right.applied), key=len)
    steps = more[len(less) :]
    comparable = more[: len(less)] == less and all(step.step in ORDER for step in steps)
    sized = any(step.step in ("crop", "pad", "resize") for step in steps)
    return steps if comparable and not sized and _bands(left) == _bands(right) else None


def _bands(manifest: Manifest) -> tuple[int, list[str]]:
    return manifest.frames, sorted(band.name for band in manifest.bands)


def _notes(left: Manifest, right: Manifest, steps: list[Applied] | None) -> Iterator[str]:
    stored = [" with ".join(filter(None, (build.format, build.compression))) for build in (left, right)]
    if stored[0] != stored[1]:
        yield f"compared across containers: {stored[0]} and {stored[1]}"
    if left.sar_data_version != right.sar_data_version:
        yield f"sealed by version {left.sar_data_version} and by version {right.sar_data_version}"
    if (left.parent is None) != (right.parent is None):
        yield "one build was converted from another: of the recipes, declaration, split and steps were compared"
    if steps is None:
        yield "pixels and statistics were not compared: bands or steps differ so that no value has its like"
    elif steps:
        number = "second" if len(right.applied) > len(left.applied) else "first"
        yield (
            f"the {number} build has further steps ({few([step.step for step in steps])}): the pixels of the other one "
            "were compared after these steps, and statistics, which are of stored values, were not"
        )


def _recipe(left: Manifest, right: Manifest) -> Iterator[Difference]:
    """Yield the differences of declarations, split policies and steps, and of recipes of the same kind."""
    implied = STORED if left.applied != right.applied else set()
    for name in [*(Identity.model_fields.keys() - implied), "split_policy", "applied"]:
        yield from _figures(f"recipe, {name}", getattr(left, name), getattr(right, name))
    if (left.parent is None) == (right.parent is None):
        recipes = ({k: v for k, v in manifest.recipe.items() if k not in HOW} for manifest in (left, right))
        yield from _figures("recipe,", *recipes)


def _statistics(left: Manifest, right: Manifest) -> Iterator[Difference]:
    if left.applied != right.applied:
        return
    earlier = not (left.digest and right.digest)  # schema 2 lacks some figures
    for name in ("normalization", "statistics"):
        yield from _figures(name, getattr(left, name), getattr(right, name), common=earlier)


def _figures(what: str, first: Any, second: Any, *, common: bool = False) -> Iterator[Difference]:
    """Yield the differing values of two documents; of those that both have, where `common`."""
    for name, pair in differing_leaves(first, second).items():
        if not (common and None in pair):
            yield Difference(f"{what} {name}".strip(), None, *map(_shown, pair))


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class _Rows:
    """The index rows of two builds: those with a key of both, in one order, and the others."""

    def __init__(self, builds: tuple[Build, Build]) -> None:
        self.manifests = [build.manifest for build in builds]
        self.tables = [build.index() for build in builds]
        at = pc.index_in(self.tables[0]["key"], value_set=self.tables[1]["key"])
        self.shared = self.tables[0].filter(pc.is_valid(at)), self.tables[1].take(at.drop_null())

    def lonely(self) -> Iterator[Difference]:
        """Yield the records that only one build has."""
        keys = self.shared[0]["key"]
        for table, values in zip(self.tables, (("a record", "none"), ("none", "a record")), strict=True):
            for key in table["key"].filter(pc.invert(pc.is_in(table["key"], value_set=keys))).to_pylist():
                yield Difference("key", key, *values)

    def columns(self, steps: list[Applied] | None) -> Iterator[Difference]:
        """Yield the differing values of the columns that say what a sample is."""
        left, right = self.manifests
        masked = ["masked"] if left.applied == right.applied else []
        names = ["split", *SCAN.names[1:], *masked]
        keys = self.shared[0]["key"].to_pylist()
        for name in names if steps is not None else [name for name in names if name not in WINDOWED]:
            first, second = (table[name].combine_chunks() for table in self.shared)
            if first.equals(second):
                continue
            for key, *pair in zip(keys, first.to_pylist(), second.to_pylist(), strict=True):
                values = [_in_order(value or None) if name in NAMED else value for value in pair]
                if values[0] != values[1] and any(values):  # an empty list and null are the same
                    yield Difference(TITLES.get(name, name), key, *map(_shown, values))

    def rows_to_read(self, *, every: bool) -> list[pa.Table]:
        """Return the shared rows with pixels in both builds: with other hashes, or all."""
        chosen = pc.and_(*(pc.is_valid(table["shard"]) for table in self.shared))
        if not every:
            same = [
                pc.equal(*(pc.fill_null(table[name], "") for table in self.shared)) for name in ("xxh3", "mask_xxh3")
            ]
            chosen = pc.and_(chosen, pc.invert(pc.and_(*same)))
        return [table.filter(chosen) for table in self.shared]


def _in_order(items: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    return items and sorted(items, key=lambda item: str(next(iter(item.values()))))


def _pixels(
    builds: tuple[Build, Build], tables: list[pa.Table], steps: list[Applied], runner: Runner, progress: Progress | None
) -> Iterator[Difference]:
    """Yield the records whose images or masks differ, where one build lacks some steps."""
    shortest = min(len(build.manifest.applied) for build in builds)
    sides, places = [], []
    for build, table in zip(builds, tables, strict=True):
        lacking = steps if len(build.manifest.applied) == shortest else []
        sides.append(Side(build.pixels, bakes_of(build.manifest, lacking)))
        places.append(places_of(place_column(table, [band.name for band in build.manifest.bands])))
    for what, key, first, second in differing_images(sides, places, runner, progress):
        yield Difference(what, key, first, second)

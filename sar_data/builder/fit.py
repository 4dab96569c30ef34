"""Fit a pipeline to a source: the published layout, a copy in another one, or a folder too high or too low."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from sar_data.builder.gate import adapt
from sar_data.builder.scan import blaming
from sar_data.builder.unfit import unfit
from sar_data.containers.dataset import ASKED, import_dataset
from sar_data.containers.exported import is_export
from sar_data.errors import BadRecord, SarDataError, SourceError, UsageError
from sar_data.naming import few
from sar_data.own.declaration import NAME
from sar_data.sources.filter import Filtered
from sar_data.sources.placeholder import explain_placeholders
from sar_data.sources.subtree import LimitedTree, Subtree
from sar_data.sources.tree import Folder
from sar_data.spec import ComplexAs, Pipeline, Tree
from sar_data.system.store import Place, is_url

MOST_FOLDERS = 64  # a folder with more sub-folders than this holds samples, not datasets
LOOKED_AT = 8  # units whose files are asked for, where their names are no paths


@dataclass(frozen=True, slots=True)
class Fitted:
    """A pipeline and the tree that it fits; `discovered` and `layout` are sentences of what was found."""

    pipeline: Pipeline
    tree: Tree
    discovered: tuple[str, ...] = ()
    layout: str = ""


def fit_source(pipeline: Pipeline, tree: Tree, source: Place, complex_as: ComplexAs | None = None) -> Fitted:
    """Return what fits a source: the tree as it is, or else one of its folders, or the folder that it lies in.

    Its pixels are of a type that a build can store. Raise SourceError where the source is of another layout, several
    folders fit, or files hold complex numbers without `complex_as`, BadRecord for a file that says what it means.
    """
    match = _fit(pipeline, tree, source)
    if pipeline.asked and match.pipeline.imported is None:
        raise known(pipeline, pipeline.asked)
    adapted, changed = adapt(match.pipeline, complex_as)
    return replace(match, pipeline=adapted, discovered=(*match.discovered, *changed))


def _fit(pipeline: Pipeline, tree: Tree, source: Place) -> Fitted:
    wrong = None
    try:
        match = _as_it_is(pipeline, tree)
    except SourceError as error:
        if pipeline.declare or is_export(tree):  # this folder says that it is one: no other is taken in its place
            raise
        match, wrong = None, error
    match = match or _further_down(pipeline, tree) or _further_up(pipeline, source)
    if match:
        return match
    if pipeline.fit and pipeline.declare:  # a set of one's own need not say that it is one
        with blaming(pipeline, "fit", "the source"):
            fit, discovered = pipeline.fit(tree)
            return Fitted(fit, tree, discovered)
    raise wrong or unfit(pipeline, tree)


def holds(pipeline: Pipeline, tree: Tree) -> bool:
    """Say whether a tree has a unit of the published layout."""
    return next(iter(pipeline.units(tree)), None) is not None


def _as_it_is(pipeline: Pipeline, tree: Tree) -> Fitted | None:
    """Return the pipeline for the published layout, or for a copy, None where neither lies at the root of a tree."""
    if pipeline.declare is None and is_export(tree) and (container := import_dataset(tree, pipeline)):
        return Fitted(container[0], tree, container[2], container[1])
    with explain_placeholders(tree), blaming(pipeline, "units", "the source"):
        published = holds(pipeline, tree)
    with explain_placeholders(tree), blaming(pipeline, "fit" if published else "copies", "the source"):
        if published:
            fit, discovered = pipeline.fit(tree) if pipeline.fit else (pipeline, ())
            return Fitted(fit, tree, discovered)
        if pipeline.copies and (copy := pipeline.copies(tree)):
            return Fitted(copy[0], tree, (), copy[1])
        if pipeline.declare is None and (container := import_dataset(tree, pipeline)):
            return Fitted(container[0], tree, container[2], container[1])
    return None


def known(pipeline: Pipeline, fields: Mapping[str, object]) -> UsageError:
    """Return the error for what is said of files that are published, and so are known."""
    field, value = next(iter(fields.items()))
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
    return UsageError(
        f"`{field}={text}`: {pipeline.spec.name} is published, and its files are known: fields of dataset.toml are for "
        f"sets of one's own, and {' and '.join(ASKED)} for containers of other programs"
    )


def _further_down(pipeline: Pipeline, tree: Tree) -> Fitted | None:
    """Return what fits the one folder of the tree in which the dataset lies; raise SourceError for several."""
    names = sorted(islice(tree.folders(), MOST_FOLDERS + 1))
    matches = {}
    for name in names if len(names) <= MOST_FOLDERS else ():
        with suppress(SourceError, BadRecord):  # of another dataset, perhaps
            if match := _as_it_is(pipeline, Subtree(tree, f"{name}/")):
                matches[name] = replace(match, layout=_join(f"one folder down, in {name}", match.layout))
    if len(matches) > 1:
        where = few(sorted(matches))
        what = f"one {NAME}" if pipeline.declare else f"{pipeline.spec.name} once"
        raise SourceError(f"expected {what}, found it in the folders {where}: name one of them")
    return next(iter(matches.values()), None)


def _further_up(pipeline: Pipeline, source: Place) -> Fitted | None:
    """Return what fits the folder above a source, if the source is a part of the dataset there."""
    if is_url(source):
        return None
    source = Path(source).absolute()
    if not source.is_dir() or source.parent == source:
        return None
    with suppress(SarDataError, OSError):  # what lies around a source may be anything
        tree = Filtered(Folder.at(source.parent))
        glance = _as_it_is(pipeline, LimitedTree(tree))
        if glance and _is_part(glance, source.name) and (match := _as_it_is(pipeline, tree)):
            return replace(match, layout=_join(f"one folder up, in {source.parent.name or '/'}", match.layout))
    return None


def _is_part(match: Fitted, name: str) -> bool:
    """Say whether a unit lies in the folder `name`, by its own name or by the files of its records."""
    inside = f"{name}/"
    if any(unit.startswith(inside) for unit in match.pipeline.units(match.tree)):
        return True
    units = islice(match.pipeline.units(match.tree), LOOKED_AT)
    return any(path.startswith(inside) for unit in units for path in _files(match, unit))


def _files(match: Fitted, unit: str) -> Iterator[str]:
    with suppress(BadRecord):
        for record in match.pipeline.scan(match.tree, unit):
            yield from (file.path for file in record.files)


def _join(*parts: str) -> str:
    return "; ".join(filter(None, parts))

"""What to say where nothing of a dataset is found: what lies there, what was expected, and what it may be instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

from sar_data import catalog
from sar_data.builder.scan import blaming
from sar_data.errors import SarDataError, SourceError, UsageError
from sar_data.naming import few
from sar_data.sources.outline import Branch, ends_like, outline
from sar_data.sources.subtree import LimitedTree
from sar_data.spec import Pipeline, Tree

MOST_LINES, MOST_NAMES = 24, 2


def unfit(pipeline: Pipeline, tree: Tree) -> SourceError:
    """Return the error for a source in which nothing of a dataset is found."""
    name, tree_outline = pipeline.spec.name, outline(tree)
    parts = [f"no record of {name} found in the source. Found {_seen(tree_outline)}."]
    if others := list(islice(_others(pipeline, tree), MOST_NAMES + 1)):
        parts.append(f"It looks like {' or '.join(others[:MOST_NAMES])}.")
    expected = _draw_expected(name)
    if near := _nearest({"published": tuple(expected.files()) if expected else (), **pipeline.layouts}, tree_outline):
        parts.append(near)
    if expected:
        lines = list(expected.lines())
        more = f"\n  … (`info({name}, tree=True)` shows all)" if len(lines) > MOST_LINES else ""
        parts.append("Expected, as published:\n  " + "\n  ".join(lines[:MOST_LINES]) + more)
    return SourceError(" ".join(parts))


def _seen(branch: Branch) -> str:
    """Return folders, endings, counts and a name of each."""
    folders = f"{branch.folders:,} folder{'s' * (branch.folders != 1)}"
    named = f" ({few([child.name for child in branch.branches])})" if branch.branches else ""
    samples: dict[str, str] = {}
    for path in branch.files():
        samples.setdefault(path.rpartition(".")[2] if "." in path.rpartition("/")[2] else "", path)
    counts: dict[str, int] = {}
    for ending, count in branch.total().items():
        counts[ending.rpartition(".")[2]] = counts.get(ending.rpartition(".")[2], 0) + count
    kinds = [
        f"{count:,} {f'.{ending}' if ending else 'without an ending'}, such as {samples[ending]}"
        for ending, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return f"{folders}{named} and {'; '.join(kinds[:4]) or 'no file'}"


def _draw_expected(name: str) -> Branch | None:
    """Return the published tree, as the dataset's miniature has it; None where it has none."""
    try:
        return catalog.published_tree(name)
    except UsageError:
        return None


def _others(pipeline: Pipeline, tree: Tree) -> Iterator[str]:
    """Yield the published datasets that a tree looks like: in their own layouts first, then in those of copies."""
    known = [p for p in catalog.sound()[0].values() if p.spec.name != pipeline.spec.name and p.spec.sources]
    seen = set[str]()
    for looks in (_holds, _copies):
        for other in known:
            if other.spec.name not in seen and looks(other, LimitedTree(tree)):
                seen.add(other.spec.name)
                yield other.spec.name
        if seen:
            return


def _holds(pipeline: Pipeline, tree: Tree) -> bool:
    with suppress(SarDataError), blaming(pipeline, "units", "the source"):
        return next(iter(pipeline.units(tree)), None) is not None
    return False


def _copies(pipeline: Pipeline, tree: Tree) -> bool:
    with suppress(SarDataError), blaming(pipeline, "copies", "the source"):
        return pipeline.copies is not None and pipeline.copies(tree) is not None
    return False


def _nearest(layouts: dict[str, Sequence[str]], branch: Branch) -> str:
    """Say which layout has most of what was found, and what of it lacks first; empty where none has anything."""
    paths = list(branch.files())
    matched = {name: [ends_like(pattern, paths) for pattern in patterns] for name, patterns in layouts.items()}
    near = max(matched, key=lambda name: sum(matched[name]) / max(1, len(matched[name])))
    if not any(matched[near]) or all(matched[near]):
        return ""
    lacking = layouts[near][matched[near].index(False)]
    return f"The nearest known layout is {near!r}: expected {lacking} there, found none."

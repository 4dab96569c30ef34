"""Which samples of a collection are used, and how likely each is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from sar_data.errors import UsageError
from sar_data.sealed.index import INDEX_NAME
from sar_data.stream.collection import Collection
from sar_data.stream.order import Mix, Order, subset
from sar_data.stream.rows import matching
from sar_data.stream.storage.store import Integers
from sar_data.stream.targets import Array, Classes

Weights = npt.NDArray[np.float64]
SUBSET_SEED = 0  # of nested shares, the same for every training seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How samples are chosen and drawn: their order, those with one of `keys` that fulfil `where`, a share of them.

    `weights` and `mix` say how likely each is; sar_data.stream.dataset.Stream explains each field.
    """

    order: Order
    keys: Sequence[str] | None = None
    where: Any = None
    fraction: float | None = None
    draw: int = 0
    each_class: bool = False
    weights: str | Mapping[str, float] | None = None
    mix: Sequence[float] | None = None


def select(
    samples: Collection,
    *,
    keys: Iterable[str] | None = None,
    where: Any = None,
    fraction: float | None = None,
    draw: int = 0,
    each_class: bool = False,
) -> Integers:
    """Return the rows that have one of `keys` and fulfil `where`, ascending; of them a random `fraction`.

    `draw` is the number of the draw, from 0: each is another one. With `each_class` the share is one of each class, at
    least a sample of each; where samples have several classes it is one of the samples, and what lacks of a class is
    added. Of the same draw, a smaller share is part of a larger. Raises UsageError for shares that cannot be.
    """
    if fraction is None and (draw or each_class):
        raise UsageError(f"draw={draw}, each_class={each_class}: expected a `fraction=…` that is drawn, found none")
    chosen = np.arange(len(samples))
    if where is not None:
        paths = [source.files.path(INDEX_NAME) for source in samples.sources]
        matched = [matching(path, samples.split, where) for path in paths]
        chosen = _number(samples, [s.rows.find(own) for s, own in zip(samples.sources, matched, strict=True)])
    if keys is not None:
        chosen = np.intersect1d(chosen, _with_keys(samples, list(keys)))
    if fraction is None:
        return chosen
    if draw < 0:
        raise UsageError(f"draw: expected 0 or more, found {draw}")
    return chosen[subset(len(chosen), fraction, SUBSET_SEED + draw, _targets(samples)[chosen] if each_class else None)]


def _number(samples: Collection, rows: Sequence[Integers]) -> Integers:
    """Return rows of each source as rows of the collection."""
    return np.concatenate([own + start for own, start in zip(rows, samples.starts, strict=False)])


def _with_keys(samples: Collection, keys: list[str]) -> Integers:
    if len(samples.sources) == 1:
        return samples.sources[0].rows.find(keys)
    asked, known = set(keys), [source.keys(np.arange(len(source))) for source in samples.sources]
    if lost := asked.difference(*known):
        such = next(key for key in keys if key in lost)
        raise UsageError(f"keys: {len(lost)} are in none of the builds' {samples.split}, such as {such}")
    return _number(samples, [np.flatnonzero([key in asked for key in names]) for names in known])


def shards(samples: Collection, rows: Integers) -> Integers:
    """Return the shard of each row, numbered through all builds."""
    numbers = np.empty(len(rows), np.int64)
    before = 0
    for number, own, places in samples.parts(rows):
        source = samples.sources[number]
        numbers[places] = source.rows.shard[own] + before
        before += len(source.manifest.splits[samples.split].shards)
    return numbers


def draws(
    samples: Collection, rows: Integers, given: str | Mapping[str, float] | None, mix: Sequence[float] | None
) -> Weights | Mix | None:
    """Return how rows are drawn: each once, by weights of classes or keys, with `mix` by each build's share of all."""
    if mix is not None and len(mix) != len(samples.sources):
        raise UsageError(f"mix: expected {len(samples.sources)} shares, one a build, found {len(mix)}")
    if given is None:
        return None if mix is None else Mix.of(np.diff(np.searchsorted(rows, samples.starts)).tolist(), mix)
    weights = _given(samples, rows, given)
    if mix is not None:
        for number, _, places in samples.parts(rows):
            weights[places] *= mix[number] / max(weights[places].sum(), np.finfo(np.float64).tiny)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise UsageError("weights: expected finite numbers, none below 0 and one above it")
    return weights


def _targets(samples: Collection) -> Array:
    """Return the classes of all samples; raise UsageError where whole images have none."""
    classes = samples.classes()
    if classes is None:
        raise UsageError("each_class: expected a task with classes of whole images, found none")
    return classes


def _given(samples: Collection, rows: Integers, given: str | Mapping[str, float]) -> Weights:
    if isinstance(given, Mapping):
        try:
            return np.array([given[key] for key in samples.keys(rows)], np.float64)
        except KeyError as error:
            raise UsageError(f"weights: none for {error}; each sample that is selected needs one") from None
    if given != "balanced":
        raise UsageError(f"weights: expected 'balanced' or a weight by key, found {given!r}")
    classes = samples.classes()
    if classes is None:
        raise UsageError("weights='balanced': this build has no classes to balance")
    return Classes.balance(classes[rows])


def digest(rows: Integers, drawn: Weights | Mix | None, order: Order) -> str:
    """Return a digest of what is drawn and how it is shuffled: a position in one order says nothing of another."""
    state = xxhash.xxh3_64(repr((order.shuffle, order.window)).encode())
    state.update(np.ascontiguousarray(rows).data)
    if drawn is not None:
        state.update(repr(drawn).encode() if isinstance(drawn, Mix) else drawn.data)
    return state.hexdigest()

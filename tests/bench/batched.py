"""What averaging per-batch figures does to known accuracies: the tables of docs/metrics.md.

    python -m tests.bench.batched

Predictions are invented with given true OA and AA over a test split of 5,400 samples with EuroSAT's class shares, and
scored whole and in batches. Nothing is trained or measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train import metrics, predictions
from sar_data.train.metrics import batched
from tests.train import predicted

SHARES = (3000, 3000, 3000, 2500, 2500, 2000, 2500, 3000, 2500, 3000)  # of 27,000 (Helber et al. 2019)
CLASSES = tuple(f"class {i}" for i in range(len(SHARES)))
TEST = 5  # a fifth of each class is the test split
BATCHES = (8, 16, 32, 64, 128, 256)
TRUE = ((0.798, 0.786), (0.853, 0.846), (0.755, 0.741))
ORDERS = 10
LABELS, PATCHES, DRAWS = 19, 2000, 2


def single(oa: float, aa: float, seed: int) -> pa.Table:
    """Return predictions of these accuracies in an order that the seed decides; larger classes are better known.

    Recall is linear in a class's size, which the two accuracies determine.
    """
    support = np.array(SHARES) // TEST
    typical = float((support**2).sum() / support.sum())  # the size of a sample's class, on average
    slope = (oa - aa) / (typical - support.mean())
    exact = support * (aa + slope * (support - support.mean()))
    right = np.diff(np.round(exact.cumsum()), prepend=0).astype(int)  # rounded so that the sum is right
    random = np.random.default_rng(seed)
    target = np.repeat(np.arange(len(support)), support)
    correct = np.concatenate([np.arange(n) < k for n, k in zip(support, right, strict=True)])
    claimed = np.where(correct, target, (target + random.integers(1, len(support), len(target))) % len(support))
    order = random.permutation(len(target))
    return _gathered(target[order], np.eye(len(support))[claimed[order]])


def several(seed: int) -> pa.Table:
    """Return multilabel predictions with classes from common to rare, none of which is easier than another."""
    random = np.random.default_rng(seed)
    target = random.random((PATCHES, LABELS)) < np.geomspace(0.4, 0.005, LABELS)
    return _gathered(target.astype(int), random.normal(size=target.shape) - 2 + 1.5 * target)


def lines() -> Iterator[str]:
    """Yield the tables in Markdown."""
    head = " | ".join(f"batch {batch}" for batch in BATCHES)
    yield f"| true OA / AA | {head} |"
    yield "|---" * (len(BATCHES) + 1) + "|"
    for oa, aa in TRUE:
        tables = [single(oa, aa, seed) for seed in range(ORDERS)]
        whole = metrics.figures(tables[0], CLASSES)
        yield f"| {whole['oa']:.3f} / {whole['aa']:.3f} | {_row(tables, 'aa', CLASSES)} |"
    labels = tuple(f"label {i}" for i in range(LABELS))
    tables = [several(seed) for seed in range(DRAWS)]
    yield ""
    yield f"| true mAP | {head} |"
    yield "|---" * (len(BATCHES) + 1) + "|"
    for name in ("map_macro", "map_micro"):
        true = np.mean([metrics.figures(table, labels)[name] for table in tables])
        yield f"| {metrics.titles()[name]} {true:.3f} | {_row(tables, name, labels)} |"


def _row(tables: list[pa.Table], name: str, classes: tuple[str, ...]) -> str:
    cells = ([batched.rescore_batches(table, classes, batch)[name] for table in tables] for batch in BATCHES)
    return " | ".join(f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in cells)


def _gathered(target: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> pa.Table:
    keys = [f"{i:05d}" for i in range(len(target))]
    return predictions.gathered([predicted.part(keys, target, scores)], expected=keys)


if __name__ == "__main__":
    print("\n".join(lines()))

"""A finer grid around the best candidate, and a message where the best lies on the edge of the grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sar_data.train.probe.selection import KNN, LOGISTIC, Candidate
from sar_data.train.settings import Probe


def refine(best: Candidate, settings: Probe, samples: int) -> Probe | None:
    """Return settings with a grid around the best candidate, None where the grid had a single value.

    New values lie halfway to the neighbours, by ratio; at an edge of the grid, half a step and a whole step beyond it
    are added. A kNN has at most `samples` neighbours.
    """
    if best.head == KNN:
        counts = {min(max(1, round(k)), samples) for k in _around(best.k or 1, settings.knn)} - {*settings.knn}
        return settings.model_copy(update={"knn": tuple(sorted(counts))}) if counts else None
    if best.head == LOGISTIC:
        penalties = _around(best.c or 1, settings.logistic)
        return settings.model_copy(update={"logistic": penalties}) if penalties else None
    lrs = _around(best.lr or 1, settings.lrs)
    return settings.model_copy(update={"lrs": lrs, "weight_decays": (best.weight_decay,)}) if lrs else None


def edges(best: Candidate, tried: Sequence[Candidate]) -> list[str]:
    """Return a sentence for each value of the best candidate that is the smallest or the largest of the grid."""
    alike = [candidate for candidate in tried if (candidate.head, candidate.pooling) == (best.head, best.pooling)]
    sentences = []
    for name, least in (("lr", 0.0), ("weight_decay", 0.0), ("k", 1), ("c", 0.0)):
        value = getattr(best, name)
        values = {getattr(candidate, name) for candidate in alike}
        if value is None or len(values) < 2 or min(values) < value < max(values) or value <= least:
            continue
        which = "largest" if value == max(values) else "smallest"
        sentences.append(
            f"{name.replace('_', ' ')} {value:g} is the {which} that was tried: a better one may lie beyond"
        )
    return sentences


def _around(value: float, grid: Sequence[float]) -> tuple[float, ...]:
    """Return new values around a value of a grid, ascending; none where the grid has a single value."""
    below, above = ([v for v in grid if v < value], [v for v in grid if v > value])
    if not below and not above:
        return ()
    lower = max(below) if below else value**2 / min(above)
    upper = min(above) if above else value**2 / max(below)
    beyond = ([] if below else [lower], [] if above else [upper])
    return (*beyond[0], math.sqrt(lower * value), math.sqrt(value * upper), *beyond[1])

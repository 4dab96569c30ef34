"""A split's predictions: every sample once, gathered from all ranks by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import torch

from sar_data.train.data import Data
from sar_data.train.jobs import Job
from sar_data.train.predictions import gathered, rows
from sar_data.train.ranks import Ranks


def evaluated(job: Job, data: Data, split: str, ranks: Ranks, look: Callable[[int], None]) -> pa.Table:
    """Return the predictions of a split on every rank, sorted by key, with each sample's group, place and position.

    The model must be in evaluation mode. It is called as it is, without the wrapper that ranks train through, which
    would wait for the others. `look` is called after each batch, on all ranks, with how many samples are done, and
    may raise. Raises RunError where keys are missing or answers are no numbers.
    """
    parts: list[pa.Table] = []
    for part in answered(job, data, split):
        parts.append(part)
        look(sum(map(len, parts)) * ranks.world)
    everything = [part for one in ranks.gather(parts) for part in one]
    return gathered(everything, data.keys(split))


def answered(job: Job, data: Data, split: str, start: int = 0) -> Iterator[pa.Table]:
    """Yield the predictions of this rank's share of each step, in stored order, from sample `start` of the split on."""
    for batch in data.evaluation(split, start):
        with torch.inference_mode():
            columns = job.predict(job.model, batch)
        groups, places = ([of[key] for key in batch["key"]] for of in (data.groups, data.places))
        weight = batch["weight"].cpu().numpy()
        yield rows(batch["key"], columns, weight=weight, groups=groups, places=places)

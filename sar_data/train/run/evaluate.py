"""The predictions of a split: every sample once, collected from all ranks by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import torch

from sar_data.train.data import Data
from sar_data.train.jobs import Job
from sar_data.train.predictions import gathered, rows
from sar_data.train.ranks import Ranks


def evaluate(job: Job, data: Data, split: str, ranks: Ranks, look: Callable[[int], None]) -> pa.Table:
    """Return the predictions of a split on every rank, sorted by key, with each sample's group, place and position.

    The model must be in evaluation mode. It is called without the wrapper for training on several ranks, which
    would wait for the others. `look` is called after each batch, on all ranks, with the number of samples done, and
    may raise. Raises RunError where keys are missing or predictions are not finite.
    """
    parts: list[pa.Table] = []
    for part in predict_share(job, data, split):
        parts.append(part)
        look(sum(map(len, parts)) * ranks.world)
    everything = [part for share in ranks.gather(parts) for part in share]
    return gathered(everything, data.keys(split))


def predict_share(job: Job, data: Data, split: str, start: int = 0) -> Iterator[pa.Table]:
    """Yield the predictions of this rank's share of each step, in stored order, beginning at sample `start`."""
    for batch in data.evaluation(split, start):
        with torch.inference_mode():
            columns = job.predict(job.model, batch)
        groups, places = ([of[key] for key in batch["key"]] for of in (data.groups, data.places))
        weight = batch["weight"].cpu().numpy()
        yield rows(batch["key"], columns, weight=weight, groups=groups, places=places)

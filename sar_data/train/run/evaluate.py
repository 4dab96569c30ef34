"""A split's predictions: every sample once, gathered from all ranks by key."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import torch

from sar_data.train.data import Data
from sar_data.train.jobs import Job
from sar_data.train.predictions import gathered, rows
from sar_data.train.ranks import Ranks


def evaluated(job: Job, data: Data, split: str, ranks: Ranks, look: Callable[[], None]) -> pa.Table:
    """Return the predictions of a split on every rank, sorted by key, with each sample's group, place and position.

    The model must be in evaluation mode. It is called as it is, without the wrapper that ranks train through, which
    would wait for the others. `look` is called before each batch, on all ranks, and may raise. Raises RunError
    where keys are missing or answers are no numbers.
    """
    parts: list[pa.Table] = []
    for batch in data.evaluation(split):
        look()
        with torch.inference_mode():
            columns = job.predict(job.model, batch)
        groups, places = ([of[key] for key in batch["key"]] for of in (data.groups, data.places))
        weight = batch["weight"].cpu().numpy()
        parts.append(rows(batch["key"], columns, weight=weight, groups=groups, places=places))
    everything = [part for one in ranks.gather(parts) for part in one]
    return gathered(everything, data.keys(split))

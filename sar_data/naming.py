"""Names in messages: a few of many, and the suggestion for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MAX_NAMES = 5  # names in a message
MIN_LIKENESS = 0.5  # the minimum likeness of a suggested name
SLIP = 0.8  # the minimum likeness of a synonym: one or two wrong letters of eight
SYNONYMS = {
    # commands
    "fetch": "download get pull obtain",
    "info": "describe about inspect details",
    "datasets": "ls list catalog catalogue dataset",
    "synth": "synthesize synthesise mock fake sample",
    "init": "new start begin declare",
    "build": "make create pack prepare generate",
    "convert": "repack bake transcode transform resize",
    "export": "write coco voc",
    "verify": "validate check fsck audit",
    "stats": "statistics summary summarize histogram",
    "show": "plot view draw display preview visualize visualise",
    "bench": "benchmark speed throughput",
    "flow": "prefect deploy deployment schedule",
    "finetune": "fine-tune tune",
    # values
    "webdataset": "wds tar tars",
    "lmdb": "mdb",
    "val": "validation valid dev",
    "train": "training learn fit",
    "test": "testing holdout",
    "zscore": "z-score standard standardize mean-std",
    "minmax": "min-max range",
    "quarantine": "skip ignore drop continue",
    "stop": "raise fail abort error",
    "db": "decibel decibels log",
    "power": "linear intensity sigma0 gamma0",
    "amplitude": "magnitude detected",
    # options and parameters
    "out": "output to dest destination target",
    "to": "out output dest destination folder",
    "source": "input in raw data root src path",
    "workers": "jobs threads processes num-workers nproc",
    "seed": "random-seed random-state",
    "limit": "max subset max-samples",
    "normalize": "norm standardize normalization",
    "bad-records": "on-error ignore-errors skip-bad",
    "batch-size": "batch bs",
}
"""Name → what people say instead of it."""


def fold(name: str) -> str:
    """Return a name in lower case, with hyphens, without the dashes of an option."""
    return name.casefold().replace("_", "-").lstrip("-")


def suggest(name: str, known: Iterable[str], also: Iterable[str] = ()) -> str | None:
    """Return the suggestion for a name, or None: a name with this synonym, else the most similar one, `known` first."""
    choices = [*known, *also]
    for choice in choices:
        if fold(name) in SYNONYMS.get(fold(choice), "").split():
            return choice
    near = max(choices, key=lambda choice: _closeness(name, choice), default=None)
    return near if near is not None and _closeness(name, near) >= MIN_LIKENESS else None


def _closeness(name: str, choice: str) -> float:
    """Return how alike a name is to a right one, or to a synonym of it, of which it must be nearly all."""
    synonyms = (likeness(name, word) for word in SYNONYMS.get(fold(choice), "").split())
    return max(likeness(name, choice), *(value for value in synonyms if value >= SLIP), 0.0)


def likeness(a: str, b: str) -> float:
    """Return how alike two names are, from 0 to 1."""
    return difflib.SequenceMatcher(a=fold(a), b=fold(b)).ratio()


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return all names, or the MAX_NAMES that are most similar to `name`, sorted."""
    choices = sorted(set(known))
    if len(choices) <= MAX_NAMES:
        return choices
    return sorted(sorted(choices, key=lambda choice: -likeness(name, choice))[:MAX_NAMES])


def few(names: Sequence[object], most: int = MAX_NAMES) -> str:
    """Return the first names and how many more there are, such as "a, b and 3 more"; none as "none"."""
    shown = ", ".join(map(str, names[:most])) or "none"
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown

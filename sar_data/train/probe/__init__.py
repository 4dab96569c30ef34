"""The probe: encode each split once, try many classifiers on the features, choose one, test it once.

    RUN/features/          the encoded features (or in the folder of `features`, which runs may share)
    RUN/heads.csv          every candidate with its figures on the split that chooses the best
    RUN/head.safetensors   the chosen head where it is linear: logits are features · weight + bias
    RUN/log.jsonl          the training of the best head that was trained step by step, with its name

Ranks share the groups of candidates, and the cores of a rank share its groups of heads. Each reads the features that
all have written. No group depends on another, so the result is the same for any number of ranks, and ranks exchange
no gradients.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from safetensors.torch import save

from sar_data.errors import RunError, UsageError
from sar_data.system import durable
from sar_data.text import csv_lines
from sar_data.train.augment.steps import of_evaluation
from sar_data.train.classification import CHOSEN_BY, Verdict
from sar_data.train.data import CARVED, Data
from sar_data.train.models import HEADS
from sar_data.train.models.encoder import Backbone
from sar_data.train.predictions import gathered, labelled, rows
from sar_data.train.probe import neighbours
from sar_data.train.probe.carving import carve
from sar_data.train.probe.encode import Encoding
from sar_data.train.probe.features import Features
from sar_data.train.probe.finer import edges, refine
from sar_data.train.probe.parallel import run_parallel
from sar_data.train.probe.selection import Trial, answers, groups, try_group
from sar_data.train.ranks import Ranks
from sar_data.train.run.folder import Folder
from sar_data.train.run.halt import Halt, delay_signals
from sar_data.train.run.outcome import write_outcome
from sar_data.train.run.precision import exact
from sar_data.train.settings import Probe

TABLE, HEAD, FEATURES = "heads.csv", "head.safetensors", "features"


def probe(encoder: Backbone, settings: Probe, data: Data, folder: Folder, ranks: Ranks) -> dict[str, Any]:
    """Probe an encoder, which is on the ranks' device, and return the metrics on the first rank, {} on the others.

    The best candidate has the highest figure (OA, or mAP micro for multilabel tasks) on `data.select`; of equal ones
    it is the first in heads.csv. Raises UsageError for settings that do not fit the build or the encoder.
    """
    aside = _set_aside(data)
    _check(settings, data, 0 if aside is None else int(aside.sum()))
    poolings = settings.poolings or encoder.poolings
    tasks, figure = groups(settings, poolings), CHOSEN_BY[data.task.kind]
    with delay_signals() as halt:
        kept = Path(settings.features) if settings.features else folder.path / FEATURES
        encoding = Encoding(encoder, data, settings, kept, ranks, folder.say, halt)
        train = encoding.split("train", poolings, views=settings.views)
        if aside is None:
            judged = encoding.split(data.select, poolings)
        else:
            judged, train = train.part(CARVED, aside), train.part("train", ~aside)
            folder.say(
                f"{len(judged):,} of {len(judged) + len(train):,} train samples are set aside to choose the head by"
            )
        features: dict[str, Features] = {data.select: judged}
        with exact():
            trials = _contest(tasks, train, judged, settings, data, ranks, folder, halt)
            first = _best(trials, figure, data.select).candidate
            if settings.refine and (around := refine(first, settings, len(train))) is not None:
                trials += _contest([(first.head, first.pooling)], train, judged, around, data, ranks, folder, halt)
        for split in ("val", "test"):
            if split not in features and data.has(split):
                features[split] = encoding.split(split, poolings)
    best = _best(trials, figure, data.select)
    if not ranks.first:
        return {}
    folder.say(f"chosen on {data.select} of {len(trials)}: {best.candidate}")
    beyond = edges(best.candidate, [trial.candidate for trial in trials])
    for sentence in beyond:
        folder.say(sentence)
    _write(folder, data.select, trials, best)
    able = (trial for trial in trials if trial.log and figure in trial.figures)
    log = max(able, key=lambda trial: trial.figures[figure], default=best).log
    for row in range(len(log)):
        folder.record(log[: row + 1])
    shown: tuple[str, ...] = tuple(split for split in (CARVED, "val", "test") if split in features)
    tables: dict[str, pa.Table] = {s: _predictions(best, train, features[s], settings, data) for s in shown}
    chosen = {name: value for name, value in asdict(best.candidate).items() if value is not None}
    facts = {"chosen": chosen, "chosen_on": data.select, "candidates": len(trials), "encoded": encoding.images}
    facts |= {"edges": beyond}
    selection = {} if aside is None else {"samples": len(judged), "by": _unit(judged, train, data)}
    return write_outcome(folder, Verdict(data.classes, settings), data, tables, selection, probe=facts)


def _set_aside(data: Data) -> npt.NDArray[np.bool_] | None:
    """Return which of the used train samples are set aside to choose the head by; None where a split serves for it."""
    if data.select != CARVED:
        return None
    keys = data.loader("train").keys
    return carve(keys, [data.groups[key] for key in keys])


def _unit(judged: Features, train: Features, data: Data) -> str:
    """Return how the train samples were divided: by "group", where no group is on both sides, otherwise by "key"."""
    sides = [{data.groups[key] for key in side.keys} for side in (judged, train)]
    return "key" if sides[0] & sides[1] else "group"


def _check(settings: Probe, data: Data, aside: int) -> None:
    """Raise UsageError where settings do not fit a probe of this build; `aside` train samples are not trained on."""
    if data.select == "last":
        raise UsageError(
            "select last: a probe must choose one of its heads: leave `select` out, or take `select=test` to repeat "
            "what was published"
        )
    if data.select != CARVED and not data.has(data.select):
        raise UsageError(
            f"select {data.select}: this build has no such samples to choose by: leave `select` out, and a part of "
            "train is set aside"
        )
    if settings.views > 1 and not settings.augment:
        raise UsageError(f"views {settings.views}: without `augment=…` all views would be the same")
    if settings.views == 1 and of_evaluation(settings.augment) != settings.augment:
        raise UsageError(
            f"augment {','.join(settings.augment)}: the first view is not augmented: take `views=2` or more"
        )
    neighbours.check(settings.knn, len(data.loader("train").rows) - aside)
    if any(step.startswith("mixup") for step in settings.augment):
        raise UsageError(
            "augment mixup: expected steps that keep the targets: leave it out, or take `finetune` with `freeze=True`"
        )


def _contest(
    tasks: list[tuple[str, str]],
    train: Features,
    judged: Features,
    settings: Probe,
    data: Data,
    ranks: Ranks,
    folder: Folder,
    halt: Halt,
) -> list[Trial]:
    """Return all candidates, on every rank; each rank tries some groups of them."""

    def trial(number: int) -> list[Trial]:
        _leave(halt)
        head, pooling = tasks[number]
        trials = try_group(head, pooling, train, judged, settings, data.classes, lambda: _leave(halt))
        folder.say(f"{len(trials)} × {head} on {pooling}: tried")
        return trials

    numbers = range(ranks.rank, len(tasks), ranks.world)
    # kNN and regression have all features in memory and use all cores by themselves; heads read a batch at a time.
    alone = {number: trial(number) for number in numbers if tasks[number][0] not in HEADS}
    many = [number for number in numbers if number not in alone]
    mine = alone | dict(zip(many, run_parallel(trial, many, ranks.device), strict=True))
    everything = {number: trials for part in ranks.gather(mine) for number, trials in part.items()}
    return [trial for number in range(len(tasks)) for trial in everything[number]]


def _leave(halt: Halt) -> None:
    if halt.asked:
        halt.stop("what was encoded is kept")


def _best(trials: list[Trial], figure: str, split: str) -> Trial:
    """Return the candidate of the highest figure; raise RunError where all have diverged."""
    able = [trial for trial in trials if figure in trial.figures]
    if not able:
        raise RunError(
            f"expected a candidate with a {figure} on {split}, found none of {len(trials)}: take smaller `lrs=…` in "
            "another `out=…` (with the same `features=…`), and look whether the split has samples of the classes"
        )
    return max(able, key=lambda trial: trial.figures[figure])


def _predictions(best: Trial, train: Features, asked: Features, settings: Probe, data: Data) -> pa.Table:
    """Return the chosen candidate's predictions for a split."""
    with exact():
        logits = answers(best, train, asked, settings, len(data.classes))
    groups, places = ([of[key] for key in asked.keys] for of in (data.groups, data.places))
    columns = labelled(asked.target.cpu().numpy(), logits.cpu().numpy())
    return gathered([rows(asked.keys, columns, groups=groups, places=places)], asked.keys)


def _write(folder: Folder, split: str, trials: list[Trial], best: Trial) -> None:
    """Write the table of candidates with their figures on a split, and the chosen head where it is linear."""
    names = sorted({name for trial in trials for name in trial.figures})
    rows: list[list[object]] = [[*asdict(best.candidate), *(f"{split}_{name}" for name in names), "chosen"]]
    for trial in trials:
        values = asdict(trial.candidate).values()
        rows.append([*values, *(trial.figures.get(name) for name in names), "*" if trial is best else ""])
    durable.write(folder.path / TABLE, csv_lines(rows).encode())
    if best.linear is not None:
        tensors = {"weight": best.linear.weight.cpu().contiguous(), "bias": best.linear.bias.cpu().contiguous()}
        durable.write(folder.path / HEAD, save(tensors, {"pooling": best.candidate.pooling}))

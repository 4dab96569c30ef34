"""The probe: encode each split once, try many classifiers on the features, choose one, test it once.

    RUN/features/          what was encoded (or the folder that --features names, which runs may share)
    RUN/heads.csv          every candidate with its figures on the split that the best was chosen on
    RUN/head.safetensors   the chosen one where it is linear: logits are features · weight + bias
    RUN/log.jsonl          the training of the best that was trained step by step, which it names

Groups of candidates are dealt out to the ranks, and there groups of heads to the cores. Each reads the features that
all have written, and no group depends on another, so that the outcome is the same for any number of ranks; gradients
need not cross between them.
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
from sar_data.train.classification import CHOSEN_BY, Verdict
from sar_data.train.data import CARVED, Data
from sar_data.train.models import HEADS
from sar_data.train.models.encoder import Backbone
from sar_data.train.predictions import gathered, labelled, rows
from sar_data.train.probe import neighbours
from sar_data.train.probe.carving import carved
from sar_data.train.probe.encode import Encoding
from sar_data.train.probe.features import Features
from sar_data.train.probe.finer import edges, finer
from sar_data.train.probe.parallel import abreast
from sar_data.train.probe.selection import Tried, answers, groups, tried
from sar_data.train.ranks import Ranks
from sar_data.train.run.folder import Folder
from sar_data.train.run.halt import Halt, halting
from sar_data.train.run.outcome import leave
from sar_data.train.run.precision import exact
from sar_data.train.settings import Probe

TABLE, HEAD, FEATURES = "heads.csv", "head.safetensors", "features"


def probe(encoder: Backbone, settings: Probe, data: Data, folder: Folder, ranks: Ranks) -> dict[str, Any]:
    """Probe an encoder, which is on the ranks' device, and return the metrics (on the first rank, nothing elsewhere).

    The best candidate is that of the highest figure (OA, or mAP micro for several classes) on `data.select`; the first
    in heads.csv of those that are equal. Raises UsageError for settings that do not fit the build or the encoder.
    """
    aside = _aside(data)
    _check(settings, data, 0 if aside is None else int(aside.sum()))
    poolings = settings.poolings or encoder.poolings
    tasks, figure = groups(settings, poolings), CHOSEN_BY[data.task.kind]
    with halting() as halt:
        kept = Path(settings.features) if settings.features else folder.path / FEATURES
        encoding = Encoding(encoder, data, settings, kept, ranks, folder.say, halt)
        train = encoding.split("train", poolings, views=settings.views)
        if aside is None:
            judged = encoding.split(data.select, poolings)
        else:
            judged, train = train.part(CARVED, aside), train.part("train", ~aside)
            folder.say(f"{len(judged):,} of {len(judged) + len(train):,} train samples are set aside to choose on")
        features: dict[str, Features] = {data.select: judged}
        with exact():
            found = _contest(tasks, train, judged, settings, data, ranks, folder, halt)
            first = _best(found, figure, data.select).candidate
            if settings.refine and (around := finer(first, settings, len(train))) is not None:
                found += _contest([(first.head, first.pooling)], train, judged, around, data, ranks, folder, halt)
        for split in ("val", "test"):
            if split not in features and data.has(split):
                features[split] = encoding.split(split, poolings)
    best = _best(found, figure, data.select)
    if not ranks.first:
        return {}
    folder.say(f"chosen on {data.select} of {len(found)}: {best.candidate}")
    beyond = edges(best.candidate, [one.candidate for one in found])
    for sentence in beyond:
        folder.say(sentence)
    _write(folder, data.select, found, best)
    able = (one for one in found if one.log and figure in one.figures)
    log = max(able, key=lambda one: one.figures[figure], default=best).log
    for row in range(len(log)):
        folder.record(log[: row + 1])
    shown: tuple[str, ...] = tuple(split for split in (CARVED, "val", "test") if split in features)
    tables: dict[str, pa.Table] = {s: _predictions(best, train, features[s], settings, data) for s in shown}
    chosen = {name: value for name, value in asdict(best.candidate).items() if value is not None}
    facts = {"chosen": chosen, "chosen_on": data.select, "candidates": len(found), "encoded": encoding.images}
    facts |= {"edges": beyond}
    selection = {} if aside is None else {"samples": len(judged), "by": _unit(judged, train, data)}
    return leave(folder, Verdict(data.classes, settings), data, tables, selection, probe=facts)


def _aside(data: Data) -> npt.NDArray[np.bool_] | None:
    """Return which of the used train samples are set aside to choose on; None where a split is there for it."""
    if data.select != CARVED:
        return None
    keys = data.loader("train").keys
    return carved(keys, [data.groups[key] for key in keys])


def _unit(judged: Features, train: Features, data: Data) -> str:
    """Return by what the train samples were parted: a "group" lies on one side, unless they were parted by "key"."""
    sides = [{data.groups[key] for key in side.keys} for side in (judged, train)]
    return "key" if sides[0] & sides[1] else "group"


def _check(settings: Probe, data: Data, aside: int) -> None:
    """Raise UsageError where a probe cannot be had; `aside` train samples are not trained on."""
    if data.select == "last":
        raise UsageError(
            "select last: a probe must choose one of its heads: leave `select` out, or take `select=test` to repeat "
            "what was published"
        )
    if data.select != CARVED and not data.has(data.select):
        raise UsageError(
            f"select {data.select}: this build has no such samples to choose on: leave `select` out, and a part of "
            "train is set aside"
        )
    if settings.views > 1 and not settings.augment:
        raise UsageError(f"views {settings.views}: without `augment=…` all views would be the same")
    if settings.views == 1 and any(not step.startswith("drae") for step in settings.augment):
        raise UsageError(f"augment {','.join(settings.augment)}: the first view stays as it is: give `views=2` or more")
    neighbours.check(settings.knn, len(data.loader("train").rows) - aside)
    if any(step.startswith("mixup") for step in settings.augment):
        raise UsageError("augment mixup: mixes targets, which features do not have; take `finetune` with `freeze=True`")


def _contest(
    tasks: list[tuple[str, str]],
    train: Features,
    judged: Features,
    settings: Probe,
    data: Data,
    ranks: Ranks,
    folder: Folder,
    halt: Halt,
) -> list[Tried]:
    """Return all candidates, on every rank; each rank tries some groups of them."""

    def one(number: int) -> list[Tried]:
        _leave(halt)
        head, pooling = tasks[number]
        found = tried(head, pooling, train, judged, settings, data.classes, lambda: _leave(halt))
        folder.say(f"{len(found)} × {head} on {pooling}: tried")
        return found

    numbers = range(ranks.rank, len(tasks), ranks.world)
    # kNN and regression hold all features and fill all cores by themselves; heads read a batch at a time.
    alone = {number: one(number) for number in numbers if tasks[number][0] not in HEADS}
    many = [number for number in numbers if number not in alone]
    mine = alone | dict(zip(many, abreast(one, many, ranks.device), strict=True))
    everything = {number: found for part in ranks.gather(mine) for number, found in part.items()}
    return [one for number in range(len(tasks)) for one in everything[number]]


def _leave(halt: Halt) -> None:
    if halt.asked:
        halt.leave("what was encoded is kept")


def _best(found: list[Tried], figure: str, split: str) -> Tried:
    """Return the candidate of the highest figure; raise RunError where all have diverged."""
    able = [one for one in found if figure in one.figures]
    if not able:
        raise RunError(
            f"none of {len(found)} candidates has a {figure} on {split}: take smaller `lrs=…` in another `out=…` (with "
            "the same `features=…` nothing is encoded again), and see that the split holds samples of the classes"
        )
    return max(able, key=lambda one: one.figures[figure])


def _predictions(best: Tried, train: Features, asked: Features, settings: Probe, data: Data) -> pa.Table:
    """Return the chosen candidate's answers for a split."""
    with exact():
        logits = answers(best, train, asked, settings, len(data.classes))
    groups, places = ([of[key] for key in asked.keys] for of in (data.groups, data.places))
    columns = labelled(asked.target.cpu().numpy(), logits.cpu().numpy())
    return gathered([rows(asked.keys, columns, groups=groups, places=places)], asked.keys)


def _write(folder: Folder, split: str, found: list[Tried], best: Tried) -> None:
    """Write the table of candidates with their figures on a split, and the chosen one where it is linear."""
    names = sorted({name for one in found for name in one.figures})
    rows: list[list[object]] = [[*asdict(best.candidate), *(f"{split}_{name}" for name in names), "chosen"]]
    for one in found:
        told = asdict(one.candidate).values()
        rows.append([*told, *(one.figures.get(name) for name in names), "*" if one is best else ""])
    durable.write(folder.path / TABLE, csv_lines(rows).encode())
    if best.linear is not None:
        tensors = {"weight": best.linear.weight.cpu().contiguous(), "bias": best.linear.bias.cpu().contiguous()}
        durable.write(folder.path / HEAD, save(tensors, {"pooling": best.candidate.pooling}))

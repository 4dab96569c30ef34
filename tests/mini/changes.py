"""Builds of invented pairs of dates: what lies in a rectangle of the second date is darker, as under water."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sar_data.record import IGNORE, Date, Record, Sample, SourceFile
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline, Symmetry, Task, Tree
from sar_data.split.group import Group
from tests.mini import invented
from tests.mini.builds import make

SIDE, EVENTS = 32, 12
FALL = 12.0  # dB, more than twice the deviation of the noise
ROLES = ("pre2", "pre", "post")
SPLIT = "group:train=0.5,val=0.25,test=0.25"


def pipeline(*, dates: int = 2, symmetries: tuple[Symmetry, ...] = ("azimuth-flip",)) -> Pipeline:
    """Return a dataset whose files hold {"seed"}, which decides everything; each belongs to one of twelve events."""
    made = invented.pipeline("change", shape=(SIDE, SIDE), frames=dates)
    spec = dataclasses.replace(
        made.spec, symmetries=symmetries, tasks=(Task(name="flood", kind="change", classes=("dry", "flooded")),)
    )

    def scan(tree: Tree, unit: str) -> Iterable[Record]:
        seed = json.loads(tree.read(unit))["seed"]
        yield Record(
            key=Path(unit).stem,
            files=(SourceFile(unit, tree.size(unit)),),
            labels={"flood": ()},
            shape=(SIDE, SIDE),
            group=f"flood{seed % EVENTS:02d}",
            dates=tuple(Date(role=role) for role in ROLES[-dates:]),
        )

    def read(tree: Tree, record: Record) -> Sample:
        random = np.random.default_rng(json.loads(tree.read(record.files[0].path))["seed"])
        ground = random.normal(-12, 3, (2, SIDE, SIDE))
        image = np.stack([ground + random.normal(0, 2, ground.shape) for _ in range(dates)]).astype(np.float32)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        y, x = random.integers(0, SIDE // 2, 2)
        mask[y : y + SIDE // 2, x : x + SIDE // 2] = 1
        image[-1, :, mask == 1] -= FALL
        mask[:, 0] = IGNORE
        return Sample(image=image if dates > 1 else image[0], mask=mask)

    return dataclasses.replace(made, spec=spec, scan=scan, read=read, splits={"group": Group()})


def archive(out: Path, count: int) -> Path:
    """Write `count` files."""
    out.mkdir(parents=True)
    for seed in range(count):
        (out / f"s{seed:04d}.json").write_text(json.dumps({"seed": seed}))
    return out


def sealed(made: Pipeline, folder: Path, count: int) -> Build:
    """Build so many pairs, whole events in each split, most of them in train."""
    return make(made, archive(folder / "raw", count), folder / "builds", split=SPLIT)

"""Builds of invented samples of any kind: many small images, objects, masks, frames, sizes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sar_data.record import Date, Image, Object, Record, Sample, SourceFile
from sar_data.sealed.opened import Build
from sar_data.spec import MASKED, Band, DatasetSpec, Pipeline, Task, TaskKind, Tree
from sar_data.split.random import Random
from tests.mini.builds import make

CLASSES = ("water", "wood", "field", "town")


def pipeline(
    kind: TaskKind = "multiclass",
    *,
    shape: tuple[int, int] | None = (6, 5),
    frames: int = 1,
    dtype: str = "float32",
    unit: Literal["dB", "8-bit"] = "dB",
    bands: tuple[str, ...] = ("VV", "VH"),
) -> Pipeline:
    """Return a dataset whose files hold {"seed", "height", "width"}, from which everything is drawn."""
    spec = DatasetSpec(
        name="invented",
        version="1",
        revision=1,
        title="Invented",
        evidence="real-files",
        bands=tuple(Band(name=name, polarization=name, unit=unit, description=name) for name in bands),
        shape=shape,
        frames=frames,
        dtype=dtype,
        pixel_size_m=10.0,
        tasks=(Task(name="cover", kind=kind, classes=CLASSES),),
        sources=(),
        lists=(),
        licence="CC0-1.0",
        citation="none",
    )

    def scan(tree: Tree, unit: str) -> Iterable[Record]:
        facts = json.loads(tree.read(unit))
        size = (facts["height"], facts["width"])
        random = np.random.default_rng(facts["seed"])
        found = sorted(set(random.integers(0, len(CLASSES), 1 if kind == "multiclass" else 3).tolist()))
        objects = tuple(_object(random, size) for _ in range(facts["seed"] % 4)) if kind == "detection" else ()
        labels = {"cover": tuple(sorted({o.label for o in objects}) if kind == "detection" else found)}
        yield Record(
            key=Path(unit).stem,
            files=(SourceFile(unit, tree.size(unit)),),
            labels=labels,
            objects=objects,
            shape=size,
            dates=tuple(Date(role=str(date)) for date in range(frames)) if kind == "change" else (),
            orbit_pass=("ascending", "descending")[facts["seed"] % 2],
        )

    def read(tree: Tree, record: Record) -> Sample:
        facts = json.loads(tree.read(record.files[0].path))
        return Sample(
            image=image(spec, facts["seed"], record.shape or (0, 0)), mask=mask(kind, facts["seed"], record.shape)
        )

    return Pipeline(
        spec=spec, units=lambda tree: sorted(tree.files()), scan=scan, read=read, splits={"random": Random()}
    )


def image(spec: DatasetSpec, seed: int, size: tuple[int, int]) -> Image:
    """Return [(frame,) band, y, x]; in the first sample some pixels are masked."""
    shape = (*((spec.frames,) if spec.frames > 1 else ()), len(spec.bands), *size)
    random = np.random.default_rng(1000 + seed)
    if spec.dtype.startswith("uint"):
        return random.integers(0, np.iinfo(spec.dtype).max + 1, shape, spec.dtype)
    values = random.normal(-15, 5, shape).astype(spec.dtype)
    if seed % 7 == 0:
        values[..., 0, 0] = np.nan
    return values


def mask(kind: TaskKind, seed: int, size: tuple[int, int] | None) -> Any:
    if kind not in MASKED:
        return None
    return np.random.default_rng(2000 + seed).choice(np.array([0, 1, 2, 3, 255], np.uint8), size)


def _object(random: np.random.Generator, size: tuple[int, int]) -> Object:
    y, x = random.uniform(0, size[0] - 2), random.uniform(0, size[1] - 2)
    height, width = random.uniform(1, size[0] - y), random.uniform(1, size[1] - x)
    rotated = (x + width / 2, y + height / 2, width, height, 30.0) if random.random() < 0.5 else None
    label = int(random.integers(0, 4))
    outlines = ((x, y, x + width, y, x, y + height), (x + width, y, x + width, y + height, x + width / 2, y + height))
    box = (x, y, x + width, y + height)
    return Object(label=label, box=box, rotated=rotated, polygons=outlines[: label % 3])


def archive(out: Path, count: int, *, ragged: bool = False) -> Path:
    """Write `count` files; with `ragged` each image has a size of its own."""
    out.mkdir(parents=True)
    for seed in range(count):
        height, width = (6 + seed % 5, 5 + seed % 4) if ragged else (6, 5)
        (out / f"s{seed:04d}.json").write_text(json.dumps({"seed": seed, "height": height, "width": width}))
    return out


def sealed(made: Pipeline, source: Path, out: Path, **chosen: Any) -> Build:
    """Build it, most of it in train."""
    return make(made, source, out, **{"split": "random:train=0.8,val=0.15,test=0.05", **chosen})

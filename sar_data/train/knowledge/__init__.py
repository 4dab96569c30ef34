"""Which parts of an image an encoder depends on: the job behind `explain`.

points.csv        a row a chip: cells, points, their shares and the mean entropy of target, shadow and background
entropy.parquet   key, split, entropy float32 [cells × cells] and region uint8 [cells × cells], row by row
explain.json      what was asked for, by which weights, and the sums over all chips
pictures/KEY.png  the chip, the entropy of its cells, and its knowledge points on its regions
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from sar_data import __version__
from sar_data.errors import UsageError
from sar_data.progress import Say
from sar_data.sealed.files import Files, open_files
from sar_data.sealed.manifest import Manifest
from sar_data.stream.normalize import AFFINE, PRESETS, of_channels
from sar_data.system import durable, private
from sar_data.text import csv_lines
from sar_data.torch import loader
from sar_data.train.augment.power import power_of
from sar_data.train.augment.preparation import Preparation, side_by_side
from sar_data.train.augment.steps import of_evaluation, parse
from sar_data.train.inference.documents import parquet
from sar_data.train.inference.embedding import Encoding, fit_of, of_run, of_weights
from sar_data.train.inference.parts import FOLDER
from sar_data.train.inference.steps import Steps
from sar_data.train.knowledge.noise import entropies
from sar_data.train.knowledge.points import points, row, summary
from sar_data.train.knowledge.regions import of_cells, regions
from sar_data.train.knowledge.sheet import draw
from sar_data.train.ranks import started
from sar_data.train.request import ExplainRequest
from sar_data.train.run.countdown import Countdown
from sar_data.train.run.halt import delay_signals
from sar_data.train.run.precision import settle

TABLE, MAPS, ABOUT, PICTURES = "points.csv", "entropy.parquet", "explain.json", "pictures"
SCHEMA = pa.schema(
    {"key": pa.string(), "split": pa.string(), "entropy": pa.list_(pa.float32()), "region": pa.list_(pa.uint8())}
)


def carry_out(request: ExplainRequest, *, say: Say) -> dict[str, Any]:
    """Explain chips of a build and return the sums over all; an earlier explanation in the folder is replaced.

    An explanation that a signal stopped continues with the same request.
    """
    out = Path(request.out)
    if out.exists() and not (out.is_dir() and _may_be_filled(out)):
        raise UsageError(f"`out={out}`: expected a new folder or one of an earlier explanation, found other files")
    files = open_files(str(request.build))
    try:
        with started(request.device) as ranks:
            if ranks.world > 1:
                raise UsageError(f"explain: expected one process, found {ranks.world}: start it without torchrun")
            settle(ranks.device)
            return _explain(request, out, files, ranks.device, say)
    finally:
        files.close()


def _may_be_filled(folder: Path) -> bool:
    """Say whether a folder is empty or holds an explanation, finished or stopped."""
    return not any(folder.iterdir()) or (folder / ABOUT).is_file() or any(folder.glob(f".*{FOLDER}"))


def _explain(request: ExplainRequest, out: Path, files: Files, device: torch.device, say: Say) -> dict[str, Any]:
    manifest = Manifest.load(files.folder)
    if not getattr(manifest.splits.get(request.split), "count", 0):
        raise UsageError(f"{request.build}: expected samples of the split {request.split}, found none")
    encoding = (of_run if Path(request.source).is_dir() else of_weights)(request, manifest, files, [request.split], say)
    _check(encoding)
    private.make_folders(out, out / PICTURES)
    about = {"sar-data": __version__, **_parameters(request), "sha256": encoding.sha256, "model": encoding.encoder.name}
    steps = Steps(out / f".{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]}{FOLDER}")
    if done := sum(map(len, steps.tables(SCHEMA))):
        say(f"{done} chips are there already")
    countdown = Countdown(request.count, "chips", say, start=done)
    with delay_signals() as halt:
        for table in _explain_batches(request, encoding, files, device, done):
            steps.add(table)
            done += len(table)
            countdown.report(done)
            if halt.asked:
                steps.keep()
                halt.stop("what was explained is kept")
    steps.keep()
    maps = pa.concat_tables(steps.tables(SCHEMA)).to_pylist()
    rows = list(map(partial(_row, request), maps))
    sums = summary(rows)
    with parquet(out / MAPS, SCHEMA) as add:
        add(maps)
    columns = list(rows[0])
    durable.write(out / TABLE, csv_lines([columns, *([item[name] for name in columns] for item in rows)]).encode())
    durable.write(out / ABOUT, (json.dumps(about | sums, indent=1, ensure_ascii=False) + "\n").encode())
    for work in out.glob(f".*{FOLDER}"):
        shutil.rmtree(work, ignore_errors=True)
    return sums


def _explain_batches(
    request: ExplainRequest, encoding: Encoding, files: Files, device: torch.device, there: int
) -> Iterator[pa.Table]:
    """Explain and draw chips batch by batch; skip those that are there already."""
    features, folder, seen = _features(encoding, device), Path(request.out, PICTURES), 0
    for keys, images in _chips(request, encoding, files, device):
        seen += len(keys)
        if seen <= there:
            continue
        entropy_maps = entropies(
            features, images, cells=request.cells, draws=request.draws, steps=request.steps, seed=request.seed
        )
        maps = list[tuple[str, str, list[float], list[int]]]()
        for key, image, entropy in zip(keys, images.cpu(), entropy_maps.cpu(), strict=True):
            pixels = regions(image[0])
            region = of_cells(pixels, request.cells)
            known = points(entropy, region, request.threshold)
            maps.append((key, request.split, entropy.flatten().tolist(), region.flatten().tolist()))
            draw(folder, key, image, entropy, pixels, known, encoding.units, request.picture_format)
        yield pa.table([list(column) for column in zip(*maps, strict=True)], SCHEMA)


def _row(request: ExplainRequest, chip: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a chip in the table of shares."""
    cells = (request.cells, request.cells)
    entropy = torch.tensor(chip["entropy"]).reshape(cells)
    region = torch.tensor(chip["region"], dtype=torch.uint8).reshape(cells)
    return row(chip["key"], chip["split"], entropy, region, points(entropy, region, request.threshold))


def _parameters(request: ExplainRequest) -> dict[str, Any]:
    names = ("source", "build", "split", "count", "cells", "draws", "steps", "threshold", "seed")
    return {name: value if isinstance(value := getattr(request, name), int | float) else str(value) for name in names}


def _check(encoding: Encoding) -> None:
    """Raise UsageError for a normalization by each image's own quantiles: noise in one cell would change all others."""
    how = encoding.settings.normalize
    if how in PRESETS and how not in AFFINE:
        raise UsageError(
            f"`normalize={how}`: stretches each image by its own quantiles, so that noise in one cell changes all: "
            "expected another, such as `normalize=zscore`"
        )


def _features(encoding: Encoding, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function from raw images to the coarsest feature map, or the tokens, of the frozen encoder."""
    settings, encoder = encoding.settings, encoding.encoder.to(device).eval().requires_grad_(False)
    prepare = Preparation(
        parse(of_evaluation(settings.augment)),
        of_channels(encoding.units, settings.normalize, figures=encoding.figures),
        size=settings.image_size,
        power=power_of(settings.resample, encoding.units, settings.normalize, encoding.figures),
    )
    return lambda images: encoder.grid(prepare({"image": images}, settings.centre)["image"])


def _chips(
    request: ExplainRequest, encoding: Encoding, files: Files, device: torch.device
) -> Iterator[tuple[list[str], Tensor]]:
    """Yield keys and raw images [B, C, H, W] of the first chips of a split, in stored order."""
    stream = loader(
        str(request.build),
        split=request.split,
        batch_size=min(encoding.settings.batch_size, request.count),
        bands=tuple(encoding.units),
        unit=encoding.settings.unit,
        normalize=None,
        fill=None,
        **fit_of(encoding, files, request.split),
        shuffle=False,
        verify="first",
        device=device,
    )
    left = request.count
    with stream:
        for batch in stream:
            real = min(left, int((batch["weight"] > 0).sum()))
            yield list(batch["key"][:real]), side_by_side(batch["image"][:real].float())
            left -= real
            if not left:
                return

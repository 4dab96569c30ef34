"""Features of a build's images by an encoder, of a run or from published weights: a vector a key, or a grid of vectors.

FILE.parquet    key, split, features (float16 or float32 [width]); its metadata `sar-data` says what made them and what
                the columns are. Of a grid there are rows and columns, too, and features are [rows × columns, width]
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from sar_data import __version__
from sar_data.errors import RunError, UsageError
from sar_data.progress import Say
from sar_data.sealed.files import Files, open_files
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.stream.measured import measured_figures
from sar_data.stream.normalize import Figures, in_unit, of_channels, units_of
from sar_data.stream.rows import largest
from sar_data.torch import loader
from sar_data.train import weights
from sar_data.train.augment.power import power_of
from sar_data.train.augment.preparation import Preparation
from sar_data.train.augment.steps import of_evaluation, parse, physical
from sar_data.train.inference import agreement
from sar_data.train.inference.features import Unfinished, is_there
from sar_data.train.inference.finished import opened
from sar_data.train.inference.neighbours import draw
from sar_data.train.models import backbone
from sar_data.train.models.encoder import LEVELS, Backbone
from sar_data.train.ranks import Ranks, started
from sar_data.train.request import GRID, SPLITS, EmbedRequest, ExplainRequest
from sar_data.train.run.countdown import Countdown
from sar_data.train.run.halt import delay_signals
from sar_data.train.run.precision import settle
from sar_data.train.run.threads import share_cores
from sar_data.train.settings import Settings
from sar_data.train.sizes import sized

COLUMNS = {"key": "of the sample", "split": "of the build", "features": "[width]"}
OF_GRID = {
    "features": "[rows × columns, width], row by row from the upper left",
    "rows": "of the grid, from the top down",
    "columns": "of the grid, from the left",
}


@dataclass(frozen=True)
class Encoding:
    """An encoder and how images come to it. `sha256` is of its weights, `pooled` what a run pools by, if it does."""

    encoder: Backbone
    settings: Settings
    figures: Figures | None
    units: Mapping[str, str]
    sha256: str
    pooled: str | None = None

    def pooling(self, asked: str | None) -> str:
        """Return how features are pooled; raise UsageError for a pooling that the encoder does not have."""
        found = asked or self.pooled or (self.encoder.poolings or (LEVELS,))[0]
        if found == GRID:
            return found
        if found != LEVELS or self.encoder.settled != LEVELS:
            self.encoder.size(found)
        return found

    def vectors(self, images: Tensor, pooling: str) -> Tensor:
        """Return [B, width] of prepared images [B, C, H, W]: a pooling, or the mean of the coarsest feature map.

        Of a grid [B, h, w, width].
        """
        if pooling == GRID:
            return self.encoder.grid(images)
        if pooling == LEVELS:
            return self.encoder.levels(images)[-1].mean((2, 3))
        found: Tensor = self.encoder(images, (pooling,))[pooling]
        return found


def carry_out(request: EmbedRequest, *, say: Say) -> Path:
    """Encode what is asked for, on every rank, write the file on the first one, and return its path."""
    with started(request.device) as ranks:
        settle(ranks.device)
        if not ranks.first:
            logging.getLogger("sar_data").setLevel(logging.ERROR)  # what warns, warns every rank alike
        told = say if ranks.first else _silent
        files = open_files(str(request.build))
        try:
            with share_cores(None, ranks, told) as share:
                _carried(request, files, ranks, share.read, told)
        finally:
            files.close()
    return Path(request.out)


def _silent(line: str) -> None:
    return None


def _carried(request: EmbedRequest, files: Files, ranks: Ranks, threads: int, say: Say) -> None:
    out, build, manifest = Path(request.out), str(request.build), Manifest.load(files.folder)
    there = [name for name in SPLITS if getattr(manifest.splits.get(name), "count", 0)]
    splits = there if request.split is None else [request.split]
    if not set(splits) <= set(there):
        raise UsageError(f"{build}: expected samples of the split {request.split}, found those of {', '.join(there)}")
    encoding = (of_run if Path(request.source).is_dir() else of_weights)(request, manifest, files, splits, say)
    made = _made(request, encoding, manifest, splits)
    if not ranks.gather(ranks.first and is_there(out, made))[0]:
        how = {"batch": encoding.settings.batch_size, "world": ranks.world, "device": ranks.device.type}
        unfinished = Unfinished(out, made | how) if ranks.first else None
        with closing(unfinished) if unfinished else nullcontext():
            start = ranks.gather(Counter(unfinished.counts) if unfinished else None)[0]
            if count := start.total():
                say(f"{count:,} images are there already")
            encoding.encoder.to(ranks.device)
            parts = (_encoded(encoding, made, build, split, files, ranks, threads, start[split]) for split in splits)
            count = sum(manifest.splits[name].count for name in splits)
            countdown = Countdown(count, "images", say, start=start.total())
            _keep(chain.from_iterable(parts), unfinished, ranks, countdown)
            if unfinished:
                unfinished.seal(made)
                say(f"{out}: {made['pooling']} of {unfinished.counts.total():,} images")
    elif ranks.first:
        say(f"{out} has these features already")
    if request.like is not None and ranks.first:
        sheet = out.with_name(f"{out.stem}-like-{quote(request.like, safe='')}.{request.picture_format}")
        draw(sheet, out, request.like, manifest.title, build, encoding.settings, encoding.units)
        say(f"{sheet}: the neighbours")


def of_run(
    request: EmbedRequest | ExplainRequest, manifest: Manifest, files: Files, splits: Sequence[str], say: Say
) -> Encoding:
    """Return the encoder of a finished run, as it fits a build; errors are those of `embed`."""
    finished = opened(request.source, answers=False)
    if finished.input.dates > 1:
        raise UsageError(
            f"{request.source}: expected a model of single images, found one of {finished.input.dates} dates"
        )
    fitting = [agreement.sized(finished, manifest, files, split, say) for split in splits]
    settings = max(fitting, key=lambda one: one.pad or 0)
    batch = min(agreement.batch_for(settings, manifest, files, split) for split in splits)
    unit = agreement.unit_for(finished.input, manifest, str(request.build), own=False, say=say)
    return Encoding(
        finished.trained_encoder(),
        settings.model_copy(update={"unit": unit, "batch_size": batch}),
        finished.input.figures,
        finished.input.units,
        finished.sha256(),
        getattr(settings, "pooling", None),
    )


def of_weights(
    request: EmbedRequest | ExplainRequest, manifest: Manifest, files: Files, splits: Sequence[str], say: Say
) -> Encoding:
    """Return the encoder of published weights, as it fits a build; errors are those of `embed`."""
    settings = sized(str(request.build), request.options, say)
    seen = in_unit(manifest, settings.unit)
    units = units_of(seen, settings.bands or [band.name for band in seen.bands])
    side = settings.image_size or settings.crop or settings.pad or max(layout_of(manifest).shape or (1,))
    encoder = backbone(settings.model, tuple(units), image_size=side)
    found = weights.load(
        encoder,
        str(request.source),
        pooling=None if request.pooling == GRID else request.pooling,
        normalize=settings.normalize,
        stem=settings.stem,
        units=units.values(),
    )
    figures = measured_figures([request.build], tuple(units), settings.normalize, settings.unit)
    return Encoding(encoder.eval(), settings, figures, units, found.sha256)


def _made(request: EmbedRequest, encoding: Encoding, manifest: Manifest, splits: Sequence[str]) -> dict[str, Any]:
    """Return all that decides the features, for the file's metadata."""
    figures, settings = encoding.figures, encoding.settings
    return {
        "sar-data": __version__,
        "source": str(request.source),
        "sha256": encoding.sha256,
        "model": encoding.encoder.name,
        "stem": getattr(settings, "stem", None),
        "pooling": (pooling := encoding.pooling(request.pooling)),
        "columns": COLUMNS | (OF_GRID if pooling == GRID else {}),
        "dtype": request.dtype,
        "units": dict(encoding.units),
        "unit": settings.unit,
        "normalize": settings.normalize,
        "figures": None if figures is None else {name: list(pair) for name, pair in figures.items()},
        "images": {name: getattr(settings, name) for name in ("image_size", "resample", "centre", "crop", "pad")},
        "build": {"dataset": manifest.dataset, "version": manifest.version, "content_digest": manifest.content_digest},
        "splits": list(splits),
    }


def _keep(tables: Iterator[pa.Table], unfinished: Unfinished | None, ranks: Ranks, countdown: Countdown) -> None:
    """Encode what is missing, which the first rank keeps; raise Halted at a signal to any rank once that is done."""
    with delay_signals() as halt:
        for table in tables:
            if unfinished:
                unfinished.add(table)
                countdown.report(unfinished.counts.total())
            if any(ranks.gather(halt.asked)):
                if unfinished:
                    unfinished.keep()
                halt.stop("what was encoded is kept")


def _encoded(
    encoding: Encoding,
    made: Mapping[str, Any],
    build: str,
    split: str,
    files: Files,
    ranks: Ranks,
    threads: int,
    start: int,
) -> Iterator[pa.Table]:
    """Yield the rows of a split's samples from `start` on, a step at once, in stored order.

    Raises RunError for what is no number.
    """
    settings = encoding.settings
    tone = of_evaluation(settings.augment)
    later = physical(tone, settings.normalize)
    how = of_channels(encoding.units, settings.normalize, figures=encoding.figures) if later else None
    power = power_of(settings.resample, encoding.units, settings.normalize, encoding.figures)
    prepare = Preparation(parse(tone), how, size=settings.image_size, power=power)
    stream = loader(
        build,
        split=split,
        batch_size=settings.batch_size,
        bands=tuple(encoding.units),
        unit=settings.unit,
        normalize=None if later else settings.normalize,
        figures=encoding.figures,
        fill=None,
        **fit_of(encoding, files, split),
        shuffle=False,
        threads=threads,
        verify="first",
        device=ranks.device,
        rank=ranks.rank,
        world=ranks.world,
    )
    with stream, torch.inference_mode():
        if start == len(stream.rows):
            return
        stream.load_state_dict({**stream.state_dict(), "position": start})
        for batch in stream:
            real = int((batch["weight"] > 0).sum())
            image = prepare({"image": batch["image"]}, settings.centre)["image"]
            vectors = encoding.vectors(image, made["pooling"])[:real].float().cpu().numpy().astype(made["dtype"])
            # A step's samples are shared out to the ranks in their order.
            shares = ranks.gather((batch["key"][:real], vectors))
            yield pa.concat_tables(_table(keys, split, own) for keys, own in shares if len(keys))


def _table(keys: Sequence[str], split: str, vectors: npt.NDArray[Any]) -> pa.Table:
    """Return rows of vectors [sample, width] or grids [sample, h, w, width]; raise RunError for what is no number."""
    count, *sides, width = vectors.shape
    if wrong := np.flatnonzero(~np.isfinite(vectors.reshape(count, -1)).all(axis=1)).tolist():
        raise RunError(
            f"{len(wrong)} images such as {keys[wrong[0]]}: expected finite features, found NaN or infinity: take "
            "`dtype=float32`, or look at the image"
        )
    features = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
    columns = {"key": pa.array(keys, pa.string()), "split": pa.array([split] * count)}
    if not sides:
        return pa.table(columns | {"features": features})
    rows, across = sides
    ends = pa.array(np.arange(count + 1, dtype=np.int32) * (rows * across))
    grid = {"rows": pa.array([rows] * count, pa.int32()), "columns": pa.array([across] * count, pa.int32())}
    return pa.table(columns | grid | {"features": pa.ListArray.from_arrays(ends, features)})


def fit_of(encoding: Encoding, files: Files, split: str) -> dict[str, Any]:
    """Return crop and pad: whole images, where a run was trained on windows and its encoder takes any size."""
    settings = encoding.settings
    if settings.tiles is None or encoding.encoder.kind != "cnn":
        return {"crop": settings.crop, "pad": settings.pad}
    manifest = Manifest.load(files.folder)
    return {"crop": None, "pad": largest(files, manifest, [split]) if layout_of(manifest).shape is None else None}

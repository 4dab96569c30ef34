"""A finished run judged on any split of any build of its task: metrics, intervals, leakage, pictures, predictions.

DIR/config.json          the run's options, the build, the split, whose figures normalize it
    metrics.json         split → metric → value, leakage, the run, what does not match
    predictions.parquet  one row a sample; pictures as a run leaves them
`.parts/` holds the predictions while the evaluation is at work.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from sar_data import __version__
from sar_data.errors import RunError, UsageError
from sar_data.naming import few
from sar_data.progress import Say
from sar_data.sealed.files import open_files
from sar_data.sealed.leakage import Card
from sar_data.sealed.manifest import Manifest
from sar_data.train import documents
from sar_data.train.augment.steps import of_evaluation
from sar_data.train.data import Data, Trained
from sar_data.train.documents import METRICS
from sar_data.train.inference import leakage
from sar_data.train.inference.agreement import batch_for, check_dates, sized, task_for, unit_for
from sar_data.train.inference.finished import Finished, opened
from sar_data.train.inference.parts import FOLDER as PARTS
from sar_data.train.inference.steps import Steps
from sar_data.train.jobs import Job, job_of
from sar_data.train.predictions import check_columns, gathered
from sar_data.train.ranks import Ranks, started
from sar_data.train.request import EvaluateRequest
from sar_data.train.run.countdown import Countdown
from sar_data.train.run.evaluate import predict_share
from sar_data.train.run.folder import Folder, describe_builds, environment, write
from sar_data.train.run.halt import delay_signals
from sar_data.train.run.outcome import finished_metrics, score_splits
from sar_data.train.run.precision import precision, settle
from sar_data.train.run.threads import share_cores

FOLDER = "evaluations"  # in a run's folder


def carry_out(request: EvaluateRequest, *, say: Say) -> dict[str, Any]:
    """Judge a finished run on one split of a build and return the metrics (on the first rank, nothing elsewhere).

    An evaluation that was stopped goes on; a finished one is left as it is, and `say` is told that it was read. Raises
    RunError for a run without a network, a folder at work and files in it that are no evaluation's, UsageError for a
    build or a split that the model cannot be judged on.
    """
    with started(request.device) as ranks:
        settle(ranks.device)
        if not ranks.first:
            logging.getLogger("sar_data").setLevel(logging.ERROR)  # what warns, warns every rank alike
        told = say if ranks.first else _silent
        with share_cores(None, ranks, told) as share:
            finished = opened(request.run)
            data = _data(finished, request, ranks, share.read, told)
            folder = Folder(_out(finished, request, data), told)
            try:
                return _judged(finished, request, data, folder, ranks)
            finally:
                data.close()
                folder.close()


def _silent(line: str) -> None:
    return None


def _data(finished: Finished, request: EvaluateRequest, ranks: Ranks, threads: int, say: Say) -> Data:
    """Open the split as the model sees it; raise UsageError where it cannot."""
    build, own, found = str(request.build), request.normalize_by == "build", finished.input
    files = open_files(build)
    try:
        manifest = Manifest.load(files.folder)
        count = getattr(manifest.splits.get(request.split), "count", 0)
        if not count:
            there = [name for name, split in manifest.splits.items() if split.count]
            raise UsageError(f"{build}: expected samples of the split {request.split}, found those of {few(there)}")
        check_dates(found, manifest, build)
        settings = sized(finished, manifest, files, request.split, say)
        batch = min(batch_for(settings, manifest, files, request.split), count)
    finally:
        files.close()
    trained_on = finished.of_build(manifest.content_digest)
    changed = {
        "bands": found.channels,
        "unit": unit_for(found, manifest, build, own=own, say=say),
        "task": task_for(found, manifest, build, settings.task),
        "threads": threads,
        "picture_format": request.picture_format,
        "batch_size": batch,
        "select": settings.select if trained_on else "last",  # another build's test chose nothing
        "augment": of_evaluation(settings.augment),
    }
    figures = found.figures
    if trained_on is not None and "figures" in trained_on:  # of several, each with its own
        figures = trained_on["figures"]
    elif finished.caution and not own:
        say(finished.caution)
    figures = None if own else figures
    trained = Trained(split=request.split, figures=figures, side=finished.side, classes=found.classes)
    data = Data(build, settings.model_copy(update=changed), ranks, trained)
    for line in data.matching.sentences():
        say(line)
    return data


def _out(finished: Finished, request: EvaluateRequest, data: Data) -> Path:
    """Return where an evaluation is kept: as asked for, or in the run's folder under a name of its own."""
    if request.out is not None:
        return Path(request.out)
    by = "" if request.normalize_by == "run" else "-by-build"
    name = f"{data.manifest.dataset}-{data.manifest.content_digest[:8]}-{request.split}{by}"
    home = finished.path / FOLDER
    if linked := next((folder for folder in (home, home / name) if folder.is_symlink()), None):
        raise UsageError(f"{linked}: expected a folder of the run, found a link: say where the figures go, `out=…`")
    return home / name


def _judged(finished: Finished, request: EvaluateRequest, data: Data, folder: Folder, ranks: Ranks) -> dict[str, Any]:
    job = job_of(finished.job)(finished.encoder(), data, data.settings)
    if not isinstance(job, Job):
        raise RunError(f"{finished.path}: expected a run that labels judge, found one of images alone")
    _check(finished, data, job)
    finished.filled(job.model).to(ranks.device)
    if ranks.first:
        folder.begin(_configuration(finished, request, data))
        _check_version(folder)
    if ranks.gather(folder.finished)[0]:
        folder.say(
            f"{folder.path} is finished: its figures are read from {METRICS}, whoever wrote it; to evaluate anew take "
            "another `out=…`"
        )
        return _again(request, folder, job, data) if ranks.first else {}
    count = len(data.keys(request.split))
    folder.say(f"{finished.path} on {request.split} of {data.build}: {count:,} samples")
    amp = "none" if ranks.device.type == "cpu" and finished.settings.amp == "fp16" else finished.settings.amp
    with precision(amp, ranks.device):
        parts = _answers(job, data, request.split, folder, ranks)
    if not ranks.first:
        return {}
    table = gathered(parts, data.keys(request.split))
    keys, named = table["key"].to_pylist(), str(request.build)
    leaking: Card = {}
    for one in documents.builds(finished.config):
        card = leakage.leakage(one, data.index, keys, named=named)
        leaking |= {f"train/{one['name']}.{name}" if "name" in one else name: figure for name, figure in card.items()}
        for line in leakage.sentences(card, one.get("name")):
            folder.say(line)
    metrics = score_splits(folder, job, data, {request.split: table}, finished.thresholds()) | {
        "leakage": {name: figure.model_dump() for name, figure in leaking.items()},
        "matching": data.matching.sentences(),
        "run": str(finished.path),
    }
    write(folder.path / METRICS, metrics)
    shutil.rmtree(folder.path / PARTS, ignore_errors=True)
    folder.say(f"{folder.path} has the figures, pictures and predictions")
    return metrics


def _answers(job: Job, data: Data, split: str, folder: Folder, ranks: Ranks) -> list[pa.Table]:
    """Return a split's predictions, on the first rank, which keeps them; raise Halted at a signal to any rank."""
    steps = Steps(folder.path / PARTS) if ranks.first else None
    there = ranks.gather(_kept(steps, job, data, split) if steps else 0)[0]
    if there:
        folder.say(f"{there:,} samples are there already, read from {folder.path / PARTS}")
    count, done = len(data.keys(split)), there
    countdown = Countdown(count, "samples", folder.say, start=there)
    with delay_signals() as halt:
        for own in predict_share(job, data, split, there) if there < count else ():
            shares = ranks.gather((own, halt.asked))
            done += sum(len(table) for table, _ in shares)
            countdown.report(done)
            if steps:
                steps.add(pa.concat_tables(table for table, _ in shares))
            if any(asked for _, asked in shares):
                if steps:
                    steps.keep()
                halt.stop("what was evaluated is kept")
    if steps is None:
        return []
    steps.keep()
    return list(steps.tables())


def _kept(steps: Steps, job: Job, data: Data, split: str) -> int:
    """Return how many samples are answered; raise RunError for answers that are not such as this model gives."""
    keys = [key for table in steps.tables(pa.schema({"key": pa.string()})) for key in table["key"].to_pylist()]
    if not keys:
        return 0
    schema = next(predict_share(job, data, split)).schema  # what columns an answer has is known to the job alone
    try:
        for table in steps.tables(schema):
            check_columns(table, len(data.classes), needed=schema.names[:1])
        if strange := set(keys) - set(data.keys(split)):
            raise ValueError(f"{min(strange)[:80]} is no sample of {split}")
    except ValueError as error:
        why = f"expected answers of this model: {error}. Remove it to evaluate anew"
        raise RunError(f"{steps.folder}: {why}") from error
    return len(keys)


def _check_version(folder: Folder) -> None:
    """Raise UsageError where another version judged, whose figures may be others."""
    before = documents.config(folder.path).get("environment", {}).get("sar-data")
    if before != __version__:
        raise UsageError(
            f"`out={folder.path}`: expected an evaluation of sar-data {__version__}, found one of {str(before)[:40]}: "
            "take another `out=…`"
        )


def _again(request: EvaluateRequest, folder: Folder, job: Job, data: Data) -> dict[str, Any]:
    """Return the metrics of a finished evaluation; raise RunError where they are not those of the split."""
    path = folder.path / METRICS
    if request.split not in documents.figures(documents.metrics(folder.path)):
        raise RunError(
            f"{path}: expected figures of {request.split}, found none: remove {folder.path} to evaluate anew"
        )
    return finished_metrics(folder, job, data)


def _check(finished: Finished, data: Data, job: Job) -> None:
    """Raise UsageError for images that a network of one size cannot see."""
    if job.encoder.kind == "cnn" or finished.input.resized or finished.settings.tiles is not None:
        return
    height, width = data.samples.shape[-2:]
    if (height, width) != (finished.side, finished.side):
        raise UsageError(
            f"{data.build}: expected images of {finished.side} × {finished.side} pixels, which {job.encoder.name} of "
            f"{finished.path} takes, found {height} × {width}: `convert(crop={finished.side})` cuts them"
        )


def _configuration(finished: Finished, request: EvaluateRequest, data: Data) -> dict[str, Any]:
    """Return what config.json says: the run's own, but of the build, the split and the machine."""
    asked = {"split": request.split, "normalize_by": request.normalize_by}
    return {
        **finished.config,
        "settings": {**finished.config["settings"], **asked},
        "input": finished.input.model_dump(mode="json"),
        "build": describe_builds(data),
        "weights": {"source": str(finished.checkpoint), "sha256": finished.sha256()},
        "environment": environment(data.ranks),
    }

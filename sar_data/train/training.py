"""One run from first to last: the build, the model, its weights, the training, the test, the documents."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sar_data.errors import UsageError, unknown
from sar_data.normalization.presets import presets
from sar_data.stream.bits import Purpose, mix
from sar_data.train.builds import Together
from sar_data.train.classification import Verdict
from sar_data.train.data import Data
from sar_data.train.jobs import Job, Judge, Unlabelled, job_of
from sar_data.train.models import backbone
from sar_data.train.models.encoder import Backbone
from sar_data.train.preset import Preset
from sar_data.train.ranks import Ranks, started
from sar_data.train.request import TrainRequest
from sar_data.train.run.folder import Folder, configuration
from sar_data.train.run.halt import delay_signals
from sar_data.train.run.loop import Training
from sar_data.train.run.outcome import drawing, finished_metrics, write_outcome
from sar_data.train.run.precision import settle
from sar_data.train.run.threads import share_cores
from sar_data.train.settings import JOBS, Probe, Settings, Tuned
from sar_data.train.sizes import sized

log = logging.getLogger("sar_data.train")


def carry_out(request: TrainRequest, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry out a request and return its metrics, split → metric → value; as `run` does, and with its errors."""
    options, preset = request.options, request.recipe
    return run(request.job, request.builds, request.out, options, say=say, preset=preset, together=request.together)


def run(
    job: str,
    build: str | Sequence[str],
    out: str | Path,
    settings: Settings,
    *,
    say: Callable[[str], None],
    preset: Preset | None = None,
    together: Together | None = None,
) -> dict[str, Any]:
    """Run one job on a build, or on several as one set, and return its metrics, split → metric → value.

    An unfinished run of the same settings in `out` goes on where it was, to the bit on a processor; a finished one is
    left as it is. Raises UsageError for settings that do not fit, RunError for a loss that is no number, Halted after a
    signal.
    """
    if job not in JOBS:
        raise unknown("job", job, JOBS)
    with started(settings.device) as ranks:
        settle(ranks.device)
        if not ranks.first:
            logging.getLogger("sar_data").setLevel(logging.ERROR)  # what warns, warns every rank alike
        folder = Folder(Path(out), say if ranks.first else lambda line: None)
        with share_cores(settings.threads, ranks, folder.say) as share:
            settings = sized(build, settings.model_copy(update={"threads": share.read}), folder.say)
            data = Data(build, settings, ranks, together=together)
            try:
                return _run(job, data, folder, settings, ranks, preset)
            finally:
                data.close()
                folder.close()


def _run(
    job: str, data: Data, folder: Folder, settings: Settings, ranks: Ranks, preset: Preset | None
) -> dict[str, Any]:
    torch.manual_seed(mix(Purpose.WEIGHTS, settings.seed) >> 1)
    tuned = settings if isinstance(settings, Tuned) else None
    channels = settings.seen(data.channels, data.dates)
    encoder = backbone(settings.model, channels, image_size=data.side, drop_path=tuned.drop_path if tuned else 0.0)
    made = None if tuned is None else job_of(job)(encoder, data, tuned)
    for split in filter(data.has, ("val", "test")):
        data.loader(split)  # what cannot be evaluated is told before the training, not after it
    weights = _begin(job, encoder, made, data, settings)
    encoder.requires_grad_(tuned is not None and not tuned.freeze)
    parameters = list((encoder if made is None else made.model).parameters())
    config = configuration(
        job,
        preset,
        settings,
        data,
        resolved={"poolings": encoder.poolings} if made is None else made.resolved,
        weights=weights,
        parameters={
            "total": sum(parameter.numel() for parameter in parameters),
            "trained": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        },
    )
    if ranks.first:
        folder.begin(config)
    ranks.wait()
    if not all(ranks.gather(folder.begun)):
        raise UsageError(f"`out={folder.path}`: expected a folder that all ranks see, on a disk that they share")
    if ranks.gather(folder.finished)[0]:
        folder.say(f"{folder.path} is finished; to train anew take another `out=…`")
        judge = Verdict(data.classes, settings) if isinstance(settings, Probe) else made
        return finished_metrics(folder, judge if isinstance(judge, Judge) else None, data) if ranks.first else {}
    _tell(folder, data, config)
    if isinstance(settings, Probe):
        from sar_data.train.probe import probe

        return probe(encoder.to(ranks.device), settings, data, folder, ranks)
    if made is None or tuned is None:
        raise UsageError(
            f"job {job}: expected settings of a job that trains a network, found {type(settings).__name__}"
        )
    made.model.to(ranks.device)
    with delay_signals() as halt:
        training = Training(made, data, tuned, ranks, folder, halt)
        training.run()
        tables = {split: training.score(split)[0] for split in ("val", "test") if data.has(split)}
    if not ranks.first:
        return {}
    selection = {"epoch": training.chosen}
    if isinstance(made, Unlabelled):
        made.show(drawing(folder, data, "train"), data.keys("train"))
        return write_outcome(folder, None, data, {}, selection, train=training.summary)
    return write_outcome(folder, made, data, tables, selection)


def _begin(
    job: str, encoder: Backbone, made: Job | Unlabelled | None, data: Data, settings: Settings
) -> Mapping[str, Any] | None:
    """Load the weights that a run begins with, and return where they came from, None for random numbers."""
    if isinstance(settings, Tuned) and settings.init is not None and made is not None:
        from sar_data.train.inference.initial import begin

        return begin(made.model, encoder, job, settings, data.classes)
    if settings.weights is None:
        return None
    from sar_data.train.weights import load

    return load(
        encoder,
        settings.weights,
        pooling=encoder.settled,
        normalize=settings.normalize,
        stem=settings.stem,
        units=[band.unit for band in data.manifest.bands if band.name in data.channels],
    ).to_json()


def _tell(folder: Folder, data: Data, config: Mapping[str, Any]) -> None:
    """Say what is to be known of a run before it trains; list what it leaves out."""
    for line in (*data.sentences(), data.choice):
        folder.say(line)
    for line in data.builds.warnings():
        log.warning("%s", line)
    if data.duplicates is not None and data.ranks.first:
        data.duplicates.write(folder.path)
    if (values := presets()[data.settings.normalize]).stretch is not None:
        folder.say(f"normalize {data.settings.normalize}: loses {values.warning}")
    for departure in config["departures"]:
        folder.say(f"preset {config['preset']}: {departure}")

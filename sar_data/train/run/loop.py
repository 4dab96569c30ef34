"""The training loop of every job that trains an encoder: epochs, checkpoints, the best epoch, an exact resume."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import torch
from pydantic import TypeAdapter

from sar_data.errors import RunError, UsageError
from sar_data.naming import few
from sar_data.train.data import Data
from sar_data.train.jobs import WATCH, Batch, Job, Unlabelled
from sar_data.train.ranks import Ranks
from sar_data.train.run import checkpoint
from sar_data.train.run.countdown import Countdown
from sar_data.train.run.evaluate import evaluate
from sar_data.train.run.folder import Folder
from sar_data.train.run.halt import Halt
from sar_data.train.run.schedule import optimiser, rate
from sar_data.train.run.step import Late, Stepper
from sar_data.train.settings import Tuned


@dataclass(slots=True)
class Position:
    """How far a training is; every checkpoint has all of it. `rows` is the log, one row for each complete epoch."""

    step: int = 0
    best: float | None = None
    best_epoch: int = 0
    lr: float = 0.0
    losses: list[float] = field(default_factory=list)  # of this epoch's steps
    seconds: float = 0.0  # that this epoch took so far
    waited: float = 0.0  # of them, for data
    rows: list[dict[str, Any]] = field(default_factory=list)


class Training:
    """One training of one job, which continues from the folder's last checkpoint and ends with the best weights."""

    def __init__(
        self, job: Job | Unlabelled, data: Data, settings: Tuned, ranks: Ranks, folder: Folder, halt: Halt
    ) -> None:
        self._job, self._data, self._settings, self._ranks = job, data, settings, ranks
        self._folder, self._halt = folder, halt
        if data.select != "last" and not data.has(data.select):
            raise UsageError(
                f"select {data.select}: this build has no such samples to choose the best epoch by: leave `select` "
                "out, or build it with a val split"
            )
        self._loader = data.loader("train")
        self._stepper = Stepper(job, optimiser(job.model, job.encoder, settings), settings, ranks)
        self._position = Position()
        self._late: Late | None = None
        self._began = 0.0
        self._restore()
        self._countdown = Countdown(settings.epochs, "epochs", folder.say, start=self._epochs_done(0))

    def run(self) -> list[dict[str, Any]]:
        """Train to the last epoch and return the log; raise Halted at a signal once all is saved."""
        if isinstance(self._job, Unlabelled) and not self._position.step:
            self._mode(training=False)
            for name, value in self._job.watch(0).items():
                self._folder.say(f"before training: {name} {value:.3f}")
        while (epoch := len(self._position.rows)) < self._settings.epochs:
            if self._loader.epoch == epoch:  # otherwise its steps are done, and the evaluation remains
                self._epoch(epoch)
            self._finish(epoch)
            self._leave()
        if self._data.select != "last":
            path = self._folder.checkpoints / checkpoint.BEST
            best = checkpoint.load(path)
            if best is None:
                raise RunError(f"{path}: expected the best epoch, found nothing")
            with checkpoint.explain_mismatch(path, "the weights of this run"):
                self._job.model.load_state_dict(best["model"])
        return self._position.rows

    @property
    def chosen(self) -> int:
        """The epoch whose weights the model has at the end, counted from 1."""
        return self._position.best_epoch or self._settings.epochs

    @property
    def summary(self) -> dict[str, Any]:
        """The samples of an epoch, and the last one's loss and figures, as metrics.json has them."""
        row = self._position.rows[-1]
        figures = {name: value for name, value in row.items() if name == "loss" or name.startswith(WATCH)}
        return {"count": len(self._data.keys("train")), **figures}

    def _epoch(self, epoch: int) -> None:
        self._mode(training=True)
        self._began = time.monotonic() - self._position.seconds
        batches = self._measure_waiting(self._data.training())
        while group := list(islice(batches, self._settings.accumulate)):
            self._step(group)
            every = self._settings.checkpoint_every
            if self._loader.epoch == epoch and (self._halt.agreed or (every and self._position.step % every == 0)):
                self._pause()
        self._pause(save=False)

    def _pause(self, *, save: bool = True) -> None:
        """Wait for the last step, add up the time, save; raise Halted where a signal came."""
        self._look()
        self._position.seconds = time.monotonic() - self._began
        if save or self._halt.agreed:
            self._save()
        self._leave()

    def _leave(self) -> None:
        if self._halt.agreed:
            self._halt.stop(f"{self._folder.path} is saved after {self._position.step} steps")

    def _step(self, batches: list[Batch]) -> None:
        position, settings = self._position, self._settings
        position.lr = rate(settings, self._epochs_done(len(batches)))
        for group in self._stepper.optimiser.param_groups:
            group["lr"] = position.lr * group["scale"]
        result = self._stepper.step(batches, position.step, self._halt.asked)
        self._look()
        self._late = Late(result, [key for batch in batches for key in batch["key"]])
        position.step += 1
        if self._ranks.device.type == "cpu":
            self._look()  # nothing runs asynchronously here, so there is no reason to wait
        if self._ranks.first:
            note = f", loss {position.losses[-1]:.4f}" if position.losses else ""
            self._countdown.report(self._epochs_done(0), note)

    def _look(self) -> None:
        """Read the last step's loss; raise RunError with the keys of its samples where it is not finite."""
        if self._late is None:
            return
        late, self._late = self._late, None
        loss, stopping = late.read()
        if loss != loss or loss in (float("inf"), float("-inf")):
            keys = self._ranks.gather(late.keys)
            names = [key for part in keys for key in part]
            raise RunError(
                f"the loss became {loss} in step {self._position.step}: a smaller `lr=…`, `amp=bf16` or `amp=none` "
                f"may help, or a look at its samples: {few(names)}"
            )
        self._position.losses.append(loss)
        self._halt.agreed = stopping > 0

    def _finish(self, epoch: int) -> None:
        """Complete an epoch: evaluate where it is due, log, save, keep the best."""
        settings, position, select = self._settings, self._position, self._data.select
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "step": position.step,
            "lr": position.lr,
            "loss": sum(position.losses) / max(len(position.losses), 1),
            "samples_s": len(self._loader) * self._loader.pace.step / position.seconds,
            "waiting": position.waited / position.seconds,
        }
        better = False
        due = (epoch + 1) % settings.eval_every == 0 or epoch + 1 >= settings.epochs
        if isinstance(self._job, Unlabelled):
            self._mode(training=False)
            row |= self._job.watch(epoch + 1)
        if isinstance(self._job, Job) and select != "last" and due:
            table, score = self.score(select, save=True)
            if (loss := self._job.loss(table)) is not None:
                row[f"{select}_loss"] = loss
            row |= {f"{select}_{name}": value for name, value in score.items() if isinstance(value, float)}
            value = score[self._job.chosen_by]
            better = value is not None and (position.best is None or value > position.best)
            if better:
                position.best, position.best_epoch = value, epoch + 1
        position.rows.append(row)
        position.losses, position.seconds, position.waited = [], 0.0, 0.0
        if better or (position.best is None and select != "last" and due):
            self._write(checkpoint.BEST, model=self._job.model.state_dict(), epoch=epoch + 1)
        self._save()
        if self._ranks.first:
            self._folder.log(position.rows, settings.epochs, self._score_name(row))

    def _score_name(self, row: dict[str, Any]) -> str:
        """Return the name of the score that is reported beside an epoch's loss."""
        if isinstance(self._job, Job):
            return f"{self._data.select}_{self._job.chosen_by}"
        return next((name for name in row if name.startswith(WATCH)), "")

    def score(self, split: str, *, save: bool = False) -> tuple[Any, dict[str, Any]]:
        """Return the predictions and the metrics of a split by the present weights; raise Halted at a signal."""
        if not isinstance(self._job, Job):
            raise UsageError(f"{split}: expected a job that labels judge, found one of images alone")
        self._ranks.share(list(self._job.model.buffers()))
        self._mode(training=False)
        countdown = Countdown(len(self._data.keys(split)), f"samples of {split} evaluated", self._folder.say)
        look = partial(self._check_signal, save, countdown)
        with self._stepper.precision():
            table = evaluate(self._job, self._data, split, self._ranks, look)
        return table, self._job.score(table)

    def _check_signal(self, save: bool, countdown: Countdown, done: int) -> None:
        """Report the samples done; ask all ranks whether a signal came; if so, save if asked to, and raise Halted."""
        if self._ranks.first:
            countdown.report(done)
        asked = self._ranks.total(torch.tensor(float(self._halt.asked), device=self._ranks.device))
        self._halt.agreed = bool(asked > 0)
        if self._halt.agreed and save:
            self._save()
        self._leave()

    def _mode(self, *, training: bool) -> None:
        self._job.model.train(training)
        if self._settings.freeze:
            self._job.encoder.eval()  # a frozen encoder also keeps its batch statistics

    def _epochs_done(self, micro: int) -> float:
        """Return how many epochs of samples were consumed before the last `micro` batches."""
        state, total = self._loader.state_dict(), len(self._loader) * self._loader.pace.step
        return float(state["epoch"] + (state["position"] - micro * self._loader.pace.step) / total)

    def _measure_waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            before = time.monotonic()
            batch = next(batches, None)
            self._position.waited += time.monotonic() - before
            if batch is None:
                return
            yield batch

    def _save(self) -> None:
        position = self._position
        self._write(
            checkpoint.LAST,
            model=self._job.model.state_dict(),
            optimiser=self._stepper.optimiser.state_dict(),
            scaler=self._stepper.scaler.state_dict(),
            loader=self._loader.state_dict(),
            progress={name: getattr(position, name) for name in Position.__slots__},
        )

    def _write(self, name: str, **state: Any) -> None:
        """Write a checkpoint on the first rank; all ranks take its batch statistics."""
        self._ranks.share(list(self._job.model.buffers()))
        if self._ranks.first:
            about = {"channels": list(self._job.encoder.channels), "normalize": self._settings.normalize}
            checkpoint.save(self._folder.checkpoints / name, **about, **state)
        self._ranks.wait()

    def _restore(self) -> None:
        path = self._folder.checkpoints / checkpoint.LAST
        state = checkpoint.load(path)
        if state is None:
            return
        with checkpoint.explain_mismatch(path, "the state of this run"):
            self._job.model.load_state_dict(state["model"])
            self._stepper.optimiser.load_state_dict(state["optimiser"])
            self._stepper.scaler.load_state_dict(state["scaler"])
            self._loader.load_state_dict(state["loader"])
            self._position = TypeAdapter(Position).validate_python(state["progress"])

"""A suite of tasks is run: their presets one after another, for one table beside the published figures.

OUT/TASK/supervised    a small network that is trained from its first layer on
         random        a frozen encoder that learnt nothing
         weights       the frozen encoder of the weights, where there are some
    benchmark.md       the table; benchmark.json has its figures with intervals
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sar_data.errors import BuildError, UsageError
from sar_data.naming import few
from sar_data.progress import Say
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.system import durable
from sar_data.train import verbs
from sar_data.train.comparison import markdown_table
from sar_data.train.metrics import title_of
from sar_data.train.preset import Preset, find
from sar_data.train.ranks import started
from sar_data.train.request import BenchmarkRequest, TrainRequest
from sar_data.train.run.folder import write
from sar_data.train.suites import Suite, Task

DEEPEST = 4  # folders below the one that has the builds
TABLE, DOCUMENT = "benchmark.md", "benchmark.json"
SUPERVISED, RANDOM, WEIGHTS = "supervised", "random", "weights"


def carry_out(request: BenchmarkRequest, *, say: Say) -> str:
    """Run what is missing of a suite, and return its table in Markdown; what is finished is left as it is.

    A task whose build is not there has no figures; the table is "" on all ranks but the first. Raises UsageError where
    no task has one, and what `train` raises.
    """
    suite, out = request.tasks, Path(request.out)
    builds = {task.name: _build_of(Path(request.builds), find(task.preset)) for task in suite.task}
    if not any(builds.values()):
        raise UsageError(
            f"{request.builds}: expected builds of {few(list(builds))}, found none: the preset of each says how "
            f"it is made, such as {suite.task[0].preset}"
        )
    with started((request.settings or {}).get("device")) as ranks:
        if not ranks.first:
            _run(request, builds, lambda line: None)
            return ""
        found = _run(request, builds, say)
    table = _table(suite, request, found, builds)
    durable.write(out / TABLE, table.encode())
    write(out / DOCUMENT, {"suite": request.suite, "weights": request.weights, "tasks": found})
    return table


def _run(request: BenchmarkRequest, builds: Mapping[str, str | None], say: Say) -> dict[str, dict[str, Any]]:
    """Run every row of the tasks that have a build, and return task → row → its figure: none but on the first rank."""
    found: dict[str, dict[str, Any]] = {}
    for task in request.tasks.task:
        if (build := builds[task.name]) is None:
            say(f"{task.name}: no build of it is in {request.builds}")
            continue
        preset = find(task.preset)
        for row, options in _rows(request.tasks, task, preset, request):
            where = Path(request.out) / task.name.lower() / row
            say(f"{task.name}, {row}: {where}")
            asked = TrainRequest(job=preset.job, build=build, out=where, preset=preset.name, settings=options)
            if figures := verbs.carry_out(asked, say).get("test"):
                told = {"value": figures[task.metric], "interval": figures["intervals"].get(task.metric)}
                found.setdefault(task.name, {})[row] = told | {"samples": figures["count"], "run": str(where)}
    return found


def _rows(suite: Suite, task: Task, preset: Preset, request: BenchmarkRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a task, and the options of each that differ from its preset's.

    An encoder is pooled as it is by default: a network without a class token has no other way.
    """
    asked = {**({"pooling": None} if "pooling" in preset.settings else {}), **(request.settings or {})}
    small = {name: value for name, value in asked.items() if name not in ("model", "stem")}
    yield SUPERVISED, {**suite.supervised, **task.supervised, **small}
    yield RANDOM, {name: value for name, value in asked.items() if name != "stem"}
    if request.weights is not None:
        yield WEIGHTS, {**asked, "weights": request.weights}


def _build_of(folder: Path, preset: Preset) -> str | None:
    """Return the build below a folder that a preset repeats, None where there is none.

    The same samples in several containers are one build. Raises UsageError where there are others.
    """
    there: dict[str, str] = {}
    for depth in range(DEEPEST):
        for path in sorted(folder.glob("/".join(["*"] * depth + [NAME]))):
            try:
                manifest = Manifest.load(path.parent)
            except BuildError:
                continue  # a run, or what is broken
            if path.parent.name[0] != "." and not preset.build.departures(manifest):
                there.setdefault(manifest.content_digest, str(path.parent))
    if len(there) > 1:
        raise UsageError(
            f"{folder}: expected one build of {preset.name}, found {few(list(there.values()))}: name another folder by "
            "`builds=…`, or remove those that are not meant"
        )
    return next(iter(there.values()), None)


def _table(
    suite: Suite, request: BenchmarkRequest, found: Mapping[str, Mapping[str, Any]], builds: Mapping[str, str | None]
) -> str:
    """Return one table: a row for each network that ran, then one for each that was published."""
    tasks = suite.task
    head = ["", *(f"{task.name}, {title_of(task.metric)}" for task in tasks)]
    model = (request.settings or {}).get("model", find(tasks[0].preset).settings["model"])
    titles = {
        SUPERVISED: f"supervised {suite.supervised['model']}",
        RANDOM: f"random {model}, frozen",
        WEIGHTS: f"{Path(str(request.weights)).name}, frozen",
    }
    rows = [
        [title, *(_cell(found.get(task.name, {}).get(row)) for task in tasks)]
        for row, title in titles.items()
        if any(row in figures for figures in found.values())
    ]
    published = dict.fromkeys(name for task in tasks for name in task.published)
    rows += [[f"published: {name}", *(_percent(task.published.get(name)) for task in tasks)] for name in published]
    missing = [name for name, build in builds.items() if build is None]
    notes = [f"No build of {few(missing)} is in {request.builds}."] if missing else []
    if request.settings:
        notes.append(f"All rows: {', '.join(f'{name} {value}' for name, value in request.settings.items())}.")
    notes.append("Per cent of the test split, with intervals of 95 %, whose units each run's metrics.json names.")
    return "\n".join([*markdown_table(head, rows), "", *notes, " ".join(suite.about.split())]) + "\n"


def _cell(told: Mapping[str, Any] | None) -> str:
    if told is None or told["value"] is None:
        return "–"
    low_high = told["interval"]
    return _percent(100 * told["value"]) + (f" [{100 * low_high[0]:.1f}, {100 * low_high[1]:.1f}]" if low_high else "")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"

"""Command line, flow and Python ask for a build or a run with the same names, defaults, checks and messages."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from prefect import Flow

import sar_data
import sar_data.train
from flows.run import CHECKS
from sar_data.builder.counted import StatsRequest
from sar_data.builder.leakage import LeakageRequest
from sar_data.builder.rebuild import RebuildRequest
from sar_data.builder.repair import RepairRequest
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.cli import main
from sar_data.cli.build import command as build
from sar_data.cli.declaration import Field
from sar_data.cli.fetch import command as fetch
from sar_data.cli.train import command as train
from sar_data.cli.words import render
from sar_data.errors import UsageError
from sar_data.exporters import TARGETS
from sar_data.own.fields import FIELDS
from sar_data.sealed.opened import Build
from sar_data.train.request import (
    BENCHED,
    WEIGHTED,
    BenchmarkRequest,
    CompareRequest,
    EmbedRequest,
    EvaluateRequest,
    ExplainRequest,
    ExportRequest,
    PredictRequest,
    TrainRequest,
)
from sar_data.train.settings import JOBS
from tests.builder.test_request import WRONG, WRONG_BUILDS

CREW = {"workers", "runner", "dask_address"}
NOT_SAID = {(BuildRequest, "statistics")}  # only a benchmark leaves them out
HEARD = {"progress", "say"}  # how Python is told what the others print
IN_WORDS = {"target"}  # a parameter that the words of a command say
NONE = inspect.Parameter.empty
# What a command asks for one by one.
SETTINGS = {"train embed": WEIGHTED, "train explain": WEIGHTED, "train benchmark": BENCHED}
DATASET = "eurosat-sar"


@dataclasses.dataclass(frozen=True)
class Operation:
    """What makes or checks a build or a run: a command, a verb of Python and a flow, with one set of parameters.

    `words` are those of the command, whose last may be an option of it that asks for the operation; `verb` is a name of
    sar_data or sar_data.train; `flow` a name below flows/. `spelled` has parameters that the command calls otherwise.
    """

    words: str
    verb: str
    flow: str
    request: type[Any] | None = None
    spelled: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def leaf(self) -> str:
        return self.words.partition(" --")[0]

    @property
    def own(self) -> bool:
        """Whether the command is of this operation alone."""
        return self.leaf == self.words

    def parameters(self) -> dict[str, Any]:
        """Return name → default in Python."""
        found: Any = sar_data
        for name in self.verb.split("."):
            found = getattr(found, name)
        return _parameters(found)

    def options(self) -> set[str]:
        """Return the names that the command needs for it."""
        given = {self.spelled.get(name, name) for name in self.parameters()} - IN_WORDS
        if "settings" in given:  # each is an option of its own
            given = given - {"settings"} | {*SETTINGS[self.words]}
        return given if self.own else given | {self.words.rpartition("--")[2]}


OPERATIONS = [
    Operation("build", "build", "build.build_dataset", BuildRequest),
    Operation("build --plan", "plan", "plan.plan"),
    Operation("build --from", "rebuild", "rebuild.rebuild", RebuildRequest, spelled={"path": "from"}),
    Operation("convert", "convert", "convert.convert", ConvertRequest),
    *(Operation(f"export {target}", "export", "export.export") for target in TARGETS),
    Operation("verify", "verify", "verify.verify"),
    Operation("verify --repair", "repair", "verify.repair", RepairRequest),
    Operation("diff", "diff", "diff.diff"),
    Operation("stats", "stats", "stats.stats", StatsRequest),
    Operation("stats --by", "shift", "stats.shift"),
    Operation("stats --against", "against", "stats.against", spelled={"other": "against"}),
    Operation("stats --looks", "looks", "stats.looks"),
    Operation("leakage", "leakage", "leakage.leakage", LeakageRequest),
    Operation("report", "report", "reports.report"),
    Operation("train", "train.train", "train.train", TrainRequest),
    Operation("train benchmark", "train.benchmark", "train.benchmark", BenchmarkRequest),
    Operation("train evaluate", "train.evaluate", "train.evaluate", EvaluateRequest),
    Operation("train predict", "train.predict", "train.predict", PredictRequest),
    Operation("train embed", "train.embed", "train.embed", EmbedRequest),
    Operation("train explain", "train.explain", "train.explain_points", ExplainRequest),
    Operation("train export", "train.export", "train.export", ExportRequest),
    Operation("train compare", "train.compare", "train.compare", CompareRequest),
    Operation("train report", "train.report", "train.train_report"),
]
# Neither makes nor checks a build or a run: sources, lists of what there is, pictures.
OTHER_COMMANDS = {
    *("datasets", "info", "fetch", "synth", "init", "scenes find", "scenes download", "builds", "show"),
    *("cite", "train presets", "train weights", "flow run", "doctor", "bench"),
}
OTHER_VERBS = {"Stream", "builds", "cite", "datasets", "doctor", "fetch", "info", "open", "plan_fetch", "train.load"}
FLOW_NAMES = {"export": "export-build", "train.report": "train-report"}  # two verbs of one name
OTHER_FLOWS = {"build-and-train", "scenes"}  # several operations in one, and what is asked of catalogues


def test_every_operation_exists_at_the_command_line_in_python_and_as_a_flow() -> None:
    leaves = {leaf.removeprefix("train ") if leaf.split()[-1] in JOBS else leaf for leaf in _leaves(main)} - {*JOBS}
    assert {one.leaf for one in OPERATIONS} - {"train"} == leaves - OTHER_COMMANDS
    verbs = {*sar_data.__all__, *(f"train.{name}" for name in sar_data.train.__all__)}
    assert {one.verb for one in OPERATIONS} == verbs - OTHER_VERBS
    flows = {name for name in CHECKS if not name.startswith("build-") or name == "build-dataset"}
    assert {_flow(one).name for one in OPERATIONS} == flows - OTHER_FLOWS
    for one in OPERATIONS:
        verb = FLOW_NAMES.get(one.verb, one.verb.split(".")[-1])
        assert _flow(one).name.removesuffix("-dataset") == verb


def _leaves(command: click.Command, path: str = "") -> set[str]:
    """Return the words of every command below one."""
    if not isinstance(command, click.Group):
        return {path}
    context = click.Context(command)
    below = ((name, command.get_command(context, name)) for name in command.list_commands(context))
    return {leaf for name, one in below if one is not None for leaf in _leaves(one, f"{path} {name}".strip())}


def _flow(operation: Operation) -> Flow[..., Any]:
    module, _, name = operation.flow.partition(".")
    flow: Flow[..., Any] = getattr(import_module(f"flows.{module}"), name)
    return flow


def _command(words: str) -> click.Command:
    command: click.Command = main
    for word in words.split():
        assert isinstance(command, click.Group)
        below = command.get_command(click.Context(command), word)
        assert below is not None
        command = below
    return command


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: str(one.words))
def test_names_and_defaults_are_the_same(operation: Operation) -> None:
    python = operation.parameters()
    assert _parameters(_flow(operation).fn) == python
    if operation.request is not None:
        asked = _fields(operation.request)
        asked = {name: asked[name] for name in asked if (operation.request, name) not in NOT_SAID}
        assert {name: default for name, default in python.items() if name not in CREW} == asked
    if operation.leaf == "train":
        return  # whose commands are its jobs
    typed = _typed(_command(operation.leaf))
    assert set(typed) == {name for one in OPERATIONS if one.leaf == operation.leaf for name in one.options()}
    for name, default in python.items():
        if name in {"settings", *IN_WORDS}:
            continue
        given = typed[operation.spelled.get(name, name)]
        unsaid = given in (None, ()) and (default is NONE or not operation.own)
        assert unsaid or (given or None) == (default or None), name


def test_fields_of_a_declaration_are_options_of_every_build() -> None:
    fields = {param.name for param in build.params if isinstance(param, Field)}
    assert fields == FIELDS.keys() - {"split", "unit"}


def _fields(request: type[Any]) -> dict[str, Any]:
    """Return name → default of a request's fields."""
    fields = dataclasses.fields(request)
    return {one.name: NONE if one.default is dataclasses.MISSING else one.default for one in fields}


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return name → default of what can be asked of a function."""
    return {name: one.default for name, one in inspect.signature(function).parameters.items() if name not in HEARD}


def _typed(command: click.Command, *arguments: str) -> dict[str, Any]:
    """Return name → default of a command's options."""
    parsed = command.make_context("x", list(arguments), resilient_parsing=True).params
    return {name: value for name, value in parsed.items() if name not in ("as_json", "help")}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"language": "de"}, "unknown language 'de'"),
        ({"out": "page.pdf"}, "expected a file name ending in .html, found .pdf"),
    ],
)
def test_checks_and_messages_of_a_report_are_the_same(
    choices: dict[str, Any], message: str, sealed: dict[str, Build], tmp_path: Path
) -> None:
    from flows.tasks import link_report

    path = sealed["zarr"].path
    choices = {name: tmp_path / value if name == "out" else value for name, value in choices.items()}
    with pytest.raises(UsageError, match=re.escape(message)) as python:
        sar_data.report(path, **choices)
    with pytest.raises(UsageError) as run:
        link_report(sealed["zarr"], **choices)
    assert str(run.value) == str(python.value)
    _assert_said(CliRunner().invoke(main, ["report", str(path), *_words(choices)]), python.value)


def test_checks_and_messages_of_an_export_are_the_same(sealed: dict[str, Build], tmp_path: Path) -> None:
    from flows.export import export as flow

    path, voc = sealed["zarr"].path, "voc"
    with pytest.raises(UsageError, match="expected a build with a detection task") as python:
        sar_data.export("coco", path, tmp_path)
    _assert_said(CliRunner().invoke(main, ["export", "coco", str(path), "--out", str(tmp_path)]), python.value)
    with pytest.raises(UsageError, match="unknown target 'voc'") as python:
        sar_data.export(voc, path, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as run:
        flow.fn(target=voc, path=path, out=tmp_path)
    assert str(run.value) == str(python.value)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"fail_above": "touch=0"}, "unknown figure of leakage 'touch'. Did you mean 'touching'?"),
        ({"fail_above": "touching=2"}, "expected a share from 0 to 1, found 2"),
        ({"fail_above": "touching"}, "expected touching=SHARE"),
        ({"plot": "pairs.jpg"}, "expected a file name ending in .png, .pdf or .svg, found .jpg"),
    ],
)
def test_checks_and_messages_of_a_look_at_leakage_are_the_same(
    choices: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from flows.leakage import leakage as flow

    choices = {name: tmp_path / value if name == "plot" else value for name, value in choices.items()}
    with pytest.raises(UsageError, match=re.escape(message)) as python:
        sar_data.leakage(tmp_path, **choices)
    with pytest.raises(UsageError) as run:
        flow.fn(path=tmp_path, **choices)
    assert str(run.value) == str(python.value)
    _assert_said(CliRunner().invoke(main, ["leakage", str(tmp_path), *_words(choices)]), python.value)


def test_names_and_defaults_of_a_download_are_the_same() -> None:
    typed = _typed(fetch)
    assert typed.pop("plan") is False  # sar_data.plan_fetch
    python = _parameters(sar_data.fetch)
    assert _parameters(sar_data.plan_fetch).items() <= python.items()
    assert typed | {"to": typed.pop("folder")} == python | {"name": None}
    shared = python.keys() - {"name", "to", "only"}  # in a build: `dataset`, `source`, and all of its files
    assert shared == {"variant", "mirror", "accept_licence"}
    assert {name: python[name] for name in shared} == {name: _fields(BuildRequest)[name] for name in shared}


@pytest.mark.parametrize("job", JOBS)
def test_names_and_defaults_of_a_training_are_the_same(job: str) -> None:
    from flows.train import train as flow

    python = _fields(TrainRequest)
    assert _parameters(flow.fn) == python
    options = _typed(train.get_command(click.Context(train), job))
    assert options.keys() == python.keys() - {"job", "settings"} | JOBS[job].model_fields.keys()
    assert set(options.values()) == {None}  # so that a preset's and the job's own defaults hold


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"unit": "dn"}, "unknown unit 'dn'"),
        ({"tile": 3}, "expected 32 pixels or more"),
        ({"thresholds": "best"}, "unknown thresholds 'best'"),
        ({"picture_format": "gif"}, "unknown picture_format 'gif'"),
    ],
)
def test_checks_and_messages_of_a_prediction_are_the_same(
    choices: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from flows.train import predict as flow

    out = tmp_path / "out"
    with pytest.raises(UsageError) as python:
        sar_data.train.predict(tmp_path, tmp_path, out=out, **choices)
    with pytest.raises(UsageError) as run:
        flow.fn(run=tmp_path, source=str(tmp_path), out=out, **choices)
    assert str(run.value) == str(python.value)
    assert message in str(python.value)
    words = ["train", "predict", str(tmp_path), str(tmp_path), "--out", str(out), *_words(choices)]
    _assert_said(CliRunner().invoke(main, words), python.value)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"split": "tset"}, "unknown split 'tset'"),
        ({"normalize_by": "me"}, "unknown normalize_by 'me'"),
        ({"picture_format": "gif"}, "unknown picture_format 'gif'"),
    ],
)
def test_checks_and_messages_of_an_evaluation_are_the_same(
    choices: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from flows.train import evaluate as flow

    (tmp_path / "manifest.json").touch()
    with pytest.raises(UsageError) as python:
        sar_data.train.evaluate(tmp_path, str(tmp_path), **choices)
    with pytest.raises(UsageError) as run:
        flow.fn(run=tmp_path, build=str(tmp_path), **choices)
    assert str(run.value) == str(python.value)
    assert message in str(python.value)
    result = CliRunner().invoke(main, ["train", "evaluate", str(tmp_path), str(tmp_path), *_words(choices)])
    _assert_said(result, python.value)


def test_every_dataset_has_the_parameters_of_any_but_its_name() -> None:
    from flows.build import build_bigearthnet, build_dataset

    one = build_bigearthnet.parameters.properties
    assert one.keys() == _parameters(build_dataset.fn).keys() - {"dataset"}
    assert all(field["description"] for field in one.values())


@pytest.mark.parametrize(("choices", "message"), WRONG_BUILDS, ids=lambda value: str(value)[:40])
def test_checks_and_messages_are_the_same(choices: dict[str, Any], message: str, tmp_path: Path) -> None:
    from flows.build import build as flow

    with pytest.raises(UsageError) as python:
        BuildRequest(dataset=DATASET, source=tmp_path, out=tmp_path, **choices)
    with pytest.raises(UsageError) as run:
        flow(dataset=DATASET, source=tmp_path, out=tmp_path, **choices)
    assert str(run.value) == str(python.value)
    result = CliRunner().invoke(
        main, ["build", DATASET, "--source", str(tmp_path), "--out", str(tmp_path), *_words(choices)]
    )
    _assert_said(result, python.value)


@pytest.mark.parametrize(("choices", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_checks_and_messages_of_a_conversion_are_the_same(
    choices: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from flows.convert import convert as flow

    (tmp_path / "manifest.json").touch()
    with pytest.raises(UsageError) as python:
        sar_data.convert(tmp_path, **choices)
    with pytest.raises(UsageError) as run:
        flow.fn(parent=tmp_path, **choices)
    assert str(run.value) == str(python.value)
    assert message in str(python.value)
    _assert_said(CliRunner().invoke(main, ["convert", str(tmp_path), *_words(choices)]), python.value)


WRONG_CREWS: list[dict[str, Any]] = [
    {"workers": 0},
    {"runner": "dusk"},
    {"runner": "serial", "workers": 2},
    {"runner": "processes", "dask_address": "tcp://x:1"},
]


@pytest.mark.parametrize("choices", WRONG_CREWS, ids=str)
@pytest.mark.parametrize("full", [False, True])
def test_checks_and_messages_of_a_verification_are_the_same(
    choices: dict[str, Any], full: bool, tmp_path: Path
) -> None:
    from flows.verify import verify as flow

    (tmp_path / "manifest.json").touch()
    with pytest.raises(UsageError) as python:
        sar_data.verify(tmp_path, full=full, **choices)
    with pytest.raises(UsageError) as run:
        flow.fn(path=tmp_path, full=full, **choices)
    assert str(run.value) == str(python.value)
    typed = ["verify", str(tmp_path), *_words(choices | ({"full": True} if full else {}))]
    _assert_said(CliRunner().invoke(main, typed), python.value)


WRONG_RUNS: list[tuple[dict[str, Any], str]] = [
    ({"preset": "sarhub-scen"}, "unknown preset 'sarhub-scen'. Did you mean 'sarhub-scene'?"),
    ({"preset": "dfc2020-upernet"}, "is for `segment`, not for `finetune`"),
    ({"settings": {"select": "best"}}, "unknown select 'best'"),
    ({"settings": {"epochs": 0}}, "finetune: epochs: Input should be greater than or equal to 1, found 0"),
    ({"settings": {"warmup": 5.0, "epochs": 1}}, "finetune: warmup 5: expected at most the 1 epochs"),
    ({"settings": {"stem": "rgb"}}, "stem rgb: is of `weights=…`"),
    ({"statistics": "jont"}, "unknown statistics 'jont'. Did you mean 'joint'?"),
    ({"statistics": "joint"}, "mix and statistics: expected several builds, found one"),
]


@pytest.mark.parametrize(("choices", "message"), WRONG_RUNS, ids=lambda value: str(value)[:40])
def test_checks_and_messages_of_a_training_are_the_same(choices: dict[str, Any], message: str, tmp_path: Path) -> None:
    from flows.train import train as flow

    (tmp_path / "manifest.json").touch()
    asked: dict[str, Any] = {"job": "finetune", "build": str(tmp_path), "out": tmp_path / "run"}
    with pytest.raises(UsageError) as python:
        TrainRequest(**asked, **choices)
    with pytest.raises(UsageError) as run:
        flow.fn(**asked, **choices)
    assert str(run.value) == str(python.value)
    assert message in str(python.value)
    typed = _words(
        {**{name: value for name, value in choices.items() if name != "settings"}, **choices.get("settings", {})}
    )
    result = CliRunner().invoke(main, ["train", "finetune", str(tmp_path), "--out", str(tmp_path / "run"), *typed])
    _assert_said(result, python.value)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"job": "finetun"}, "unknown job 'finetun'. Did you mean 'finetune'?"),
        ({"settings": {"epoch": 3}}, "unknown option of finetune 'epoch'. Did you mean 'epochs'?"),
    ],
)
def test_what_the_command_line_has_other_words_for_is_refused_with_a_hint(
    choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        TrainRequest(**{"job": "finetune", "build": "build", "out": "run", **choices})
    assert str(caught.value).startswith(message)


def _words(choices: dict[str, Any]) -> list[str]:
    """Return choices as they are typed."""
    return [
        word
        for name, value in choices.items()
        for one in (value if isinstance(value, list) else [value])
        for word in ([f"--{name.replace('_', '-')}"] if one is True else [f"--{name.replace('_', '-')}", str(one)])
    ]


def _assert_said(result: Result, error: UsageError) -> None:
    """See that a command ended with the library's error, in its own spelling."""
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"sar-data: {render(str(error))}\n"

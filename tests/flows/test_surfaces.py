"""What can be asked of a build is the same for command line, flow and Python: names, defaults, checks, messages."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import sar_data
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.cli import main
from sar_data.cli.build import command
from sar_data.cli.convert import command as convert
from sar_data.cli.words import rendered
from sar_data.errors import UsageError
from tests.builder.test_request import WRONG_BUILDS

CREW = {"workers", "runner", "dask_address"}
NOT_SAID = {"statistics"}  # only a benchmark leaves them out
HEARD = {"progress", "say"}  # how Python is told what the others print
DATASET = "eurosat-sar"


def _of_python() -> dict[str, Any]:
    missing = inspect.Parameter.empty
    fields = {
        field.name: missing if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(BuildRequest)
    }
    return {name: default for name, default in fields.items() if name not in NOT_SAID}


def _of_flow() -> dict[str, Any]:
    from flows.build import build_dataset

    return {name: parameter.default for name, parameter in inspect.signature(build_dataset.fn).parameters.items()}


def _of_verb() -> dict[str, Any]:
    parameters = inspect.signature(sar_data.build).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in HEARD}


def test_names_and_defaults_are_the_same() -> None:
    python, flow = _of_python(), _of_flow()
    assert {name: default for name, default in _of_verb().items() if name not in CREW} == python
    assert {name for name in _of_verb() if name not in python} == CREW
    assert {name: default for name, default in flow.items() if name not in CREW} == python
    options = {param.name: param for param in command.params if param.name != "as_json"}
    assert options.keys() == python.keys() | CREW
    required = {"dataset", "source", "out"}
    parsed = command.make_context("build", [DATASET, "--out", "out"]).params
    assert {name: parsed[name] or None for name in options if name not in required} == {
        name: default or None for name, default in flow.items() if name not in required
    }


def test_names_and_defaults_of_a_conversion_are_the_same() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(ConvertRequest) if field.name != "parent"}
    verb = {name: one.default for name, one in inspect.signature(sar_data.convert).parameters.items()}
    assert {name: verb[name] for name in fields} == fields
    options = {param.name for param in convert.params if param.name not in ("as_json", "workers")}
    parsed = convert.make_context("convert", [], resilient_parsing=True).params
    assert options == {"parent", *fields}
    assert {name: parsed[name] for name in fields} == {name: default or None for name, default in fields.items()} | {
        "drop_parent": False
    }


def test_every_dataset_has_the_parameters_of_any_but_its_name() -> None:
    from flows.build import build_bigearthnet

    one, any_dataset = build_bigearthnet.parameters.properties, _of_flow()
    assert one.keys() == any_dataset.keys() - {"dataset"}
    assert all(field["description"] for field in one.values())


@pytest.mark.parametrize(("choices", "message"), WRONG_BUILDS, ids=lambda value: str(value)[:40])
def test_checks_and_messages_are_the_same(choices: dict[str, Any], message: str, tmp_path: Path) -> None:
    from flows.build import build

    with pytest.raises(UsageError) as python:
        BuildRequest(dataset=DATASET, source=tmp_path, out=tmp_path, **choices)
    with pytest.raises(UsageError) as flow:
        build(dataset=DATASET, source=tmp_path, out=tmp_path, **choices)
    assert str(flow.value) == str(python.value)
    typed = [
        word
        for name, value in choices.items()
        for one in (value if isinstance(value, list) else [value])
        for word in ([f"--{name.replace('_', '-')}"] if one is True else [f"--{name.replace('_', '-')}", str(one)])
    ]
    result = CliRunner().invoke(main, ["build", DATASET, "--source", str(tmp_path), "--out", str(tmp_path), *typed])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"sar-data: {rendered(str(python.value))}\n"

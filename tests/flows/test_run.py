from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sar_data.cli.flow import command
from sar_data.cli.stop import Note
from sar_data.errors import MissingExtra, SarDataError, UsageError

SCHEMA: dict[str, Any] = {
    "required": ["source"],
    "properties": {
        "source": {"type": "string", "format": "path"},
        "split": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "seed": {"type": "integer"},
        "lists": {"anyOf": [{"type": "string", "format": "path"}, {"type": "null"}]},
    },
}


def _silent(line: str) -> None:
    raise AssertionError(f"expected silence, found {line}")


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["seed=7"], {"seed": 7}),
        (["split=random:train=0.8,val=0.1,test=0.1"], {"split": "random:train=0.8,val=0.1,test=0.1"}),
        (["split=null"], {"split": None}),
        (["split=2017"], {"split": "2017"}),
        (['split="official"'], {"split": "official"}),
        (["lists=/a/b"], {"lists": "/a/b"}),
        (["seed=many"], {"seed": "many"}),  # which the server refuses
    ],
)
def test_values_are_json_or_text_as_the_parameter_asks(texts: list[str], values: dict[str, Any]) -> None:
    from flows.run import parse

    assert parse(["source=/raw", *texts], SCHEMA, "x") == {"source": "/raw", **values}


def test_a_relative_path_is_relative_to_where_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.run import parse

    monkeypatch.chdir(tmp_path)
    assert parse(["source=raw"], SCHEMA, "x") == {"source": str(tmp_path / "raw")}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["source"], "-p source: expected KEY=VALUE"),
        (["sorce=/raw"], r"unknown parameter of x 'sorce'. Did you mean 'source'\?"),
        ([], "x needs -p source=…"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(texts: list[str], message: str) -> None:
    from flows.run import parse

    with pytest.raises(UsageError, match=message):
        parse(texts, SCHEMA, "x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("build-on", r"unknown deployment 'build-on'. Did you mean 'build-one'\? There are: .*build-two, twin"),
        ("b/build-one", r"unknown deployment 'b/build-one'.*There are: a/build-one, a/twin, b/build-two, b/twin"),
        ("twin", "twin names 2 deployments, expected one: say which of a/twin, b/twin"),
    ],
)
def test_a_name_that_is_not_one_deployment_is_refused(deployments: None, name: str, message: str) -> None:
    from flows.run import run

    with pytest.raises(UsageError, match=message):
        run(name, [], watch=False, say=_silent)


@pytest.mark.parametrize("name", ["build-one", "a/twin"])
def test_a_run_that_is_not_watched_says_where_to_look(deployments: None, name: str) -> None:
    from flows.run import run

    said: list[str] = []
    where = run(name, ["seed=3"], watch=False, say=said.append)
    assert where.startswith("http://127.0.0.1")
    assert len(said) == 1
    assert said[0].endswith(where)


def test_the_server_checks_types(deployments: None) -> None:
    from flows.run import run

    with pytest.raises(UsageError, match=r"a/build-one: .*field 'seed'.*'many'"):
        run("build-one", ["seed=many"], watch=False, say=_silent)


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:9/api"])
def test_without_a_server_the_remedy_is_named_and_none_is_started(server: str, address: str | None) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.run import run

    changes = {"updates": {PREFECT_API_URL: address}} if address else {"restore_defaults": {PREFECT_API_URL}}
    remedy = r"expected a Prefect server.*prefect server start"
    with temporary_settings(**changes), pytest.raises(SarDataError, match=remedy):
        run("build-one", [], watch=True, say=_silent)


def test_without_prefect_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("prefect", "flows")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_NoPrefect(), *sys.meta_path])
    result = CliRunner().invoke(command, ["run", "build-one"], obj=Note())
    assert isinstance(result.exception, MissingExtra)
    assert "pip install 'sar-data[flows]'" in str(result.exception)


class _NoPrefect:
    """Finds no prefect, as where it is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "prefect":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

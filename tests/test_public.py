"""The public face: few names, imported when they are used, that say the same as the command line."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest

import sar_data
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.cli import build as build_command
from sar_data.cli import convert as convert_command
from sar_data.errors import SourceError, UsageError
from sar_data.sealed.opened import Build
from tests.mini import invented
from tests.places import ROOT

LATER = {"diff"}
CREW = {"workers", "runner", "dask_address", "progress", "say"}
ONLY_REQUEST = {"statistics"}  # for benchmarks
ONLY_CLI = {"help", "as_json", "plan", "from"}  # `plan` and `rebuild` are verbs of their own in Python


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's parameters with their defaults, those of who computes left out."""
    given = inspect.signature(function).parameters.values()
    return {p.name: None if p.default is p.empty else p.default for p in given if p.name not in CREW}


def options(command: click.Command) -> dict[str, Any]:
    """Return a command's parameters with their defaults, those of who computes left out."""
    found = command.make_context("x", [], resilient_parsing=True).params
    return {name: value for name, value in found.items() if name not in CREW | ONLY_CLI}


@pytest.mark.parametrize(
    ("function", "request_", "command"),
    [
        (sar_data.build, BuildRequest, build_command.command),
        (sar_data.convert, ConvertRequest, convert_command.command),
    ],
)
def test_python_the_command_line_and_the_request_have_the_same_names_and_defaults(
    function: Callable[..., Any], request_: Any, command: click.Command
) -> None:
    missing = dataclasses.MISSING
    fields = {f.name: None if f.default is missing else f.default for f in dataclasses.fields(request_)}
    asked = {name: default for name, default in fields.items() if name not in ONLY_REQUEST}
    assert parameters(function) == asked
    assert {name: value or None for name, value in options(command).items()} == {
        name: value or None for name, value in asked.items()
    }


def test_public_names_are_there_and_no_room_takes_one() -> None:
    rooms = {path.stem for path in (ROOT / "sar_data").iterdir()}
    assert not rooms & ({*sar_data.__all__} | LATER)
    assert set(sar_data.__all__) <= set(dir(sar_data))
    for name in sar_data.__all__:
        value = getattr(sar_data, name)
        assert inspect.getdoc(value), name
        assert get_type_hints(value if inspect.isfunction(value) else value.__init__), name
    with pytest.raises(ImportError, match="cannot import name 'bild'"):
        exec("from sar_data import bild")
    assert (ROOT / "sar_data/py.typed").exists()


def test_a_build_is_made_opened_checked_converted_and_streamed(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 12)
    choice: dict[str, Any] = {"source": str(source), "out": str(tmp_path), "split": "random:train=0.8,val=0,test=0.2"}
    made = sar_data.build(invented.pipeline(), **choice, runner="serial")
    assert sar_data.build(invented.pipeline(), **choice, workers=1).path == made.path
    assert sar_data.open(str(made.path)).manifest == made.manifest
    assert sar_data.verify(made.path, full=True, workers=1) == []
    small = sar_data.convert(made.path, dtype="float16", workers=1)
    assert small.manifest.storage.dtype == "float16"
    recorded = sar_data.stats(made.path)
    assert list(recorded) == ["train", "test"]
    assert list(recorded["train"].bands) == ["VV", "VH"]
    assert sar_data.stats(made.path, "train", recompute=True, runner="serial")["train"] == recorded["train"]
    stream = sar_data.Stream(made.path, split="test", batch_size=4)
    assert len({key for batch in stream for key in batch["key"]}) == made.manifest.splits["test"].count
    with pytest.raises(UsageError, match=r"`split=val`: this split is empty. There are: train, test"):
        sar_data.stats(made.path, "val")


def test_what_contradicts_itself_is_refused_before_anything_starts(sealed: dict[str, Build], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`runner=serial` is one process: .* found `workers=2`"):
        sar_data.verify(sealed["zarr"].path, runner="serial", workers=2)
    dusk: Any = "dusk"
    with pytest.raises(UsageError, match=r"unknown runner 'dusk'\. Did you mean 'dask'"):
        sar_data.verify(sealed["zarr"].path, runner=dusk)
    with pytest.raises(UsageError, match=r"`dataset=eurosat`: expected bigearthnet-s1, of which this is a build"):
        sar_data.stats(sealed["zarr"].path, dataset="eurosat")
    with pytest.raises(UsageError, match=r"Did you mean 'bigearthnet'\?"):
        sar_data.build("bigearthnt", source=tmp_path, out=tmp_path)


def test_what_is_got_by_hand_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing: .*https://"):
        sar_data.fetch("hephaestus", to=tmp_path)

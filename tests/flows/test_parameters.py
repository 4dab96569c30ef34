from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import UsageError

CONTAINER = {"type": "string", "enum": ["lmdb", "zarr"]}
SCHEMA: dict[str, Any] = {
    "required": ["source"],
    "properties": {
        "source": {"type": "string", "format": "path"},
        "split": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "seed": {"type": "integer"},
        "limit": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
        "format": {"anyOf": [CONTAINER, {"type": "array", "items": CONTAINER}, {"type": "null"}]},
        "lists": {"anyOf": [{"type": "string", "format": "path"}, {"type": "null"}]},
        "build": {"type": "string", "format": "path-or-url", "pattern": "^(/|[a-z0-9]+://)"},
        "runs": {"type": "array", "items": {"type": "string", "format": "path"}},
    },
}


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["seed=7"], {"seed": 7}),
        (["split=random:train=0.8,val=0.1,test=0.1"], {"split": "random:train=0.8,val=0.1,test=0.1"}),
        (["split=null"], {"split": None}),
        (["split=2017"], {"split": "2017"}),
        (['split="official"'], {"split": "official"}),
        (["lists=/a/b"], {"lists": "/a/b"}),
        (["format=LMDB"], {"format": "lmdb"}),
        (['format=["lmdb","Zarr"]'], {"format": ["lmdb", "zarr"]}),
        (["format=lmdb,Zarr"], {"format": ["lmdb", "zarr"]}),
    ],
)
def test_values_are_json_or_text_as_the_parameter_asks(texts: list[str], values: dict[str, Any]) -> None:
    from flows.parameters import parse

    assert parse(["source=/raw", *texts], SCHEMA, "x") == {"source": "/raw", **values}


def test_a_relative_path_is_relative_to_where_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.parameters import as_flow_values, parse

    monkeypatch.chdir(tmp_path)
    assert parse(["source=raw"], SCHEMA, "x") == {"source": str(tmp_path / "raw")}
    for typed, build in (
        ("builds/zarr-1", str(tmp_path / "builds/zarr-1")),
        ("s3://bucket/zarr-1", "s3://bucket/zarr-1"),
    ):
        assert parse(["source=/raw", f"build={typed}"], SCHEMA, "x")["build"] == build
    runs = parse(["source=/raw", 'runs=["a", "/b"]'], SCHEMA, "x")["runs"]
    assert runs == [str(tmp_path / "a"), "/b"]
    assert as_flow_values({"runs": runs}, SCHEMA["properties"]) == {"runs": [tmp_path / "a", Path("/b")]}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["source"], "-p source: expected KEY=VALUE"),
        (["sorce=/raw"], r"unknown parameter of x 'sorce'. Did you mean 'source'\?"),
        ([], "x needs -p source=…"),
        (["source=null"], "-p source=null: expected text"),
        (["source=/raw", "seed=many"], "-p seed=many: expected a whole number"),
        (["source=/raw", "limit=0"], "-p limit=0: expected a whole number of at least 1"),
        (["source=/raw", "format=lmbd"], r"unknown format 'lmbd'. Did you mean 'lmdb'\? There are: lmdb, zarr"),
        (["source=/raw", 'format=["x"]'], r"expected one of lmdb, zarr or a list of lmdb, zarr"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(texts: list[str], message: str) -> None:
    from flows.parameters import parse

    with pytest.raises(UsageError, match=message):
        parse(texts, SCHEMA, "x")


def test_what_a_deployment_has_a_value_of_is_not_asked_for() -> None:
    from flows.parameters import parse

    assert parse([], SCHEMA, "x", {"source": "/raw"}) == {}

"""schemas/ is what the models say, and a real manifest obeys it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from sar_data import catalog, schemas
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.sealed.index import INDEX
from tests.places import ROOT

COMMITTED = ROOT / "schemas"


@pytest.mark.parametrize("name", sorted(schemas.documents()))
def test_the_committed_schema_is_the_one_the_models_generate(name: str) -> None:
    assert (COMMITTED / name).read_text(encoding="utf-8") == schemas.text(schemas.documents()[name])


def test_nothing_else_lies_in_schemas() -> None:
    assert sorted(path.name for path in COMMITTED.iterdir()) == sorted(schemas.documents())


def test_a_real_manifest_and_index_obey_the_committed_schemas(tmp_path: Path) -> None:
    catalog.synthesise("eurosat-sar")(tmp_path / "raw", count=80, seed=0)
    sealed = build(
        BuildRequest(dataset=catalog.pipeline("eurosat-sar"), source=tmp_path / "raw", out=tmp_path, format="zarr")
    )
    schema = json.loads((COMMITTED / "manifest.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads((sealed.path / "manifest.json").read_text()))
    fields = json.loads((COMMITTED / "index.arrow.json").read_text())["fields"]
    assert [field["name"] for field in fields] == sealed.index().column_names
    assert sealed.index().schema.equals(INDEX)

"""The cards of a build name its files, and their lines of Python read it without our code."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import xxhash

from sar_data.exporters import export
from sar_data.exporters.croissant import version
from sar_data.sealed.opened import Build

GEOMETRY = {
    "type": "object",
    "properties": {
        "@type": {"const": "sc:Place"},
        "geo": {
            "type": "object",
            "properties": {
                "@type": {"const": "sc:GeoShape"},
                "box": {"type": "string", "pattern": r"^(-?\d+(\.\d+)? ){3}-?\d+(\.\d+)?$"},
            },
            "required": ["@type", "box"],
        },
    },
    "required": ["@type", "geo"],
}
QUANTITY = {
    "type": "object",
    "properties": {
        "@type": {"const": "sc:QuantitativeValue"},
        "value": {"type": "number", "exclusiveMinimum": 0},
        "unitText": {"const": "m"},
    },
    "required": ["@type", "value", "unitText"],
    "additionalProperties": False,
}
BANDS = {
    "type": "object",
    "properties": {
        "@type": {"const": "geocr:BandConfiguration"},
        "geocr:totalBands": {"type": "integer", "minimum": 1},
        "geocr:bandNameList": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["@type", "geocr:totalBands", "geocr:bandNameList"],
    "additionalProperties": False,
}
GEO = {
    "type": "object",
    "properties": {
        "conformsTo": {"contains": {"const": "http://mlcommons.org/croissant/geo/1.0"}},
        "spatialCoverage": GEOMETRY,
        "temporalCoverage": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d/\d{4}-\d\d-\d\d$"},
        "geocr:coordinateReferenceSystem": {"type": "string", "pattern": "^EPSG:"},
        "geocr:spatialResolution": QUANTITY,
        "geocr:bandConfiguration": BANDS,
    },
    "required": ["conformsTo", "geocr:bandConfiguration"],
    "patternProperties": {"^geocr:(?!coordinateReferenceSystem|spatialResolution|bandConfiguration)": False},
}
"""The layer of GeoCroissant 1.0; no validator of its own knows it."""


@pytest.fixture(scope="module")
def cards(sealed: dict[str, Build], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("cards")
    return {name: export("croissant", build, out / name).folder for name, build in sealed.items()}


def test_the_card_names_every_file_with_its_hash(cards: dict[str, Path], sealed: dict[str, Build]) -> None:
    for name, build in sealed.items():
        card = json.loads((cards[name] / "croissant.json").read_text())
        files = {item["contentUrl"]: item for item in card["distribution"]}
        stored = [path for path in build.path.rglob("*") if path.is_file()]
        assert files.keys() == {path.relative_to(build.path).as_posix() for path in stored}
        for path in stored:
            file = files[path.relative_to(build.path).as_posix()]
            assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert file["contentSize"] == f"{path.stat().st_size} B"


def test_the_layer_of_places_has_the_keys_of_its_specification(cards: dict[str, Path], built: dict[str, Build]) -> None:
    card = json.loads((cards["zarr"] / "croissant.json").read_text())
    jsonschema.Draft202012Validator(GEO).validate(card)
    assert card["geocr:bandConfiguration"]["geocr:bandNameList"] == ["VV", "VH"]
    assert card["geocr:spatialResolution"]["value"] == 10
    south, west, north, east = map(float, card["spatialCoverage"]["geo"]["box"].split())
    assert 34 < south < north < 72  # in Europe, where BigEarthNet lies
    assert -11 < west < east < 35


def test_what_a_build_does_not_know_of_its_ground_is_left_out(built: dict[str, Build], tmp_path: Path) -> None:
    export("croissant", built["ssdd"], tmp_path / "cards")
    card = json.loads((tmp_path / "cards/croissant.json").read_text())
    jsonschema.Draft202012Validator(GEO).validate(card)
    assert not {"spatialCoverage", "geocr:coordinateReferenceSystem"} & card.keys()


def test_fields_are_columns_that_the_index_has_values_in(cards: dict[str, Path]) -> None:
    (records,) = json.loads((cards["zarr"] / "croissant.json").read_text())["recordSet"]
    columns = [field["source"]["extract"]["column"] for field in records["field"]]
    table = pq.read_table(cards["zarr"] / "index.parquet")
    assert {"key", "split", "labels", "crs"} <= set(columns) <= set(table.column_names)
    assert all(table[name].null_count < len(table) for name in columns)


@pytest.mark.parametrize("container", ["lmdb", "webdataset", "zarr", "zarr+zstd"])
def test_the_lines_of_the_readme_read_the_first_image(
    container: str, cards: dict[str, Path], sealed: dict[str, Build], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (cards[container] / "README.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "sar_data" not in lines
    assert len(lines.splitlines()) <= 10
    monkeypatch.chdir(sealed[container].path)
    names: dict[str, Any] = {}
    exec(lines, names)
    image: npt.NDArray[np.float32] = np.ascontiguousarray(names["image"])
    assert xxhash.xxh3_128_hexdigest(image.tobytes()) == names["row"]["xxh3"]


@pytest.mark.parametrize(
    ("text", "expected"), [("1.0", "1.0.0"), ("v2", "2.0.0"), ("2021.3.1.4", "2021.3.1"), ("", "0.0.0")]
)
def test_a_version_has_three_numbers(text: str, expected: str) -> None:
    assert version(text) == expected

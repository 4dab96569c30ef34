"""Diff: equal builds give nothing in any container; one changed value of each kind gives exactly that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import sar_data
from sar_data.builder.diff import Comparison
from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.cli import main
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.verify import verify
from tests.mini import invented
from tests.mini.builds import make
from tests.mini.resealed import edit, resealed

COUNT = 18
CONTAINERS = ("zarr", "webdataset", "lmdb")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Builds of one archive of images with objects, in each container, and baked from that in Zarr."""
    root = tmp_path_factory.mktemp("diff")
    archive = invented.archive(root / "raw", COUNT)
    kind = invented.pipeline("detection")
    builds = {name: make(kind, archive, root / "out", format=name).path for name in CONTAINERS}
    for changes in ({"normalize": "zscore"}, {"dtype": "int16"}, {"unit": "power"}):
        ((name, value),) = changes.items()
        request = ConvertRequest(parent=builds["zarr"], **changes)  # type: ignore[arg-type]
        builds[f"{name}={value}"] = convert(request).path
    builds["other split"] = make(kind, archive, root / "out", seed=1).path
    return builds


def compare(first: Path, second: Path, **options: Any) -> Comparison:
    return sar_data.diff(first, second, runner="serial", **options)


def found(comparison: Comparison) -> list[tuple[str, str | None]]:
    return [(difference.what, difference.key) for difference in comparison.differences]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", CONTAINERS)
def test_equal_builds_differ_in_nothing_whatever_their_container(built: dict[str, Path], name: str, full: bool) -> None:
    comparison = compare(built["zarr"], built[name], full=full)
    assert comparison.differences == []
    assert comparison.notes == ([] if name == "zarr" else [f"compared across containers: zarr and {name}"])


def test_a_build_and_its_conversion_into_another_container_are_equal(built: dict[str, Path], tmp_path: Path) -> None:
    packed = convert(ConvertRequest(parent=built["lmdb"], out=tmp_path, format="zarr", compression="zstd")).path
    comparison = compare(built["lmdb"], packed, full=True)
    assert comparison.differences == []
    assert [note.partition(":")[0] for note in comparison.notes] == [
        "compared across containers",
        "one build was converted from another",
    ]


@pytest.mark.parametrize("step", ["normalize=zscore", "dtype=int16", "unit=power"])
def test_a_baked_build_is_compared_after_the_same_step(built: dict[str, Path], tmp_path: Path, step: str) -> None:
    name = step.partition("=")[0]
    for pair in ((built["lmdb"], built[step]), (built[step], built["lmdb"])):
        comparison = compare(*pair)
        assert {difference.what.split(" ")[1] for difference in comparison.differences} == {"applied"}
        assert any(f"has further steps ({name})" in note for note in comparison.notes)
    changed = Path(shutil.copytree(built[step], tmp_path / "changed"))
    key = set_pixel(changed, 5, lambda value: value + 1)
    assert [what for what in found(compare(built["lmdb"], changed)) if what[1]] == [("pixels", key)]


def set_pixel(build: Path, row: int, change: Callable[[Any], Any]) -> str:
    """Change the middle pixel of an image of a Zarr build, with its hash and sums; return the key."""
    sealed = Build.open(build)
    place = places(sealed.index())[row]
    file = build / sealed.manifest.splits[place.split].shards[place.shard].file
    with sealed.reader() as reader:
        image = reader.read(place).copy()
    at = tuple(side // 2 for side in image.shape)
    image[at] = change(image[at])
    data = bytearray(file.read_bytes())
    assert place.offset is not None
    data[place.offset : place.offset + image.nbytes] = image.tobytes()
    file.write_bytes(data)
    edit_row(build, place.key, lambda values: values.update(xxh3=xxhash.xxh3_128_hexdigest(image.data)))
    return place.key


def edit_row(build: Path, key: str, change: Callable[[Row], object]) -> None:
    """Change the row of a key in the index, with all sums."""
    table = pq.read_table(build / INDEX_NAME)
    rows = table.to_pylist()
    change(next(row for row in rows if row["key"] == key))
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), build / INDEX_NAME, compression="zstd")
    resealed(build)


def _relabel(row: Row) -> None:
    labels = [label for label in range(4) if label not in row["label_indices"]][:1]
    row["targets"][0]["labels"] = row["label_indices"] = labels
    row["labels"] = [invented.CLASSES[label] for label in labels]


def _add_object(row: Row) -> None:
    row["objects"].append({"label": 0, "box": [0.0, 0.0, 1.0, 1.0], "rotated": None, "polygons": [], "attrs": []})


ROWS: dict[str, tuple[str, Callable[[Row], object]]] = {
    "labels": ("labels", _relabel),
    "objects": ("objects", _add_object),
    "orbit_pass": ("orbit_pass", lambda row: row.update(orbit_pass="unknown")),
    "group": ("group", lambda row: row.update(group="a scene")),
    "attrs": ("attrs", lambda row: row["attrs"].append({"name": "sea", "value": "rough"})),
    "masked": ("masked", lambda row: row["masked"].append({"band": "VV", "reason": "nan", "count": 1})),
}


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(CONTAINERS), kind=st.sampled_from(sorted(ROWS)), number=st.integers(0, COUNT - 1))
def test_one_changed_value_of_a_record_is_all_that_differs(
    built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, name: str, kind: str, number: int
) -> None:
    changed = Path(shutil.copytree(built[name], tmp_path_factory.mktemp("changed") / name))
    key = Build.open(changed).index()["key"][number].as_py()
    what, change = ROWS[kind]
    edit_row(changed, key, change)
    assert verify(changed) == []
    assert found(compare(built["zarr"], changed)) == [(what, key)]
    assert found(compare(changed, built["zarr"])) == [(what, key)]


@pytest.mark.parametrize(("ulps", "differs"), [(1, False), (2, True)])
@pytest.mark.parametrize("towards", [-np.inf, np.inf])
def test_pixels_may_differ_by_one_unit_in_the_last_place(
    built: dict[str, Path], tmp_path: Path, ulps: int, differs: bool, towards: float
) -> None:
    changed = Path(shutil.copytree(built["zarr"], tmp_path / "changed"))

    def move(value: np.float32) -> np.float32:
        for _ in range(ulps):
            value = np.nextafter(value, np.float32(towards))
        return value

    key = set_pixel(changed, 7, move)
    assert found(compare(built["webdataset"], changed)) == ([("pixels", key)] if differs else [])


def test_a_pixel_that_is_masked_in_one_build_alone_differs(built: dict[str, Path], tmp_path: Path) -> None:
    changed = Path(shutil.copytree(built["zarr"], tmp_path / "changed"))
    key = set_pixel(changed, 3, lambda value: np.float32("nan"))
    (difference,) = compare(built["lmdb"], changed).differences
    assert (difference.what, difference.key) == ("pixels", key)
    assert difference.second == "nan, 1 pixels in all"


def test_damage_that_no_recorded_hash_shows_is_seen_where_all_pixels_are_read(
    built: dict[str, Path], tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(built["zarr"], tmp_path / "changed"))
    index = (changed / INDEX_NAME).read_bytes()
    key = set_pixel(changed, 2, lambda value: value + 1)
    (changed / INDEX_NAME).write_bytes(index)
    resealed(changed)
    assert found(compare(built["zarr"], changed)) == []
    assert found(compare(built["zarr"], changed, full=True)) == [("pixels", key)]


DOCUMENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "recipe, citation": lambda document: document.update(citation="somebody else"),
    "recipe, split_policy seed": lambda document: document["split_policy"].update(seed=9),
    "recipe, tasks 0 classes 0": lambda document: _rename_class(document),
    "recipe, source": lambda document: document["recipe"].update(source="0" * 32),
    "normalization mean VV": lambda document: document["normalization"]["mean"].update(VV=1.0),
    "statistics val bands VV stored mean": lambda document: document["statistics"]["val"]["bands"]["VV"][
        "stored"
    ].update(mean=1.0),
}


def _rename_class(document: dict[str, Any]) -> None:
    document["tasks"][0]["classes"][0] = "sea"
    for split in document["splits"].values():
        split["class_shares"]["sea"] = split["class_shares"].pop("water")


@pytest.mark.parametrize("what", DOCUMENTS)
def test_one_changed_value_of_a_manifest_is_all_that_differs(built: dict[str, Path], tmp_path: Path, what: str) -> None:
    changed = Path(shutil.copytree(built["lmdb"], tmp_path / "changed"))
    edit(changed, DOCUMENTS[what])
    assert found(compare(built["webdataset"], changed)) == [(what, None)]


def test_a_record_of_another_name_is_in_one_build_only(built: dict[str, Path], tmp_path: Path) -> None:
    changed = Path(shutil.copytree(built["zarr"], tmp_path / "changed"))
    key = Build.open(changed).index()["key"][0].as_py()
    edit_row(changed, key, lambda row: row.update(key="another"))
    assert found(compare(built["zarr"], changed)) == [("key", key), ("key", "another")]


def test_another_split_differs_in_splits_statistics_and_recipe_alone(built: dict[str, Path]) -> None:
    indices = [
        dict(zip(*(index[name].to_pylist() for name in ("key", "split")), strict=True))
        for index in (Build.open(built[name]).index() for name in ("lmdb", "other split"))
    ]
    moved = {key for key, split in indices[0].items() if indices[1][key] != split}
    differences = found(compare(built["lmdb"], built["other split"]))
    assert moved
    assert {key for what, key in differences if what == "split"} == moved
    assert {what.split(" ")[0].strip(",") for what, _ in differences} <= {
        *("split", "recipe", "statistics", "normalization")
    }


def test_the_command_says_what_differs_and_how_by_its_exit_code(built: dict[str, Path], tmp_path: Path) -> None:
    equal = CliRunner().invoke(main, ["diff", str(built["zarr"]), str(built["lmdb"]), "--workers", "1"])
    assert (equal.exit_code, equal.stdout) == (0, f"{built['zarr']} and {built['lmdb']}: equal\n")
    assert "note: compared across containers: zarr and lmdb" in equal.stderr
    changed = Path(shutil.copytree(built["zarr"], tmp_path / "changed"))
    edit(changed, DOCUMENTS["recipe, citation"])
    command = ["diff", str(built["zarr"]), str(changed), "--workers", "1"]
    different = CliRunner().invoke(main, command)
    assert (different.exit_code, different.stdout) == (1, "recipe, citation: none | somebody else\n")
    facts = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert facts["equal"] is False
    assert [row["what"] for row in facts["differences"]] == ["recipe, citation"]

"""What was exported builds again, as the same content where the target holds all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sar_data import catalog
from sar_data.builder.itinerary import build, convert
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.errors import SarDataError, SourceError
from sar_data.exporters import PARTS, Target, export
from sar_data.exporters.configilm import FLAGS
from sar_data.sealed.opened import Build


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    """Patches with one task, in their own size and with 128 pixels a side."""
    out = tmp_path_factory.mktemp("regions")
    catalog.synthesise("bigearthnet-s1-v2")(out / "raw", count=40, seed=0)
    made = build(BuildRequest(dataset=catalog.pipeline("bigearthnet-s1-v2"), source=out / "raw", out=out))
    return {"120": made, "128": convert(ConvertRequest(parent=made.path, resize=128))}


def built_again(source: Path, out: Path, dataset: str) -> Build:
    return build(BuildRequest(dataset=catalog.pipeline(dataset), source=source, out=out))


@pytest.mark.parametrize(
    ("target", "side"),
    [
        *((target, "120") for target in ("configilm", "npy", "hf", "geotiff")),
        *((target, "128") for target in ("fgmae-lmdb", "seco-lmdb")),
    ],
)
def test_an_export_of_patches_builds_as_the_same_content(
    regions: dict[str, Build], tmp_path: Path, target: Target, side: str
) -> None:
    folder = export(target, regions[side], tmp_path / target).folder
    again = built_again(folder, tmp_path / "out", "bigearthnet-s1-v2")
    assert again.manifest.content_digest == regions[side].manifest.content_digest


def test_flags_of_snow_and_clouds_are_those_of_the_published_tables(regions: dict[str, Build], tmp_path: Path) -> None:
    raw, columns = regions["120"].path.parents[2] / "raw", ["s1_name", *FLAGS]
    made = build(BuildRequest(dataset=catalog.pipeline("bigearthnet-s1-v2"), variant="all", source=raw, out=tmp_path))
    folder = export("configilm", made, tmp_path / "configilm").folder
    published, ours = (
        pa.concat_tables(pq.read_table(path, columns=columns) for path in sorted(where.glob("metadata*.parquet")))
        .sort_by("s1_name")
        .to_pylist()
        for where in (raw, folder)
    )
    assert ours == published
    assert all(any(row[flag] for row in ours) for flag in FLAGS)


@pytest.mark.parametrize("target", ["coco", "npy", "hf"])
@pytest.mark.parametrize("name", ["ssdd", "hrsid"])
def test_ships_with_rotated_boxes_and_outlines_build_as_the_same_content(
    built: dict[str, Build], tmp_path: Path, name: str, target: Target
) -> None:
    again = built_again(export(target, built[name], tmp_path / target).folder, tmp_path / "out", name)
    assert again.manifest.content_digest == built[name].manifest.content_digest
    rotated = pc.struct_field(pc.list_flatten(again.index()["objects"]), "rotated")
    assert (rotated.null_count < len(rotated)) == (name == "ssdd")


@pytest.mark.parametrize("target", ["npy", "hf", "geotiff"])
def test_masks_and_boxes_on_the_same_images_both_come_back(
    built: dict[str, Build], tmp_path: Path, target: Target
) -> None:
    again = built_again(export(target, built["spacenet6"], tmp_path / target).folder, tmp_path / "out", "spacenet6")
    assert again.manifest.content_digest == built["spacenet6"].manifest.content_digest
    assert [task.name for task in again.manifest.tasks] == ["footprint", "buildings"]


def test_boxes_without_the_masks_say_what_is_not_there(built: dict[str, Build], tmp_path: Path) -> None:
    made = export("coco", built["spacenet6"], tmp_path / "coco")
    assert PARTS["masks"] in made.lost
    again = built_again(made.folder, tmp_path / "out", "spacenet6")
    assert [task.name for task in again.manifest.tasks] == ["buildings"]
    assert "boxes of buildings; no labels of footprint in the container" in again.manifest.discovered
    columns = ["key", "split", "xxh3", "objects"]
    ours, theirs = (made.index().select(columns).sort_by("key") for made in (again, built["spacenet6"]))
    assert ours == theirs.filter(pc.is_valid(theirs["xxh3"]))


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("bigearthnet-s1", "npy"),  # two tasks with labels of images
        ("bigearthnet-s1", "hf"),
        ("hephaestus", "configilm"),  # labels and masks; bands that neither are polarizations nor differ in their means
        ("hephaestus", "geotiff"),
        ("kuro-siwo", "npy"),  # several dates an image, and the masks of what changed
        ("kuro-siwo", "hf"),
        ("kuro-siwo", "geotiff"),
        ("ssl4eo-s12-v1-1", "hf"),  # frames of float16, which are float32 in the files
        ("terrasar-x", "npy"),  # lists of its own, and classes whose names are numbers
        ("opensarurban", "hf"),  # a type and a unit that only its own files tell
    ],
)
def test_other_kinds_of_builds_come_back_as_the_same_content(name: str, target: Target, tmp_path: Path) -> None:
    catalog.synthesise(name)(tmp_path / "raw", count=4, seed=0)
    lists = tmp_path / "raw" / "lists"
    request = BuildRequest(dataset=catalog.pipeline(name), source=tmp_path / "raw", out=tmp_path)
    made = build(replace(request, lists=lists) if lists.is_dir() else request)
    again = built_again(export(target, made, tmp_path / target).folder, tmp_path / "again", name)
    assert again.manifest.content_digest == made.manifest.content_digest
    assert again.manifest.tasks == made.manifest.tasks
    roles, ours = (table.filter(pc.is_valid(table["shard"]))["dates"] for table in (made.index(), again.index()))
    assert ours == roles or name.startswith("ssl4eo")


@pytest.mark.parametrize(("change", "dtype"), [({"unit": "power"}, "float32"), ({"dtype": "float16"}, "float16")])
def test_what_was_baked_into_a_build_is_known_of_its_export(
    change: dict[str, Any], dtype: str, regions: dict[str, Build], tmp_path: Path
) -> None:
    baked = convert(ConvertRequest(parent=regions["120"].path, out=tmp_path, **change))
    again = built_again(export("npy", baked, tmp_path / "npy").folder, tmp_path / "again", "bigearthnet-s1-v2")
    assert again.manifest.content_digest == baked.manifest.content_digest
    assert [band.unit for band in again.manifest.bands] == [band.unit for band in baked.manifest.bands]
    assert again.manifest.storage.dtype == dtype


def test_an_export_of_normalized_values_is_refused(regions: dict[str, Build], tmp_path: Path) -> None:
    baked = convert(ConvertRequest(parent=regions["120"].path, out=tmp_path, normalize="zscore"))
    folder = export("npy", baked, tmp_path / "npy").folder
    with pytest.raises(SourceError, match=r"sar-data.json: expected values in .*, found VV in '1', VH in '1'"):
        built_again(folder, tmp_path / "again", "bigearthnet-s1-v2")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bands": [{"name": "VV", "unit": "dB"}] * 2}, "a band or a task twice"),
        (
            {"bands": [{"name": "HH", "unit": "dB"}, {"name": "HV", "unit": "dB"}]},
            "expected the bands VV, VH, found HH",
        ),
        ({"bands": [{"name": "VV", "unit": ["dB"]}]}, "a band in "),
        ({"tasks": [{"name": "clc19", "kind": "words", "classes": []}]}, "a task of the kind 'words'"),
        ({"frames": 0}, "0 frames of 'float32'"),
        ({"dtype": "complex64"}, "1 frames of 'complex64'"),
        ({"tasks": None}, "the document of an export"),
    ],
)
def test_a_document_of_an_export_that_was_changed_is_named(
    change: dict[str, Any], says: str, regions: dict[str, Build], tmp_path: Path
) -> None:
    folder = export("npy", regions["120"], tmp_path / "npy").folder
    document = json.loads((folder / "sar-data.json").read_text())
    (folder / "sar-data.json").write_text(json.dumps(document | change))
    with pytest.raises(SarDataError, match=rf"sar-data\.json: .*{says}"):
        built_again(folder, tmp_path / "again", "bigearthnet-s1-v2")


def test_geotiffs_build_as_ones_own_data_with_all_that_the_build_knows(
    regions: dict[str, Build], tmp_path: Path
) -> None:
    again = built_again(export("geotiff", regions["120"], tmp_path / "tiffs").folder, tmp_path / "out", "custom")
    columns = ["key", "split", "xxh3", "labels", "crs", "transform", "time", "group", "place", "orbit_pass"]
    tables = [made.index().filter(pc.is_valid(made.index()["shard"])) for made in (again, regions["120"])]
    ours, theirs = (pa.table({name: table[name] for name in columns}).sort_by("key").to_pylist() for table in tables)
    assert ours == theirs
    assert [band.name for band in again.manifest.bands] == [band.name for band in regions["120"].manifest.bands]
    assert again.manifest.shape == (120, 120)


@pytest.mark.parametrize(("name", "target"), [("spacenet6", "hf"), ("ssdd", "npy"), ("ssdd", "coco")])
def test_masks_and_boxes_build_as_ones_own_data_without_a_declaration(
    built: dict[str, Build], tmp_path: Path, name: str, target: Target
) -> None:
    again = built_again(export(target, built[name], tmp_path / target).folder, tmp_path / "out", "custom")
    assert again.manifest.content_digest == built[name].manifest.content_digest


@pytest.mark.parametrize("target", ["hf", "npy", "geotiff", "configilm"])
def test_ones_own_data_of_odd_sizes_names_and_classes_come_back(tmp_path: Path, target: Target) -> None:
    images, random = tmp_path / "raw" / "Bilder", np.random.default_rng(0)
    images.mkdir(parents=True)
    lines = ["image,class\n"]
    for number, name in enumerate(["größe", "漢字", "a-1", "b"] * 3):
        path = images / f"{name}{number}.npy"
        np.save(path, random.integers(0, 255, (1, 9, 11 + number % 2), dtype=np.uint8))
        lines.append(f"{path.name},{(20, 10)[number % 2]}\n")
    (tmp_path / "raw" / "labels.csv").write_text("".join(lines))
    declared = {"bands": ["HH"], "task": "classification", "classes": ["20", "10"], "table": "labels.csv"}
    made = build(BuildRequest(dataset="custom", source=tmp_path / "raw", out=tmp_path, unit="8-bit", declare=declared))
    again = built_again(export(target, made, tmp_path / target).folder, tmp_path / "again", "custom")
    assert again.manifest.content_digest == made.manifest.content_digest
    assert [(band.name, band.unit) for band in again.manifest.bands] == [("HH", "8-bit")]
    assert again.manifest.tasks == made.manifest.tasks

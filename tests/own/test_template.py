"""A stranger's folder becomes a verified build: `init` looks, the stranger answers its questions, `build` builds."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner, Result

import sar_data
from sar_data.builder.itinerary import carry_out
from sar_data.builder.request import BuildRequest
from sar_data.cli import main
from sar_data.errors import SourceError
from sar_data.own.declaration import read_declaration
from sar_data.own.fields import FIELDS
from sar_data.own.template import declaration_text, init_declaration
from sar_data.sources.tree import Folder
from tests.own.trees import SIDE, png, tif, values
from tests.places import ROOT

COUNT = 60


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def chips(root: Path, form: str) -> None:
    """Write 60 georeferenced GeoTIFFs of linear power, two bands a file."""
    for i in range(COUNT):
        name = form.format(name=("field", "urban", "water")[i % 3], i=i)
        tif(root / name, values(i), place=i)


def answered(root: Path, **answers: object) -> None:
    """Write answers into dataset.toml as a person does: the line that asks loses its mark and gets the value."""
    path = root / "dataset.toml"
    text = path.read_text(encoding="utf-8")
    for field, value in answers.items():
        text, n = re.subn(rf"^# {field} = .*$", f"{field} = {json.dumps(value)}", text, flags=re.MULTILINE)
        assert n == 1, f"{field} is not asked for once in\n{text}"
    path.write_text(text, encoding="utf-8")


def built(root: Path, out: Path, *options: object) -> sar_data.builder.itinerary.Build:  # type: ignore[name-defined]
    done = run("build", root, "--out", out, "--runner", "serial", *options)
    assert done.exit_code == 0, done.output
    build = sar_data.open(done.stdout.splitlines()[-1])
    assert run("verify", build.path, "--full").exit_code == 0
    return build


def test_class_folders_of_power_become_a_verified_build(tmp_path: Path) -> None:
    root = tmp_path / "My chips"
    chips(root, "{name}/chip_{i:02}.tif")
    done = run("init", root)
    assert done.exit_code == 0, done.output
    text = (root / "dataset.toml").read_text()
    for seen in (
        "# Seen: 60 samples; 60 files with 2 bands of 16x16 pixels, float32.",
        "small positive numbers suggest linear power or amplitude, not dB",
        "# Seen: georeference: 60 in EPSG:32632.",
        "# Seen: 0 % of the images touch another one.",
        'name = "my-chips"',
        "pixel_size_m = 10  # by the georeference",
        'task = "classification"',
        'classes = ["field", "urban", "water"]',
    ):
        assert seen in text.replace("\n# ", " ") or seen in text
    assert not {"unit", "bands", "polarizations", "calibration"} & tomllib.loads(text).keys()
    refused = run("build", root, "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert "unit: expected one of dB, power" in refused.stderr
    answered(root, unit="power", bands=["VV", "VH"], calibration="sigma0")
    build = built(root, tmp_path / "out")
    manifest = build.manifest
    assert (manifest.dataset, manifest.pixel_size_m) == ("my-chips", 10)
    assert [(b.name, b.polarization, b.unit, b.calibration) for b in manifest.bands] == [
        ("VV", "VV", "power", "sigma0"),
        ("VH", "VH", "power", "sigma0"),
    ]
    assert {split: manifest.splits[split].count for split in manifest.splits} == {"train": 48, "val": 6, "test": 6}
    index = build.index().to_pylist()
    assert {row["crs"] for row in index} == {"EPSG:32632"}
    assert {label for row in index for label in row["labels"]} == {"field", "urban", "water"}
    assert manifest.leakage["touching"].value == 0


def test_masks_become_a_segmentation_set(tmp_path: Path) -> None:
    chips(tmp_path / "raw", "images/{i:02}.tif")
    for i in range(COUNT):
        mask = np.zeros((1, SIDE, SIDE), np.uint8)
        mask[0, : i % SIDE, 4:] = 255
        tif(tmp_path / f"raw/masks/{i:02}.tif", mask, place=i)
    init_declaration(tmp_path / "raw")
    text = (tmp_path / "raw/dataset.toml").read_text()
    assert "mask_values = [0, 255]" in text
    assert 'masks = "masks"' in text
    answered(tmp_path / "raw", unit="power", bands=["VV", "VH"], classes=["land", "water"])
    build = built(tmp_path / "raw", tmp_path / "out")
    (task,) = build.manifest.tasks
    assert (task.kind, task.classes) == ("segmentation", ["land", "water"])
    pixels = sum(split.mask_pixels["water"] for split in build.manifest.splits.values() if split.mask_pixels)
    assert pixels == sum(i % SIDE * (SIDE - 4) for i in range(COUNT))


def test_coco_boxes_become_a_detection_set(tmp_path: Path) -> None:
    chips(tmp_path / "raw", "images/{i:02}.tif")
    images = [{"id": i, "file_name": f"{i:02}.tif", "height": SIDE, "width": SIDE} for i in range(COUNT)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [2, 3, 5, 4], "area": 20, "iscrowd": 0}
        for i in range(0, COUNT, 2)
    ]
    categories = [{"id": 1, "name": "ship"}, {"id": 2, "name": "buoy"}]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "raw/annotations.json").write_text(json.dumps(document))
    init_declaration(tmp_path / "raw")
    answered(tmp_path / "raw", unit="power", bands=["VV", "VH"])
    build = built(tmp_path / "raw", tmp_path / "out")
    (task,) = build.manifest.tasks
    assert (task.kind, task.classes) == ("detection", ["ship", "buoy"])
    found = [thing for row in build.index().to_pylist() for thing in row["objects"]]
    assert len(found) == COUNT // 2
    assert found[0]["box"] == [2, 3, 7, 7]


def test_a_table_and_bands_by_suffix_are_declared_as_they_lie(tmp_path: Path) -> None:
    for i in range(12):
        for band in ("VH", "VV"):
            tif(tmp_path / f"raw/chips/c{i}_{band}.tif", 10 * np.log10(values(i, bands=1)), place=i)
    rows = "".join(f"c{i},{'ab'[i % 2]},{('train', 'val', 'test')[i % 3]},s{i // 4}\n" for i in range(12))
    (tmp_path / "raw/labels.csv").write_text(f"image,label,split,scene\n{rows}")
    init_declaration(tmp_path / "raw")
    said = tomllib.loads((tmp_path / "raw/dataset.toml").read_text())
    expected = {
        "band_suffixes": ["_VV", "_VH"],
        "bands": ["VV", "VH"],
        "polarizations": ["VV", "VH"],
        "table": "labels.csv",
        "labels": "table",
        "classes": ["a", "b"],
        "split": "column",
    }
    assert {field: said.get(field) for field in expected} == expected
    assert "suggest dB" in (tmp_path / "raw/dataset.toml").read_text()
    answered(tmp_path / "raw", unit="db")
    build = built(tmp_path / "raw", tmp_path / "out")
    assert {band.unit for band in build.manifest.bands} == {"dB"}
    assert {row["group"] for row in build.index().to_pylist()} == {"s0", "s1", "s2"}


def test_the_descriptions_of_bands_are_evidence_of_their_names(tmp_path: Path) -> None:
    import rasterio

    for i in range(3):
        path = tif(tmp_path / f"{i}.tif", values(i), place=0)
        with rasterio.open(path, "r+") as file:
            file.descriptions = ("VH", "VV")
    text = declaration_text(Folder.at(tmp_path), "x")
    assert 'bands = ["VH", "VV"]  # by the descriptions in the files' in text
    assert "100 % of the images touch another one" in text


def test_the_blocks_that_init_proposes_leave_samples_of_every_class_in_every_part(tmp_path: Path) -> None:
    for i in range(60):
        column, row = i % 10, i // 10
        name = "field" if column < 5 else "urban" if row < 3 else "water"
        place = Affine(10, 0, 500_000 + 160 * column, 0, -10, 5_400_000 - 160 * row)
        tif(tmp_path / f"raw/{name}/{i:02}.tif", values(i), crs="EPSG:32632", transform=place)
    text = " ".join(declaration_text(Folder.at(tmp_path / "raw"), "x").split("\n# "))
    match = re.search(r'split = "(blocks:[^"]*)" keeps blocks of neighbours together. Every class is in each', text)
    assert match is not None
    for split, said in ((match[1], 0), ("blocks:size=5", 1)):
        heard: list[str] = []
        request = BuildRequest(
            dataset="custom", source=tmp_path / "raw", out=tmp_path, unit="power", declare={"split": split}
        )
        built = carry_out(request, say=heard.append)[0].build.manifest
        lines = [line for line in heard if line.startswith("warning: split blocks")]
        assert len(lines) == said
        assert all(f"`split={match[1]}` leaves nothing out" in line for line in lines)
        assert bool(said) != all(split.count for split in built.splits.values())
        assert built.leakage["touching"].value in (0, None)


def test_exact_zeros_are_asked_about(tmp_path: Path) -> None:
    image = values(0)
    image[:, :4] = 0
    tif(tmp_path / "0.tif", image)
    assert "# 25.0 % of the values are exactly 0: does 0 mean 'no data'?\n# nodata = 0" in declaration_text(
        Folder.at(tmp_path), "x"
    )


def test_nothing_is_overwritten_and_nothing_is_made_of_no_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SourceError, match="found none: nothing to declare"):
        init_declaration(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    png(tmp_path / "a.png")
    init_declaration(tmp_path)
    before = (tmp_path / "dataset.toml").read_bytes()
    done = run("init", tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "never overwritten" in done.stderr
    assert (tmp_path / "dataset.toml").read_bytes() == before


def test_a_folder_without_a_declaration_is_answered_with_init(tmp_path: Path) -> None:
    png(tmp_path / "raw/a/0.png")
    for words in (["build", tmp_path / "raw"], ["build", "path-label", "--source", tmp_path / "raw"]):
        done = run(*words, "--out", tmp_path)
        assert done.exit_code == 1
        assert "sar-data init" in done.stderr


def test_the_page_names_only_fields_that_there_are() -> None:
    page = (ROOT / "docs" / "own-data.md").read_text()
    named = set(re.findall(r"(?:^|`|, )([a-z_]+) = ", page, re.MULTILINE)) | set(
        re.findall(r"`([a-z]+_[a-z_]+)`", page)
    )
    assert named <= FIELDS.keys()
    assert {"unit", "bands", "mask_values", "frame_suffixes", "x_column"} <= named
    for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        read_declaration(None, tomllib.loads(text))


def test_the_fields_are_options(tmp_path: Path) -> None:
    chips(tmp_path / "raw", "{name}/{i}.tif")
    words: list[Any] = ["--unit", "power", "--bands", "VV,VH", "--calibration", "gamma0", "--name", "mine"]
    done = run("build", "custom", "--source", tmp_path / "raw", "--out", tmp_path, "--runner", "serial", *words)
    assert done.exit_code == 0, done.output
    manifest = sar_data.open(done.stdout.splitlines()[-1]).manifest
    assert [(b.name, b.unit, b.calibration) for b in manifest.bands] == [
        ("VV", "power", "gamma0"),
        ("VH", "power", "gamma0"),
    ]
    assert "Fields of dataset.toml" in run("build", "--help").output


def test_what_init_writes_declares_the_same_as_what_a_build_guesses(tmp_path: Path) -> None:
    for i in range(9):
        png(tmp_path / f"raw/{('train', 'val', 'test')[i % 3]}/{'ab'[i % 2]}/{i}.png", i)
    guessed = sar_data.build("custom", source=tmp_path / "raw", out=tmp_path / "a", runner="serial")
    init_declaration(tmp_path / "raw")
    assert read_declaration(Folder.at(tmp_path / "raw"))[0].classes == ("a", "b")
    written = built(tmp_path / "raw", tmp_path / "b")
    assert written.manifest.content_digest == guessed.manifest.content_digest

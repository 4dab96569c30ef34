"""Each target holds what its entry promises, as its own readers would find it, and says what it lost."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any, get_args

import lmdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image as Picture
from safetensors.numpy import load

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import BuildError, TargetError, UsageError
from sar_data.exporters import PARTS, TARGETS, Exported, Part, Target, export
from sar_data.exporters.eight_bit import Stretch
from sar_data.exporters.source import Source
from sar_data.labels import yolo
from sar_data.record import Image
from sar_data.sealed.opened import Build
from tests.mini.resealed import edit
from tests.places import ROOT

OF_PATCHES: tuple[Target, ...] = ("fgmae-lmdb", "seco-lmdb", "configilm", "npy", "hf", "geotiff")


@pytest.fixture(scope="module")
def exported(patches: Build, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    out = tmp_path_factory.mktemp("exported")
    return {target: export(target, patches, out / target) for target in OF_PATCHES}


@pytest.fixture(scope="module")
def stored(patches: Build) -> dict[str, Image]:
    source = Source.of(patches)
    return {row["key"]: image for split in source.splits for row, image, _ in source.samples(split)}


def read_lmdb(path: Path) -> dict[str, bytes]:
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return {bytes(key).decode(): bytes(value) for key, value in transaction.cursor()}


def rows(build: Build) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in Source.of(build).index.to_pylist()}


def labels(row: dict[str, Any], task: str) -> list[int]:
    return next(item["labels"] for item in row["targets"] if item["task"] == task)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("target", "arity", "order"), [("fgmae-lmdb", 5, ["VV", "VH"]), ("seco-lmdb", 3, ["VH", "VV"])]
)
def test_pickled_tuples_are_those_of_the_loaders(
    exported: dict[str, Exported],
    patches: Build,
    stored: dict[str, Image],
    target: Target,
    arity: int,
    order: list[str],
) -> None:
    folder, known = exported[target].folder, rows(patches)
    bands = [band.name for band in patches.manifest.bands]
    seen = set()
    for split in ("train", "val", "test"):
        keys = (folder / f"{split}.keys.txt").read_text().split()
        name = f"{split}_B12_B2.lmdb" if arity == 5 else f"{split}_B12.lmdb"
        records = read_lmdb(folder / name)
        assert records.keys() == {str(number) for number in range(len(keys))}
        for number, key in enumerate(keys):
            record = pickle.loads(records[str(number)])  # noqa: S301 (of our own)
            *_, data, shape, target_bytes = record
            assert (len(record), shape) == (arity, (128, 128, 2))
            image = np.frombuffer(data, np.float32).reshape(shape)
            assert (image.transpose(2, 0, 1) == stored[key][[bands.index(band) for band in order]]).all()
            hot = np.frombuffer(target_bytes, np.float32)
            assert (len(hot), np.flatnonzero(hot).tolist()) == (19, labels(known[key], "clc19"))
            assert known[key]["split"] == split
        seen |= set(keys)
    assert seen == known.keys()


def test_the_loaders_of_pickles_get_no_other_build(
    sealed: dict[str, Build], built: dict[str, Build], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"expected 2×128×128 pixels.*found 2×120×120: `convert\(resize=128\)`"):
        export("fgmae-lmdb", sealed["lmdb"], tmp_path / "small")
    with pytest.raises(UsageError, match="expected a build with a multilabel or multiclass task"):
        export("configilm", built["ssdd"], tmp_path / "ships")
    assert list(tmp_path.iterdir()) == []


def test_the_table_and_the_tensors_of_configilm(
    exported: dict[str, Exported], patches: Build, stored: dict[str, Image]
) -> None:
    folder, known = exported["configilm"].folder, rows(patches)
    table = pq.read_table(folder / "metadata.parquet").to_pylist()
    values = read_lmdb(folder / "images.lmdb")
    assert {row["s1_name"] for row in table} == values.keys() == known.keys()
    classes = patches.manifest.tasks[0].classes
    for row in table:
        key = row["s1_name"]
        split = {"val": "validation"}.get(known[key]["split"], known[key]["split"])
        assert (row["split"], row["contains_seasonal_snow"]) == (split, False)
        assert row["labels"] == sorted(classes[label] for label in labels(known[key], "clc19"))
        tensors = load(values[key])
        assert tensors.keys() == {"VV", "VH"}
        for band, plane in zip(patches.manifest.bands, stored[key], strict=True):
            assert (tensors[band.name] == plane).all()
    empty = pq.read_table(folder / "metadata_for_patches_with_snow_cloud_or_shadow.parquet")
    assert (len(empty), empty.schema) == (0, pq.read_schema(folder / "metadata.parquet").remove_metadata())


def test_arrays_and_geotiffs_are_the_stored_pixels_with_their_labels(
    exported: dict[str, Exported], patches: Build, stored: dict[str, Image]
) -> None:
    known, classes = rows(patches), patches.manifest.tasks[0].classes
    for target, suffix in (("npy", ".npy"), ("geotiff", ".tif")):
        folder = exported[target].folder
        with open(folder / "samples.csv", newline="") as file:
            table = {row["key"]: row for row in csv.DictReader(file)}
        assert table.keys() == known.keys() == {path.stem for path in (folder / "images").glob(f"*{suffix}")}
        for key, row in table.items():
            assert row["split"] == known[key]["split"]
            assert [classes.index(name) for name in row["clc19"].split(";")] == labels(known[key], "clc19")
            path = folder / row["image"]
            if suffix == ".npy":
                assert (np.load(path) == stored[key]).all()
                continue
            with rasterio.open(path) as image:
                assert (image.read() == stored[key]).all()
                assert image.crs.to_string() == known[key]["crs"]
                assert list(image.transform)[:6] == known[key]["transform"]
                assert image.descriptions == ("VV (dB)", "VH (dB)")
    lines = (exported["npy"].folder / "val.txt").read_text().splitlines()
    for line in lines:
        name, numbers = line.split(" ")
        key = Path(name).stem
        assert (known[key]["split"], [*map(int, numbers.split(","))]) == ("val", labels(known[key], "clc19"))


def test_parquet_has_images_labels_and_previews(
    exported: dict[str, Exported], patches: Build, stored: dict[str, Image]
) -> None:
    folder, known = exported["hf"].folder, rows(patches)
    paths = sorted((folder / "data").iterdir())
    names = [f"{name}-00000-of-00001.parquet" for name in ("test", "train", "validation")]
    assert [path.name for path in paths] == names
    for path in paths:
        for row in pq.read_table(path).to_pylist():
            key = row["key"]
            split = {"validation": "val"}.get(path.name.partition("-")[0], path.name.partition("-")[0])
            assert (np.array(row["image"], np.float32) == stored[key]).all()
            assert (known[key]["split"], row["labels"]) == (split, labels(known[key], "clc19"))
            assert (row["crs"], row["attrs"]) == (known[key]["crs"], known[key]["attrs"])
            with Picture.open(io.BytesIO(row["preview"]["bytes"])) as picture:
                assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (128, 128))
    card = (folder / "README.md").read_text().split("---\n")[1]
    fields = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in card.splitlines()}
    assert fields["license"] == "cdla-permissive-1.0"
    features = {feature["name"]: feature for feature in fields["dataset_info"]["features"]}
    assert list(features) == pq.read_schema(paths[0]).names
    assert features["image"]["dtype"] == {"array3_d": {"shape": [2, 128, 128], "dtype": "float32"}}
    assert features["labels"]["list"]["class_label"]["names"]["0"] == "Urban fabric"


def test_yolo_has_the_boxes_and_pictures_of_eight_bits(built: dict[str, Build], tmp_path: Path) -> None:
    folder = export("yolo", built["ssdd"], tmp_path / "yolo").folder
    known = rows(built["ssdd"])
    assert 'names:\n  0: "ship"\n' in (folder / "data.yaml").read_text()
    for split in ("train", "test"):
        source = Source.of(built["ssdd"])
        for row, image, _ in source.samples(split):
            path = folder / "labels" / split / f"{row['key']}.txt"
            objects = yolo.parse(path.read_bytes(), path.name, (image.shape[1], image.shape[2]), 1)
            boxes = [item["box"] for item in known[row["key"]]["objects"]]
            assert np.allclose([box for _, box in objects], boxes, rtol=0, atol=1e-9)
            with Picture.open(folder / "images" / split / f"{row['key']}.png") as picture:
                assert (np.asarray(picture) == image[0]).all()


def test_other_units_become_eight_bits_by_the_percentiles_of_train(patches: Build) -> None:
    stretch = Stretch.of(Source.of(patches))
    assert patches.manifest.statistics is not None
    figures = patches.manifest.statistics["train"].bands["VV"].stored.percentiles
    low, high = figures["p1"], figures["p99"]
    assert low is not None
    assert high is not None
    image = np.array([[[low - 1, low, (low + high) / 2, high, high + 1, np.nan]]] * 2, np.float32)
    assert stretch(image)[0].ravel().tolist() == [0, 0, 128, 255, 255, 0]
    assert (stretch(image)[2] == 0).all()


def test_masks_and_objects_go_with_the_images(built: dict[str, Build], tmp_path: Path) -> None:
    build = built["spacenet6"]
    masks = {row["key"]: mask for row, _, mask in Source.of(build).samples("train")}
    folder = export("npy", build, tmp_path / "npy").folder
    table = pq.read_table(next((export("hf", build, tmp_path / "hf").folder / "data").iterdir())).to_pylist()
    geotiff = export("geotiff", build, tmp_path / "geotiff").folder
    drawn = json.loads((geotiff / "train.json").read_text())
    assert len(drawn["annotations"]) == sum(len(row["objects"]) for row in rows(build).values()) > 0
    for row in table:
        key = row["key"]
        assert masks[key] is not None
        assert (np.load(folder / "masks" / f"{key}.npy") == masks[key]).all()
        assert (np.array(row["mask"], np.uint8) == masks[key]).all()
        assert row["objects"] == rows(build)[key]["objects"]
        with rasterio.open(geotiff / "masks" / f"{key}.tif") as image:
            assert (image.read(1) == masks[key]).all()


def test_an_export_says_what_it_lost_of_what_the_build_has(
    exported: dict[str, Exported], built: dict[str, Build], tmp_path: Path
) -> None:
    lost: dict[Target, list[Part]] = {
        "fgmae-lmdb": ["other labels", "ground", "time", "attributes"],
        "npy": ["ground"],
        "hf": [],
    }
    for target, parts in lost.items():
        assert exported[target].lost == tuple(PARTS[part] for part in parts)
        document = json.loads((exported[target].folder / "sar-data.json").read_text())
        assert document["lost"] == [PARTS[part] for part in parts]
        assert (document["target"], [band["name"] for band in document["bands"]]) == (target, ["VV", "VH"])
    ships = export("yolo", built["hrsid"], tmp_path / "yolo")
    assert set(ships.lost) >= {PARTS["pixels"], PARTS["polygons"]}
    assert PARTS["rotated boxes"] not in ships.lost  # which this build does not have


def test_scaled_integers_become_floats_and_say_so(patches: Build, stored: dict[str, Image], tmp_path: Path) -> None:
    narrow = convert(ConvertRequest(parent=patches.path, dtype="int16", format="zarr", out=tmp_path))
    made = export("npy", narrow, tmp_path / "npy")
    assert PARTS["pixels"] in made.lost
    for key, expected in stored.items():
        image = np.load(made.folder / "images" / f"{key}.npy")
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, expected, rtol=0, atol=0.0011)  # half a step of 0.002 dB, and a rounding


def test_a_folder_appears_whole_or_not_at_all(patches: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    left = tmp_path / ".out.exporting" / "export"
    left.mkdir(parents=True)
    (left / "of a killed export").write_text("")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sar_data.exporters.tables.write", stop)
        with pytest.raises(KeyboardInterrupt):
            export("npy", patches, out)
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    assert export("npy", patches, out).folder == out
    assert not (out / "of a killed export").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(TargetError, match="expected no such folder, or an empty one: remove it"):
        export("npy", patches, out)


def test_a_link_is_refused_before_anything_is_written(patches: Build, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for there in ("empty", "nowhere"):
        (tmp_path / f"to {there}").symlink_to(tmp_path / there)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(TargetError, match="expected a folder, found a link"):
            export("npy", patches, tmp_path / f"to {there}")
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["ship;boat", "ship|boat", "=1+1", "-2+3", "@x"])
def test_a_class_that_a_cell_of_several_labels_cannot_have_is_refused(
    patches: Build, tmp_path: Path, name: str
) -> None:
    path = shutil.copytree(patches.path, tmp_path / "build")
    edit(path, lambda document: document["tasks"][0]["classes"].__setitem__(3, name))
    for target in ("npy", "geotiff"):
        with pytest.raises(UsageError, match=f"expected class names .* found '{re.escape(name)}'.*the target hf"):
            export(target, Build.open(path), tmp_path / target)
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def test_a_damaged_image_is_not_exported(built: dict[str, Build], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built["ssdd"].path, copy)
    row = next(iter(rows(built["ssdd"]).values()))
    with open(copy / row["split"] / f"{row['shard']:06d}.tar", "r+b") as file:
        file.seek(row["offset"])
        byte = file.read(1)[0]
        file.seek(row["offset"])
        file.write(bytes([byte ^ 1]))
    with pytest.raises(BuildError, match=f"{row['key']}: expected pixels of xxh3"):
        export("coco", Build.open(copy), tmp_path / "coco")
    assert not (tmp_path / "coco").exists()


def test_every_target_is_in_the_type_the_page_and_the_examples() -> None:
    from sar_data.cli.examples import EXAMPLES

    assert get_args(Target) == tuple(TARGETS)
    assert get_args(Part) == tuple(PARTS)
    page = (ROOT / "docs/export.md").read_text()
    for name, entry in TARGETS.items():
        lost = ", ".join(words for part, words in PARTS.items() if part not in entry.keeps) or "nothing"
        kept = ", ".join(PARTS[part] for part in PARTS if part in entry.keeps)
        meaning = f"{entry.title} {entry.note[0].upper()}{entry.note[1:]}."
        command = f"`sar-data export {name} BUILD --out DIR`"
        assert f"| `{name}` | {meaning} | {kept} | {lost} | {entry.reader} | {command} |" in page
        assert f"export {name}" in EXAMPLES


def test_no_text_of_a_build_begins_a_line_or_a_formula(built: dict[str, Build], tmp_path: Path) -> None:
    path = shutil.copytree(built["hrsid"].path, tmp_path / "build")
    evil = "=x\u2028download: exec\x85![x](http://x) <img>"

    def change(document: dict[str, Any]) -> None:
        document |= {"title": evil, "licence": f"{evil}\n---", "citation": evil}
        document["tasks"][0]["name"] = "=1+1"

    edit(path, change)
    build = Build.open(path)
    for target in ("yolo", "hf", "npy"):
        export(target, build, tmp_path / target)
    texts = [(tmp_path / name).read_text() for name in ("yolo/data.yaml", "hf/README.md", "npy/dataset.toml")]
    lines = [line for text in texts for line in text.splitlines()]
    assert not [line for line in lines if line.startswith(("download", "---\n", "!"))]
    assert [line for line in lines if line == "---"] == ["---"] * 2
    page = texts[1].rpartition("\n---\n")[2]
    assert page.count("![") == page.replace("\\<", "").count("<") == 0
    assert tomllib.loads(texts[2])["title"] == evil


@pytest.mark.parametrize("sign", ["\n", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"])
def test_names_that_a_line_ends_in_are_none_of_a_build(built: dict[str, Build], tmp_path: Path, sign: str) -> None:
    path = shutil.copytree(built["hrsid"].path, tmp_path / "build")
    edit(path, lambda document: document["tasks"][0]["classes"].__setitem__(0, f"ship{sign}download: x"))
    with pytest.raises(BuildError, match="expected a name on one line"):
        Build.open(path)

"""A run, weights or images of a stranger: what they say is looked at before it is used, and damage is said."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import torch

import sar_data.train
from sar_data.errors import BuildError, RunError, SarDataError, SourceError, UsageError
from sar_data.raster import maps
from sar_data.raster.scene import Scene
from sar_data.train.inference import boxes
from sar_data.train.inference.finished import opened
from sar_data.train.inference.images import Files
from sar_data.train.input import Input
from sar_data.train.models import backbone
from sar_data.train.run.folder import Folder
from sar_data.train.weights import load
from tests.mini.resealed import resealed
from tests.mini.servers import web
from tests.train.conftest import Finished

pytestmark = pytest.mark.usefixtures("unrendered")

Config = dict[str, Any]
FIGURES = {"VV": [0.0, 1.0], "VH": [0.0, 1.0]}


def edited(out: Path, change: Callable[[Config], object]) -> Path:
    config = json.loads((out / "config.json").read_text())
    change(config)
    (out / "config.json").write_text(json.dumps(config))
    return out


def given(section: str, **values: Any) -> Callable[[Config], object]:
    return lambda config: config[section].update(values)


CONTRADICTIONS: dict[str, tuple[Callable[[Config], object], str]] = {
    "task of another job": (given("input", kind="segmentation"), "finetune takes classes of whole images"),
    "task of no kind": (given("input", kind="foo"), "input.kind: Input should be 'multiclass', "),
    "one name for two classes": (given("input", classes=["a", "a", "b", "c"]), "expected each once"),
    "control characters": (given("input", classes=["a\0", "b", "c", "d"]), "expected a name on one line"),
    "no classes": (given("input", classes=[]), "input.classes: "),
    "no figures": (given("input", figures={}), "unknown channel of the figures 'VV'"),
    "figures of one band": (given("input", figures={"VV": [0.0, 1.0]}), "unknown channel of the figures 'VH'"),
    "infinite figures": (given("input", figures=FIGURES | {"VH": [0.0, float("inf")]}), "should be a finite number"),
    "a span of nothing": (given("input", figures=FIGURES | {"VH": [0.0, 0.0]}), "figures of float32 pixels"),
    "no such normalization": (given("settings", normalize="VV"), "unknown normalization 'VV'"),
    "no such step": (given("settings", augment=["fold"]), "unknown augmentation 'fold'"),
    "images of gigabytes": (given("settings", image_size=30_000), "at most 8192 pixels a side, found 30000"),
    "padding of gigabytes": (given("settings", pad=30_000), "at most 8192 pixels a side, found 30000"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_run_that_contradicts_itself_is_refused_before_a_network_is_made(
    finished: Finished, tmp_path: Path, name: str
) -> None:
    change, reason = CONTRADICTIONS[name]
    with pytest.raises(RunError, match=rf"config\.json: .*{re.escape(reason)}"):
        opened(edited(finished.copied(tmp_path / "run"), change))


@pytest.mark.parametrize(("option", "value"), [("tile", 1 << 40), ("overlap", 0.9999), ("channels", 1 << 40)])
def test_a_run_cannot_ask_for_windows_without_end(segmented: Path, tmp_path: Path, option: str, value: float) -> None:
    for name in ("metrics.json", "checkpoints"):
        (tmp_path / name).symlink_to(segmented / name)
    (tmp_path / "config.json").write_bytes((segmented / "config.json").read_bytes())
    with pytest.raises(RunError, match=f"segment: {option}: Input should be less than or equal to"):
        opened(edited(tmp_path, given("settings", **{option: value})))


def best(out: Path) -> Path:
    return out / "checkpoints" / "best.pt"


def test_a_flipped_byte_of_a_checkpoint_is_named(finished: Finished, tmp_path: Path) -> None:
    out = finished.copied(tmp_path / "run")
    data = bytearray(best(out).read_bytes())
    data[len(data) // 2] ^= 1
    best(out).write_bytes(data)
    with pytest.raises(RunError, match=r"best\.pt: .* expected bytes of its CRC-32, found others"):
        sar_data.train.load(out)


def test_weights_that_are_no_numbers_answer_nothing(finished: Finished, tmp_path: Path) -> None:
    out = finished.copied(tmp_path / "run")
    state = torch.load(best(out), weights_only=True)
    state["model"]["head.0.bias"][1] = float("nan")
    torch.save(state, best(out))
    with pytest.raises(RunError, match=r"head\.0\.bias: expected finite weights, found NaN or infinity"):
        sar_data.train.load(out)
    encoder = backbone("test_vit", ("VV", "VH"), image_size=32)
    weights = encoder.net.state_dict() | {"pos_embed": torch.full_like(encoder.net.pos_embed, float("inf"))}
    torch.save({"model": weights, "channels": ["VV", "VH"]}, tmp_path / "x.pt")
    with pytest.raises(UsageError, match=r"pos_embed: expected finite weights, found NaN or infinity"):
        load(encoder, str(tmp_path / "x.pt"), pooling="cls", normalize=None)


def test_an_export_asks_no_server_that_a_run_alone_names(finished: Finished, tmp_path: Path) -> None:
    out = finished.copied(tmp_path / "run")
    with web(tmp_path) as server:
        edited(out, given("build", path=f"{server.url}/build"))
        sar_data.train.export(out, to="torchscript", out=tmp_path / "model")
        assert not server.gets
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    assert described["checked"]["samples"].startswith("32 images of noise")


def test_an_evaluation_leaves_nothing_behind_a_link_of_the_run(
    finished: Finished, classes: str, tmp_path: Path
) -> None:
    out, outside = finished.copied(tmp_path / "run"), tmp_path / "outside"
    outside.mkdir()
    (out / "evaluations").symlink_to(outside)
    with pytest.raises(UsageError, match="evaluations: expected a folder of the run, found a link"):
        sar_data.train.evaluate(out, classes, device="cpu")
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard", "masks", "features"])
def test_a_run_does_not_go_on_behind_a_link_in_it(tmp_path: Path, name: str) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    outside.mkdir()
    run.mkdir()
    (outside / "a.partial").write_text("precious")
    (run / name).symlink_to(outside)
    folder = Folder(run, print)
    with pytest.raises(RunError, match=f"{name}: expected a folder of the run, found a link"):
        folder.begin({})
    folder.close()
    assert [path.name for path in run.iterdir()] == [name]
    assert [path.name for path in outside.iterdir()] == ["a.partial"]


def test_a_prediction_whose_document_is_another_says_so(finished: Finished, classes: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked: dict[str, Any] = {"split": "test", "device": "cpu"}
    sar_data.train.predict(finished.out, classes, out=out, **asked)
    (out / "prediction.json").write_text("{}")
    with pytest.raises(RunError, match=r"prediction\.json: expected the document of a run, .*said: Field required"):
        sar_data.train.predict(finished.out, classes, out=out, **asked)
    (out / "config.json").write_text("[]")
    with pytest.raises(RunError, match=r"config\.json: expected the document of a run, found another one"):
        sar_data.train.predict(finished.out, classes, out=out, **asked)


def placed(build: Path, crs: str, out: Path) -> Path:
    """Return a copy of a build, sealed again, whose samples all lie in a reference system."""
    shutil.copytree(build, out)
    table = pq.read_table(out / "index.parquet")
    column = table.column_names.index("crs")
    table = table.set_column(column, table.schema.field("crs"), pa.array([crs] * len(table), pa.string()))
    pq.write_table(table, out / "index.parquet")
    resealed(out)
    return out


@pytest.mark.parametrize("place", ["address", "file"])
def test_a_place_of_a_build_is_no_address_and_no_file(
    finished: Finished, classes: str, tmp_path: Path, place: str
) -> None:
    (tmp_path / "wkt").write_text(rasterio.CRS.from_epsg(4326).to_wkt())
    with web(tmp_path) as server:
        crs = f"{server.url}/wkt" if place == "address" else str(tmp_path / "wkt")
        build = placed(Path(classes), crs, tmp_path / "build")
        with pytest.raises(BuildError, match=r"index\.parquet: crs: .*expected a coordinate reference system"):
            sar_data.train.predict(finished.out, build, out=tmp_path / "out", split="test", device="cpu")
        for use in (maps.reference_system, lambda crs: maps.degrees(np.zeros((1, 4, 2)), crs)):
            with pytest.raises(SourceError, match="expected a coordinate reference system"):
                use(crs)
        assert not server.gets


def test_a_system_that_lies_nowhere_on_the_earth_is_said_to() -> None:
    assert maps.reference_system("EPSG:32633").to_epsg() == 32633
    assert maps.reference_system(rasterio.CRS.from_epsg(32633).to_wkt()).to_epsg() == 32633
    with pytest.raises(SourceError, match="expected a place on the Earth"):
        maps.degrees(np.zeros((1, 4, 2)), 'LOCAL_CS["of a machine"]')


MODEL = Input(units={"VV": "dB"}, figures=None, resized=False, kind="segmentation", classes=("a", "b"))


def picture(path: Path, driver: str, side: int = 64, **options: Any) -> Path:
    pixels = np.random.default_rng(0).integers(1, 255, (1, side, side), np.uint8)
    profile = {
        "count": 1,
        "height": side,
        "width": side,
        "dtype": "uint8",
        "transform": rasterio.Affine(1, 0, 9, 0, -1, 9),
    }
    with rasterio.open(path, "w", driver=driver, **profile, **options) as file:
        file.write(pixels)
    return path


def test_a_pipe_among_images_hangs_nobody(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif", "GTiff", nbits=8)
    os.mkfifo(tmp_path / "b.tif")
    found = Files(str(tmp_path), MODEL, ("VV",), "dB")
    assert [image.key for image in found.images] == ["a"]
    found.close()


def test_two_images_of_one_name_are_no_image_for_two(tmp_path: Path) -> None:
    for name in ("x.1_VV.tif", "x.1_VH.tif", "x.1.tif"):
        picture(tmp_path / name, "GTiff")
    dual = MODEL.model_copy(update={"units": {"VV": "dB", "VH": "dB"}})
    with pytest.raises(SourceError, match=r"x\.1: expected images of names that differ, found two of this one"):
        Files(str(tmp_path), dual, None, "dB")


@pytest.mark.parametrize(("name", "driver"), [("a.png", "PNG"), ("a.jpg", "JPEG")])
def test_a_picture_that_was_cut_is_refused(tmp_path: Path, name: str, driver: str) -> None:
    data = picture(tmp_path / name, driver).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(SarDataError, match=name):
        Scene([str(tmp_path / name)])


def sized(path: Path, width: int, height: int, tile: int) -> Path:
    """Write a TIFF of float64 in tiles none of which is there."""
    count = -(-width // tile) * -(-height // tile)
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 64), (259, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(277, 3, 1, 1), (322, 4, 1, tile), (323, 4, 1, tile), (324, 4, count, 0), (325, 4, count, 0)]
    entries += [(339, 3, 1, 3)]
    sink = io.BytesIO()
    sink.write(struct.pack("<2sHIH", b"II", 42, 8, len(entries)))
    after = 8 + 2 + 12 * len(entries) + 4
    for tag, kind, length, value in entries:
        sink.write(struct.pack("<HHII", tag, kind, length, after if length > 1 else value))
    sink.write(bytes(4 + 4 * count))
    path.write_bytes(sink.getvalue())
    return path


@pytest.mark.parametrize(
    ("size", "reason"),
    [((100, 100, 20_000), "expected blocks of at most"), ((400_000, 400_000, 8192), "bytes of pixels a band, found")],
)
def test_a_small_scene_that_says_gigabytes_is_refused(tmp_path: Path, size: tuple[int, int, int], reason: str) -> None:
    path = sized(tmp_path / "a.tif", *size)
    assert path.stat().st_size < 40_000
    with pytest.raises(SourceError, match=reason):
        Scene([str(path)])


def test_names_of_files_of_classes_are_short_and_differ(tmp_path: Path) -> None:
    assert boxes.file_names(["ship", "a/b"]) == ["ship", "a-b"]
    assert boxes.file_names(["a/b", "a-b"]) == ["0-a-b", "1-a-b"]
    assert all(len(name) < 64 for name in boxes.file_names(["x" * 300, "y"]))

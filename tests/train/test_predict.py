"""A finished run's model on images that it was not trained on: scenes, folders, builds."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import threading
import warnings
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import rasterio
import torch
from click.testing import CliRunner
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning
from werkzeug.serving import make_server

import sar_data.train
from sar_data import catalog
from sar_data.cli import main
from sar_data.errors import RunError, SarDataError, SourceError, TargetError, UsageError
from sar_data.record import IGNORE
from sar_data.sealed.opened import Build
from sar_data.stream.collection import open_collection
from sar_data.train import metrics, predictions
from sar_data.train.inference import parts, prediction
from sar_data.train.inference.images import Image
from sar_data.train.inference.parts import FOLDER, Block, Parts, parts_of
from sar_data.train.metrics import thresholds
from sar_data.train.pictures import masks
from sar_data.train.run.halt import Halted
from sar_data.train.segment.windows import blend_windows, join_windows, spans, starts
from sar_data.train.settings import Finetune, Segment
from sar_data.train.training import run
from sar_data.views.palette import palette
from tests.mini import invented
from tests.mini.builds import make
from tests.train.conftest import SEGMENT, TINY, WINDOWS, Finished
from tests.train.test_inference import answers
from tests.train.test_segment import miou

pytestmark = pytest.mark.usefixtures("unrendered")

Floats = npt.NDArray[np.float32]
GRID = Affine(10, 0, 600_000, 0, -10, 5_300_000)
HEIGHT, WIDTH = 150, 117  # no multiple of a window
HOLE = (slice(20, 40), slice(60, 90))


def write(path: Path, pixels: Floats, bands: Sequence[str] = (), **options: Any) -> Path:
    """Write [band, y, x] as a GeoTIFF whose bands have these names."""
    count, height, width = pixels.shape
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **profile) as file:
            file.write(pixels)
            if bands:
                file.descriptions = tuple(bands)
    return path


def read(path: Path) -> npt.NDArray[Any]:
    """Return the first band of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            band: npt.NDArray[Any] = file.read(1)
            return band


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of VH and VV in dB, in UTM, with a hole of no data."""
    pixels = np.random.default_rng(0).normal(-12, 4, (2, HEIGHT, WIDTH)).astype(np.float32)
    pixels[(slice(None), *HOLE)] = -9999
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    return write(path, pixels, ("VH", "VV"), crs="EPSG:32633", transform=GRID, nodata=-9999)


def of_scene(path: Path) -> torch.Tensor:
    """Return [1, VV and VH, y, x] of the scene, NaN in its hole."""
    with rasterio.open(path) as file:
        pixels = file.read([2, 1])
    pixels[pixels == -9999] = np.nan
    return torch.from_numpy(pixels)[None]


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 48 pixels, so that a small scene has many."""
    monkeypatch.setattr(parts, "BLOCKS", {"segmentation": 48, "detection": 48})
    monkeypatch.setattr(parts, "WINDOWS", 48)


@pytest.mark.parametrize(("tile", "overlap", "block"), [(16, 0.5, 48), (16, 0.25, 20), (33, 0.0, 40), (16, 0.7, 200)])
def test_blocks_of_a_length_have_the_windows_of_the_whole(tile: int, overlap: float, block: int) -> None:
    for length in (tile, 3 * tile + 1, 150):
        found = spans(length, tile, overlap, block)
        assert [span.start for span in found] == list(range(0, length, block))
        assert sorted({place for span in found for place in span.windows}) == starts(length, tile, overlap)
        for span in found:
            reached = {pixel for place in span.windows for pixel in range(place, place + tile)}
            assert set(range(span.start, span.stop)) <= reached


def test_a_link_in_the_place_of_the_parts_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetError, match=rf"{FOLDER}: expected a folder of our own, found a link"):
        Parts(tmp_path / FOLDER).keep(0, np.zeros((2, 2), np.uint8))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_logits_of_blocks_are_those_of_the_whole_image() -> None:
    image = torch.randn(1, 2, 100, 77, generator=torch.Generator().manual_seed(0))

    def model(part: torch.Tensor) -> torch.Tensor:
        return torch.cat([part.mean((2, 3), keepdim=True).expand_as(part), part], dim=1)

    whole = blend_windows(model, image, 16, 0.5)
    for rows in spans(100, 16, 0.5, 40):
        for columns in spans(77, 16, 0.5, 40):
            y, x = rows.windows[0], columns.windows[0]
            seen = image[..., y : rows.windows[-1] + 16, x : columns.windows[-1] + 16]
            own_rows, own_columns = ([place - y for place in rows.windows], [place - x for place in columns.windows])
            found = join_windows(model, seen, 16, own_rows, own_columns)
            own = found[..., rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
            torch.testing.assert_close(own, whole[..., rows.start : rows.stop, columns.start : columns.stop])


def test_small_images_of_one_size_are_seen_together() -> None:
    sizes = [(8, 8), (8, 8), (8, 8), (9, 8), (40, 8), (8, 8)]
    images = [Image(str(i), *size, place=None) for i, size in enumerate(sizes)]  # type: ignore[arg-type]
    found = list(parts_of(images, "segmentation", 16, 0.5, 2))
    assert [part.image if isinstance(part, Block) else part.images for part in found] == [(0, 1), (2,), (3,), 4, (5,)]
    assert len(list(parts_of(images, "multiclass", None, 0.0, 8))) == 4


@pytest.mark.usefixtures("blocks")
def test_a_scene_becomes_a_map_in_its_own_grid(segmented: Path, scene: Path, tmp_path: Path) -> None:
    said = sar_data.train.predict(segmented, scene, out=tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "masks" / "scene.tif") as file, rasterio.open(scene) as source:
        assert (file.crs, file.transform, file.shape) == (source.crs, source.transform, source.shape)
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), IGNORE)
        assert file.tags(1)["class_0"] == sar_data.train.load(segmented).classes[0]
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.colormap(1)[1][:3] == tuple(palette(3)[1])
        mask = file.read(1)
    model, image = sar_data.train.load(segmented), of_scene(scene)
    with torch.inference_mode():
        np.testing.assert_array_equal(mask, model.masks(image)[0])  # in one piece
    hole = np.zeros(mask.shape, bool)
    hole[HOLE] = True
    np.testing.assert_array_equal(mask == IGNORE, hole)
    assert sum(said.values()) == mask.size
    assert said["no data"] == hole.sum()
    assert (tmp_path / "out" / "prediction.json").is_file()
    assert not (tmp_path / "out" / ".parts").exists()


@pytest.mark.usefixtures("blocks")
def test_a_stopped_prediction_goes_on(
    segmented: Path, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked = prediction.Answering.answer, list[Any]()

    def stopped(self: Any, part: Any, images: Any) -> Any:
        asked.append(part)
        if len(asked) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return answer(self, part, images)

    out, plain = tmp_path / "out", tmp_path / "plain"
    monkeypatch.setattr(prediction.Answering, "answer", stopped)
    with pytest.raises(Halted, match="3 of 12 parts are kept"):
        sar_data.train.predict(segmented, scene, out=out)
    assert not (out / "masks").exists()
    sar_data.train.predict(segmented, scene, out=out)
    assert len(asked) == 12
    lines: list[str] = []
    sar_data.train.predict(segmented, scene, out=out, say=lines.append)
    assert len(asked) == 12
    assert any("is finished" in line for line in lines)
    sar_data.train.predict(segmented, scene, out=plain)
    name = "masks/scene.tif"
    assert (out / name).read_bytes() == (plain / name).read_bytes()
    with pytest.raises(UsageError, match="another prediction: tile"):
        sar_data.train.predict(segmented, scene, out=out, tile=32)


@pytest.mark.usefixtures("blocks")
def test_boxes_lie_on_the_map_where_they_lie_in_the_image(detected: Path, few: Build, tmp_path: Path) -> None:
    pixels = np.tile(np.arange(0, 200, dtype=np.uint8), (160, 1))[None]
    scene = write(tmp_path / "scene.tif", pixels, crs="EPSG:32633", transform=GRID)
    said = sar_data.train.predict(detected, scene, out=tmp_path / "out", tile=64)
    rows = pq.read_table(tmp_path / "out" / "boxes.parquet").to_pylist()
    assert len(rows) == sum(said.values()) > 0
    document = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert [one["score"] for one in document["annotations"]] == [row["score"] for row in rows]
    features = json.loads((tmp_path / "out" / "boxes.geojson").read_text())["features"]
    for row, feature, one in zip(rows, features, document["annotations"], strict=True):
        assert row["corners"][0] == pytest.approx(GRID @ (row["x0"], row["y0"]), abs=1e-3)
        assert row["corners"][2] == pytest.approx(GRID @ (row["x1"], row["y1"]), abs=1e-3)
        ring = np.array(feature["geometry"]["coordinates"][0])
        back = np.array(rasterio.warp.transform("EPSG:4326", "EPSG:32633", ring[:4, 0], ring[:4, 1])).T
        np.testing.assert_allclose(back, row["corners"], atol=0.01)  # metres
        assert one["bbox"][:2] == pytest.approx([row["x0"], row["y0"]])
    lines = [line for path in (tmp_path / "out" / "dota").iterdir() for line in path.read_text().splitlines()]
    assert len(lines) == len(rows)


@pytest.mark.usefixtures("blocks")
def test_every_box_is_of_one_block(detected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 150, 170)).astype(np.uint8)
    scene = write(tmp_path / "scene.tif", pixels)
    sar_data.train.predict(detected, scene, out=tmp_path / "many", tile=64)
    monkeypatch.setattr(parts, "BLOCKS", {"detection": 4096})
    sar_data.train.predict(detected, scene, out=tmp_path / "one", tile=64)
    many, one = (pq.read_table(tmp_path / name / "boxes.parquet").to_pydict() for name in ("many", "one"))
    assert len(one["score"]) > 10
    # A chain of boxes, each of which holds back the next, may end in another block: few do.
    assert len(set(one["score"]) ^ set(many["score"])) <= 0.02 * len(one["score"])


def test_a_folder_of_images_becomes_a_table_of_classes(finished: Finished, classes: str, tmp_path: Path) -> None:
    stored = open_collection(classes, split="test", normalize=None, fill=None)
    images, keys = stored.batch(np.arange(8))["image"], stored.sources[0].rows.keys(np.arange(8))
    for key, image in zip(keys[:4], images, strict=False):
        write(tmp_path / f"{key}.TIF", image, ("VV", "VH"))
    for key, image in zip(keys[4:], images[4:], strict=True):  # one band a file
        for name, band in zip(("VV", "vh"), image, strict=True):
            write(tmp_path / f"{key}_{name}.tif", band[None])
    (tmp_path / "readme.txt").write_text("beside the images")
    stored.close()
    said = sar_data.train.predict(finished.out, tmp_path, out=tmp_path / "out")
    rows = {row["key"]: row for row in pq.read_table(tmp_path / "out" / "classes.parquet").to_pylist()}
    model, before = sar_data.train.load(finished.out), answers(finished.out, "test")
    assert sorted(rows) == sorted(keys)
    assert sum(said.values()) == 8
    for key, row in rows.items():
        shares = torch.tensor(before[key]["scores"]).softmax(dim=0)
        assert row["label"] == model.classes[int(shares.argmax())]
        assert [row[f"share of {name}"] for name in model.classes] == pytest.approx(shares.tolist(), abs=1e-3)
    text = (tmp_path / "out" / "classes.csv").read_text().splitlines()
    assert len(text) == 9
    assert text[0].startswith("key,top,left,height,width,crs,x,y,label,share of")


def test_thresholds_that_a_run_chose_are_used_on_another_build(
    several: str, finished: Finished, tmp_path: Path
) -> None:
    out, other = tmp_path / "run", invented.archive(tmp_path / "raw", 60)
    own = run("finetune", several, out, Finetune(**TINY), say=lambda line: None)["thresholds"]
    build = invented.sealed(invented.pipeline("multilabel"), other, tmp_path / "builds").path
    judged = sar_data.train.evaluate(out, build, split="train", out=tmp_path / "judged")["train"]
    splits, classes = predictions.read(tmp_path / "judged" / "predictions.parquet")
    limits = np.array([own["values"][name] for name in classes])
    expected = thresholds.figures(splits["train"], limits, classes)
    assert judged["thresholds"] == {"chosen_on": "val of the run's build"} | expected
    assert judged["f1_macro"] == metrics.figures(splits["train"], classes)["f1_macro"] != expected["f1_macro"]
    said = sar_data.train.predict(out, build, out=tmp_path / "said", split="train", thresholds="run")
    assert said == {
        name: int((predictions.scores(splits["train"])[:, i] > np.log(limit / (1 - limit))).sum())
        for i, (name, limit) in enumerate(zip(classes, limits, strict=True))
    } | {"no data": 0}
    with pytest.raises(UsageError, match="holds another prediction: thresholds differ"):
        sar_data.train.predict(out, build, out=tmp_path / "said", split="train")
    with pytest.raises(UsageError, match="expected a model of several labels for `thresholds=run`"):
        sar_data.train.predict(finished.out, several, out=tmp_path / "one", thresholds="run")
    document = json.loads((out / "metrics.json").read_text())
    for values, message in (
        ({"a": 0.5}, "expected a threshold of each class"),
        ({"a": 1.5}, "less than 1"),
        (None, "has chosen no"),
    ):
        written = document | {"thresholds": values and {"chosen_on": "val", "values": values}}
        (out / "metrics.json").write_text(json.dumps(written))
        with pytest.raises(SarDataError, match=message):
            sar_data.train.predict(out, build, out=tmp_path / "none", thresholds="run")


@pytest.mark.usefixtures("blocks")
def test_a_large_image_is_classified_window_by_window(finished: Finished, scene: Path, tmp_path: Path) -> None:
    sar_data.train.predict(finished.out, scene, out=tmp_path, tile=40)
    rows = pq.read_table(tmp_path / "classes.parquet").to_pylist()
    assert [row["top"] for row in rows if row["left"] == 0] == starts(HEIGHT, 40, 0.0)
    assert len(rows) == len(starts(HEIGHT, 40, 0.0)) * len(starts(WIDTH, 40, 0.0))
    for row in rows:
        assert (row["x"], row["y"]) == pytest.approx(GRID @ (row["left"] + 20, row["top"] + 20))


def test_a_build_is_answered_as_the_run_answered_it(segmented: Path, squares: str, tmp_path: Path) -> None:
    sar_data.train.predict(segmented, squares, out=tmp_path, split="test")
    before = answers(segmented, "test")
    assert sorted(path.stem for path in (tmp_path / "masks").iterdir()) == sorted(before)
    for key, row in before.items():
        mask = read(tmp_path / "masks" / f"{key}.tif")
        known = mask != IGNORE
        assert known.any()
        np.testing.assert_array_equal(mask[known], masks.decode(row["mask"])[known])


class Ranges(BaseHTTPRequestHandler):
    """Serves one file by ranges, and notes how many bytes it sent."""

    data = b""
    sent = 0

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), min(int(asked[2]), len(self.data) - 1)) if asked else (0, len(self.data) - 1)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.data)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.data[first : last + 1])
            type(self).sent += last + 1 - first

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_files_that_are_read_from_disk_only_are_refused_behind_a_url(segmented: Path, tmp_path: Path) -> None:
    for address, said in (
        (
            "https://server.example/a.npy?version=1",
            r"expected a GeoTIFF, PNG or JPEG at an address, found a \.npy file",
        ),
        (
            "memory://HB03333.015",
            r"address ends in .tif, .png or .jpg, found neither: .* Download a Phoenix file first",
        ),
    ):
        with pytest.raises(SarDataError, match=said):
            sar_data.train.predict(segmented, address, out=tmp_path / "out")


@pytest.mark.usefixtures("blocks")
def test_a_scene_behind_a_url_is_read_by_ranges(segmented: Path, scene: Path, tmp_path: Path) -> None:
    class Scene(Ranges):
        data = scene.read_bytes() + bytes(1 << 22)  # what nobody asks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Scene)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/scene.tif"
        sar_data.train.predict(segmented, url, out=tmp_path / "far")
    finally:
        server.shutdown()
        server.server_close()
    sar_data.train.predict(segmented, scene, out=tmp_path / "near")
    assert 0 < Scene.sent < 1 << 22
    np.testing.assert_array_equal(*(read(tmp_path / name / "masks" / "scene.tif") for name in ("far", "near")))


class Counted:
    """An S3 service of moto's that notes the bytes that it sends of objects."""

    def __init__(self) -> None:
        self.sent = 0
        self._app = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Any, start: Any) -> Any:
        def begun(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(".tif"):
                self.sent += int(dict(headers).get("Content-Length", 0))
            return start(status, headers, *error)

        return self._app(environ, begun)


@pytest.mark.usefixtures("blocks")
def test_a_scene_in_a_bucket_is_read_by_ranges(
    segmented: Path, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, whole = Counted(), scene.read_bytes() + bytes(1 << 22)  # what nobody asks for
    server = make_server("127.0.0.1", 0, bucket, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in (options | {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "none"}).items():
        monkeypatch.setenv(name, value)
    try:
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        files.mkdir("scenes")
        files.pipe_file("scenes/north/scene.tif", whole)
        sar_data.train.predict(segmented, "s3://scenes/north/scene.tif", out=tmp_path / "far")
        with pytest.raises(SourceError, match=r"s3://scenes/none\.tif: expected a GeoTIFF.*GDAL says: "):
            sar_data.train.predict(segmented, "s3://scenes/none.tif", out=tmp_path / "none")
    finally:
        server.shutdown()
    sar_data.train.predict(segmented, scene, out=tmp_path / "near")
    assert 0 < bucket.sent < 1 << 22
    np.testing.assert_array_equal(*(read(tmp_path / name / "masks" / "scene.tif") for name in ("far", "near")))


def test_power_is_converted_to_the_models_unit(segmented: Path, scene: Path, tmp_path: Path) -> None:
    power = (10 ** (of_scene(scene)[0].numpy() / 10)).astype(np.float32)
    linear = write(tmp_path / "linear.tif", power, ("Sigma0_VV", "Sigma0_VH"), nodata=np.nan)
    with pytest.raises(UsageError, match="expected values in dB, which the model takes, found VV between"):
        sar_data.train.predict(segmented, linear, out=tmp_path / "out")
    sar_data.train.predict(segmented, linear, out=tmp_path / "out", unit="POWER")
    sar_data.train.predict(segmented, scene, out=tmp_path / "dB")
    found, other = read(tmp_path / "out/masks/linear.tif"), read(tmp_path / "dB/masks/scene.tif")
    assert (found != other).mean() < 0.001  # what rounding moves


def test_what_the_model_cannot_see_is_answered_in_a_sentence(
    segmented: Path, finished: Finished, squares: str, scene: Path, tmp_path: Path
) -> None:
    unnamed = write(tmp_path / "unnamed.tif", of_scene(scene)[0].numpy())
    broken = tmp_path / "broken.tif"
    broken.write_bytes(scene.read_bytes()[:3000])
    complex_ = write(tmp_path / "complex.tif", np.zeros((2, 32, 32), np.complex64), ("VV", "VH"))
    empty = tmp_path / "empty"
    empty.mkdir()
    wrong: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (unnamed, {}, UsageError, "expected the bands VV, VH, which the model takes, found 1, 2: `bands=…`"),
        (unnamed, {"bands": ("VV",)}, UsageError, "expected 2 different names of bands, found VV"),
        (unnamed, {"bands": ("HH", "HV")}, UsageError, "found HH, HV"),
        (broken, {}, SourceError, "broken.tif"),
        (complex_, {}, SourceError, "expected real pixels, found complex64"),
        (empty, {}, SourceError, "expected a sealed build, images"),
        (tmp_path / "nothing", {}, SourceError, "found nothing"),
        (scene, {"split": "test"}, UsageError, "images, which have no splits"),
        (squares, {"unit": "power"}, UsageError, "a sealed build, which says them itself"),
        (squares, {"split": "tset"}, UsageError, "unknown split 'tset'"),
        (scene, {"unit": "dn"}, UsageError, "unknown unit 'dn'"),
        (scene, {"tile": 3}, UsageError, "expected 32 pixels or more"),
    ]
    for source, options, kind, message in wrong:
        with pytest.raises(kind, match=".*".join(message.split("…"))) as caught:
            sar_data.train.predict(segmented, source, out=tmp_path / "out", **options)
        assert message.split("…")[0] in str(caught.value)
    with pytest.raises(RunError, match="empty"):
        sar_data.train.predict(empty, scene, out=tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="expected a prediction or an empty folder"):
        sar_data.train.predict(segmented, scene, out=tmp_path / "full")


def test_the_command_prints_what_was_said(segmented: Path, scene: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["train", "predict", str(segmented), str(scene), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    counts = {line.rsplit(maxsplit=1)[0]: line.rsplit(maxsplit=1)[1] for line in result.stdout.splitlines()}
    assert counts["no data"] == "600"


@pytest.mark.learn
def test_a_scene_of_5000_pixels_is_mapped_as_well_as_its_tiles(landcover: str, tmp_path: Path) -> None:
    """A mosaic of patches from another seed than the model was trained on is mapped as the same patches alone.

    But for 16 pixels on both sides of its seams, where the model sees what no landscape has.
    """
    longer = {"crop": 64, "batch_size": 12, "epochs": 20, "lr": 0.008, "warmup": 3}
    model = tmp_path / "run"
    run("segment", landcover, model, Segment(**SEGMENT | WINDOWS | longer), say=print)
    catalog.synthesise("dfc2020")(tmp_path / "raw", count=100, seed=7)
    source, lists = tmp_path / "raw", tmp_path / "raw" / "lists"
    build = make(catalog.pipeline("dfc2020"), source, tmp_path / "out", split="copernicus-bench", lists=lists)
    stored = open_collection(build.path, split="train", normalize=None, fill=None)
    numbers, bands = np.arange(len(stored)), stored.channels
    batch, keys = stored.batch(numbers), stored.keys(numbers)
    stored.close()
    sar_data.train.predict(model, build.path, out=tmp_path / "tiles", split="train")
    alone = np.stack([read(tmp_path / "tiles" / "masks" / f"{key}.tif") for key in keys])
    image = mosaic(batch["image"])
    truth, tiles = (mosaic(masks[:, None])[0] for masks in (batch["target"], alone))
    scene = write(tmp_path / "scene.tif", image, bands, crs="EPSG:32633", transform=GRID, tiled=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sar_data.train.predict(model, scene, out=tmp_path / "map")
    print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MiB more")
    with rasterio.open(tmp_path / "map" / "masks" / "scene.tif") as file, rasterio.open(scene) as source:
        assert (file.crs, file.transform, file.shape) == (source.crs, source.transform, source.shape)
        assert (file.crs.to_epsg(), file.transform) == (32633, GRID)
    mask = read(tmp_path / "map" / "masks" / "scene.tif")
    inside = np.abs(np.arange(5000) % 256 - 127.5) < 112
    apart = np.where(inside & inside[:, None], truth, IGNORE)
    figures = [miou(target[None], said[None]) for target in (truth, apart) for said in (tiles, mask)]
    print("mIoU of patches and scene {:.3f} {:.3f}, without the seams {:.3f} {:.3f}".format(*figures))
    assert figures[2] > 0.4  # a model that has learnt something
    assert abs(figures[3] - figures[2]) < 0.01
    assert abs(figures[1] - figures[0]) < 0.03


def mosaic(patches: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return [band, 5000, 5000] of patches [patch, band, 256, 256] in turn, side by side."""
    side = 20
    order = np.arange(side * side) % len(patches)
    whole = patches[order].reshape(side, side, -1, 256, 256).transpose(2, 0, 3, 1, 4)
    return whole.reshape(-1, side * 256, side * 256)[:, :5000, :5000]

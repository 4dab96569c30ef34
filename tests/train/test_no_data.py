"""No data stays no data: an image, a window or a box of nothing has no class, wherever it comes from."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import sar_data.train
from sar_data.raster.scene import Place
from sar_data.record import IGNORE, Record, Sample
from sar_data.spec import Tree
from sar_data.train.inference import documents, parts
from sar_data.train.inference.answers import CLASSES
from sar_data.train.inference.documents import Answers
from sar_data.train.inference.images import Image
from sar_data.train.inference.parts import Parts, Whole
from tests.mini import invented
from tests.train.conftest import Finished
from tests.train.test_predict import read, write

pytestmark = pytest.mark.usefixtures("unrendered")

EMPTY = np.full((2, 6, 5), np.nan, np.float32)


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in pq.read_table(out / "classes.parquet").to_pylist()}


def shares_of(row: dict[str, Any]) -> list[float | None]:
    return [value for name, value in row.items() if name.startswith("share of ")]


def test_an_image_without_data_has_no_class(finished: Finished, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(-12, 4, EMPTY.shape).astype(np.float32)
    holed = pixels.copy()
    holed[:, :3] = np.nan
    for name, image in (("empty", EMPTY), ("full", pixels), ("holed", holed)):
        write(tmp_path / f"{name}.tif", image, ("VV", "VH"))
    said = sar_data.train.predict(finished.out, tmp_path, out=tmp_path / "out")
    rows, model = rows_of(tmp_path / "out"), sar_data.train.load(finished.out)
    assert said["no data"] == 1
    assert sum(said[name] for name in model.classes) == 2
    assert rows["empty"]["label"] is None
    assert shares_of(rows["empty"]) == [None] * len(model.classes)
    with torch.inference_mode():
        expected = model.probabilities(torch.from_numpy(np.stack([pixels, holed, EMPTY])))
    assert shares_of(rows["full"]) == pytest.approx(expected[0].tolist(), abs=1e-5)
    assert shares_of(rows["holed"]) == pytest.approx(expected[1].tolist(), abs=1e-5)
    assert expected[2].isnan().all()
    with (tmp_path / "out" / "classes.csv").open(newline="") as file:
        printed = {row["key"]: row for row in csv.DictReader(file)}
    assert {value for name, value in printed["empty"].items() if name in ("label", "share of wood")} == {""}
    assert printed["full"]["label"] in model.classes


def test_a_window_without_data_has_no_class(finished: Finished, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(-12, 4, (2, 80, 120)).astype(np.float32)
    pixels[:, :, :40] = -9999
    scene = write(tmp_path / "scene.tif", pixels, ("VV", "VH"), nodata=-9999)
    said = sar_data.train.predict(finished.out, scene, out=tmp_path / "out", tile=40)
    labels = {
        (row["top"], row["left"]): row["label"]
        for row in pq.read_table(tmp_path / "out" / "classes.parquet").to_pylist()
    }
    assert len(labels) == 6
    assert {place for place, label in labels.items() if label is None} == {(0, 0), (40, 0)}
    assert said["no data"] == 2


def test_an_image_of_a_build_without_data_has_no_class(finished: Finished, tmp_path: Path) -> None:
    made = invented.pipeline()

    def emptied(tree: Tree, record: Record) -> Sample:
        sample = made.read(tree, record)
        if record.key not in ("s0001", "s0004"):
            return sample
        return Sample(image=np.full_like(sample.image, np.nan), nodata=(30, 30))

    spec = dataclasses.replace(made.spec, may_be_empty=True)
    build = invented.sealed(
        dataclasses.replace(made, spec=spec, read=emptied), invented.archive(tmp_path / "raw", 8), tmp_path / "builds"
    ).path
    said = sar_data.train.predict(finished.out, build, out=tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert {key for key, row in rows.items() if row["label"] is None} == {"s0001", "s0004"}
    assert (len(rows), said["no data"], sum(said.values())) == (8, 2, 8)


def test_a_mask_without_data_is_no_data(segmented: Path, tmp_path: Path) -> None:
    pixels = np.full((2, 16, 16), np.nan, np.float32)
    write(tmp_path / "empty.tif", pixels, ("VV", "VH"))
    write(tmp_path / "full.tif", np.full_like(pixels, -12), ("VV", "VH"))
    said = sar_data.train.predict(segmented, tmp_path, out=tmp_path / "out")
    assert set(np.unique(read(tmp_path / "out" / "masks" / "empty.tif"))) == {IGNORE}
    assert IGNORE not in read(tmp_path / "out" / "masks" / "full.tif")
    assert said["no data"] == pixels[0].size


@pytest.mark.parametrize("large", [False, True], ids=["whole", "in blocks"])
def test_a_box_without_data_is_dropped(
    large: bool, detected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "BLOCKS", {"detection": 64})
    pixels = np.random.default_rng(0).integers(1, 255, (1, 96, 192 if large else 96)).astype(np.uint8)
    hole = (slice(0, 64), slice(0, 64))
    pixels[(0, *hole)] = 0
    write(tmp_path / "a.tif", pixels, nodata=0)
    write(tmp_path / "b.tif", np.zeros_like(pixels), nodata=0)
    with torch.inference_mode():
        (seen,) = sar_data.train.load(detected)(torch.full((1, 1, 96, 96), torch.nan))
    assert len(seen["boxes"])  # which the network finds where it sees nothing
    sar_data.train.predict(detected, tmp_path, out=tmp_path / "out", tile=96)
    rows = pq.read_table(tmp_path / "out" / "boxes.parquet").to_pylist()
    assert rows
    assert {row["key"] for row in rows} == {"a"}
    for row in rows:
        x0, y0 = np.floor([row["x0"], row["y0"]]).astype(int)
        x1, y1 = np.ceil([row["x1"], row["y1"]]).astype(int)
        assert pixels[0, y0:y1, x0:x1].any()
    document = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["a", "b"]
    assert {one["image_id"] for one in document["annotations"]} == {1}


def test_no_label_and_no_data_differ(tmp_path: Path) -> None:
    kept = Parts(tmp_path)
    shares = [[0.9, 0.6], [0.1, 0.2], None]
    kept.keep(0, pa.table([[0, 1, 2], [[0, 0, 6, 5]] * 3, shares], schema=CLASSES))
    images = [Image(key, 6, 5, Place()) for key in ("=a", "b", "c")]
    answers = Answers(images, [Whole((0, 1, 2))], kept, ("ship; boat", "ice"), {"ship; boat": 0.5, "ice": 0.5})
    assert documents.write_classes(tmp_path, answers) == {"ship; boat": 1, "ice": 1, "no data": 1}
    assert [row["label"] for row in rows_of(tmp_path).values()] == [["ship; boat", "ice"], [], None]
    lines = (tmp_path / "classes.csv").read_text().splitlines()
    assert lines[1:] == [
        '\'=a,0,0,6,5,,,,"[""ship; boat"", ""ice""]",0.8999999761581421,0.6000000238418579',
        "b,0,0,6,5,,,,[],0.10000000149011612,0.20000000298023224",
        "c,0,0,6,5,,,,,,",
    ]

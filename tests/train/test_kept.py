"""Answers and figures that are there already: what no work of ours left is refused, and what is read is said."""

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

import sar_data.train
from sar_data.errors import RunError, UsageError
from sar_data.train import predictions
from sar_data.train.inference.answers import CLASSES
from sar_data.train.inference.features import Unfinished
from sar_data.train.inference.parts import Parts
from tests.train.conftest import Finished
from tests.train.test_inference import judged

pytestmark = pytest.mark.usefixtures("unrendered")
BOMB = pa.table({"key": pa.array(["k" * 2000] * 1_000_000).dictionary_encode()})  # 2 GB in a few kilobytes


@pytest.fixture(scope="module")
def evaluation(finished: Finished, classes: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished evaluation of the split test."""
    out = tmp_path_factory.mktemp("kept") / "out"
    judged(finished.out, classes, out)
    return out


def changed(name: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, values)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: b"garbage",
        lambda table: BOMB,
        lambda table: table.drop_columns(["key"]),
        lambda table: table.drop_columns(["scores"]),
        changed("scores", pa.array([[1.0, 2.0]] * 8, pa.list_(pa.float32()))),
        changed("scores", pa.array([["high"] * 4] * 8)),
        changed("target", pa.array([999] * 8)),
        changed("key", pa.array([f"strange {number}" for number in range(8)])),
    ],
)
def test_kept_answers_that_the_model_does_not_give_are_refused(
    change: Callable[[pa.Table], Any], evaluation: Path, finished: Finished, classes: str, tmp_path: Path
) -> None:
    table = predictions.read(evaluation / predictions.NAME)[0]["test"].drop_columns(["position"])
    parts = tmp_path / "out" / ".parts"
    parts.mkdir(parents=True)
    shutil.copy(evaluation / "config.json", tmp_path / "out")
    planted = change(table.replace_schema_metadata())
    if isinstance(planted, bytes):
        (parts / "0000000.parquet").write_bytes(planted)
    else:
        pq.write_table(planted, parts / "0000000.parquet", store_schema=False)
    with pytest.raises(RunError, match=rf"{parts}.*expected .*Remove ({parts}|it) to (begin|evaluate) anew"):
        judged(finished.out, classes, tmp_path / "out")


@pytest.mark.parametrize("text", ["garbage", '{"test": [7]}', '{"test": {"count": "many"}}', '{"val": {"count": 7}}'])
def test_figures_that_are_none_are_refused(
    text: str, evaluation: Path, finished: Finished, classes: str, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(evaluation, tmp_path / "out"))
    (out / "metrics.json").write_text(text)
    with pytest.raises(RunError, match=rf"{out}/metrics.json: expected "):
        judged(finished.out, classes, out)


def test_figures_of_a_file_are_announced_and_those_of_another_version_refused(
    evaluation: Path, finished: Finished, classes: str, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(evaluation, tmp_path / "out"))
    _, lines = judged(finished.out, classes, out)
    assert lines[-1] == (
        f"{out} is finished: its figures are read from metrics.json, whoever wrote it; to evaluate anew take another "
        "`out=…`"
    )
    config = json.loads((out / "config.json").read_text())
    config["environment"]["sar-data"] = "0.0.1"
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"found one of 0\.0\.1: take another"):
        judged(finished.out, classes, out)


def test_kept_masks_have_the_type_and_the_shape_of_their_part(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts")
    path = tmp_path / "parts" / "0000000.npy"
    mask = np.arange(6, dtype=np.uint8).reshape(2, 3)
    parts.keep(0, mask)
    np.testing.assert_array_equal(parts.mask(0, (2, 3)), mask)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    pickled = path.read_bytes()
    np.save(path, mask.astype(float))
    for planted in (b"garbage", pickled, path.read_bytes()):
        path.write_bytes(planted)
        with pytest.raises(RunError, match=rf"{path}: expected a part .* Remove {tmp_path}/parts to begin anew"):
            parts.mask(0, (2, 3))
    parts.keep(0, mask)
    with pytest.raises(RunError, match=r"expected uint8 \(3, 3\), found uint8 \(2, 3\)"):
        parts.mask(0, (3, 3))


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"image": 700}, "image"),
        ({"image": None}, "image"),
        ({"window": None}, "window"),
        ({"shares": [1.0]}, "length of shares"),
        ({"shares": [float("nan")] * 4}, "shares"),
    ],
)
def test_kept_rows_of_other_images_or_classes_are_refused(
    row: dict[str, Any], name: str, finished: Finished, classes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"image": 0, "window": [0, 0, 8, 8], "shares": [0.25] * 4}
    planted = pa.Table.from_pylist([good | row], schema=CLASSES)
    monkeypatch.setattr("sar_data.train.inference.prediction.Answering.answer", lambda *given: planted)
    with pytest.raises(RunError, match=rf"0000000.parquet: expected a part of unfinished work: {name}: expected"):
        sar_data.train.predict(finished.out, classes, out=tmp_path / "out", split="test")


def test_kept_features_have_a_split_in_each_row(tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    Unfinished(out, {}).close()
    (parts,) = tmp_path.glob(".f.parquet.*.parts")
    for planted in (pa.table({"key": ["a"]}), pa.table({"split": [1]}), BOMB):
        pq.write_table(planted, parts / "0000000.parquet", store_schema=False)
        with pytest.raises(RunError, match=rf"{parts}/0000000.parquet: expected a part"):
            Unfinished(out, {})

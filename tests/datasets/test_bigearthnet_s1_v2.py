"""BigEarthNet v2.0 has labels and split from its table, leaves snow and clouds out unless asked, and reads its maps."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from pipelines.bigearthnet_s1_v2 import COLUMNS, EXTRA, PATCH, PIPELINE, SPLITS, TABLE
from pipelines.synth import bigearthnet_s1_v2
from sar_data.builder.fit import fit_source
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import corine, parquet
from sar_data.record import Record, SourceFile
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

MAPPED, ALL = PIPELINE.variants["segmentation"], PIPELINE.variants["all"]


@pytest.fixture(scope="module")
def reben_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reben")
    bigearthnet_s1_v2.synthesise(out, count=60, seed=0)
    return out


class TestBigEarthNetV2(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, reben_archive: Path) -> Path:
        return reben_archive


class TestBigEarthNetV2Maps(PipelineContract):
    pipeline = MAPPED

    @pytest.fixture
    def archive(self, reben_archive: Path) -> Path:
        return reben_archive

    def raw_bands(self, root: Path, record: Record) -> Any:
        return super().raw_bands(root, record)[:2]


def records(root: Path, pipeline: Pipeline = PIPELINE) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)}


@pytest.fixture
def copy(reben_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reben_archive, tmp_path / "raw"))


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def test_labels_are_indices_in_canonical_order_although_the_table_sorts_names(reben_archive: Path) -> None:
    rows = {row["s1_name"]: row for row in pq.read_table(reben_archive / TABLE).to_pylist()}
    for key, record in records(reben_archive).items():
        if key in rows:
            assert sorted(corine.CLASSES_19[i] for i in record.labels["clc19"]) == rows[key]["labels"]
            assert list(record.labels["clc19"]) == sorted(record.labels["clc19"])


def test_the_published_validation_is_val(reben_archive: Path, tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=PIPELINE, source=reben_archive, out=tmp_path)).manifest
    expected = Counter(SPLITS[name] for name in pq.read_table(reben_archive / TABLE)["split"].to_pylist())
    assert {split: made.splits[split].count for split in expected} == dict(expected)
    assert set(expected) == {"train", "val", "test"}


def test_snow_and_clouds_are_unused_with_the_reason_and_the_variant_all_takes_them(reben_archive: Path) -> None:
    extra = {row["s1_name"]: row for row in pq.read_table(reben_archive / EXTRA).to_pylist()}
    assert extra
    plain, union = records(reben_archive), records(reben_archive, ALL)
    assert plain.keys() == union.keys() >= extra.keys()
    reasons = {record.unused for record in plain.values() if record.key in extra}
    assert reasons <= {"seasonal snow", "cloud or shadow", "seasonal snow; cloud or shadow"}
    assert all(union[key].unused is None and union[key].official == SPLITS[row["split"]] for key, row in extra.items())
    assert all(record.unused is None for key, record in plain.items() if key not in extra)


def test_indices_have_no_leading_zero_in_the_patch_and_one_in_its_partner(reben_archive: Path) -> None:
    for record in records(reben_archive).values():
        assert PATCH.fullmatch(record.key)
        column, row = record.attrs["s2_name"].split("_")[-2:]
        assert (column, row) == (f"{record.attrs['column']:0>2}", f"{record.attrs['row']:0>2}")


def test_a_map_is_a_mask_of_the_19_classes_and_dropped_or_unlabelled_codes_are_ignored(reben_archive: Path) -> None:
    tree, found = Folder.at(reben_archive), records(reben_archive, MAPPED)
    ignored = 0
    for record in list(found.values())[:20]:
        with rasterio.open(reben_archive / record.files[2].path) as source:
            codes = source.read(1)
        mask = PIPELINE.variants["segmentation"].read(tree, record).mask
        assert mask is not None
        for code in np.unique(codes).tolist():
            index = None if code == 999 else corine.TO_19[corine.CODES.index(code)]
            assert set(np.unique(mask[codes == code]).tolist()) == {255 if index is None else index}
        ignored += int((mask == 255).sum())
        assert set(np.unique(mask).tolist()) - {255} <= set(record.labels["clc19"])
    assert ignored > 0


def test_every_code_of_the_nomenclature_goes_where_the_papers_table_sends_it() -> None:
    codes = np.array([[111, 112, 241, 333, 324, 122, 423, 999, 335, 523]])
    assert corine.mask_19(codes).tolist() == [[0, 0, 3, 11, 13, 255, 255, 255, 255, 18]]
    for wrong in (0, 113, 524, 1000, 65535):
        with pytest.raises(ValueError, match="level-3 codes or 999"):
            corine.mask_19(np.array([[wrong]], np.uint16))


def test_the_folder_of_patches_is_taken_for_a_part_of_the_dataset_above_it(copy: Path) -> None:
    source = next(path for path in copy.iterdir() if path.name.startswith("BigEarthNet-S1"))
    found = fit_source(PIPELINE, Folder.at(source), source)
    assert found.layout.startswith(f"one folder up, in {copy.name}")


def test_without_the_table_the_build_stops_and_says_what_it_has(copy: Path) -> None:
    (copy / TABLE).unlink()
    with pytest.raises(SourceError, match=r"expected metadata\.parquet beside"):
        records(copy)


def test_without_the_table_of_snow_and_clouds_as_in_mirrors_its_patches_are_unused(copy: Path) -> None:
    flagged = {key for key, record in records(copy).items() if record.unused}
    (copy / EXTRA).unlink()
    found = {key: record.unused for key, record in records(copy).items() if record.unused}
    assert found == dict.fromkeys(flagged, f"not in {TABLE}, and there is no {EXTRA}")
    assert flagged


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda rows: rows[0].update(labels=["Sea"]), BadRecord, "labels among the 19 classes"),
        (lambda rows: rows[0].update(split="val"), BadRecord, "a split of train, validation, test, found 'val'"),
        (lambda rows: rows.append(rows[0]), SourceError, "one row for each s1_name"),
        (lambda rows: rows.pop(), BadRecord, "in a table"),
    ],
)
def test_a_table_that_is_wrong_is_named(copy: Path, change: Any, error: type[Exception], reason: str) -> None:
    rewritten(copy / TABLE, change)
    with pytest.raises(error, match=reason):
        records(copy)


@pytest.mark.parametrize("data", [b"", b"PAR1 not quite", b"<html>"])
def test_a_file_that_is_no_table_is_named(copy: Path, data: bytes) -> None:
    (copy / TABLE).write_bytes(data)
    with pytest.raises(SourceError, match="expected a Parquet table"):
        records(copy)


def test_a_table_that_was_mended_is_read_anew(copy: Path) -> None:
    rewritten(copy / TABLE, lambda rows: rows[0].update(split="unknown"))
    with pytest.raises(BadRecord):
        records(copy)
    rewritten(copy / TABLE, lambda rows: rows[0].update(split="train"))
    assert records(copy)


@pytest.fixture(scope="module")
def real() -> dict[str, parquet.Table]:
    folder = SAMPLES / "bigearthnet-v2.0"
    if not folder.is_dir():
        pytest.skip(f"no real tables in {SAMPLES}: set SAR_DATA_SAMPLES")
    tree = Folder.at(folder)
    return {name: parquet.table(tree, name, "s1_name", COLUMNS) for name in (TABLE, EXTRA)}


def test_the_real_tables_give_the_published_splits(real: dict[str, parquet.Table]) -> None:
    published = {TABLE: (237_871, 122_342, 119_825), EXTRA: None}
    assert [len(real[name]) for name in (TABLE, EXTRA)] == [480_038, 69_450]
    for name, sizes in published.items():
        columns = real[name]._columns
        splits = columns["split"].to_pylist()
        made = [
            Record(key=k, files=(SourceFile(k, 1),), official=SPLITS[s])
            for k, s in zip(real[name]._row, splits, strict=True)
        ]
        found = Counter(PIPELINE.splits["official"].assign(made, seed=0, lists=ListsIn(SAMPLES)).split)
        assert sum(found.values()) == len(real[name])
        assert sizes is None or tuple(found[split] for split in ("train", "val", "test")) == sizes
        assert set(columns["labels"].flatten().unique().to_pylist()) == set(corine.CLASSES_19)
        assert all(PATCH.fullmatch(key) for key in real[name]._row)

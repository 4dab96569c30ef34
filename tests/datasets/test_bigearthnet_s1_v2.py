"""BigEarthNet v2.0 takes labels and splits from its tables, and nothing that the tables do not know."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from pipelines._bigearthnet_s1_v2 import COLUMNS, OFFICIAL, SNOW, TABLE, facts_of
from pipelines.bigearthnet_s1_v2 import PATCH, PIPELINE
from pipelines.synth import bigearthnet_s1_v2
from sar_data.build import build
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import corine, parquet
from sar_data.record import Record, SourceFile
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from tests.contract.pipelines import ListsIn, PipelineContract

SAMPLES = Path(os.environ.get("SAR_DATA_SAMPLES", Path(__file__).parents[3] / "shared" / "samples"))
UNION, SEGMENTED = (PIPELINE.variants[name] for name in ("union", "segmentation"))


def records(root: Path, pipeline: Pipeline = PIPELINE) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)}


@pytest.fixture(scope="module")
def v2_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("v2")
    bigearthnet_s1_v2.synthesise(out, count=32, seed=0)
    return out


@pytest.fixture
def copy(v2_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(v2_archive, tmp_path / "raw"))


class TestRecommended(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, v2_archive: Path) -> Path:
        return v2_archive


class TestUnion(TestRecommended):
    pipeline = UNION


class TestSegmentation(TestRecommended):
    pipeline = SEGMENTED

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return super().raw_bands(root, replace(record, files=record.files[:2]))


def test_snow_and_cloud_are_unused_with_the_reason_and_used_in_the_union(v2_archive: Path) -> None:
    plain, union = records(v2_archive), records(v2_archive, UNION)
    assert {record.unused for record in plain.values()} == {None, "seasonal snow", "cloud or shadow"}
    assert len(plain) == len(union) == 32
    assert {record.unused for record in union.values()} == {None}
    assert {key: record.labels for key, record in plain.items()} == {k: r.labels for k, r in union.items()}


def test_without_the_second_table_its_patches_are_unused_and_the_union_stops(v2_archive: Path, copy: Path) -> None:
    before = records(v2_archive)
    (copy / SNOW).unlink()
    for key, record in records(copy).items():
        assert (record.unused == "not in metadata.parquet") == (before[key].unused is not None)
    with pytest.raises(SourceError, match="variant union: expected metadata_for_patches"):
        records(copy, UNION)


def test_without_the_first_table_nothing_is_guessed(copy: Path) -> None:
    (copy / TABLE).unlink()
    with pytest.raises(SourceError, match=r"expected metadata.parquet beside BigEarthNet-S1/, found none"):
        records(copy)


def test_a_patch_that_no_table_knows_is_a_bad_record(copy: Path) -> None:
    table = pq.read_table(copy / TABLE)
    pq.write_table(table.slice(1), copy / TABLE)
    with pytest.raises(BadRecord, match=rf"expected a row of {table['s1_name'][0].as_py()}"):
        records(copy)


def test_the_table_may_lie_with_the_scenes_or_above_them(v2_archive: Path, copy: Path) -> None:
    wanted = {key: record.labels for key, record in records(v2_archive).items()}
    for name in (TABLE, SNOW):
        shutil.move(copy / name, copy / "BigEarthNet-S1" / name)
    for root in (copy, copy / "BigEarthNet-S1"):
        assert {key: record.labels for key, record in records(root).items()} == wanted


def rewritten(**columns: Callable[[Any], Any]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        rows = pq.read_table(root / TABLE).to_pylist()
        for column, change in columns.items():
            rows[0][column] = change(rows[0][column])
        pq.write_table(pa.Table.from_pylist(rows, bigearthnet_s1_v2.SCHEMA), root / TABLE)

    return damage


@pytest.mark.parametrize(
    ("damage", "kind", "reason"),
    [
        (rewritten(split=lambda _: "val"), BadRecord, "expected a split of train, validation, test, found 'val'"),
        (rewritten(labels=lambda _: ["Pasture"]), BadRecord, "found 'Pasture'; perhaps 'Pastures'"),
        (rewritten(labels=lambda _: ["Rice fields"]), BadRecord, "among the 19 classes"),
        (rewritten(labels=lambda _: []), BadRecord, "at least one label, found none"),
        (rewritten(country=lambda _: None), SourceError, "no missing values"),
        (lambda root: (root / TABLE).write_bytes(b"<!DOCTYPE html>"), SourceError, "expected a parquet table"),
        (lambda root: (root / TABLE).write_bytes(b""), SourceError, "expected a parquet table"),
        (lambda root: os.truncate(root / TABLE, 900), SourceError, "expected a parquet table"),
        (lambda root: pq.write_table(pq.read_table(root / TABLE).drop(["split"]), root / TABLE), SourceError,
         "found no split"),
        (lambda root: pq.write_table(pa.concat_tables([pq.read_table(root / TABLE)] * 2), root / TABLE), SourceError,
         "every s1_name once"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_as_published_stops_the_build(
    copy: Path, damage: Callable[[Path], Any], kind: type[Exception], reason: str
) -> None:
    damage(copy)
    with pytest.raises(kind, match=reason):
        records(copy)


def test_a_folder_that_is_no_patch_of_its_scene_is_a_bad_record(copy: Path) -> None:
    scene = next(folder for folder in sorted((copy / "BigEarthNet-S1").iterdir()))
    (scene / "S1A_IW_GRDH_1SDV_20990101T000000_33UUP_1_1").mkdir()
    with pytest.raises(BadRecord, match=f"expected a patch of scene {scene.name}"):
        records(copy)


def test_labels_are_canonical_though_the_table_sorts_them_by_name(v2_archive: Path) -> None:
    by_key = records(v2_archive)
    for row in pq.read_table(v2_archive / TABLE).to_pylist():
        assert row["labels"] == sorted(row["labels"])
        found = by_key[row["s1_name"]]
        assert [corine.CLASSES_19[i] for i in found.labels["clc19"]] == sorted(
            row["labels"], key=corine.CLASSES_19.index
        )
        assert found.official == {"validation": "val"}.get(row["split"], row["split"])
        assert found.attrs["s2_name"].endswith(f"_{int(found.attrs['column']):02}_{int(found.attrs['row']):02}")


def test_the_map_is_coded_into_the_19_classes_and_what_is_none_of_them_is_ignored(v2_archive: Path) -> None:
    tree = Folder.at(v2_archive)
    for record in [record for record in records(v2_archive, SEGMENTED).values() if not record.unused][:4]:
        mask = SEGMENTED.read(tree, record).mask
        assert mask is not None
        with rasterio.open(v2_archive / record.files[2].path) as source:
            codes = source.read(1)
        assert (mask[codes == 999] == 255).all()
        for code in np.unique(codes[codes != 999]).tolist():
            index = corine.TO_19[corine.CODES.index(code)]
            assert (mask[codes == code] == (255 if index is None else index)).all()
        assert tuple(np.unique(mask[mask != 255]).tolist()) == record.labels["clc19"]


def test_a_compressed_map_is_as_good_and_one_of_strange_codes_or_of_another_place_is_not(copy: Path) -> None:
    tree = Folder.at(copy)
    record = next(record for record in records(copy, SEGMENTED).values() if not record.unused)
    before, path = SEGMENTED.read(tree, record).mask, copy / record.files[2].path
    with rasterio.open(path) as source:
        profile, codes = source.profile, source.read()
    east = rasterio.Affine(10, 0, profile["transform"].c + 10, 0, -10, profile["transform"].f)
    for change, pixels, reason in (
        ({"compress": "deflate", "nodata": 0}, codes, None),
        ({}, np.where(codes == 999, 5, codes), r"level-3 codes such as 111 or 523, found \[5\]"),
        ({}, np.where(codes == 999, 60_000, codes), r"found \[60000\]"),
        ({"transform": east}, codes, "expected the georeference of"),
    ):
        path.unlink()
        with rasterio.open(path, "w", **{**profile, **change}) as target:
            target.write(pixels.astype(np.uint16))
        if reason is None:
            after = SEGMENTED.read(tree, record)
            assert np.array_equal(after.mask, before)  # type: ignore[arg-type]
            assert after.fallbacks == 1
        else:
            with pytest.raises(BadRecord, match=reason):
                SEGMENTED.read(tree, record)


def test_every_code_of_the_map_goes_to_its_published_class() -> None:
    published = {0: (111, 112), 1: (121,), 2: (211, 212, 213), 3: (221, 222, 223, 241), 4: (231,), 5: (242,), 6: (243,),
                 7: (244,), 8: (311,), 9: (312,), 10: (313,), 11: (321, 333), 12: (322, 323), 13: (324,), 14: (331,),
                 15: (411, 412), 16: (421, 422), 17: (511, 512), 18: (521, 522, 523),
                 255: (122, 123, 124, 131, 132, 133, 141, 142, 332, 334, 335, 423, 999, 0)}  # fmt: skip
    for index, codes in published.items():
        assert corine.mask_19(np.array([codes], np.uint16)).tolist() == [[index] * len(codes)]


def test_the_masks_pixels_are_counted_in_the_build(v2_archive: Path, tmp_path: Path) -> None:
    made = build(SEGMENTED, source=v2_archive, out=tmp_path)
    assert made.manifest.unused.keys() == {"seasonal snow", "cloud or shadow"}
    train = made.manifest.splits["train"]
    assert train.mask_pixels is not None
    assert sum(train.mask_pixels.values()) <= train.count * 120 * 120


@pytest.fixture(scope="module")
def real() -> Path:
    root = SAMPLES / "bigearthnet-v2.0"
    if not root.is_dir():
        pytest.skip(f"no real tables in {SAMPLES}: set SAR_DATA_SAMPLES")
    return root


CLASS_COUNTS = (63758, 11142, 188025, 29588, 95605, 99598, 122709, 33181, 135928, 154941, 165780, 11882, 13894, 141150,
                1316, 20919, 1397, 63212, 61832)  # fmt: skip


def test_the_real_tables_give_the_published_splits_and_classes(real: Path) -> None:
    shares: dict[str, Counter[str]] = {}
    files = (SourceFile("any", 1),)
    classes: Counter[int] = Counter()
    for name, size in ((TABLE, 480_038), (SNOW, 69_450)):
        table = pq.read_table(real / name, columns=["s1_name", "labels", "split"])  # all rows, none of the pixels
        keys, splits = table["s1_name"].to_pylist(), table["split"].to_pylist()
        assert all(map(PATCH.fullmatch, keys))
        made = [Record(key=key, files=files, official=OFFICIAL[split]) for key, split in zip(keys, splits, strict=True)]
        found = PIPELINE.splits["official"].assign(made, seed=0, lists=ListsIn(real))
        shares[name] = Counter(found.split)
        assert len(made) == size
        if name == TABLE:
            counted = Counter(table["labels"].combine_chunks().flatten().to_pylist())
            classes = Counter({corine.indices_19([label])[0]: n for label, n in counted.items()})
    assert shares[TABLE] == {"train": 237_871, "val": 122_342, "test": 119_825}
    assert shares[SNOW] == {"train": 34_673, "val": 17_235, "test": 17_542}
    assert tuple(classes[i] for i in range(19)) == CLASS_COUNTS


def test_a_real_patch_is_found_in_its_table(real: Path) -> None:
    tree = Folder.at(real)
    found = facts_of(tree, "", "unit", "S1B_IW_GRDH_1SDV_20170612T165809_33UUP_26_57")
    assert found is not None
    assert (found.labels, found.official, found.why) == ((2, 4, 8, 10), "test", None)
    snowy = pq.read_table(real / SNOW, columns=["s1_name"])["s1_name"][0].as_py()
    other = facts_of(tree, "", "unit", snowy)
    assert other is not None
    assert other.why in ("seasonal snow", "cloud or shadow")
    rows = parquet.read_rows((real / TABLE).read_bytes(), TABLE, "s1_name", COLUMNS)
    assert rows.get("S1B") is None
    assert rows.get("zzz") is None

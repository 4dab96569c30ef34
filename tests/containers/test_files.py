"""WebDataset, arrays with lists, and rows of Arrow and Parquet become the builds of their raw files."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.custom import PIPELINE as CUSTOM
from sar_data.containers.row_files import groups
from sar_data.errors import BadRecord, SarDataError, SourceError
from sar_data.own.pipeline import fit
from sar_data.public import leakage
from sar_data.raster import npz
from sar_data.sealed.opened import Build
from sar_data.sources.archives.open import open_tree
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from tests.containers import writers
from tests.containers.imports import imported, scanned
from tests.containers.writers import Written, encoded

Write = Callable[[Path, Build], None]
ALL = "random:train=1,val=0,test=0"
WRITERS: dict[str, Write] = {
    "webdataset of npy": writers.tars,
    "npy and lists": writers.lists,
    "npz and lists": lambda out, build: writers.lists(out, build, "npz"),
    "arrow, numbers": lambda out, build: writers.rows(out, build, "arrow", "numbers"),
    "arrow, files": lambda out, build: writers.rows(out, build, "arrow", "file"),
    "parquet, numbers": lambda out, build: writers.rows(out, build, "parquet", "numbers"),
    "parquet, files": lambda out, build: writers.rows(out, build, "parquet", "file"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_container_with_keys_has_the_content_digest_of_the_raw_files(
    kind: str, eurosat_build: Build, tmp_path: Path
) -> None:
    (tmp_path / "packed").mkdir()
    WRITERS[kind](tmp_path / "packed", eurosat_build)
    manifest = imported("eurosat-sar", tmp_path / "packed", tmp_path / "out").manifest
    assert manifest.content_digest == eurosat_build.manifest.content_digest
    assert manifest.imported_from
    packed = {path.relative_to(tmp_path / "packed").as_posix() for path in (tmp_path / "packed").rglob("[!.]*.*")}
    hashed = manifest.imported_from.sha256.keys()
    assert hashed == ({path for path in packed if "images/" not in path} if "lists" not in kind else set())


def test_compressed_shards_are_one_set_and_other_compressed_tars_are_not(eurosat_build: Build, tmp_path: Path) -> None:
    (packed := tmp_path / "packed").mkdir()
    writers.tars(packed, eurosat_build, packed=".gz")
    assert len([*packed.iterdir()]) > 2
    manifest = imported("eurosat-sar", packed, tmp_path / "out").manifest
    assert manifest.content_digest == eurosat_build.manifest.content_digest
    for number, path in enumerate(sorted(packed.glob("*.tar.gz"))):
        path.rename(packed / f"{'ab'[number % 2]}.tar.gz")
    with pytest.raises(SourceError, match="expected one archive to unpack, found 2"):
        open_tree(packed)


@pytest.mark.parametrize("kind", ["webdataset of npy", "npy and lists", "arrow, numbers", "parquet, files"])
def test_several_labels_a_sample_are_the_classes_they_mean(
    kind: str, bigearthnet: Pipeline, ben_build: Build, tmp_path: Path
) -> None:
    WRITERS[kind](tmp_path, ben_build)
    found = {record.key: list(record.labels["clc19"]) for record in scanned(bigearthnet, tmp_path)}
    assert found == {one.key: one.labels for one in writers.samples(ben_build)}


def write_tifs(out: Path, build: Build) -> None:
    """Write tars of GeoTIFFs, which are a known copy of EuroSAT-SAR, too: its patches' names tell their classes."""
    writers.tars(out, build, "tif")


@pytest.mark.parametrize("kind", ["webdataset of npy", "webdataset of tif", "arrow, numbers", "parquet, files"])
def test_a_container_of_ones_own_has_the_classes_and_splits_that_it_says(
    kind: str, eurosat_build: Build, tmp_path: Path
) -> None:
    (tmp_path / "packed").mkdir()
    WRITERS.get(kind, write_tifs)(tmp_path / "packed", eurosat_build)
    made = imported("custom", tmp_path / "packed", tmp_path / "out", unit="dB", declare={"bands": ["VV", "VH"]})
    (task,) = made.manifest.tasks
    names = tuple(map(str, range(10))) if kind.startswith("web") else writers.classes(eurosat_build)
    assert (tuple(task.classes), made.manifest.split_policy.policy) == (names, "container")
    ours, theirs = (
        {row["key"]: (row["split"], row["label_indices"], row["xxh3"]) for row in one.index().to_pylist()}
        for one in (made, eurosat_build)
    )
    assert ours == theirs


def test_members_keep_georeference_mask_and_bands_of_their_own_files(one: Written, tmp_path: Path) -> None:
    mask = np.zeros(one.image.shape[1:], np.uint8)
    for key in ("a", "b", "c"):
        (tmp_path / f"{key}.vv.tif").write_bytes(encoded(one.image[:1], "tif"))
        (tmp_path / f"{key}.vh.tif").write_bytes(encoded(one.image[1:], "tif"))
        (tmp_path / f"{key}.cls").write_text("1")
        (tmp_path / f"{key}.mask.npy").write_bytes(encoded(mask, "npy"))
    made = imported(
        "custom",
        tmp_path,
        tmp_path / "out",
        unit="dB",
        declare={"task": "segmentation", "classes": ["land", "water"], "split": ALL},
    )
    assert [band.name for band in made.manifest.bands] == ["VV", "VH"]
    rows = made.index().to_pylist()
    assert {row["crs"] for row in rows} == {"EPSG:32633"}
    assert len({row["mask_xxh3"] for row in rows}) == 1
    assert all(row["footprint"] for row in rows)


def test_leakage_is_known_of_a_container_without_a_build(eurosat_build: Build, tmp_path: Path) -> None:
    writers.tars(tmp_path, eurosat_build)
    assert leakage(tmp_path, full=True)["duplicate"].value == 0
    named = leakage(tmp_path, dataset="eurosat-sar", full=True, against=eurosat_build.path)
    assert (named["key"].value, named["near_duplicate"].value) == (1, 1)


BROKEN: dict[str, tuple[Callable[[Path, Written], None], str]] = {
    "a class that is none": (lambda at, one: (at / "b.cls").write_text("99") and None, "expected one of 10 classes"),
    "an empty class": (
        lambda at, one: (at / "b.cls").write_text("") and None,
        "b.cls: expected the file, found an empty one",
    ),
    "a cut array": (
        lambda at, one: (at / "b.npy").write_bytes(encoded(one.image, "npy")[:200]) and None,
        "b.npy: expected 32,768 bytes",
    ),
    "an array of objects": (
        lambda at, one: np.save(at / "b.npy", np.array([{}], object), allow_pickle=True),
        "expected numbers, found an array of object",
    ),
    "another size": (
        lambda at, one: (at / "b.npy").write_bytes(encoded(one.image[:, :32, :32], "npy")) and None,
        r"expected \(64, 64\) pixels",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_wrong_member_is_named(kind: str, one: Written, tmp_path: Path) -> None:
    for key in "ab":
        (tmp_path / f"{key}.npy").write_bytes(encoded(one.image, "npy"))
        (tmp_path / f"{key}.cls").write_text("1")
    spoil, says = BROKEN[kind]
    spoil(tmp_path, one)
    with pytest.raises(BadRecord, match=says):
        imported("eurosat-sar", tmp_path, tmp_path / "out", split=ALL)


def test_wrong_rows_and_columns_are_named(eurosat: Pipeline, one: Written, tmp_path: Path) -> None:
    good = {"bytes": encoded(one.image, "npy"), "path": "a.npy"}
    path = tmp_path / "train-0.parquet"
    for cell, label, says in (
        ({"bytes": b"<html>", "path": "b"}, 1, "key b: expected an image .*found bytes that begin with b'<html>'"),
        (None, 1, "row 1: expected an image"),
        (good | {"path": "b.npy"}, 77, "key b: expected one of 10 classes"),
    ):
        pq.write_table(pa.table({"image": [good, cell], "label": [1, label]}), path)
        with pytest.raises(BadRecord, match=says):
            scanned(eurosat, tmp_path)
    ragged = pa.array([[[1.0, 2.0], [3.0]]], pa.list_(pa.list_(pa.float32())))
    pq.write_table(pa.table({"image": ragged, "label": [1]}), path)
    with pytest.raises(BadRecord, match="expected rows of one length"):
        scanned(eurosat, tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SarDataError):
        scanned(eurosat, tmp_path)


def test_files_of_several_columns_and_words_that_are_no_split_are_refused(
    eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    cell = {"bytes": encoded(one.image, "npy"), "path": "a.npy"}
    pq.write_table(pa.table({"image": [cell], "label": [1], "split": ["dev7"]}), tmp_path / "a.parquet")
    with pytest.raises(BadRecord, match="expected the split train, val or test, found 'dev7'"):
        scanned(eurosat, tmp_path)
    pq.write_table(pa.table({"img": [cell]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match="expected files of the same columns"):
        scanned(eurosat, tmp_path)


def test_a_damaged_stream_ends_in_a_sentence(eurosat: Pipeline, eurosat_build: Build, tmp_path: Path) -> None:
    writers.rows(tmp_path, eurosat_build, "arrow", "file")
    path = tmp_path / "train" / "data-00000-of-00001.arrow"
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for number in range(60):
        damaged = bytearray(whole)
        for at in random.integers(0, 4096, 4):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged if number % 3 else whole[: random.integers(len(whole))])
        with suppress(SarDataError):  # any other exception is a fault
            scanned(eurosat, tmp_path)


def test_json_that_is_none_is_named(one: Written, tmp_path: Path) -> None:
    for key in "abc":
        (tmp_path / f"{key}.npy").write_bytes(encoded(one.image, "npy"))
        (tmp_path / f"{key}.json").write_text(json.dumps({"label": "Forest"}))
    (tmp_path / "c.json").write_text("{'label': 1}")
    with pytest.raises(BadRecord, match=r"c.json: expected a JSON object, found none"):
        imported("eurosat-sar", tmp_path, tmp_path / "out", split=ALL)


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_a_few_bytes_of_arrow_do_not_ask_for_gigabytes(eurosat: Pipeline, tmp_path: Path, kind: str) -> None:
    count = 50_000_000
    image = pa.array(np.zeros(count, np.float32))
    for length in (count, 1, 1):
        image = pa.ListArray.from_arrays(pa.array([0, length], pa.int32()), image)
    table = pa.table({"image": image})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    new = {"stream": pa.ipc.new_stream, "file": pa.ipc.new_file}[kind]
    with new(tmp_path / "train.arrow", table.schema, options=options) as writer:
        writer.write_table(table)
    assert (tmp_path / "train.arrow").stat().st_size < 1 << 16
    with pytest.raises(BadRecord, match=r"expected groups of rows of at most [0-9,]+ bytes in memory, found one of 20"):
        scanned(eurosat, tmp_path)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (pa.list_(pa.list_(pa.float32())), "too small in array"),
        (pa.list_(pa.list_(pa.float32(), 0), 0), "expected at most [0-9,]+ rows, found 1,073,741,824"),
    ],
    ids=["lists", "columns without bytes"],
)
def test_a_message_that_says_too_many_rows_is_refused(kind: pa.DataType, says: str, tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([[]] * 321, kind)})
    with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    assert groups(Folder.at(tmp_path), "a.arrow").rows == 321
    data = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "b.arrow").write_bytes(data.replace(struct.pack("<q", 321), struct.pack("<q", 1 << 30)))
    with pytest.raises(BadRecord, match=f"b.arrow: .*{says}"):
        groups(Folder.at(tmp_path), "b.arrow")


def test_rows_in_the_place_of_a_schema_end_no_process(tmp_path: Path) -> None:
    batch = pa.record_batch({"image": [[[1.0]]], "label": [1]})
    rows, schema = batch.serialize().to_pybytes(), batch.schema.serialize().to_pybytes()
    for messages, says in (
        (rows + rows, "expected a schema, found a record batch"),
        (schema + schema, "expected a record batch, found a schema"),
        (schema.replace(b"image", b"imag\xff") + rows, "codec can't decode"),
    ):
        (tmp_path / "a.arrow").write_bytes(messages)
        with pytest.raises(BadRecord, match=rf"a\.arrow: .*{says}"):
            groups(Folder.at(tmp_path), "a.arrow")
        groups.cache_clear()


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
def test_compressed_rows_are_read(eurosat: Pipeline, one: Written, tmp_path: Path, compression: str | None) -> None:
    kind = pa.list_(pa.list_(pa.list_(pa.float32())))
    table = pa.table({"image": pa.array([one.image.tolist()] * 3, kind)})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(tmp_path / "train.feather", table.schema, options=options) as writer:
        writer.write_table(table)
    assert len(scanned(eurosat, tmp_path)) == 3


def test_a_few_bytes_of_npz_do_not_ask_for_gigabytes(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", image=np.zeros((2, 4096, 4096), np.float32))
    data = (tmp_path / "x.npz").read_bytes()
    with pytest.raises(BadRecord, match=r"x\.npz: expected arrays of at most 67,108,864 bytes, found 134,217,856"):
        npz.arrays(data, "x.npz")


def test_paths_that_are_numbers_and_bands_of_another_dataset_are_named(
    eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    pq.write_table(
        pa.table({"image": pa.array([{"bytes": encoded(one.image, "npy"), "path": 7}])}), tmp_path / "a.parquet"
    )
    assert len(scanned(eurosat, tmp_path)) == 1
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "a.npy").write_bytes(encoded(one.image, "npy"))
    (tmp_path / "a.json").write_text(json.dumps({"label": 1, "bands": ["a", "b"]}))
    with pytest.raises(SourceError, match=r"a\.npy, key a: expected the bands VV, VH, found a, b"):
        scanned(eurosat, tmp_path)


def test_bands_in_another_order_are_refused_and_not_swapped(eurosat: Pipeline, one: Written, tmp_path: Path) -> None:
    for key, bands in (("a", ["VV", "VH"]), ("b", ["VV", "VH"]), ("c", ["VH", "VV"])):
        (tmp_path / f"{key}.npy").write_bytes(encoded(one.image, "npy"))
        (tmp_path / f"{key}.json").write_text(json.dumps({"label": 1, "bands": bands}))
    with pytest.raises(
        BadRecord, match=r"c\.npy, key c: expected the bands' names VV, VH, as .*key a has, found VH, VV"
    ):
        scanned(eurosat, tmp_path)
    (tmp_path / "c.json").write_text(json.dumps({"label": 1}))
    with pytest.raises(BadRecord, match=r"key c: expected the bands' names VV, VH, as .*key a has, found none"):
        scanned(eurosat, tmp_path)


@pytest.mark.parametrize(("first", "second"), [("label", "Label"), ("Image", "image")])
def test_columns_of_one_name_in_two_spellings_are_refused(
    first: str, second: str, eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    cell = {"bytes": encoded(one.image, "npy"), "path": "a.npy"}
    table = {"image": [cell], "label": [1]}
    both = {name: table[name.lower()] for name in (first, second)}
    pq.write_table(pa.table(table | both), tmp_path / "train.parquet")
    with pytest.raises(BadRecord, match=rf"expected one column {first.lower()}, found .*{first.title()}"):
        scanned(eurosat, tmp_path)


def test_a_key_twice_in_a_table_has_the_same_labels_or_is_refused(
    eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    pq.write_table(
        pa.table({"image": [{"bytes": encoded(one.image, "npy"), "path": f"{key}.npy"} for key in "abc"]}),
        tmp_path / "train.parquet",
    )
    path = tmp_path / "labels.csv"
    path.write_text("patch,label\na,1\nb,2\nc,1\na,1\n")
    assert [[*record.labels.values()] for record in scanned(eurosat, tmp_path)] == [[(1,)], [(2,)], [(1,)]]
    path.write_text("patch,label\na,1\nb,2\nc,1\na,2\n")
    with pytest.raises(BadRecord, match=r"labels\.csv: patch a: expected one label, found 1, 2: keep one row a key"):
        scanned(eurosat, tmp_path)


FLAGS = {(0, 1): (1,), (1, 0): (0,), (1, 1): (0, 1)}
"""Lists of 0 and 1 → the classes that they mean."""


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_zeros_and_ones_of_two_classes_are_no_numbers_of_classes(kind: str, one: Written, tmp_path: Path) -> None:
    for key, flags in zip("abc", FLAGS, strict=True):
        (tmp_path / f"{key}.npy").write_bytes(encoded(one.image, "npy"))
        (tmp_path / f"{key}.json").write_text(
            json.dumps({"label": flags} if kind == "json" else {"bands": ["VV", "VH"]})
        )
    if kind == "csv":
        (tmp_path / "labels.csv").write_text("name,label\na,0;1\nb,1;0\nc,1;1\n")
    if kind == "parquet":
        pq.write_table(
            pa.table({"name": [*"abc"], "label": [[*flags] for flags in FLAGS]}), tmp_path / "labels.parquet"
        )
    tree, declared = Folder.at(tmp_path), {"unit": "dB", "bands": ("VV", "VH")}
    for classes in ((), ("sea", "ice")):
        found, _ = fit(tree, CUSTOM, declared | ({"classes": classes} if classes else {}))
        assert found.spec.tasks[0].classes == (classes or ("0", "1"))
        records = [record for unit in found.units(tree) for record in found.scan(tree, unit)]
        assert [record.labels["labels"] for record in records] == [*FLAGS.values()]


def test_lists_of_two_that_may_be_either_ask_for_the_classes(eurosat: Pipeline, one: Written, tmp_path: Path) -> None:
    for key, flags in (("a", [1, 0]), ("b", [0, 1])):
        (tmp_path / f"{key}.npy").write_bytes(encoded(one.image, "npy"))
        (tmp_path / f"{key}.json").write_text(json.dumps({"label": flags}))
    with pytest.raises(SourceError, match=r"labels: expected lists of 0 and 1 for each class, .*: give `classes=…`"):
        fit(Folder.at(tmp_path), CUSTOM, {"unit": "dB", "bands": ("VV", "VH")})
    (tmp_path / "b.json").write_text(json.dumps({"label": [0, 0, 1]}))
    with pytest.raises(SourceError, match=r"for each of 10 classes, or lists of numbers .* found \[0, 0, 1\] beside"):
        scanned(eurosat, tmp_path)


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (("b.npy", "b.image.npy"), "image"),
        (("b.npy", "b.vv.npy"), "image"),
        (("b.vv.npy", "b.vv.tif", "b.vh.npy"), "image"),
        (("b.npy", "b.cls", "b.CLS"), "cls"),
        (("b.npy", "b.mask.npy", "b.seg.npy"), "mask"),
    ],
)
def test_several_files_for_one_part_of_a_sample_are_refused_by_name(
    names: tuple[str, ...], part: str, eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    for name in ("a.npy", "a.cls", "c.npy", "c.cls", *names):
        (tmp_path / name).write_bytes(b"1" if name[2:].lower() == "cls" else encoded(one.image, name[-3:]))
    with pytest.raises(BadRecord, match=rf"key b: expected one file as its {part}, found b.*, b.*: rename or remove"):
        scanned(eurosat, tmp_path)

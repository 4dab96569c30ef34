"""Shards and indices of a stranger: what lies elsewhere, is no file, or changes meanwhile, is refused by name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.sealed.verify import verify
from sar_data.stream.dataset import Stream
from tests.mini import invented
from tests.mini.builds import CONTAINERS
from tests.mini.resealed import edit, resealed

SHARDS = {
    "lmdb": "train/data.mdb",
    "webdataset": "train/000001.tar",
    "zarr": "train/image/c/1/0/0/0",
    "zarr+zstd": "train/image/c/1/0/0/0",
}


@pytest.fixture
def copy(small: dict[str, Build], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(small[name].path, tmp_path / name / small[name].path.name))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Builds with objects and sizes of their own, or with masks."""
    root = tmp_path_factory.mktemp("several")
    ragged = invented.archive(root / "ragged", 24, ragged=True)
    plain = invented.archive(root / "plain", 24)
    objects, masks = invented.pipeline("detection", shape=None), invented.pipeline("segmentation")
    return {
        "lmdb": invented.sealed(objects, ragged, root / "out", format="lmdb").path,
        "webdataset": invented.sealed(objects, ragged, root / "out", format="webdataset").path,
        "masks": invented.sealed(masks, plain, root / "masks", format="webdataset").path,
        "zarr": invented.sealed(masks, plain, root / "masks", format="zarr").path,
    }


def epochs(path: Path, count: int = 2, **options: Any) -> None:
    with Stream(path, batch_size=4, shuffle=False, **options) as stream:
        for _ in range(count):
            for _ in stream:
                pass


def rewritten(path: Path, name: str, change: Callable[[list[Any]], object], kind: pa.DataType | None = None) -> None:
    """Change one column of the index of a build, and the sums that cover it."""
    table = pq.read_table(path / INDEX_NAME)
    values = table[name].to_pylist()
    change(values)
    at = table.column_names.index(name)
    column = pa.array(values, kind or table.schema.field(name).type)
    pq.write_table(table.set_column(at, pa.field(name, column.type), column), path / INDEX_NAME)
    resealed(path)


def refused(path: Path, words: str, **options: Any) -> None:
    for io in ("mmap", "pread"):
        with pytest.raises(BuildError, match=words):
            epochs(path, io=io, **options)
    assert any(problem.what == INDEX_NAME for problem in verify(path))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_a_pipe_a_device_or_a_folder_in_the_place_of_a_shard_does_not_hang(
    copy: Callable[[str], Path], container: str, io: str
) -> None:
    path = copy(container)
    shard = path / SHARDS[container]
    for put in (os.mkfifo, lambda there: there.symlink_to("/dev/zero"), Path.mkdir):
        shard.unlink() if not shard.is_dir() else shard.rmdir()
        put(shard)
        with pytest.raises(BuildError, match=f"{SHARDS[container]}: expected a regular file"):
            epochs(path, io=io)
    assert any(SHARDS[container] in problem.what for problem in verify(path, full=True))


@pytest.mark.parametrize("name", [INDEX_NAME, NAME, SUMS_NAME, SAMPLES_NAME])
def test_a_pipe_or_a_device_in_the_place_of_a_document_does_not_hang(copy: Callable[[str], Path], name: str) -> None:
    path = copy("lmdb")
    for put in (os.mkfifo, lambda there: there.symlink_to("/dev/zero")):
        (path / name).unlink()
        put(path / name)
        assert any(problem.what == name for problem in verify(path, full=True))
        if name in (INDEX_NAME, NAME):
            with pytest.raises(BuildError, match=f"{name}: expected a regular file"):
                epochs(path)


@pytest.mark.parametrize("container", ["webdataset", "zarr"])
@pytest.mark.parametrize("size", [0, 100, 100_000])
def test_a_shard_of_another_size_is_not_read(copy: Callable[[str], Path], container: str, size: int) -> None:
    path = copy(container)
    os.truncate(path / SHARDS[container], size)
    for io in ("mmap", "pread"):
        with pytest.raises(BuildError, match=rf"{SHARDS[container]}: expected \d+ bytes, found {size}"):
            epochs(path, io=io)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_shard_that_is_cut_between_two_epochs_ends_an_epoch_that_reads_in_an_error(
    copy: Callable[[str], Path], container: str
) -> None:
    path = copy(container)
    with Stream(path, batch_size=4, shuffle=False, io="pread") as stream:
        assert sum(len(batch["key"]) for batch in stream) > 0
        os.truncate(path / SHARDS[container], 4096 if container == "lmdb" else 10)
        with pytest.raises(BuildError, match=SHARDS[container]):
            for _ in stream:
                pass


@pytest.mark.parametrize("container", ["webdataset", "zarr"])
@pytest.mark.parametrize("offset", [-1, -(2**63), 2**40, 2**63 - 1, 1, 4, 240 * 16 - 4, None])
def test_an_offset_that_leads_elsewhere_is_refused(
    copy: Callable[[str], Path], container: str, offset: int | None
) -> None:
    path = copy(container)
    rewritten(path, "offset", lambda values: values.__setitem__(20, offset))
    refused(path, "offset")


@pytest.mark.parametrize("name", ["masks", "zarr"])
@pytest.mark.parametrize("offset", [-1, 2**40, 7, None])
def test_a_mask_s_offset_that_leads_elsewhere_is_refused(
    several: dict[str, Path], tmp_path: Path, name: str, offset: int | None
) -> None:
    path = Path(shutil.copytree(several[name], tmp_path / several[name].name))
    rewritten(path, "mask_offset", lambda values: values.__setitem__(3, offset))
    refused(path, "mask_offset")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("shard", value) for value in (-1, 11, 2**31 - 1)] + [("position", value) for value in (-1, 16, None)],
)
def test_a_shard_or_a_slot_that_is_not_there_is_refused(
    copy: Callable[[str], Path], container: str, name: str, value: int | None
) -> None:
    path = copy(container)
    rewritten(path, name, lambda values: values.__setitem__(20, value))
    assert any(problem.what == INDEX_NAME for problem in verify(path))
    if name == "shard" or container == "zarr+zstd":
        refused(path, name)


@pytest.mark.parametrize("name", ["lmdb", "webdataset"])
@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (4096, 4096), (0, 5), (-1, 5), (None, 5), (100, 100)])
def test_a_height_and_width_that_the_shard_has_no_room_for_are_refused(
    several: dict[str, Path], tmp_path: Path, name: str, size: Sequence[int | None]
) -> None:
    path = Path(shutil.copytree(several[name], tmp_path / several[name].name))
    for column, value in zip(("height", "width"), size, strict=True):
        rewritten(path, column, lambda values, value=value: values.__setitem__(3, value))
    refused(path, "height|width|size", crop=6)


def test_a_height_and_width_that_disagree_with_the_value_are_refused(several: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copytree(several["lmdb"], tmp_path / several["lmdb"].name))

    def swapped(values: list[int]) -> None:
        other = next(i for i, value in enumerate(values) if value != values[0])
        values[0], values[other] = values[other], values[0]

    rewritten(path, "height", swapped)
    with pytest.raises(BuildError, match="has another header or size than the manifest says"):
        epochs(path, crop=6)
    assert any(problem.key for problem in verify(path, full=True))


def test_images_that_are_larger_than_the_build_are_refused(copy: Callable[[str], Path]) -> None:
    path = copy("zarr")
    rewritten(path, "height", lambda values: values.__setitem__(3, 7))
    assert [p.what for p in verify(path)] == [INDEX_NAME]
    with pytest.raises(BuildError, match="height"):
        Build.open(path).index()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("objects", lambda objects: objects[0].update(label=4), "labels below 4"),
        ("objects", lambda objects: objects[0].update(label=-1), "labels below 4"),
        ("objects", lambda objects: objects[0].update(box=[1.0, 2.0]), "boxes of 4 numbers"),
        ("objects", lambda objects: objects[0].update(box=None), "objects.box: expected values"),
        ("objects", lambda objects: objects[0].update(rotated=[1.0]), "rotated boxes of 5 numbers"),
        ("objects", lambda objects: objects[0].update(polygons=[[1.0, 2.0, 3.0]]), "outlines of x and y"),
        ("objects", lambda objects: objects.append(None), "objects.*: expected values"),
        ("label_indices", lambda indices: indices.append(4), "classes below 4"),
        ("label_indices", lambda indices: indices.append(-5), "classes below 4"),
        ("targets", lambda targets: targets[0]["labels"].append(99), "classes of cover below 4"),
    ],
)
def test_labels_and_objects_that_lead_out_of_their_lists_are_refused(
    several: dict[str, Path], tmp_path: Path, name: str, change: Callable[[Any], object], words: str
) -> None:
    path = Path(shutil.copytree(several["webdataset"], tmp_path / several["webdataset"].name))
    rewritten(path, name, lambda values: change(next(value for value in values if value)))
    with pytest.raises(BuildError, match=words):
        Build.open(path).index()
    if name == "objects":
        refused(path, words, crop=6)


@pytest.mark.parametrize("name", ["files", "targets", "objects", "attrs", "labels", "label_indices", "masked"])
def test_a_row_without_a_list_is_refused(several: dict[str, Path], tmp_path: Path, name: str) -> None:
    path = Path(shutil.copytree(several["webdataset"], tmp_path / several["webdataset"].name))
    rewritten(path, name, lambda values: values.__setitem__(0, None))
    assert [problem.what for problem in verify(path, full=True)] == [INDEX_NAME]
    with pytest.raises(BuildError, match=f"{name}.*null|{name} None"):
        Build.open(path).index()


UNUSED = {
    **dict.fromkeys(("shard", "position", "offset", "mask_offset", "xxh3", "mask_xxh3", "labels", "label_indices")),
    **{"split": "unused", "reason": "cloud", "key": "zzz"},
}
FAR = 2**62  # microseconds from 1970: Python has no such date


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("files", [], "one file at least"),
        ("files", None, "files: expected a list"),
        ("transform", [1.0, 2.0], "6 numbers or null"),
        ("transform", [float("nan")] * 6, "6 numbers or null"),
        ("footprint", [1.0], "4 numbers or null"),
        ("time", FAR, "a time of 1900 to 2200"),
        ("time", -(2**63), "a time of 1900 to 2200"),
        ("dates", [{"role": "after", "time": FAR, "platform": None, "relative_orbit": None}], "times of 1900 to 2200"),
        ("objects", None, "objects: expected a list"),
        ("objects", {"box": [1.0]}, "boxes of 4 numbers"),
        ("objects", {"box": [0.0, 0.0, 1e300, 1.0]}, "objects within 16777216 pixels"),
        ("objects", {"box": [0.0, 0.0, float("nan"), 1.0]}, "objects within 16777216 pixels"),
        ("objects", {"rotated": [1.0]}, "rotated boxes of 5 numbers"),
        ("objects", {"rotated": [0.0, 0.0, 1.0, 1.0, float("inf")]}, "objects within 16777216 pixels"),
        ("objects", {"rotated": [5.0, 5.0, -4.0, 2.0, 0.0]}, "rotated boxes with sides above 0"),
        ("objects", {"rotated": [5.0, 5.0, 4.0, 0.0, 0.0]}, "rotated boxes with sides above 0"),
        ("objects", {"rotated": [5.0, 5.0, 4.0, float("nan"), 0.0]}, "objects within 16777216 pixels"),
        ("objects", {"polygons": [[1.0]]}, "outlines of x and y"),
        ("objects", {"polygons": [[0.0, 0.0, -1e300, 1.0]]}, "objects within 16777216 pixels"),
        ("objects", {"label": 99}, "labels below 4"),
        ("targets", [{"task": "cover", "labels": [99]}], "classes of cover below 4"),
    ],
)
@pytest.mark.parametrize("used", [True, False])
def test_what_a_row_says_of_its_record_is_checked_whether_it_is_used_or_not(
    several: dict[str, Path], tmp_path: Path, name: str, value: Any, words: str, used: bool
) -> None:
    path = Path(shutil.copytree(several["webdataset"], tmp_path / several["webdataset"].name))
    table = pq.read_table(path / INDEX_NAME)
    kinds = {field.name: field.type for field in table.schema}
    first = next(i for i, objects in enumerate(table["objects"].to_pylist()) if objects)
    if isinstance(value, dict):
        value = [{**table["objects"][first].as_py()[0], **value}]

    def cell(column: str, item: Any) -> pa.Array:
        if name in ("time", "dates") and column == name:
            return _far(item, kinds[column])
        return pa.array([item], kinds[column])

    row = {column: table[column][first].as_py() for column in table.column_names if column not in ("time", "dates")}
    row = {**row, **({} if used else UNUSED), name: value}
    columns = [cell(column, row[column]) if column in row else pa.nulls(1, kinds[column]) for column in kinds]
    changed = pa.Table.from_arrays(columns, schema=table.schema)
    parts = [table.slice(0, first), *[changed] * used, table.slice(first + 1), *[changed] * (not used)]
    pq.write_table(pa.concat_tables(parts), path / INDEX_NAME)
    resealed(path)
    with pytest.raises(BuildError, match=words):
        Build.open(path).index()
    assert INDEX_NAME in {problem.what for problem in verify(path, full=True)}


def _far(value: Any, kind: pa.DataType) -> pa.Array:
    """Return a cell of times that Python has no dates for."""
    if not pa.types.is_list(kind):
        return pa.array([value], pa.int64()).cast(kind)
    numbers = pa.struct([pa.field(f.name, pa.int64() if f.name == "time" else f.type) for f in kind.value_type])
    return pa.array([value], pa.list_(numbers)).cast(kind)


def test_a_sample_without_the_hash_of_its_mask_is_refused(several: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copytree(several["masks"], tmp_path / several["masks"].name))
    rewritten(path, "mask_xxh3", lambda values: values.__setitem__(3, None))
    refused(path, "expected a hash, found mask_xxh3 None", verify="first")


def test_an_image_that_the_memory_does_not_hold_is_refused_in_a_sentence(copy: Callable[[str], Path]) -> None:
    path = copy("zarr+zstd")
    edit(path, lambda document: document.update(shape=[1 << 20, 1 << 20]))
    with pytest.raises(UsageError, match=r"an image of which a window is cut, needs .* GB"):
        epochs(path, crop=4)


@pytest.mark.parametrize("at", [30, -4])
def test_a_damaged_chunk_or_index_of_a_shard_is_our_error_in_xarray(copy: Callable[[str], Path], at: int) -> None:
    pytest.importorskip("xarray", reason="xarray is in the extra zarr")
    path = copy("zarr+zstd")
    shard = path / SHARDS["zarr+zstd"]
    data = bytearray(shard.read_bytes())
    data[at : at + 60 if at > 0 else None] = bytes(60 if at > 0 else 4)
    shard.write_bytes(data)
    resealed(path)
    with pytest.raises(BuildError, match="an inner chunk does not decode"):
        Build.open(path).dataset("train").load()


def test_a_shard_that_is_called_otherwise_than_its_container_calls_it_is_refused(copy: Callable[[str], Path]) -> None:
    for container in CONTAINERS:
        path = copy(container)
        names = [shard.file for shard in Manifest.load(path).splits["val"].shards]

        def change(document: dict[str, Any], name: str = names[0]) -> None:
            document["splits"]["train"]["shards"][1]["file"] = name

        edit(path, change)
        with pytest.raises(BuildError, match=f"expected shard train/000001 in {SHARDS[container]}, found {names[0]}"):
            epochs(path)
        assert any(problem.what == INDEX_NAME for problem in verify(path))


def test_rows_that_the_manifest_does_not_count_are_refused(copy: Callable[[str], Path]) -> None:
    path = copy("zarr")
    rewritten(path, "split", lambda values: values.__setitem__(165, "val"))
    with pytest.raises(BuildError, match="expected 166 rows of train, found 165"):
        epochs(path)


def test_a_column_of_more_rows_than_the_file_can_tell_is_refused(copy: Callable[[str], Path]) -> None:
    path = copy("zarr")
    count = 3_000_000
    table = pa.table({"key": pa.nulls(count, pa.string()), "split": pa.nulls(count, pa.string())})
    pq.write_table(table, path / INDEX_NAME, compression="zstd")
    resealed(path)
    assert (path / INDEX_NAME).stat().st_size < 20_000
    with pytest.raises(BuildError, match=rf"expected at most \d+ rows, found {count}"):
        Build.open(path).index()


def repeated(table: pa.Table, name: str, count: int) -> pa.Table:
    """Return a table of which the last row has so many equal numbers, or every row an equal text of so many letters."""
    kind = table.schema.field(name).type
    if pa.types.is_string(kind):
        column = pa.array(["a" * count] * len(table), kind)
    else:
        ends = pa.array([0] * len(table) + [count], pa.int32())
        column = pa.ListArray.from_arrays(ends, pa.array(np.zeros(count))).cast(kind)
    return table.set_column(table.column_names.index(name), pa.field(name, kind), column)


@pytest.mark.parametrize(
    ("file", "name", "count"),
    [(INDEX_NAME, "transform", 20_000_000), (INDEX_NAME, "place", 1_000_000), (SAMPLES_NAME, "key", 500_000)],
)
def test_a_small_table_that_would_take_much_memory_is_refused_before_it_is_read(
    copy: Callable[[str], Path], file: str, name: str, count: int
) -> None:
    path = copy("lmdb")
    pq.write_table(repeated(pq.read_table(path / file), name, count), path / file, compression="zstd")
    resealed(path)
    assert (path / file).stat().st_size < 100_000
    problems = verify(path, full=True)
    assert any(
        p.what == file and re.search(r"expected a table of at most \d+ bytes in memory", p.found) for p in problems
    )
    if file == INDEX_NAME:
        with pytest.raises(BuildError, match="expected a table of at most"):
            epochs(path, where=[("place", "==", "x")])


def test_a_table_whose_values_are_parts_of_each_other_is_refused(copy: Callable[[str], Path]) -> None:
    path = copy("lmdb")
    table = repeated(pq.read_table(path / INDEX_NAME), "place", 1_000_000)
    pq.write_table(table, path / INDEX_NAME, use_dictionary=False, column_encoding={"place": "DELTA_BYTE_ARRAY"})
    resealed(path)
    with pytest.raises(BuildError, match="place: expected pages of plain values or a dictionary"):
        Build.open(path).index()


def test_no_reading_way_loads_the_library_of_lmdb_or_zarr(several: dict[str, Path], small: dict[str, Build]) -> None:
    import subprocess
    import sys

    from tests.places import ROOT

    code = """if True:
        import sys, tempfile
        from pathlib import Path
        from sar_data.builder.itinerary import convert
        from sar_data.builder.request import ConvertRequest
        from sar_data.sealed.opened import Build
        from sar_data.sealed.recount import recount
        from sar_data.sealed.verify import verify
        from sar_data.runners import Serial
        from sar_data.stream.dataset import Stream
        from sar_data.views.contact_sheet import contact_sheet
        for name in sys.argv[1:]:
            path = Path(name)
            assert verify(path, full=True) == []
            recount(Build.open(path), ["train"], Serial())
            with Stream(path, batch_size=4) as stream, tempfile.TemporaryDirectory() as out:
                list(stream)
                contact_sheet(Build.open(path), Path(out) / "sheet.png", count=1)
                convert(ConvertRequest(parent=path, out=Path(out), format="webdataset", dtype="float16"))
        assert not {"lmdb", "zarr"} & set(sys.modules), sorted(sys.modules)
    """
    paths = [str(small[name].path) for name in ("lmdb", "zarr", "zarr+zstd")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *((lambda d, kind=kind: d["storage"].update(dtype=kind), "dtype") for kind in ("float64", "O", "int8", ">f4")),
        *((lambda d, shape=shape: d.update(shape=shape), "shape") for shape in ([0, 5], [-6, -5], [2**62, 2**62])),
        *((lambda d, frames=frames: d.update(frames=frames), "frames") for frames in (0, -1, 2**62)),
        (lambda d: d.update(bands=[]), "bands"),
        (lambda d: d["bands"].append(d["bands"][0]), "bands"),
    ],
)
def test_a_layout_that_no_build_has_is_refused(
    copy: Callable[[str], Path], change: Callable[[dict[str, Any]], object], words: str
) -> None:
    path = copy("zarr")
    edit(path, change)
    for use in (lambda: epochs(path), lambda: Build.open(path).index()):
        with pytest.raises(BuildError, match=words):
            use()
    assert verify(path)


@pytest.mark.parametrize("container", ["lmdb", "webdataset"])
def test_images_that_the_shards_have_no_room_for_are_refused(copy: Callable[[str], Path], container: str) -> None:
    path = copy(container)
    edit(path, lambda document: document.update(shape=[1 << 20, 1 << 20]))
    refused(path, r"shard train/000000: expected \d+ bytes, found")


def test_a_batch_that_the_memory_does_not_hold_is_refused_in_a_sentence(zarr: Path) -> None:
    # More than any processor has addresses for.
    with Stream(zarr, batch_size=4, pad=1 << 26) as stream, pytest.raises(UsageError, match="choose a smaller `batch_"):
        next(iter(stream))

"""A folder of a stranger ends `init` and `build` in a sentence, and takes neither time nor memory without a bound."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.custom import PIPELINE
from sar_data.errors import BadRecord, SarDataError, SourceError
from sar_data.labels import boxes, discovery, lists, pairing
from sar_data.own.declaration import read_declaration
from sar_data.own.images import Names, walk
from sar_data.own.pipeline import fit
from sar_data.own.rows import Columns, Row, read_rows, time_of
from sar_data.own.template import declaration_text
from sar_data.record import Record
from sar_data.sealed.index_bounds import record_flaw
from sar_data.sources.tree import Folder
from sar_data.synth import png
from tests.fuzz.memory import Memory
from tests.own import trees

PICTURES = {f"{name}.png": png(np.eye(8, dtype=np.uint8) * i) for i, name in enumerate("ab")}


def parquet(column: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"file": ["a.png", "b.png"], "date": column}), sink)
    return sink.getvalue()


@pytest.mark.parametrize("name", ["c.png", "train.txt", "dataset.toml"])
def test_a_pipe_in_the_place_of_a_file_hangs_nobody(tmp_path: Path, name: str) -> None:
    trees.png(tmp_path / "a.png")
    os.mkfifo(tmp_path / name)
    tree = Folder.at(tmp_path)
    with pytest.raises(BadRecord, match="expected a file, found a folder, a pipe or a device"):
        tree.read(name)
    with suppress(SarDataError):
        declaration_text(tree, "x")


def test_links_that_lead_above_themselves_are_no_folders(tmp_path: Path) -> None:
    trees.png(tmp_path / "chips" / "a.png")
    trees.png(tmp_path / "elsewhere" / "b.png")
    for name in ("x", "y"):
        (tmp_path / "chips" / name).symlink_to("..")
        (tmp_path / name).symlink_to(".")
    (tmp_path / "linked").symlink_to("elsewhere")
    tree = Folder.at(tmp_path)
    found = ["chips/a.png", "elsewhere/b.png", "linked/b.png"]
    assert [path for path in walk(tree) if path.endswith("png")] == found
    assert [path for path in discovery.walk(tree) if path.endswith("png")] == found


def test_links_to_links_make_no_more_folders_than_can_be_listed(tmp_path: Path) -> None:
    for level in range(20):
        (tmp_path / f"d{level}").mkdir()
        for name in ("x", "y"):
            (tmp_path / f"d{level}" / name).symlink_to(f"../d{level + 1}")
    (tmp_path / "d20").mkdir()
    trees.png(tmp_path / "d1" / "a.png")
    found = [path for path in walk(Folder.at(tmp_path)) if path.endswith("png")]
    assert found == ["d0/x/a.png", "d0/y/a.png", "d1/a.png"]


def test_a_name_longer_than_any_path_names_no_image() -> None:
    long = "x" + "/a" * 500_000 + "/a.png"
    assert Names({}, "").find(long) is None
    assert lists.locate(long, (".png",), lambda path: True) is None


def test_digits_without_end_are_no_number(tmp_path: Path) -> None:
    path = trees.tif(tmp_path / "a.tif", trees.values(0))
    with path.open("ab") as file:
        file.write(b'sample="%s" role="description">x<' % (b"1" * 5000))
    assert "task" in declaration_text(Folder.at(tmp_path), "x")
    labels = {f"{name}.txt": b"1" * 5000 + b" 0.5 0.5 0.1 0.1" for name in "ab"}
    assert "boxes" in declaration_text(Memory(PICTURES | labels), "x")


def test_numbers_of_classes_are_sorted_by_size_and_words_as_text() -> None:
    texts = {f"{name}.txt": f"{at} 0.5 0.5 0.1 0.1\n010 0.5 0.5 0.1 0.1".encode() for name, at in (("a", 9), ("b", 11))}
    found = discovery.discover(Memory(PICTURES | texts))
    assert found is not None
    assert found.class_names() == ("9", "010", "11")


def test_a_key_twice_among_many_is_found_at_once() -> None:
    keys = ",".join(f'"k{i}":1' for i in range(200_000))
    document = f'{{"images":[],"annotations":[],"categories":[{{{keys},"k199999":2}}]}}'.encode()
    with pytest.raises(BadRecord, match="expected every key once, found 'k199999' twice"):
        discovery.discover(Memory(PICTURES | {"a.json": document}))


TOO_MUCH: dict[str, Callable[[], str]] = {
    "a key of too many parts": lambda: f"{'.'.join('a' * 100_000)} = 1",
    "bands: expected at most 1024": lambda: f"band_suffixes = {json.dumps([f'_{i}' for i in range(20_000)])}",
    "at most 16384 files a sample": lambda: "\n".join(
        f"{field} = {json.dumps([f'{field}{i}' for i in range(1000)])}" for field in ("band_suffixes", "frame_suffixes")
    ),
    "of at most 16,777,216 bytes": lambda: "#" * (1 << 24) + "\n",
}


@pytest.mark.parametrize("reason", TOO_MUCH)
def test_a_declaration_that_asks_for_too_much_is_refused(reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        read_declaration(Memory({"dataset.toml": TOO_MUCH[reason]().encode()}))


def test_dots_in_text_and_comments_are_no_keys() -> None:
    text = f"# {'.' * 100}\ntitle = '{'.' * 100}'\ncitation = \"{'.' * 100}\"\n"
    assert read_declaration(Memory({"dataset.toml": text.encode()}))[0].title == "." * 100


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_date_beyond_all_calendars_is_refused(date: str) -> None:
    with pytest.raises(BadRecord, match="expected a date as ISO 8601 writes it"):
        time_of(Row("a", "t.csv, row 1", date=date))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1 << 60, 1], pa.timestamp("us")),
        pa.array([1, 1], pa.timestamp("us", tz="No/Where")),
        pa.array([1 << 30, 1], pa.int32()).cast(pa.date32()),
    ],
)
def test_times_that_python_does_not_have_are_no_rows(column: pa.Array) -> None:
    with pytest.raises(SourceError, match=r"t\.parquet: expected a Parquet table"):
        read_rows(Memory({"t.parquet": parquet(column)}), "t.parquet", Columns(), lambda name: True)


def test_what_no_index_may_say_stops_a_record_before_it_is_sealed() -> None:
    csv = b"file,date\na.png,1500-01-01\nb.png,2020-01-01\n"
    tree = Memory(PICTURES | {"t.csv": csv})
    pipeline, _ = fit(tree, PIPELINE)
    flaws = [record_flaw(record) for unit in sorted(pipeline.units(tree)) for record in pipeline.scan(tree, unit)]
    assert flaws == ["expected a time of 1900 to 2200, found 1500-01-01 00:00:00+00:00", None]
    far = Record(key="a", files=(), time=datetime(2020, 1, 1, tzinfo=UTC), footprint=(0.0, 0.0, 1e308, 1.0))
    assert "expected a footprint of numbers up to 1e+12" in str(record_flaw(far))
    lost = Record(key="a", files=(), transform=(10.0, 0.0, float("nan"), 0.0, -10.0, 0.0))
    assert "expected a transform" in str(record_flaw(lost))


def test_more_objects_than_can_be_matched_are_refused() -> None:
    many = [(float(i), 0.0, i + 1.0, 1.0) for i in range(boxes.MAX_MATCHED + 1)]
    with pytest.raises(BadRecord, match="expected at most 2000 objects to match"):
        boxes.match_boxes(many, many, "a.xml")
    assert boxes.match_boxes(many[:500], many[:500][::-1], "a.xml") == list(range(499, -1, -1))


@pytest.mark.parametrize("line", ["a " + "/" * (1 << 20) + " b", "a" + "," * (1 << 20) + " b c"])
def test_a_line_of_separators_without_end_is_read_once(line: str) -> None:
    tree = Memory({"train.txt": f"{line}\n".encode()})
    assert len(read_rows(tree, "train.txt", Columns(), lambda name: False).rows) == 1


def test_images_of_one_name_in_many_folders_are_not_all_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [f"{number}/image.png" for number in range(500)]
    compared = list[str]()
    nearness = pairing.nearness
    monkeypatch.setattr(pairing, "nearness", lambda a, b: compared.append(a) or nearness(a, b))
    for number in range(500):
        assert pairing.nearest(images, f"{number}/image.xml") == [f"{number}/image.png"]
    assert len(compared) == 500
    assert set(pairing.nearest(images, "labels/3/image.xml", "3/image.xml")) == {"3/image.png"}

"""FUSAR-Ship is read by its folders and codes, joined to its table, and stops where they disagree."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pipelines._fusar_ship import CLASSES
from pipelines.fusar_ship import LISTS, PIPELINE
from pipelines.synth import fusar_ship
from sar_data import synth
from sar_data.errors import BadRecord, SourceError, SplitError
from sar_data.labels.table import read_table
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

LIST_FOLDER = SAMPLES / "split_lists"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fusar_ship")
    fusar_ship.synthesise(out, count=20, seed=0)
    return out


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "raw")
    return tmp_path / "raw"


def fitted(root: Path) -> tuple[Pipeline, tuple[str, ...]]:
    assert PIPELINE.fit is not None
    return PIPELINE.fit(Folder.at(root))


def scanned(root: Path) -> list[Record]:
    pipeline, _ = fitted(root)
    tree = Folder.at(root)
    return [record for unit in sorted(pipeline.units(tree)) for record in pipeline.scan(tree, unit)]


def tif(path: Path, values: npt.NDArray[np.generic]) -> None:
    path.write_bytes(synth.geotiff(values, epsg=None, transform=None, rows_per_strip=16))


class TestFusarShip(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, made: Path) -> Path:
        return made


def test_codes_table_dtype_and_size_are_found_and_said(made: Path) -> None:
    pipeline, found = fitted(made)
    assert found == (
        "codes: C01 Cargo, C03 Dredger, C04 Fishing, C06 LawEnforce, C08 Passenger, C12 Tanker, C13 Tug",
        "meta.csv has rows of 20 of 20 chips",
        "uint8, 512x512, taken for 8-bit",
    )
    assert (pipeline.spec.shape, pipeline.spec.dtype, pipeline.spec.units) == ((512, 512), "uint8", ("8-bit",))


def test_chips_of_another_size_and_dtype_are_understood_but_not_two_kinds(copied: Path) -> None:
    for path in copied.rglob("Ship_*.tiff"):
        tif(path, np.full((1, 64, 80), 300, np.uint16))
    pipeline, found = fitted(copied)
    assert found[-1] == "uint16, 64x80, taken for DN"
    assert pipeline.spec.calibration == "DN"
    tree = Folder.at(copied)
    record = next(record for record in scanned(copied) if record.unused is None)
    assert pipeline.read(tree, record).image.shape == (1, 64, 80)
    tif(min((copied / "Tug").rglob("*.tiff")), np.ones((1, 64, 64), np.uint8))
    with pytest.raises(SourceError, match=r"one dtype, size and sign, found .*uint16 64x80.*uint8 64x64 in Tug"):
        fitted(copied)


def test_three_equal_channels_are_one_and_three_others_are_refused(copied: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (1, 512, 512), np.uint8)
    (path,) = copied.rglob("Ship_*N0001.tiff")
    record = next(record for record in scanned(copied) if record.key.endswith("N0001"))
    tif(path, np.repeat(grey, 3, axis=0))
    assert np.array_equal(PIPELINE.read(Folder.at(copied), record).image, grey)
    tif(path, np.concatenate([grey, grey, grey ^ 1]))
    with pytest.raises(BadRecord, match="expected one channel, or three equal ones"):
        PIPELINE.read(Folder.at(copied), record)


def test_the_table_gives_the_ship_and_the_mode_and_a_ship_is_a_group(made: Path) -> None:
    records = {record.key: record for record in scanned(made)}
    one, two = records["Ship_C01S01N0001"], records["Ship_C01S07N0002"]
    known = {
        "mmsi": "413000000",
        "length_m": "120",
        "polar_mode": "DV",
        "pixel_height_m": "1.702183",
        "pixel_width_m": "1.124222",
        "subcategory": "AggregatesCarrier",
        "code": "C01S01",
    }
    assert known.items() <= one.attrs.items()
    assert one.group == two.group == "413000000"
    unknown = records["Ship_C04S03N0004"]
    assert (unknown.group, "mmsi" in unknown.attrs) == ("Ship_C04S03N0004", False)
    assert (one.place, unknown.place) == ("413000000", None)


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_the_table_may_have_any_separator_encoding_and_line_ends(copied: Path, separator: str, encoding: str) -> None:
    text = (copied / "meta.csv").read_bytes().decode().replace("\r\n", "\n").replace("\t", separator)
    (copied / "meta.csv").write_bytes(text.replace("DH", "DH极化").encode(encoding))
    modes = {record.attrs["polar_mode"] for record in scanned(copied) if record.unused is None}
    assert modes == {"DH极化", "DV"}


def test_a_path_with_backslashes_is_the_folder_and_another_folder_is_a_bad_record(copied: Path) -> None:
    text = (copied / "meta.csv").read_text()
    assert "Cargo\\Bulk Carrier" in text
    (copied / "meta.csv").write_text(text.replace("Cargo\\Bulk Carrier", "Cargo\\Bulker"))
    with pytest.raises(
        BadRecord, match=r"expected it in Cargo/Bulker, as meta\.csv says, found it in Cargo/Bulk Carrier"
    ):
        scanned(copied)


@pytest.mark.parametrize("how", ["with the file", "with a root"])
def test_a_path_may_hold_more_than_the_folder(copied: Path, how: str) -> None:
    lines = (copied / "meta.csv").read_text().splitlines()
    changed = [lines[0]]
    for line in lines[1:]:
        cells = line.split("\t")
        cells[-1] = f"{cells[-1]}\\{cells[0]}.tiff" if how == "with the file" else f".\\{cells[-1]}\\"
        cells[0] = str(len(changed)) if how == "with the file" else cells[0]
        changed.append("\t".join(cells))
    (copied / "meta.csv").write_text("\n".join(changed))
    assert len({record.attrs["mmsi"] for record in scanned(copied) if "mmsi" in record.attrs}) == 10


def test_without_a_table_there_is_no_group_split_and_a_spreadsheet_is_named(copied: Path) -> None:
    (copied / "meta.csv").rename(copied / "meta.xls")
    _, found = fitted(copied)
    assert found[1].startswith("meta.xls is a spreadsheet, which is not read: save it as meta.csv")
    with pytest.raises(SplitError, match="expected a group, found none: use `split=random`"):
        PIPELINE.splits["group"].assign(scanned(copied), seed=0, lists=ListsIn(copied))
    (copied / "meta.xls").unlink()
    assert fitted(copied)[1][1].startswith("no meta.csv; ")


def test_chips_without_a_ship_are_unused_with_their_folder(made: Path) -> None:
    unused = {record.unused: record.labels for record in scanned(made) if record.unused}
    assert unused == {
        f"no ship by its name, in the folder {name}": {"category": ()} for name in ("Bridge", "SeaClutter")
    }


def test_a_subcategory_may_be_called_like_a_category(copied: Path) -> None:
    assert (copied / "Passenger" / "Passenger").is_dir()
    (copied / "Cargo" / "Bulk Carrier").rename(copied / "Cargo" / "Other")
    (copied / "meta.csv").unlink()
    other = [r for r in scanned(copied) if r.attrs.get("subcategory") == "Other"]
    assert {CLASSES[record.labels["category"][0]] for record in other} == {"Cargo"}


def test_a_code_in_two_categories_stops_the_build(copied: Path) -> None:
    shutil.copytree(copied / "LawEnforce", copied / "Reserved")
    with pytest.raises(SourceError, match=r"each code in one category, found .*C06.*LawEnforce.*Reserved"):
        fitted(copied)


def test_a_listed_code_in_another_category_and_an_unknown_category_are_bad_records(copied: Path) -> None:
    (copied / "meta.csv").unlink()
    (copied / "Tanker").rename(copied / "SAR")
    with pytest.raises(BadRecord, match="expected C12 in the folder Tanker, found it in SAR"):
        scanned(copied)
    (copied / "SAR").rename(copied / "Tankers")
    with pytest.raises(BadRecord, match=r"expected a folder of one of the categories Cargo, .*found Tankers/OilTanker"):
        scanned(copied)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("polarMode", "mode"), "expected the columns .*found no polarMode"),
        (lambda text: text + "\r\nShip_C01S01N0099\t1", "line 22: expected 9 columns, found 2"),
        (lambda text: text + "\r\n" + text.splitlines()[1], "expected one row of Ship_C01S01N0001, found two"),
        (lambda text: text.replace("Ship_C01S01N0001", "first"), "expected an id or a path such as .*'first'"),
        (lambda text: "", "expected the columns id, path"),
    ],
)
def test_a_damaged_table_is_named_with_the_reason(copied: Path, change: Callable[[str], str], reason: str) -> None:
    (copied / "meta.csv").write_bytes(change((copied / "meta.csv").read_bytes().decode()).encode())
    with pytest.raises(BadRecord, match=rf"meta\.csv: .*{reason}"):
        fitted(copied)


def test_a_table_of_other_chips_or_two_tables_stop_the_build(copied: Path) -> None:
    text = (copied / "meta.csv").read_text()
    (copied / "meta.csv").write_text(text.replace("S0", "S5").replace("S1", "S6"))
    with pytest.raises(SourceError, match=r"meta\.csv: expected rows of these 20 chips, found none"):
        fitted(copied)
    (copied / "Cargo" / "meta.csv").write_text(text)
    with pytest.raises(SourceError, match=r"one meta\.csv, found 20 chips and Cargo/meta\.csv, meta\.csv"):
        fitted(copied)
    with pytest.raises(SourceError, match=r"found 0 chips and no meta\.csv"):
        fitted(copied / "lists")


def test_blank_lines_of_a_table_are_passed_over() -> None:
    assert read_table("t", b"\xef\xbb\xbfa,b\r\n1, 2\r\n\r\n ,\r\n", ("a", "b")) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>log in</html>", "expected a TIFF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "expected a TIFF"),
        (
            synth.geotiff(np.ones((1, 512, 512), np.uint8), epsg=None, transform=None, rows_per_strip=16)[:-1],
            "truncated",
        ),
        (
            synth.geotiff(np.ones((2, 512, 512), np.uint8), epsg=None, transform=None, rows_per_strip=16),
            "found 2 bands",
        ),
        (synth.geotiff(np.ones((1, 512, 511), np.uint8), epsg=None, transform=None, rows_per_strip=16), "512x511"),
        (synth.geotiff(np.ones((1, 512, 512), np.uint16), epsg=None, transform=None, rows_per_strip=16), "uint16"),
    ],
)
def test_a_damaged_chip_is_named_with_the_reason(copied: Path, data: bytes, reason: str) -> None:
    records = [record for record in scanned(copied) if record.unused is None]
    (copied / records[3].files[0].path).write_bytes(data)
    with pytest.raises(BadRecord, match=reason) as raised:
        deque((PIPELINE.read(Folder.at(copied), record) for record in records), 0)
    assert raised.value.path == records[3].files[0].path


class Names(Folder):
    """A tree in which every file is there and empty."""

    def __init__(self) -> None:
        super().__init__("")

    def size(self, path: str) -> int:
        return 0


def test_the_published_lists_give_the_published_classes_and_split() -> None:
    if not (LIST_FOLDER / LISTS[0]).is_file():
        pytest.skip(f"no {LIST_FOLDER}: set SAR_DATA_SAMPLES")
    records, labels = [], {}
    for file in LISTS:
        for line in (LIST_FOLDER / file).read_text().splitlines():
            path, label = line.split()
            (record,) = PIPELINE.scan(Names(), "/".join(path.split("/")[-2:]).replace(".npy", ".tiff"))
            records.append(record)
            labels[record.key] = int(label)
    six = ("Cargo", "Dredger", "Fishing", "Passenger", "Tanker", "Tug")
    assert all(CLASSES[record.labels["category"][0]] == six[labels[record.key]] for record in records)
    placed = PIPELINE.splits["sarhub"].assign(records, seed=0, lists=ListsIn(LIST_FOLDER))
    assert Counter(placed.split) == {"train": 1_678, "test": 1_662}
    for split, expected in (("train", [1063, 27, 401, 31, 121, 35]), ("test", [1051, 34, 388, 33, 127, 29])):
        found = Counter(labels[r.key] for r, s in zip(records, placed.split, strict=True) if s == split)
        assert [found[i] for i in range(6)] == expected


def test_a_category_alone_is_no_source(made: Path) -> None:
    with pytest.raises(
        SourceError, match=r"expected chips below a folder such as Cargo or Tanker, found .*name the folder"
    ):
        fitted(made / "Cargo")


def test_a_table_that_was_corrected_is_read_anew_in_the_same_process(copied: Path) -> None:
    before = {record.attrs.get("mmsi") for record in scanned(copied)}
    text = (copied / "meta.csv").read_bytes().decode()
    (copied / "meta.csv").write_bytes(text.replace("413000000", "413000999").encode())
    assert {record.attrs.get("mmsi") for record in scanned(copied)} ^ before == {"413000000", "413000999"}

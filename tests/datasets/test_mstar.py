"""MSTAR is read from its discs and from the JPEG tree, and its protocols hold what the field says they hold."""

from __future__ import annotations

import math
import shutil
import warnings
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from pipelines._mstar import CLASSES, LISTED, by_folders
from pipelines._mstar_protocols import LISTS
from pipelines.mstar import PIPELINE
from pipelines.synth import _phoenix, mstar
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.raster import phoenix
from sar_data.record import Record, SourceFile
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.split.policy import Assignment
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

LIST_FOLDER = SAMPLES / "split_lists"
JPEG, CLUTTER = PIPELINE.variants["jpeg"], PIPELINE.variants["clutter"]
BMP2 = f"{mstar.TARGETS}/TRAIN/17_DEG/BMP2/SN_9563/HB03787.000"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mstar")
    mstar.synthesise(out, count=len(mstar.CHIPS), seed=0)
    return out


@pytest.fixture(scope="module")
def real() -> Path:
    root = SAMPLES / "mstar"
    if not root.is_dir():
        pytest.skip(f"no real MSTAR chips in {SAMPLES}: set SAR_DATA_SAMPLES")
    return root


def scanned(root: Path, pipeline: Pipeline = PIPELINE) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(pipeline.units(tree)) for record in pipeline.scan(tree, unit)]


def split(records: list[Record], name: str, lists: Path, pipeline: Pipeline = PIPELINE) -> Assignment:
    return pipeline.splits[name].assign(records, seed=0, lists=ListsIn(lists))


def last(root: Path, record: Record, dtype: str) -> npt.NDArray[Any]:
    """Return the last bytes of a file as two big-endian planes, whatever its header says."""
    assert record.shape is not None
    size = 2 * int(dtype[-1]) * math.prod(record.shape)
    values = np.frombuffer((root / record.files[0].path).read_bytes()[-size:], dtype)
    return values.reshape(2, *record.shape)


class TestChips(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, made: Path) -> Path:
        return made

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return last(root, record, ">f4")


class TestClutter(PipelineContract):
    pipeline = CLUTTER

    @pytest.fixture
    def archive(self, made: Path) -> Path:
        return made

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return last(root, record, ">u2")[:1] * (float(f"{mstar.FACTOR:.6f}") / 65536)


class TestJpeg(PipelineContract):
    pipeline = JPEG

    @pytest.fixture
    def archive(self, made: Path) -> Path:
        return made


class TestRealJpeg(PipelineContract):
    pipeline = JPEG

    @pytest.fixture
    def archive(self, real: Path) -> Path:
        return real


@pytest.mark.parametrize("container", ["lmdb", "webdataset"])
def test_every_real_jpeg_is_built_to_the_pixel(real: Path, tmp_path: Path, container: str) -> None:
    """By the group split, which is the only one that packs all of them."""
    made = build(BuildRequest(dataset=JPEG, source=real, out=tmp_path, format=container, split="group"))
    sealed = Build.open(made.path)
    index = sealed.index()
    assert len(index) == len(places(index)) == 388
    with sealed.reader() as reader, warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        for row, place in zip(index.to_pylist(), places(index), strict=True):
            with rasterio.open(real / row["files"][0]["path"], driver="JPEG") as source:
                assert np.array_equal(reader.read(place), source.read())


def test_chips_have_the_size_of_their_class_and_not_128(real: Path, made: Path) -> None:
    known = {
        "BMP2": (128, 128),
        "BTR70": (128, 128),
        "BRDM_2": (129, 128),
        "2S1": (158, 158),
        "ZSU_23_4": (158, 158),
        "T62": (173, 172),
        "D7": (178, 177),
        "ZIL131": (193, 192),
        "BTR_60": (128, 128),
    }
    for records in (scanned(real, JPEG), [record for record in scanned(made) if record.unused is None]):
        sizes: dict[str, set[Any]] = {}
        for record in records:
            sizes.setdefault(record.attrs["class"], set()).add(record.shape)
        assert sizes.pop("T72") == {(128, 128), (139, 138)}
        assert sizes == {name: {shape} for name, shape in known.items()}


def test_the_same_number_and_code_in_two_classes_are_two_samples(made: Path) -> None:
    at = {record.key: record.files[0].path for record in scanned(made)}
    alike = {path for path in at.values() if path.endswith("/HB19377.016") or path.endswith("/HB03787.016")}
    assert len(alike) == 2
    names = Counter(path.rpartition("/")[2].partition(".")[0] for path in at.values())
    assert names["HB19377"] == 10
    assert at["BMP2_9563_17_HB03787_000"] == BMP2
    assert len(at) == 46


def test_real_pictures_that_lie_in_several_folders_are_one_group(real: Path) -> None:
    records = scanned(real, JPEG)
    groups: dict[bytes, set[str | None]] = {}
    for record in records:
        groups.setdefault((real / record.files[0].path).read_bytes(), set()).add(record.group)
    assert len(groups) == 360
    assert all(len(found) == 1 for found in groups.values())


def test_protocols_take_their_angles_and_serial_numbers(made: Path) -> None:
    records = scanned(made)
    expected = {
        "soc": (10, 10),
        "soc-variants": (10, 14),
        "eoc-1": (4, 4),
        "eoc-2-configuration": (4, 6),
        "eoc-2-version": (4, 8),
        "sarhub": (10, 10),
    }
    for name, (train, test) in expected.items():
        counts = Counter(split(records, name, made / "lists").split)
        assert (counts["train"], counts["test"], counts["val"]) == (train, test, 0)


def serials(records: list[Record], placed: Assignment, name: str) -> set[tuple[str, str]]:
    chosen = [record for record, where in zip(records, placed.split, strict=True) if where == name]
    return {(r.attrs["class"], r.attrs["serial"]) for r in chosen if r.attrs["class"] in ("BMP2", "T72")}


def test_soc_is_one_bmp2_and_one_t72_and_variants_are_tested_on_the_others_too(made: Path) -> None:
    records = scanned(made)
    one = {("BMP2", "9563"), ("T72", "132")}
    soc, variants = (split(records, name, made) for name in ("soc", "soc-variants"))
    assert serials(records, soc, "train") == serials(records, soc, "test") == serials(records, variants, "train") == one
    assert serials(records, variants, "test") == one | {
        ("BMP2", "9566"),
        ("BMP2", "c21"),
        ("T72", "812"),
        ("T72", "s7"),
    }


def test_the_folders_of_the_jpeg_tree_are_the_protocols(real: Path) -> None:
    records = scanned(real, JPEG)
    expected = {
        "soc": (100, 100),
        "soc-variants": (100, 140),
        "eoc-1": (12, 12),
        "eoc-2-configuration": (12, 15),
        "eoc-2-version": (12, 21),
        "eoc-scene": (12, 12),
    }
    for name, (train, test) in expected.items():
        counts = Counter(split(records, name, real, JPEG).split)
        assert (counts["train"], counts["test"]) == (train, test)


def listed() -> list[Record]:
    """Return a record for every line of the published lists, with the attributes that its folder would give."""
    if not (LIST_FOLDER / LISTS[0]).is_file():
        pytest.skip(f"no {LIST_FOLDER}: set SAR_DATA_SAMPLES")
    records = []
    for file, depression in zip(LISTS, ("17", "15"), strict=True):
        for line in (LIST_FOLDER / file).read_text().splitlines():
            path, label = line.split()
            _, part, spelling, name = path.split("/")
            assert LISTED[int(label)] == spelling
            kind, name = CLASSES[int(label)], name.removesuffix("_Mag.npy")
            serial = {"BMP2": "9563", "T72": "132"}.get(kind, "")
            attrs = {
                "class": kind,
                "serial": serial,
                "depression": depression,
                "list_name": f"{part}/{spelling}/{name}",
            }
            key = f"{kind}_{depression}_{name}"
            records.append(Record(key=key, files=(SourceFile(key, 0),), labels={"target": (int(label),)}, attrs=attrs))
    return records


@pytest.mark.parametrize("name", ["soc", "sarhub"])
def test_the_published_lists_give_2747_and_2425_chips_a_class_as_published(name: str) -> None:
    records = listed()
    placed = split(records, name, LIST_FOLDER)
    assert Counter(placed.split) == {"train": 2_747, "test": 2_425}
    for where, expected in (
        ("train", [299, 233, 298, 256, 233, 299, 299, 232, 299, 299]),
        ("test", [274, 195, 274, 195, 196, 274, 273, 196, 274, 274]),
    ):
        found = Counter(r.labels["target"][0] for r, s in zip(records, placed.split, strict=True) if s == where)
        assert [found[i] for i in range(10)] == expected


def test_the_lists_name_the_chips_as_the_discs_do(made: Path) -> None:
    records = scanned(made)
    by_lists, by_rules = (split(records, name, made / "lists") for name in ("sarhub", "soc"))
    assert by_lists.split == by_rules.split
    assert by_lists.notes["names_absent"] == 0


def test_slicy_and_clutter_are_unused_with_the_reason(made: Path, tmp_path: Path) -> None:
    manifest = build(BuildRequest(dataset=PIPELINE, source=made, out=tmp_path, format="lmdb")).manifest
    assert manifest.unused == {
        "SLICY, a calibration target of none of the classes": 2,
        "a scene of clutter: take `variant=clutter`": 4,
        "not in this protocol": 20,
    }
    assert Counter(record.unused for record in scanned(made, CLUTTER)) == {
        None: 4,
        "a chip of a target: take no `variant=…`": 42,
    }


def test_magnitudes_and_phases_are_both_kept_and_have_their_own_units(made: Path, tmp_path: Path) -> None:
    assert PIPELINE.spec.units == ("amplitude", "phase")
    tree = Folder.at(made)
    record = next(record for record in scanned(made) if record.key == "BMP2_9563_17_HB03787_000")
    magnitude, phase = PIPELINE.read(tree, record).image
    expected = _phoenix.chip(synth.generator(0, 0), 128, 128)
    assert np.array_equal(magnitude, expected[0])
    assert np.array_equal(phase, expected[1])


def test_a_blank_line_may_come_before_the_header_and_a_native_header_behind_it(made: Path) -> None:
    data = (made / BMP2).read_bytes()
    assert data[:1] == b"\n"
    header = phoenix.header(data[:4096], len(data), "chip")
    for changed in (
        data[1:].replace(b"HeaderLength= ", b"HeaderLength=  ", 1),
        data.replace(b"native_header_length= 0", b"native_header_length= 7").replace(
            b"[EndofPhoenixHeader]\n", b"[EndofPhoenixHeader]\nNATIVE\n"
        ),
        data.replace(b"[EndofPhoenixHeader]\n", b"[EndofPhoenixHeader]\r\n").replace(b"Ver01.04", b"Ver01.05"),
    ):
        found, pixels = phoenix.read(changed, "chip")
        assert found.shape == header.shape
        assert np.array_equal(pixels, phoenix.read(data, "chip")[1])


def test_the_nearest_folder_tells_the_class_and_a_variant_folder_alone_is_a_t72() -> None:
    assert by_folders("MSTAR_T72/T62/15_DEG/HB1.016") == ("T62", "", "15")
    assert by_folders(f"{mstar.VARIANTS}/30_DEG/COL2/SCENE1/A64/HB15269.024") == ("T72", "a64", "30")
    assert by_folders("HB03787.000") == (None, "", "")


def test_without_folders_the_header_tells_all(made: Path, tmp_path: Path) -> None:
    for index, (folder, *_) in enumerate(mstar.CHIPS):
        path = min((made / folder).glob("HB*"))
        shutil.copy(path, tmp_path / f"HB{index:05}{path.suffix}")
    found = {(r.attrs["class"], r.attrs["serial"]) for r in scanned(tmp_path) if r.unused is None}
    assert {("ZSU_23_4", "d08"), ("BRDM_2", "e-71"), ("T72", "s7"), ("BMP2", "9563")} <= found


def _replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"", "expected a Phoenix file, found b''"),
        (lambda data: b"<html>log in</html>", "expected a Phoenix file, found b'<html>"),
        (lambda data: b"\xff\xd8\xff\xe0" + bytes(99), "expected a Phoenix file"),
        (lambda data: b"junk" + data, "expected a Phoenix file, found b'junk"),
        (lambda data: data[:200], r"expected \[EndofPhoenixHeader\] in the first 4096 bytes, found none: truncated"),
        (lambda data: data[:-1], r"expected magnitude and phase of 128x128 .* found a file of .*: truncated"),
        (lambda data: data + b"x", "expected magnitude and phase of 128x128"),
        (_replaced(b"NumberOfRows= 128", b"NumberOfRows= 129"), "expected magnitude and phase of 129x128"),
        (_replaced(b"NumberOfRows= 128", b"NumberOfRows= 99999999999"), "magnitude and phase of 99999999999x128"),
        (_replaced(b"NumberOfRows= 128", b"NumberOfRows= 0"), "expected magnitude and phase of 0x128"),
        (_replaced(b"NumberOfRows= 128", b"NumberOfRows= -28"), "expected a whole number NumberOfRows .*found '-28'"),
        (_replaced(b"NumberOfColumns= 128", b"Columns= 128"), "expected a whole number NumberOfColumns .*found None"),
        (_replaced(b"bmp2_tank", b"t72_tank"), "expected the name BMP2, as its folder says, found T72 in its header"),
        (_replaced(b"TargetSerNum= 9563", b"TargetSerNum= 9566"), "expected the serial 9563, .*found 9566"),
        (_replaced(b"Depression= 17.06", b"Depression= 29.95"), "expected the depression 17, .*found 30"),
    ],
)
def test_a_damaged_chip_is_named_with_the_reason(
    made: Path, tmp_path: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    path = tmp_path / "17_DEG" / "BMP2" / "SN_9563" / "HB03787.000"
    path.parent.mkdir(parents=True)
    path.write_bytes(change((made / BMP2).read_bytes()))
    with pytest.raises(BadRecord, match=reason) as raised:
        scanned(tmp_path)
    assert raised.value.path == "17_DEG/BMP2/SN_9563/HB03787.000"


def test_a_chip_of_which_nothing_tells_the_class_is_a_bad_record(made: Path, tmp_path: Path) -> None:
    data = (made / BMP2).read_bytes()
    for old, new in ((b"TargetType", b"TargetTipe"), (b"MeasuredDepression", b"MeasuredDepressiom")):
        (tmp_path / "HB03787.000").write_bytes(data.replace(old, new))
        with pytest.raises(BadRecord, match="expected class and depression in its folders or its header"):
            scanned(tmp_path)


@pytest.mark.parametrize("field", ["", "SensorCalibrationFactor= many\n"])
def test_a_scene_without_its_factor_is_a_bad_record(tmp_path: Path, field: str) -> None:
    data = _phoenix.phoenix(np.ones((2, 4, 6)), {}, dtype=">u2", odd_line=False)
    if field:
        data = _phoenix.phoenix(np.ones((2, 4, 6)), {"SensorCalibrationFactor": "many"}, dtype=">u2", odd_line=False)
    (tmp_path / "HB06158.000").write_bytes(data)
    records = scanned(tmp_path, CLUTTER)
    assert records[0].shape == (4, 6)
    with pytest.raises(BadRecord, match="expected a number SensorCalibrationFactor"):
        deque((CLUTTER.read(Folder.at(tmp_path), record) for record in records), 0)


@pytest.mark.parametrize(
    ("path", "data", "reason"),
    [
        ("SOC/TRAIN/T72/SN_132/HB03787.jpeg", b"", "expected a JPEG or PNG"),
        ("SOC/TRAIN/T72/SN_132/HB03787.jpeg", b"<html>", "expected a JPEG or PNG, found b'<html>'"),
        ("SOC/TRAIN/T80/HB03787.jpeg", b"", "expected <protocol>/<part>/<class>/"),
        ("SOC/HB03787.jpeg", b"", "expected <protocol>/<part>/<class>/"),
    ],
)
def test_a_picture_in_the_wrong_place_or_of_another_kind_is_named(
    tmp_path: Path, path: str, data: bytes, reason: str
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(data)
    with pytest.raises(BadRecord, match=reason):
        scanned(tmp_path, JPEG)


def test_a_picture_of_colours_or_cut_short_is_refused(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "SOC" / "TRAIN" / "2S1" / "HB19377.jpeg"
    path.parent.mkdir(parents=True)
    whole = next(made.glob("Data/*/SOC/TRAIN/2S1/*.jpeg")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadRecord, match="expected a readable JPEG"):
        JPEG.read(Folder.at(tmp_path), scanned(tmp_path, JPEG)[0])


def test_a_chip_that_was_written_anew_in_the_other_byte_order_is_seen_by_its_values() -> None:
    """Big-endian is a fact of the format: the bytes 3f 80 00 00 are one."""
    data = _phoenix.phoenix(np.ones((2, 1, 1), np.float32), {}, dtype=">f4", odd_line=False)
    assert data.endswith(b"\x3f\x80\x00\x00" * 2)
    assert phoenix.read(data, "chip")[1].tolist() == [[[1.0]], [[1.0]]]


def test_a_place_is_the_vehicle_at_all_angles(made: Path) -> None:
    found = [record for record in scanned(made) if record.attrs.get("serial")]
    assert {record.place for record in found} == {f"{r.attrs['class']} {r.attrs['serial']}" for r in found}
    assert len({record.place for record in found}) < len({record.group for record in found})

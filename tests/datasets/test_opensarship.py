"""OpenSARShip 1.0 and 2.0: bands follow from the product, chips are joined to their ships, oddities are understood."""

from __future__ import annotations

import dataclasses
import shutil
import warnings
import zipfile
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

import sar_data
from pipelines.opensarship_1 import PIPELINE as FIRST
from pipelines.opensarship_2 import PIPELINE as SECOND
from pipelines.synth import _opensarship as mini
from pipelines.synth import opensarship_1, opensarship_2
from sar_data.builder.itinerary import build, convert
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.errors import BadRecord, SourceError, UsageError
from sar_data.labels import ais
from sar_data.record import Record
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sources.tree import Folder
from sar_data.spec import ComplexAs, Pipeline
from tests.contract.pipelines import PipelineContract
from tests.mini.readers import read_build
from tests.places import SAMPLES

GRD = "S1A_IW_GRDH_1SDV_20150823T221233_20150823T221258_007396_00A2CA_54D0"
REAL_GRD = "S1A_IW_GRDH_1SDV_20150902T102505_20150902T102534_007535_00A699_2D00"
SLC = "S1A_IW_SLC__1SSV_20150217T204257_20150217T204324_004668_005C34_2DC9"


def variant(pipeline: Pipeline, name: str) -> Pipeline:
    return pipeline.variants[name] if name else pipeline


def fitted(pipeline: Pipeline, root: Path) -> tuple[Pipeline, tuple[str, ...]]:
    assert pipeline.fit is not None
    return pipeline.fit(Folder.at(root))


def scanned(pipeline: Pipeline, root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(pipeline.units(tree)) for record in pipeline.scan(tree, unit)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("opensarship_1")
    opensarship_1.synthesise(out, count=24, seed=0)
    return out


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("opensarship_2")
    opensarship_2.synthesise(out, count=30, seed=0)
    return out


class ChipContract(PipelineContract):
    """The pictures are packed in runs, which the fast parser leaves to GDAL; all else is plain."""

    def test_read_gives_to_the_bit_what_rasterio_gives(self, tree: Folder, records: list[Record]) -> None:
        packed = self.pipeline.spec.dtype == "uint8"
        for record in self.some([record for record in records if record.unused is None]):
            sample = self.pipeline.read(tree, record)
            assert np.array_equal(sample.image, self.raw_bands(Path(tree.root), record))
            assert sample.fallbacks == (len(record.files) - 1 if packed else 0)


class TestFirst(ChipContract):
    pipeline = FIRST

    @pytest.fixture
    def archive(self, first: Path) -> Path:
        return first


class TestFirstCal(TestFirst):
    pipeline = FIRST.variants["grd-dv-cal"]


class TestFirstUint8(TestFirst):
    pipeline = FIRST.variants["grd-dv-uint8"]


class TestFirstComplex(TestFirst):
    pipeline = FIRST.variants["slc-dv"]


class TestSecond(ChipContract):
    pipeline = SECOND

    @pytest.fixture
    def archive(self, second: Path) -> Path:
        return second


class TestSecondComplex(TestSecond):
    pipeline = SECOND.variants["slc-sv"]


class TestSecondComplexUint8(TestSecond):
    pipeline = SECOND.variants["slc-sv-uint8"]


class TestSecondHorizontal(TestSecond):
    pipeline = SECOND.variants["grd-dh"]


@pytest.fixture(scope="module")
def real_first() -> Path:
    root = SAMPLES / "opensarship1"
    if not root.is_dir():
        pytest.skip(f"no real OpenSARShip 1.0 scene in {SAMPLES}: set SAR_DATA_SAMPLES")
    return root


@pytest.fixture(scope="module")
def real_second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("real_second"), SLC)


@pytest.fixture(scope="module")
def real_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("real_scenes"), SLC, REAL_GRD)


def unpacked(out: Path, *products: str) -> Path:
    for product in products:
        archive = SAMPLES / "opensarship2" / f"{product}.zip"
        if not archive.is_file():
            pytest.skip(f"no real OpenSARShip 2.0 archive in {SAMPLES}: set SAR_DATA_SAMPLES")
        with zipfile.ZipFile(archive) as source:
            source.extractall(out / product)
    return out


class TestRealFirst(ChipContract):
    pipeline = FIRST

    @pytest.fixture
    def archive(self, real_first: Path) -> Path:
        return real_first


class TestRealSecond(ChipContract):
    pipeline = SECOND.variants["slc-sv"]

    @pytest.fixture
    def archive(self, real_second: Path) -> Path:
        return real_second


class TestRealSecondGrd(ChipContract):
    pipeline = SECOND

    @pytest.fixture
    def archive(self, real_scenes: Path) -> Path:
        return real_scenes

    def test_no_chip_of_either_scene_is_lost(self, records: list[Record]) -> None:
        assert Counter((record.group, record.unused is None) for record in records) == {
            (SLC, False): 56,
            (REAL_GRD, True): 13,
        }


def independently(path: Path) -> npt.NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as source:
            pixels: npt.NDArray[Any] = source.read()
    return pixels


def same_pixels(pipeline: Pipeline, root: Path, out: Path, container: str, count: int) -> None:
    """Build real chips, and compare what is stored with the files, read without our code."""
    made = build(
        BuildRequest(dataset=pipeline, source=root, out=out, format=container, split="random:train=1,val=0,test=0")
    )
    sealed = Build.open(made.path)
    index = sealed.index()
    with sealed.reader() as reader:
        for row, place in zip(index.to_pylist(), places(index), strict=True):
            files = [root / file["path"] for file in row["files"] if file["path"].endswith(".tif")]
            assert np.array_equal(reader.read(place), np.concatenate([independently(path) for path in files]))
            count -= 1
    assert count == 0


@pytest.mark.parametrize("container", ["lmdb", "webdataset"])
@pytest.mark.parametrize("name", ["", "grd-dv-cal", "grd-dv-uint8"])
def test_every_real_chip_of_the_first_version_is_built_to_the_pixel(
    real_first: Path, tmp_path: Path, name: str, container: str
) -> None:
    same_pixels(variant(FIRST, name), real_first, tmp_path, container, 12)


@pytest.mark.parametrize("container", ["lmdb", "webdataset"])
@pytest.mark.parametrize("name", ["slc-sv", "slc-sv-cal", "slc-sv-uint8"])
def test_every_real_chip_of_the_second_version_is_built_to_the_pixel(
    real_second: Path, tmp_path: Path, name: str, container: str
) -> None:
    same_pixels(variant(SECOND, name), real_second, tmp_path, container, 56)


def test_a_real_ship_has_its_known_facts(real_first: Path, real_second: Path) -> None:
    by_key = {record.key: record for record in scanned(FIRST, real_first)}
    found = by_key[f"{GRD}_x1673_y6973"]
    assert (found.shape, found.time) == ((85, 85), datetime(2015, 8, 23, 22, 12, 45, tzinfo=UTC))
    assert (found.orbit_pass, found.relative_orbit, found.group) == ("descending", 149, GRD)
    known = {"mmsi": "413338000", "sog_knots": "0.1", "cog_degrees": "162", "draught_m": "11.1", "length_m": "190"}
    assert known.items() <= found.attrs.items()
    assert Counter(ais.CLASSES[r.labels["ship"][0]] for r in by_key.values()) == {"Cargo": 10, "Tanker": 2}
    others = scanned(SECOND.variants["slc-sv"], real_second)
    assert Counter(ais.CLASSES[r.labels["ship"][0]] for r in others) == {"Cargo": 27, "Tanker": 26, "Other Type": 3}
    assert sum(record.attrs["interference"] == "1" for record in others) == 4
    assert "H?EGH TRANSPORTER" in {record.attrs.get("ship") for record in others}
    assert not any("elevation_degrees" in record.attrs for record in others)


def test_digital_numbers_and_sigma0_of_a_real_chip_differ_by_one_constant(real_first: Path) -> None:
    """sigma0 = DN²/A², so the two folders are told apart by what they hold, not by their names alone."""
    tree = Folder.at(real_first)
    numbers, power = FIRST, FIRST.variants["grd-dv-cal"]
    by_key = {record.key: record for record in scanned(power, real_first)}
    for record in scanned(numbers, real_first):
        dn, sigma0 = numbers.read(tree, record).image, power.read(tree, by_key[record.key]).image
        factor = np.sqrt(np.square(dn) / sigma0)
        assert 579 < factor.min() <= factor.max() < 654
        assert factor.std() < 1


def test_two_bands_are_vh_and_vv_or_i_and_q_as_the_product_says(second: Path) -> None:
    names = {name: [band.name for band in variant(SECOND, name).spec.bands] for name in ("", *SECOND.variants)}
    assert names[""] == names["grd-dv-cal"] == names["slc-dv-cal"] == names["slc-dv-uint8"] == ["VH", "VV"]
    assert names["slc-dv"] == ["VH_I", "VH_Q", "VV_I", "VV_Q"]
    assert names["slc-sv"] == ["VV_I", "VV_Q"]
    assert names["grd-sv"] == names["slc-sv-cal"] == ["VV"]
    assert names["grd-dh"] == ["HV", "HH"]
    units = {name: set(variant(SECOND, name).spec.units) for name in names}
    assert (units[""], units["slc-sv"], units["grd-dv-cal"]) == ({"amplitude"}, {"DN"}, {"power"})
    of_two = {r.attrs["scene"]: r.unused for r in scanned(SECOND, second)}
    assert of_two[GRD] is None
    assert of_two[SLC] == "product of kind slc-sv: take `variant=slc-sv`"
    assert {r.unused for r in scanned(SECOND.variants["slc-sv"], second) if r.attrs["scene"] == GRD} == {
        "product of kind grd-dv: take no `variant=…`"
    }


HOWS: tuple[ComplexAs | None, ...] = (None, "iq", "amplitude-phase")


def test_bands_of_i_and_q_become_amplitude_and_phase_on_request(second: Path, tmp_path: Path) -> None:
    request = BuildRequest(dataset=SECOND, variant="slc-dv", source=second, out=tmp_path, split="random")
    plain, iq, polar = (build(dataclasses.replace(request, complex_as=how)) for how in HOWS)
    assert iq.path == plain.path  # as the files have it
    assert [(band.name, band.unit) for band in polar.manifest.bands] == [
        (f"{p}_{part}", part) for p in ("VH", "VV") for part in ("amplitude", "phase")
    ]
    before, after = read_build(plain.path)["train"], read_build(polar.path)["train"]
    assert before.keys() == after.keys() != set()
    for key, image in before.items():
        numbers = image[0::2].astype(np.complex128) + 1j * image[1::2]
        np.testing.assert_allclose(after[key][0::2], np.abs(numbers), rtol=1e-6)
        np.testing.assert_allclose(after[key][0::2] * np.exp(1j * after[key][1::2]), numbers, rtol=1e-6, atol=1e-3)
    figures = (polar.manifest.statistics or {})["train"].bands
    assert figures["VV_amplitude"].power is not None
    assert figures["VV_phase"].circular is not None
    assert figures["VV_phase"].circular.resultant_length < 0.2  # of speckle no direction is preferred
    power = convert(ConvertRequest(parent=polar.path, out=tmp_path, unit="power"))
    assert [band.unit for band in power.manifest.bands] == ["power", "phase", "power", "phase"]
    with pytest.raises(UsageError, match="`complex_as=iq`: expected files of complex numbers, found float32"):
        build(dataclasses.replace(request, variant=None, complex_as="iq"))


def test_chips_of_other_products_are_unused_with_the_variant_to_take(second: Path, tmp_path: Path) -> None:
    manifest = build(BuildRequest(dataset=SECOND, source=second, out=tmp_path, format="lmdb")).manifest
    others = ("slc-sv", "slc-dv", "grd-sv", "grd-dh", "slc-dh")
    assert manifest.unused == {f"product of kind {kind}: take `variant={kind}`": 5 for kind in others}
    assert manifest.discovered == [
        "scenes by product: 1 grd-dh, 1 grd-dv, 1 grd-sv, 1 slc-dh, 1 slc-dv, 1 slc-sv",
        "3 lists Ship.xml end in <\\ShipList>, which is read as </ShipList>",
    ]


@pytest.mark.parametrize("name", [name for name in SECOND.variants if "-sh" not in name])
def test_every_kind_of_product_is_read_in_every_form(second: Path, name: str) -> None:
    pipeline, _ = fitted(SECOND.variants[name], second)
    records = [record for record in scanned(pipeline, second) if record.unused is None]
    assert len(records) == 5
    for record in records:
        assert record.shape is not None
        image = pipeline.read(Folder.at(second), record).image
        assert (image.shape, image.dtype.name) == ((len(pipeline.spec.bands), *record.shape), pipeline.spec.dtype)


def test_a_source_without_the_kind_that_was_asked_for_names_those_there_are(second: Path, tmp_path: Path) -> None:
    shutil.copytree(second / SLC, tmp_path / SLC)
    with pytest.raises(SourceError, match="scenes of kind grd-dv, found 1 slc-sv: take `variant=slc-sv`"):
        fitted(SECOND, tmp_path)
    with pytest.raises(SourceError, match=r"found no folder with a folder Patch: unpack each archive"):
        fitted(SECOND, second / SLC / "Patch")


@pytest.mark.parametrize("name", ["grd-dh", "grd-dh-cal", "slc-dh"])
def test_the_order_of_hv_and_hh_is_found_by_the_pictures_that_are_named(tmp_path: Path, name: str) -> None:
    for order in (("HV", "HH"), ("HH", "HV")):
        root = tmp_path / "-".join(order)
        product = next(p for p, _ in opensarship_2.SCENES if f"_{'SLC_' if name[0] == 's' else 'GRDH'}_1SDH" in p)
        mini.scene(root / product, mini.Scene(product, order, 2), count=2, seed=1)
        pipeline, found = fitted(SECOND.variants[name], root)
        assert tuple(dict.fromkeys(band.polarization for band in pipeline.spec.bands)) == order
        assert found[1].startswith(f"bands in the order {', '.join(order)}")


def test_pictures_that_resemble_one_band_both_leave_the_order_open_and_stop(tmp_path: Path) -> None:
    product = next(p for p, _ in opensarship_2.SCENES if "GRDH_1SDH" in p)
    mini.scene(tmp_path / product, mini.Scene(product, ("HV", "HH"), 2), count=1, seed=1)
    (hh,) = (tmp_path / product / "Patch_Uint8").glob("*_hh.tif")
    shutil.copy(hh, hh.with_name(hh.name.replace("_hh", "_hv")))
    with pytest.raises(SourceError, match=r"expected bands like .*_hv.*take the uint8 form"):
        fitted(SECOND.variants["grd-dh"], tmp_path)


def test_upper_left_is_greater_than_lower_right_and_the_shape_is_right(first: Path) -> None:
    (text, *_) = [path.read_text() for path in first.rglob("Ship.xml")]
    ship = next(iter(ais.read_ships(text.encode(), "Ship.xml").values()))
    assert int(ship["UpperLeft_x"]) > int(ship["LowerRight_x"])
    assert ais.shape(ship, "Ship.xml") == (21, 21)
    assert {record.shape for record in scanned(FIRST, first)} == {(n, n) for n in (21, 33, 45, 61)}


def test_a_tif_that_holds_a_png_is_no_chip(first: Path, tmp_path: Path) -> None:
    assert {path.read_bytes()[:4] for path in first.rglob("Patch_RGB/*.tif")} == {b"\x89PNG"}
    assert not any("Patch_RGB" in file.path for record in scanned(FIRST, first) for file in record.files)
    shutil.copytree(first, tmp_path / "raw")
    chip = min((tmp_path / "raw").rglob("Patch/Cargo*.tif"))
    chip.write_bytes(mini.FIGURE)
    (record,) = [r for r in scanned(FIRST, tmp_path / "raw") if (tmp_path / "raw" / r.files[0].path) == chip]
    with pytest.raises(BadRecord, match=r"Patch/Cargo.*expected a TIFF, found b'.x89PNG"):
        FIRST.read(Folder.at(tmp_path / "raw"), record)


def test_class_names_have_spaces_and_keys_have_none(first: Path) -> None:
    records = scanned(FIRST, first)
    assert {"Other Type", "Law Enforcement"} <= {record.attrs["type"] for record in records}
    assert not [record.key for record in records if set(record.key) & set(" .")]


@pytest.mark.parametrize(
    ("name", "code", "label"),
    [
        ("Cargo", "79", "Cargo"),
        ("Other Type", "0", "Other Type"),
        ("Other Type", "90", "Other Type"),
        ("Law_Enforcement_vessel", None, "Law Enforcement"),
        ("Wing_in_ground", "24", "Wing in Ground"),
        ("Kreuzer", "35", "Military"),
        ("Reserved", "38", "Other Type"),
        ("Dredging_or_underwater_ops", "33", "Dredging"),
    ],
)
def test_name_and_type_code_agree_on_the_class(name: str, code: str | None, label: str) -> None:
    assert ais.CLASSES[ais.agree_class(name, code, "chip")] == label


@pytest.mark.parametrize(("name", "code"), [("Cargo", "80"), ("Kreuzer", None), ("Kreuzer", "many")])
def test_a_class_that_is_contradicted_or_unknown_is_a_bad_record(name: str, code: str | None) -> None:
    with pytest.raises(BadRecord, match="expected"):
        ais.agree_class(name, code, "chip")


def test_tenths_are_scaled_and_what_is_not_available_is_absent(first: Path) -> None:
    records = {record.key: record for record in scanned(FIRST, first)}
    one, two, three = (records[f"{GRD}_x{1600 + 137 * i}_y{6900 + 71 * i}"] for i in range(3))
    expected = {
        "sog_knots": "12.3",
        "cog_degrees": "162",
        "draught_m": "11.1",
        "heading_degrees": "45",
        "ship": "YIN HE",
    }
    assert expected.items() <= one.attrs.items()
    assert "heading_degrees" not in two.attrs
    assert two.attrs["ship"] == "H?EGH TRANSPORTER"
    assert "ship" not in three.attrs


def test_times_lack_the_padding_and_are_read_all_the_same(first: Path) -> None:
    assert {record.time for record in scanned(FIRST, first)} == {datetime(2015, 8, 3, 2, 12, 5, tzinfo=UTC)}
    assert ais.time({}, "Ship.xml") is None
    for text in ("2015-08-23T22:12:45", "2015/13/1.0:0:0"):
        with pytest.raises(BadRecord, match=r"expected a Time_UTC such as 2015/8/23\.22:12:45"):
            ais.time({"Time_UTC": text}, "Ship.xml")


def test_the_slant_range_time_is_one_whichever_way_its_tag_is_written(first: Path, second: Path) -> None:
    for pipeline, root in ((FIRST, first), (SECOND, second)):
        assert {record.attrs["slant_range_time_ns"] for record in scanned(pipeline, root)} == {"5398856.45"}


def test_the_end_tag_with_a_backslash_is_read_and_told(first: Path, second: Path) -> None:
    for path in second.rglob("Ship.xml"):
        assert path.read_bytes().endswith(b"<\\ShipList>\r\n") == ("_GRDH_" in path.parent.name)
    _, found = fitted(SECOND, second)
    assert "3 lists Ship.xml end in <\\ShipList>, which is read as </ShipList>" in found
    assert not [line for line in fitted(FIRST, first)[1] if "Ship.xml" in line]


def test_carriage_returns_in_ship_xml_are_no_part_of_a_value(second: Path) -> None:
    assert b"\r\n" in (second / SLC / "Ship.xml").read_bytes()
    assert not [r for r in scanned(SECOND, second) if any("\r" in value for value in r.attrs.values())]


@pytest.mark.parametrize("wrapping", ["{p}", "{p}/{p}", "OpenSARShip/zips/{p}/{p}", "{p}(1)", "{p} (1)/{p}"])
def test_a_scene_is_found_however_its_archive_was_unpacked(first: Path, tmp_path: Path, wrapping: str) -> None:
    shutil.copytree(first / GRD / GRD, tmp_path / wrapping.format(p=GRD))
    records = scanned(FIRST, tmp_path)
    assert {record.group for record in records} == {GRD}
    assert len(records) == 12


def test_an_archive_without_a_top_folder_may_be_the_source_itself(second: Path, tmp_path: Path) -> None:
    shutil.copytree(second / SLC, tmp_path / "anything")
    for root in (tmp_path, tmp_path / "anything"):
        assert {record.group for record in scanned(SECOND.variants["slc-sv"], root)} == {SLC}


def test_a_scene_whose_product_nobody_names_or_two_name_stops_the_build(second: Path, tmp_path: Path) -> None:
    shutil.copytree(second / GRD, tmp_path / "anything")
    (tmp_path / "anything" / f"{GRD}.xml").unlink()
    with pytest.raises(BadRecord, match=r"anything: expected the name of one Sentinel-1 product, found none: unpack"):
        fitted(SECOND, tmp_path)
    shutil.move(tmp_path / "anything", tmp_path / GRD)
    (tmp_path / GRD / f"{SLC}.xml").write_text("<Metadata/>")
    with pytest.raises(BadRecord, match=f"found {SLC}, {GRD}"):
        fitted(SECOND, tmp_path)


def test_a_scene_that_is_there_twice_stops_the_build(first: Path, tmp_path: Path) -> None:
    for name in (GRD, f"{GRD}(1)"):
        shutil.copytree(first / GRD / GRD, tmp_path / "raw" / name)
    with pytest.raises(BadRecord, match=r"duplicate key .*also in"):
        build(BuildRequest(dataset=FIRST, source=tmp_path / "raw", out=tmp_path, format="lmdb"))


def _no_xml(scene: Path) -> None:
    (scene / "Ship.xml").unlink()


def _xml(old: str, new: str) -> Callable[[Path], None]:
    def damage(scene: Path) -> None:
        path = scene / "Ship.xml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return damage


def _chip(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(scene: Path) -> None:
        path = scene / "Patch" / "Cargo_x1600_y6900.tif"
        path.write_bytes(change(path.read_bytes()))

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_no_xml, "Ship.xml: expected a file, found none"),
        (_xml("</ShipList>", ""), "Ship.xml: expected XML, found .*: no element found"),
        (_xml("</ShipList>", "<\\ShipList/>"), "Ship.xml: expected XML, found .*: not well-formed"),
        (_xml("</ShipList>", "<\\ShipList></ShipList>"), "Ship.xml: expected XML, found .*: not well-formed"),
        (_xml("<ShipList>", "<!DOCTYPE a [<!ENTITY b 'c'>]><ShipList>"), "expected XML without DTD.*DTDForbidden"),
        (_xml("ShipList>", "Ships>"), "expected the root <ShipList>, found <Ships>"),
        (_xml("<Center_x>1600<", "<Center_x>1601<"), r"expected a ship at the centre .1600, 6900. of Cargo"),
        (_xml("<Center_x>1600<", "<Center_x>NaN<"), "expected whole numbers Center_x"),
        (_xml("<Sog>123<", "<Sog>fast<"), "expected a number in <Sog>, found 'fast'"),
        (_xml("<UpperLeft_x>1610<", "<UpperLeft_x>NaN<"), "expected whole numbers UpperLeft"),
        (_xml("<Ship_Type>70<", "<Ship_Type>80<"), "expected a type code of Cargo, found 80: Tanker"),
        (_xml("<UpperLeft_x>1610<", "<UpperLeft_x>1612<"), "expected 2 bands of 21x23 pixels, found 2 bands of 21x21"),
        (_chip(lambda data: data[:-20]), "truncated"),
        (_chip(lambda data: b""), "empty file"),
        (_chip(lambda data: b"<html>log in</html>"), "expected a TIFF, found b'<html>"),
        (
            lambda scene: shutil.copy(
                scene / "Patch_Uint8" / "Visual_Cargo_x1600_y6900_vv.tif", scene / "Patch" / "Cargo_x1600_y6900.tif"
            ),
            "expected 2 bands of 21x21 pixels, found 1 band",
        ),
        (lambda scene: shutil.rmtree(scene / "Patch"), r"expected Patch/<Type>_x<X>_y<Y>\.tif, found Patch"),
        (lambda scene: (scene / "Patch" / "thumb.tif").write_bytes(b""), "found thumb"),
    ],
)
def test_a_damaged_scene_is_named_with_the_reason(
    first: Path, tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    scene = tmp_path / GRD
    shutil.copytree(first / GRD / GRD, scene)
    damage(scene)
    tree = Folder.at(tmp_path)
    with pytest.raises(BadRecord, match=reason):
        deque((FIRST.read(tree, record) for record in scanned(FIRST, tmp_path)), 0)


@pytest.mark.parametrize("missing", ["vh", "vv"])
def test_a_picture_of_a_missing_polarization_is_named(first: Path, tmp_path: Path, missing: str) -> None:
    shutil.copytree(first / GRD / GRD, tmp_path / GRD)
    (tmp_path / GRD / "Patch_Uint8" / f"Visual_Cargo_x1600_y6900_{missing}.tif").unlink()
    with pytest.raises(BadRecord, match=f"Visual_Cargo_x1600_y6900_{missing}.tif: expected a file, found none"):
        scanned(FIRST.variants["grd-dv-uint8"], tmp_path)


def test_the_picture_of_a_single_polarization_may_name_it(second: Path, tmp_path: Path) -> None:
    shutil.copytree(second / SLC, tmp_path / SLC)
    for path in list((tmp_path / SLC / "Patch_Uint8").iterdir()):
        path.rename(path.with_name(path.name.replace(".tif", "_vv.tif")))
    assert len(scanned(SECOND.variants["slc-sv-uint8"], tmp_path)) == 5


def test_a_ship_list_that_was_corrected_is_read_anew_in_the_same_process(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first / GRD / GRD, tmp_path / GRD)
    before = {record.attrs["mmsi"] for record in scanned(FIRST, tmp_path)}
    _xml("<MMSI>413338000<", "<MMSI>413338999<")(tmp_path / GRD)
    assert {record.attrs["mmsi"] for record in scanned(FIRST, tmp_path)} ^ before == {"413338000", "413338999"}


def test_a_scene_without_chips_leaves_the_order_of_hv_and_hh_unknown_and_stops(tmp_path: Path) -> None:
    product = next(p for p, _ in opensarship_2.SCENES if "GRDH_1SDH" in p)
    (tmp_path / product / "Patch").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"Patch: expected chips named <Type>_x<X>_y<Y>\.tif, found none"):
        fitted(SECOND.variants["grd-dh"], tmp_path)


def test_a_chip_is_a_window_of_its_product_and_its_place_the_ship(real_first: Path) -> None:
    for record in scanned(FIRST, real_first):
        x, y = (int(part[1:]) for part in record.key.split("_")[-2:])
        west, north, east, south = record.footprint or (0, 0, 0, 0)
        assert (west + (east - west - 1) / 2, north + (south - north - 1) / 2) == (x, y)
        assert record.shape == (south - north, east - west)
        assert record.reference_frame == f"pixels of {record.group}"
        assert record.place == record.attrs["mmsi"]


@pytest.mark.parametrize("form", ["", "grd-sv", "slc-dv", "grd-sv-uint8"])
def test_statistics_of_raw_files_are_of_the_chips_of_one_kind(second: Path, form: str) -> None:
    chosen = variant(SECOND, form)
    tree = Folder.at(second)
    values = [chosen.read(tree, record).image for record in scanned(chosen, second) if record.unused is None]
    found = sar_data.stats(second, dataset="opensarship-2", variant=form or None, runner="serial")["all"].bands
    assert list(found) == [band.name for band in chosen.spec.bands]
    for number, figures in enumerate(found.values()):
        pixels = np.concatenate([value[number].ravel() for value in values]).astype(np.float64)
        assert figures.count == len(pixels)
        assert figures.stored.mean == pytest.approx(pixels.mean(), rel=1e-9, abs=1e-9)

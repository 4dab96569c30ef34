"""SAR-Ship-Dataset's boxes are cut to their chips and counted, and identical chips stay together."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from pipelines import sar_ship_dataset as ships
from pipelines.synth import sar_ship_dataset as synthetic
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.split.group import Group
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract

TOP = "ship_dataset_v0"


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(ships.units(tree)) for record in ships.scan(tree, unit)]


@pytest.fixture(scope="module")
def ship_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sar-ship")
    synthetic.synthesise(out, count=20, seed=0)
    return out


@pytest.fixture
def copy(ship_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ship_archive, tmp_path / "raw"))


class TestSarShip(PipelineContract):
    pipeline = ships.PIPELINE

    @pytest.fixture
    def archive(self, ship_archive: Path) -> Path:
        return ship_archive


def test_boxes_that_leave_their_chip_are_cut_marked_and_counted(ship_archive: Path, tmp_path: Path) -> None:
    objects = [found for record in scan(ship_archive) for found in record.objects]
    cut = [found for found in objects if found.attrs]
    assert len(cut) == 4
    assert all(found.box[2] == ships.SIDE and found.attrs == {"cut": "1"} for found in cut)
    made = build(BuildRequest(dataset=ships.PIPELINE, source=ship_archive, out=tmp_path, format="webdataset"))
    assert made.manifest.discovered == [f"4 of {len(objects)} boxes leave their chip and are cut to it"]


def test_chips_that_are_identical_to_the_byte_are_never_parted(ship_archive: Path) -> None:
    by_bytes: dict[bytes, set[str]] = defaultdict(set)
    records = scan(ship_archive)
    for record in records:
        by_bytes[(ship_archive / record.files[0].path).read_bytes()].add(record.group or "")
    assert (len(records), len(by_bytes)) == (20, 18)
    assert all(len(groups) == 1 for groups in by_bytes.values())
    assert len({record.group for record in records}) == 18  # and others are not joined for nothing
    for seed in range(20):
        made = Group().assign(records, seed=seed, lists=ListsIn(ship_archive))
        placed = defaultdict(set)
        for record, split in zip(records, made.split, strict=True):
            placed[record.group].add(split)
        assert all(len(splits) == 1 for splits in placed.values())


def test_sensor_and_polarization_come_from_the_name_where_it_tells(ship_archive: Path) -> None:
    told = Counter(tuple(record.attrs.values()) for record in scan(ship_archive))
    assert told == {("Gaofen-3", "HH"): 5, ("Sentinel-1", "VV"): 5, (): 10}


def test_one_channel_and_three_equal_ones_become_one(ship_archive: Path) -> None:
    tree = Folder.at(ship_archive)
    assert {ships.read(tree, record).image.shape for record in scan(ship_archive)} == {(1, 256, 256)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0.5 0.5 0.1", r"line 1: expected class and four numbers, found '0 0.5 0.5 0.1'"),
        ("0 0.5 0.5 0.1 0.1\n0 a b c d", "line 2: expected class and four numbers"),
        ("1 0.5 0.5 0.1 0.1", "expected a class from 0 to 0, found 1"),
        ("0.5 0.5 0.5 0.1 0.1", "expected a class from 0 to 0, found 0.5"),
        ("0 0.5 0.5 nan 0.1", "four numbers"),
        ("<html>", "four numbers"),
    ],
)
def test_a_line_that_cannot_be_is_named(copy: Path, text: str, reason: str) -> None:
    path = next((copy / TOP).glob("newship*.txt"))
    path.write_text(text)
    assert ships.fit(Folder.at(copy))[1]  # what is broken is told by scan, which may put it in quarantine
    with pytest.raises(BadRecord, match=reason) as caught:
        scan(copy)
    assert caught.value.path == f"{TOP}/{path.name}"


def test_a_bom_and_the_line_ends_of_windows_change_nothing(ship_archive: Path, copy: Path) -> None:
    for path in (copy / TOP).glob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert [r.objects for r in scan(copy)] == [r.objects for r in scan(ship_archive)]


def test_an_empty_label_file_is_a_chip_without_ships_and_a_missing_one_is_bad(copy: Path) -> None:
    path = next((copy / TOP).glob("Gao*.txt"))
    path.write_text("")
    assert {r.key: r.labels for r in scan(copy)}[path.stem] == {"ships": ()}
    path.unlink()
    with pytest.raises(BadRecord, match="expected a file, found none"):
        scan(copy)

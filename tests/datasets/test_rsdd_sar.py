"""RSDD-SAR: rotated boxes by their longer side, splits and scenes by lists."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines import rsdd_sar
from pipelines.synth import rsdd_sar as synthetic
from sar_data.errors import BadRecord
from sar_data.labels import boxes
from sar_data.record import Record
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [r for unit in sorted(rsdd_sar.units(tree)) for r in rsdd_sar.scan(tree, unit)]


@pytest.fixture(scope="module")
def rsdd_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rsdd-sar")
    synthetic.synthesise(out, count=14, seed=0)
    return out


@pytest.fixture
def copy(rsdd_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rsdd_archive, tmp_path / "raw"))


class TestRsddSar(PipelineContract):
    pipeline = rsdd_sar.PIPELINE

    @pytest.fixture
    def archive(self, rsdd_archive: Path) -> Path:
        return rsdd_archive


def test_the_longer_side_lies_along_what_is_bright(rsdd_archive: Path) -> None:
    tree, seen = Folder.at(rsdd_archive), 0
    for record in scan(rsdd_archive):
        pixels = rsdd_sar.read(tree, record).image[0]
        for ship in record.objects:
            x, y, length, width, degrees = ship.rotated or (0, 0, 0, 0, 0)
            assert length >= width
            along = np.linspace(-0.4, 0.4, 9) * length
            turn = np.radians(degrees)
            at = ((y + along * np.sin(turn)).astype(int), (x + along * np.cos(turn)).astype(int))
            assert pixels[at].mean() > 150
            assert boxes.bounding_box(boxes.corners((x, y, length, width, degrees))) == pytest.approx(ship.box, abs=1)
            seen += 1
    assert seen > 10


def test_splits_scenes_and_groups_come_from_lists_and_names(rsdd_archive: Path) -> None:
    records = scan(rsdd_archive)
    assert Counter(record.official for record in records) == {"train": 10, "test": 4}
    assert {r.attrs.get("scene") for r in records if r.official == "test"} == {"inshore", "offshore"}
    assert all("scene" not in r.attrs for r in records if r.official == "train")
    assert {r.group for r in records} == {"1", "2", "3", "4", "5"}
    assert Counter(r.attrs["polarization"] for r in records) == {"HH": 7, "VV": 7}


def test_a_ship_at_the_border_is_cut_and_keeps_its_rotated_box(copy: Path) -> None:
    path = next(path for path in sorted(copy.rglob("*.xml")) if "<cx>" in path.read_text())
    head, _, rest = path.read_text().partition("<cx>")
    path.write_text(f"{head}<cx>2{rest[rest.index('</cx>') :]}")
    (record,) = (record for record in scan(copy) if record.key == path.stem)
    ship = next(ship for ship in record.objects if ship.rotated and ship.rotated[0] == 2)
    assert ship.box[0] == 0
    assert ship.attrs == {"cut": "1"}


@pytest.mark.parametrize("side", ["-4", "0"])
def test_a_ship_with_a_side_that_is_not_above_zero_goes_alone(copy: Path, side: str) -> None:
    path = next(path for path in sorted(copy.rglob("*.xml")) if "<w>" in path.read_text())
    (before,) = (record for record in scan(copy) if record.key == path.stem)
    head, _, rest = path.read_text().partition("<w>")
    path.write_text(f"{head}<w>{side}{rest[rest.index('</w>') :]}")
    (after,) = (record for record in scan(copy) if record.key == path.stem)
    assert (len(after.objects), after.dropped) == (len(before.objects) - 1, {boxes.NO_AREA: 1})


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"<name>ship", b"<name>buoy", "expected objects named ship with a <robndbox>, found 'buoy'"),
        (b"robndbox>", b"bndbox>", "expected objects named ship with a <robndbox>, found 'ship'"),
        (b"<angle>", b"<angle>x", "expected a number in <angle>, found 'x"),
        (b"annotation>", b"html>", "expected the root <annotation>, found <html>"),
    ],
)
def test_a_broken_annotation_is_named_with_its_file(copy: Path, old: bytes, new: bytes, reason: str) -> None:
    path = next(path for path in sorted(copy.rglob("*.xml")) if old in path.read_bytes())
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(BadRecord, match=reason) as caught:
        scan(copy)
    assert caught.value.path.endswith(path.name)


def test_an_image_in_both_lists_is_refused(copy: Path) -> None:
    lists = copy / "RSDD-SAR" / "ImageSets"
    (lists / "test.txt").write_text((lists / "train.txt").read_text())
    with pytest.raises(BadRecord, match=r"in ImageSets/train\.txt or test\.txt, found it in both"):
        scan(copy)

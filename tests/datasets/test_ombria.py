"""OMBRIA has two dates and a mask of the flood; what its pictures and numbers cannot tell is said, and no more."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.ombria import BUFFER, EVENTS, PIPELINE, SCENES
from pipelines.synth import ombria
from sar_data import synth
from sar_data.builder import itinerary
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.raster import image
from sar_data.record import Date, Record, window_of
from sar_data.sealed.opened import Build
from sar_data.sources.tree import Folder
from sar_data.split.ground.leakage import touching_share
from sar_data.stream.dataset import Stream
from sar_data.testing.pipelines import ListsIn
from sar_data.views import contact_sheet
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

FIRST = "S1_0001"
GREY = np.full((256, 256), 7, np.uint8)


@pytest.fixture(scope="module")
def ombria_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ombria")
    ombria.synthesise(out, count=32, seed=0)
    return out


def records(root: Path) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)}


def numbered(number: int, event: str = "") -> Record:
    """Return the record of a place as far as splits look at it."""
    frame = window_of(f"{SCENES}{event}", row=0, column=256 * number, height=256, width=256)
    return Record(key=f"{event}{number}", files=(), **frame)


class Ombria(PipelineContract):
    pipeline = PIPELINE

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return super().raw_bands(root, record)[:2]  # the third picture is the mask


class TestOmbria(Ombria):
    @pytest.fixture
    def archive(self, ombria_archive: Path) -> Path:
        return ombria_archive

    def check_build(self, archive: Path, build: Build) -> None:
        super().check_build(archive, build)
        batch = next(iter(Stream(build.path, batch_size=4, normalize=None, fill=None, shuffle=False)))
        assert batch["image"].shape == (4, 2, 1, 256, 256)
        assert batch["target"].shape == (4, 256, 256)
        tree, by_key = Folder.at(archive), records(archive)
        for key, pixels, mask in zip(batch["key"], batch["image"], batch["target"], strict=True):
            sample = PIPELINE.read(tree, by_key[key])
            assert np.array_equal(pixels, sample.image)
            assert sample.mask is not None
            assert np.array_equal(mask, sample.mask)


class TestRealOmbria(Ombria):
    @pytest.fixture
    def archive(self) -> Path:
        root = SAMPLES / "ombria"
        if not root.is_dir():
            pytest.skip(f"no real tiles of OMBRIA in {SAMPLES}: set SAR_DATA_SAMPLES")
        return root

    @pytest.mark.parametrize("container", ["zarr"])  # one is enough for 782 places
    def test_it_builds_in_every_format_that_admits_it_and_verifies(
        self, archive: Path, lists: Path, container: str, tmp_path: Path
    ) -> None:
        super().test_it_builds_in_every_format_that_admits_it_and_verifies(archive, lists, container, tmp_path)

    def test_the_counted_places_are_there(self, records: list[Record]) -> None:
        assert Counter(record.official for record in records) == {"train": 624, "test": 70, None: 88}
        numbers = sorted(int(record.attrs["number"]) for record in records if record.official)
        assert (numbers[0], numbers[-1], len(set(numbers))) == (1, 787, 694)
        assert max(b - a for a, b in pairwise(numbers)) == 9

    def test_the_flood_covers_a_third_of_train_and_a_tenth_of_france(self, tree: Folder, records: list[Record]) -> None:
        shares = {}
        for part in ("train", "test", None):
            some = [record for record in records if record.official == part]
            shares[part] = float(np.mean([PIPELINE.read(tree, record).mask for record in some]))
        assert shares == pytest.approx({"train": 0.331, "test": 0.333, None: 0.074}, abs=0.03)


def test_a_mask_of_255_is_flood_and_not_ignored(ombria_archive: Path) -> None:
    record = records(ombria_archive)[FIRST]
    stored = image.grey((ombria_archive / record.files[2].path).read_bytes(), "mask")[0]
    mask = PIPELINE.read(Folder.at(ombria_archive), record).mask
    assert mask is not None
    assert set(np.unique(mask).tolist()) == {0, 1}
    assert np.array_equal(mask == 1, stored == 255)


def test_dates_are_in_order_and_say_no_more_than_is_known(ombria_archive: Path) -> None:
    for record in records(ombria_archive).values():
        assert record.dates == (Date(role="pre"), Date(role="post"))
        assert [file.path.split("/")[-2] for file in record.files] == ["BEFORE", "AFTER", "MASK"]


def test_swapped_dates_are_another_content(ombria_archive: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(ombria_archive, tmp_path / "raw"))
    before, after, _ = (root / file.path for file in records(root)[FIRST].files)
    first, second = before.read_bytes(), after.read_bytes()
    before.write_bytes(second)
    after.write_bytes(first)
    requests = [BuildRequest(dataset=PIPELINE, source=source, out=tmp_path) for source in (ombria_archive, root)]
    first_digest, second_digest = (itinerary.build(one).manifest.content_digest for one in requests)
    assert first_digest != second_digest


def test_test_tiles_of_the_official_split_lie_beside_train_tiles_by_number(ombria_archive: Path) -> None:
    found = list(records(ombria_archive).values())
    made = PIPELINE.splits["official"].assign(found, seed=0, lists=ListsIn(ombria_archive))
    assert touching_share(found, made.split) == 1


def test_blocks_leave_twelve_numbers_between_splits_and_all_floods_of_2021_out() -> None:
    found = [numbered(number) for number in range(1, 788)]
    events = [numbered(number, "FRANCE") for number in range(88)]
    made = PIPELINE.splits["blocks"].assign([*found, *events], seed=0, lists=ListsIn(Path()))
    assert set(made.split[len(found) :]) == {"unused"}
    placed = [(number, split) for number, split in enumerate(made.split[: len(found)], 1) if split != "unused"]
    assert {split for _, split in placed} == {"train", "val", "test"}
    assert min(b - a for (a, one), (b, other) in pairwise(placed) if one != other) == BUFFER + 1
    assert len(placed) > 0.8 * len(found)


@pytest.mark.parametrize("event", EVENTS)
def test_a_flood_of_2021_is_tested_alone_and_says_how_its_tiles_were_chosen(ombria_archive: Path, event: str) -> None:
    found = list(records(ombria_archive).values())
    made = PIPELINE.splits[event.lower()].assign(found, seed=0, lists=ListsIn(ombria_archive))
    tested = [record for record, split in zip(found, made.split, strict=True) if split == "test"]
    assert {record.attrs["event"] for record in tested} == {event}
    chosen = {record.attrs["selection"] for record in tested}
    assert chosen == {"none: all tiles" if event == "FRANCE" else "by model score (likely)"}


def test_the_optical_pairs_are_not_read(ombria_archive: Path) -> None:
    assert (ombria_archive / "OmbriaS2").is_dir()
    assert not [file for record in records(ombria_archive).values() for file in record.files if "S2" in file.path]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda before, mask: before.unlink(), "BEFORE/S1_before_0001.png: expected a file, found none"),
        (lambda before, mask: mask.unlink(), "MASK/S1_mask_0001.png: expected a file, found none"),
        (lambda before, mask: before.write_bytes(synth.png(GREY[:128])), "both dates and their mask, found 128x256"),
        (lambda before, mask: mask.write_bytes(synth.png(GREY[:128])), "both dates and their mask, found 128x256"),
        (lambda before, mask: mask.write_bytes(synth.png(GREY)), "expected a mask of 0 and 255, found 7"),
    ],
)
def test_a_missing_date_and_one_of_another_size_end_in_a_sentence(
    ombria_archive: Path, tmp_path: Path, damage: Callable[[Path, Path], Any], reason: str
) -> None:
    root = Path(shutil.copytree(ombria_archive, tmp_path / "raw"))
    before, _, mask = (root / file.path for file in records(root)[FIRST].files)
    damage(before, mask)
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(root), records(root)[FIRST])


def test_show_draws_both_dates_with_the_border_of_the_flood(ombria_archive: Path, tmp_path: Path) -> None:
    made = itinerary.build(BuildRequest(dataset=PIPELINE, source=ombria_archive, out=tmp_path))
    figure, shown = contact_sheet.draw(made, count=2)
    assert shown == 2
    pictures = [axes for axes in figure.axes if axes.images]
    assert [axes.texts[0].get_text() for axes in pictures] == ["pre", "post"] * 2
    for before, after in zip(pictures[::2], pictures[1::2], strict=True):
        first, second = (path for axes in (before, after) for path in axes.collections[0].get_paths())
        assert np.array_equal(first.vertices, second.vertices)
        assert not np.array_equal(before.images[0].get_array(), after.images[0].get_array())
    assert "flood" in {text.get_text() for text in figure.texts} | {t.get_text() for a in figure.axes for t in a.texts}

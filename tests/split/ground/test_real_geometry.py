"""The real geometry of BigEarthNet: its names tell acquisition, tile, column and row, and so who touches whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines._bigearthnet import named
from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.ground.footprints import Footprints, find_identical, find_touching
from sar_data.split.group import Group
from sar_data.split.random import Random
from sar_data.system.bulk import bulk
from tests.places import SAMPLES
from tests.split import place

TABLES = ("metadata.parquet", "metadata_for_patches_with_snow_cloud_or_shadow.parquet")
FOLDER, LISTS = SAMPLES / "bigearthnet-v2.0", SAMPLES / "bigearthnet-v1.0-lists"


class Patches:
    """All 549,488 patches of both tables, in their order, and the split of v2.0."""

    def __init__(self) -> None:
        tables = [pq.read_table(FOLDER / name, columns=["s1_name", "s2v1_name", "split"]) for name in TABLES]
        names, self.partners, self.official = (
            [value for table in tables for value in table[column].to_pylist()] for column in tables[0].column_names
        )
        with bulk():
            self.records: list[Record] = [record for name in names if (record := named(name))]
        assert len(self.records) == len(names) == 549_488
        self.ground = Footprints.of(self.records)

    def score(self, split: Sequence[str]) -> tuple[float, float, float]:
        """Return the shares of test patches that touch train, that show the same ground, and whose tile is in train."""
        sides = np.array(split)
        test, train = (self.ground.take(sides == name) for name in ("test", "train"))
        tiles = {record.place for record, side in zip(self.records, split, strict=True) if side == "train"}
        shared = [record.place in tiles for record, side in zip(self.records, split, strict=True) if side == "test"]
        return (
            float(find_touching(test, train).mean()),
            float(find_identical(test, train).mean()),
            float(np.mean(shared)),
        )


@pytest.fixture(scope="module")
def patches() -> Patches:
    if not FOLDER.is_dir():
        pytest.skip(f"no real tables in {SAMPLES}: set SAR_DATA_SAMPLES")
    return Patches()


def test_random_and_acquisition_splits_touch_nearly_everywhere(patches: Patches) -> None:
    near, same, _ = patches.score(place(Random(), patches.records).split)
    assert (near, same) == (1.0, pytest.approx(0.768, abs=5e-4))
    near, same, _ = patches.score(place(Group(), patches.records).split)
    assert (near, same) == (pytest.approx(0.865, abs=5e-4), pytest.approx(0.839, abs=5e-4))
    near, same, tile = patches.score(place(Group(by="place"), patches.records).split)
    assert (same, tile) == (0.0, 0.0)
    assert 0 < near < 0.1  # tiles overlap
    assert patches.score(place(Group(by="place", buffer=1), patches.records).split) == (0.0, 0.0, 0.0)


def test_the_official_split_of_v2_touches_nowhere_and_shares_every_tile(patches: Patches) -> None:
    names = {"train": "train", "validation": "val", "test": "test"}
    assert patches.score([names[split] for split in patches.official]) == (0.0, 0.0, 1.0)


def test_the_official_split_of_v1_touches_everywhere(patches: Patches) -> None:
    if not LISTS.is_dir():
        pytest.skip(f"no real lists in {SAMPLES}: set SAR_DATA_SAMPLES")
    home = {name: split for split in ("train", "val", "test") for name in (LISTS / f"{split}.csv").read_text().split()}
    near, same, _ = patches.score([home.get(partner, "unused") for partner in patches.partners])
    assert near == pytest.approx(0.9999, abs=1e-4)
    assert same == 0.0


def test_blocks_with_a_buffer_do_not_touch_also_across_zones(patches: Patches) -> None:
    made = place(Blocks(), patches.records).split
    assert patches.score(made)[0] == 0.0
    assert made.count("unused") / len(made) == pytest.approx(0.0687, abs=5e-4)
    # A buffer within each zone alone leaves 67 test patches (0.12 %) that overlap train patches of another zone.

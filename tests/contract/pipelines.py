"""The law book of a dataset: a test class that names a pipeline and a miniature archive inherits it."""

from __future__ import annotations

import inspect
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import rasterio

from sar_data.record import Record
from sar_data.sources.http import Web, safe
from sar_data.sources.tree import Folder, Tree, Witness
from sar_data.sources.wanted import Wanted
from sar_data.spec import Pipeline
from sar_data.split.policy import SPLITS, UNUSED

PIXELS = (".tif", ".tiff", ".png", ".jpg", ".zip")


@dataclass(frozen=True)
class Listening:
    """A tree that notes whose bytes were asked for, as a whole or in part."""

    tree: Tree
    read_whole: list[str] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)

    def folders(self, path: str = "") -> list[str]:
        return self.tree.folders(path)

    def files(self, path: str = "") -> list[str]:
        return self.tree.files(path)

    def size(self, path: str) -> int:
        return self.tree.size(path)

    def read(self, path: str) -> bytes:
        self.read_whole.append(path)
        return self.tree.read(path)

    def head(self, path: str, size: int) -> bytes:
        self.heads[path] = size
        return self.tree.head(path, size)


@dataclass(frozen=True)
class ListsIn:
    """The lists of one folder."""

    folder: Path

    def find(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def where(self) -> str:
        return str(self.folder)


class PipelineContract:
    """Inherit, set `pipeline`, and give a fixture `archive` with the root of a miniature archive."""

    pipeline: Pipeline

    @pytest.fixture
    def tree(self, archive: Path) -> Folder:
        return Folder.at(archive)

    @pytest.fixture
    def records(self, tree: Folder) -> list[Record]:
        return self.scanned(tree)

    def scanned(self, tree: Tree) -> list[Record]:
        return [record for unit in self.pipeline.units(tree) for record in self.pipeline.scan(tree, unit)]

    def some(self, records: list[Record]) -> list[Record]:
        return records[:: max(1, len(records) // 12)]

    def test_the_file_is_short_and_begins_with_what_a_newcomer_must_know(self) -> None:
        source = inspect.getsourcefile(self.pipeline.scan)
        module = inspect.getmodule(self.pipeline.scan)
        assert source is not None
        assert module is not None
        assert len(Path(source).read_text(encoding="utf-8").splitlines()) < 120
        assert len((module.__doc__ or "").split()) >= 60

    def test_the_spec_is_whole(self) -> None:
        spec = self.pipeline.spec
        assert spec.bands
        assert spec.tasks
        assert spec.sources
        assert len({band.name for band in spec.bands}) == len(spec.bands)
        for task in spec.tasks:
            assert len(set(task.classes)) == len(task.classes)
        assert set(spec.lists) <= {source.name for source in spec.sources}
        assert np.dtype(spec.dtype).isnative
        assert self.pipeline.splits

    def test_every_source_can_be_fetched_or_says_how_a_person_gets_it(self) -> None:
        sources = self.pipeline.spec.sources
        assert len({source.file for source in sources}) == len(sources)
        with Web() as web:
            for source in sources:
                Wanted(name=source.file, urls=(), checksum=source.checksum)  # which refuses paths and odd checksums
                for url in () if source.manual else (source.url, *source.mirrors):
                    assert safe(web.address(url)) or source.checksum, f"{url}: http alone needs a published checksum"

    def test_keys_are_unique_and_a_second_scan_repeats_the_records(self, tree: Folder, records: list[Record]) -> None:
        by_key = {record.key: record for record in records}
        assert len(by_key) == len(records) > 0
        assert {record.key: record for record in self.scanned(tree)} == by_key

    def test_scan_reads_no_pixels(self, tree: Folder) -> None:
        listening = Listening(tree)
        self.scanned(listening)
        assert not [path for path in listening.read_whole if path.lower().endswith(PIXELS)]
        assert max(listening.heads.values(), default=0) <= 4096

    def test_every_file_of_a_record_has_its_size_and_what_scan_read_its_hash(self, tree: Folder) -> None:
        witness = Witness(tree, {})
        for record in self.scanned(witness):
            for file in record.files:
                assert file.size == tree.size(file.path)
                assert file.xxh3 == witness.seen.get(file.path)

    def test_labels_are_ascending_indices_of_every_task(self, records: list[Record]) -> None:
        for record, task in itertools.product(records, self.pipeline.spec.tasks):
            found = record.labels[task.name]
            assert list(found) == sorted(set(found))
            assert set(found) <= set(range(len(task.classes)))
            assert len(found) == 1 or task.kind == "multilabel"
            assert found or record.unused or task is not self.pipeline.spec.tasks[0]

    def test_places_are_whole(self, records: list[Record]) -> None:
        height, width = self.pipeline.spec.shape
        for record in records:
            if record.footprint is None or record.transform is None:
                continue
            a, b, c, d, e, f = record.transform
            corners = (c, f + e * height, c + a * width, f)
            assert (b, d) == (0, 0)
            assert record.crs is not None
            assert record.footprint == pytest.approx(corners)

    def test_read_gives_canonical_pixels_of_a_plausible_unit(self, tree: Folder, records: list[Record]) -> None:
        spec = self.pipeline.spec
        for record in self.some(records):
            image = self.pipeline.read(tree, record).image
            assert image.shape == (len(spec.bands), *spec.shape)
            assert str(image.dtype) == spec.dtype
            assert image.flags.c_contiguous
            for band, plane in zip(spec.bands, image, strict=True):
                assert band.unit == "dB"
                assert -60 < np.nanmean(plane) < 20

    def test_read_gives_to_the_bit_what_rasterio_gives(self, tree: Folder, records: list[Record]) -> None:
        for record in self.some(records):
            sample = self.pipeline.read(tree, record)
            planes = []
            for file in record.files:
                if file.path.endswith(".tif"):
                    with rasterio.open(Path(tree.root, file.path)) as source:
                        planes.append(source.read())
                        if record.transform is not None:
                            assert tuple(source.transform)[:6] == pytest.approx(record.transform)
                            assert source.crs.to_string() == record.crs
            assert sample.image.tobytes() == np.concatenate(planes).tobytes()
            assert sample.fallbacks == 0

    def test_every_split_places_every_record(self, archive: Path, records: list[Record]) -> None:
        for policy in self.pipeline.splits.values():
            made = policy.assign(records, seed=0, lists=ListsIn(archive / "lists"))
            assert len(made.split) == len(records)
            assert set(made.split) <= {*SPLITS, UNUSED}
            assert "train" in made.split
            assert not made.bad

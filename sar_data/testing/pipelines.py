"""The law book of a dataset: a test class that names a pipeline and a miniature archive inherits it."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.download.http import Web, is_secure
from sar_data.download.target import Target
from sar_data.errors import UsageError
from sar_data.record import Record
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from sar_data.sources.tree import Folder, RecordingTree
from sar_data.sources.view import TreeView
from sar_data.spec import MASKED, Pipeline, Tree, is_change, mask_classes
from sar_data.split.policy import SPLITS, UNUSED

HEAD = 4096  # bytes: a small image may lie in its file's head as a whole
PIXELS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".zip")
PLAUSIBLE = {
    "dB": (-60, 20),
    "power": (0, 1e4),
    "amplitude": (0, 1e5),
    "DN": (-1e6, 1e6),
    "8-bit": (0, 255),
    "phase": (-3.2, 3.2),
}  # of a band's mean


_DIGESTS: dict[tuple[str, str, str, str], str] = {}  # by archive: every format must give the same


@dataclass(frozen=True, slots=True, eq=False)
class Listening(TreeView):
    """A tree that notes whose bytes were asked for, as a whole or in part: (path, first byte, end)."""

    read_whole: list[str] = field(default_factory=list)
    parts: list[tuple[str, int, int]] = field(default_factory=list)

    def read(self, path: str) -> bytes:
        self.read_whole.append(path)
        return self.tree.read(path)

    def head(self, path: str, size: int) -> bytes:
        self.parts.append((path, 0, size))
        return self.tree.head(path, size)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        self.parts.append((path, offset, offset + size))
        return self.tree.pread(path, offset, size)

    def check(self, root: Path) -> None:
        """Hold what was read to the law: at most HEAD bytes at once, and none of pixels but what a head has of them."""
        assert not [path for path in self.read_whole if path.lower().endswith(PIXELS)]
        for path, start, stop in self.parts:
            assert stop - start <= HEAD, (path, start, stop)
            blocks = blocks_of(root / path) if stop > HEAD and path.lower().endswith((".tif", ".tiff")) else []
            assert not [block for block in blocks if start < block[1] and block[0] < stop], (path, start, stop)


def blocks_of(path: Path) -> list[tuple[int, int]]:
    """Return where the blocks of pixels of a TIFF begin and end, as GDAL says."""
    intervals = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            height, width = source.block_shapes[0]
            grid = itertools.product(range(-(-source.width // width)), range(-(-source.height // height)))
            for (x, y), band in itertools.product(grid, source.indexes):
                tags = (source.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=band) for what in ("OFFSET", "SIZE"))
                offset, size = map(int, tags)
                intervals.append((offset, offset + size))
    return intervals


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
    split: str | None = None  # to build by, where the default cannot be: a few real files need not have a train split

    fallbacks = 0  # files of a sample that the fast parser leaves to rasterio

    @pytest.fixture(autouse=True)
    def fit(self, archive: Path) -> None:
        """Let a pipeline that adapts to its source do so, as a build does."""
        if self.pipeline.fit is not None:
            self.pipeline, sentences = self.pipeline.fit(Folder.at(archive))
            assert sentences

    @pytest.fixture
    def lists(self, archive: Path) -> Path:
        """Return the folder of the official lists: `lists` in the archive, or the archive itself."""
        return archive / "lists" if (archive / "lists").is_dir() else archive

    @pytest.fixture
    def tree(self, archive: Path) -> Folder:
        return Folder.at(archive)

    @pytest.fixture
    def records(self, tree: Folder) -> list[Record]:
        return self.scan(tree)

    def scan(self, tree: Tree) -> list[Record]:
        return [record for unit in self.pipeline.units(tree) for record in self.pipeline.scan(tree, unit)]

    def some(self, records: list[Record]) -> list[Record]:
        return records[:: max(1, len(records) // 12)]

    def test_the_file_begins_with_what_a_newcomer_must_know(self) -> None:
        name = catalog.modules().get(self.pipeline.spec.name.replace("-", "_"))
        if name is None:
            pytest.skip(f"{self.pipeline.spec.name} is not installed under an entry point of sar_data.pipelines")
        module = import_module(name)
        assert len((module.__doc__ or "").split()) >= 60

    def test_the_spec_is_whole(self) -> None:
        spec = self.pipeline.spec
        assert spec.bands
        assert spec.calibration != "unknown" or spec.evidence in ("documents-only", "declared")
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
                Target(name=source.file, urls=(), checksum=source.checksum)  # which refuses paths and odd checksums
                for url in () if source.manual else (source.url, *source.mirrors):
                    assert is_secure(web.address(url)) or source.checksum, (
                        f"{url}: http alone needs a published checksum"
                    )

    def test_keys_are_unique_and_a_second_scan_repeats_the_records(self, tree: Folder, records: list[Record]) -> None:
        by_key = {record.key: record for record in records}
        assert len(by_key) == len(records) > 0
        assert not [key for key in by_key if "." in key or "/" in key]
        assert {record.key: record for record in self.scan(tree)} == by_key

    def test_scan_reads_no_pixels(self, tree: Folder) -> None:
        listening = Listening(tree)
        self.scan(listening)
        listening.check(Path(tree.root))

    def test_every_file_of_a_record_has_its_size_and_what_scan_read_its_hash(self, tree: Folder) -> None:
        witness = RecordingTree(tree, {})
        for record in self.scan(witness):
            for file in record.files:
                assert file.size == tree.size(file.path)
                assert file.xxh3 == witness.seen.get(file.path)

    def test_labels_are_ascending_indices_of_every_task(self, records: list[Record]) -> None:
        spec = self.pipeline.spec
        for record, task in itertools.product(records, spec.tasks):
            classes = record.labels[task.name]
            assert list(classes) == sorted(set(classes))
            assert set(classes) <= set(range(len(task.classes)))
            assert len(classes) == 1 or task.kind != "multiclass" or (record.unused and not classes)
            assert classes or record.unused or task.kind in (*MASKED, "detection") or task is not spec.tasks[0]

    def test_a_change_has_a_date_for_each_of_its_images_in_an_order_of_roles(self, records: list[Record]) -> None:
        spec = self.pipeline.spec
        if is_change(spec.tasks):
            assert spec.frames > 1
            assert len({tuple(date.role for date in record.dates) for record in records}) == 1
            assert {len(record.dates) for record in records} == {spec.frames}

    def test_objects_lie_in_their_images_and_carry_the_labels(self, records: list[Record]) -> None:
        spec = self.pipeline.spec
        detection = next((task for task in spec.tasks if task.kind == "detection"), None)
        for record in records:
            assert detection or not record.objects
            height, width = record.shape or spec.shape or (0, 0)
            for obj in record.objects:
                left, top, right, bottom = obj.box
                assert 0 <= left < right <= width
                assert 0 <= top < bottom <= height
                assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in obj.polygons)
            if detection:
                assert set(record.labels[detection.name]) == {obj.label for obj in record.objects}

    def test_places_are_whole(self, records: list[Record]) -> None:
        for record in records:
            height, width = record.shape or self.pipeline.spec.shape or (0, 0)
            assert height > 0
            assert width > 0
            if record.footprint is not None and record.transform is not None:
                a, b, c, d, e, f = record.transform
                assert (b, d) == (0, 0)
                assert record.crs is not None
                assert record.footprint == pytest.approx((c, f + e * height, c + a * width, f))

            if record.reference_frame is not None:
                west, north, east, south = record.footprint or (0, 0, 0, 0)
                assert (south - north, east - west) == (height, width)

    def test_what_a_key_alone_tells_is_no_other_than_what_scan_says(self, records: list[Record]) -> None:
        named = [(self.pipeline.named(record.key), record) for record in records] if self.pipeline.named else []
        for known, record in named:
            assert known is not None
            for fact in ("group", "place", "time"):
                assert getattr(known, fact) in (None, getattr(record, fact))
            if known.footprint is not None:
                assert (known.footprint, known.footprint_frame) == (record.footprint, record.footprint_frame)

    def test_read_gives_canonical_pixels_of_a_plausible_unit(self, tree: Folder, records: list[Record]) -> None:
        spec = self.pipeline.spec
        frames = (spec.frames,) if spec.frames > 1 else ()
        classes = len(mask_classes(spec.tasks))
        for record in self.some([record for record in records if record.unused is None]):
            sample = self.pipeline.read(tree, record)
            image, shape = sample.image, record.shape or spec.shape
            assert shape is not None
            assert image.shape == (*frames, len(spec.bands), *shape)
            assert str(image.dtype) in (spec.dtype, *spec.wider)
            assert image.flags.c_contiguous
            for i, band in enumerate(spec.bands):
                low, high = PLAUSIBLE[band.unit]
                assert low <= np.nanmean(image[..., i, :, :].astype(np.float64)) <= high
            assert (sample.mask is not None) == spec.mask
            if sample.mask is not None:
                assert (sample.mask.shape, sample.mask.dtype) == (shape, np.dtype(np.uint8))
                assert set(np.unique(sample.mask).tolist()) <= {*range(classes), 255}

    def test_read_gives_to_the_bit_what_rasterio_gives(self, tree: Folder, records: list[Record]) -> None:
        """Where a record's files are its bands, in their order; a dataset whose files are not overrides `raw_bands`."""
        for record in self.some([record for record in records if record.unused is None]):
            sample = self.pipeline.read(tree, record)
            image = sample.image.reshape(-1, *sample.image.shape[-2:])
            planes = self.raw_bands(Path(tree.root), record)
            assert np.array_equal(image, planes.astype(image.dtype), equal_nan=image.dtype.kind == "f")
            assert sample.fallbacks == self.fallbacks

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        """Return [band, y, x] of a record's TIFFs, pictures of equal channels as one band, as rasterio reads them."""
        planes = []
        for file in record.files:
            if file.path.lower().endswith(PIXELS):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                    with rasterio.open(root / file.path) as source:
                        content = source.read()
                        planes.append(content[:1] if file.path.lower().endswith((".jpg", ".jpeg", ".png")) else content)
                        if record.transform is not None and source.crs is not None:
                            assert tuple(source.transform)[:6] == pytest.approx(record.transform)
                            assert source.crs.to_string() == record.crs
        return np.concatenate(planes)

    @pytest.mark.parametrize("container", ["lmdb", "webdataset", "zarr"])
    def test_it_builds_in_every_format_that_admits_it_and_verifies(
        self, archive: Path, lists: Path, container: str, tmp_path: Path
    ) -> None:
        options: dict[str, Any] = {"format": container, "lists": lists, "split": self.split}
        if self.pipeline.spec.shape is None and container == "zarr":
            with pytest.raises(UsageError, match="`crop=…`"):
                build(BuildRequest(dataset=self.pipeline, source=archive, out=tmp_path, **options))
            return
        sealed = build(BuildRequest(dataset=self.pipeline, source=archive, out=tmp_path, **options))
        assert verify(sealed.path, full=True) == []
        self.check_build(archive, sealed)
        spec, digest = self.pipeline.spec, sealed.manifest.content_digest
        assert _DIGESTS.setdefault((spec.name, spec.version, spec.variant, str(archive)), digest) == digest

    def check_build(self, archive: Path, build: Build) -> None:
        """Look at a build of the archive further, if you like."""

    def test_every_split_places_every_record(self, lists: Path, records: list[Record]) -> None:
        for policy in self.pipeline.splits.values():
            assignment = policy.assign(records, seed=0, lists=ListsIn(lists))
            assert len(assignment.split) == len(records)
            assert set(assignment.split) <= {*SPLITS, UNUSED}
            assert "train" in assignment.split
            assert not assignment.bad

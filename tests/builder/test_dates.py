"""Samples of several dates: each image has its date, what they mix is counted, and every surface keeps their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.ombria import PIPELINE
from pipelines.synth import ombria
from sar_data.builder.itinerary import build, convert
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.errors import BuildError, PipelineFault, UsageError
from sar_data.formats.storage import physical
from sar_data.record import Date, Record
from sar_data.sealed.dates import samples_by_date
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.strata import strata
from sar_data.sealed.verify import verify
from sar_data.spec import Tree
from sar_data.stream.dataset import Stream

SHIFTED = "S1_0001"


def scan_mixed(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield records whose dates are of S1A, and one whose last date is of S1C and of another orbit."""
    for record in PIPELINE.scan(tree, unit):
        last = ("S1C", 37) if record.key == SHIFTED else ("S1A", 110)
        dates = (Date(role="pre", platform="S1A", relative_orbit=110), Date(role="post", platform=last[0]))
        yield replace(record, dates=(dates[0], replace(dates[1], relative_orbit=last[1])))


def scan_one_date(tree: Tree, unit: str) -> Iterator[Record]:
    for record in PIPELINE.scan(tree, unit):
        yield replace(record, dates=record.dates[:1])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dates") / "raw"
    ombria.synthesise(out, count=6, seed=0)
    return out


@pytest.fixture(scope="module")
def made(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    mixed = replace(PIPELINE, scan=scan_mixed)
    return build(BuildRequest(dataset=mixed, source=archive, out=tmp_path_factory.mktemp("builds")))


def test_pairs_of_two_platforms_or_orbits_are_counted_and_said(made: Build) -> None:
    assert made.manifest.discovered == [
        f"1 of 6 samples mix platforms, such as {SHIFTED}: S1A and S1C",
        f"1 of 6 samples mix relative orbits, such as {SHIFTED}: 37 and 110",
    ]
    assert {name: part.images for name, part in strata(made, "platform").items()} == {"S1A": 4, "S1A and S1C": 1}


def test_a_record_without_a_date_for_each_image_is_a_fault_of_its_pipeline(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineFault, match="expected a date of each of 2 images, found 1"):
        build(BuildRequest(dataset=replace(PIPELINE, scan=scan_one_date), source=archive, out=tmp_path))


def test_a_sealed_index_without_a_date_for_each_image_is_refused(made: Build, tmp_path: Path) -> None:
    copy = convert(ConvertRequest(parent=made.path, out=tmp_path, format="webdataset"))
    path = copy.path / INDEX_NAME
    index = pq.read_table(path)
    kind = index.schema.field("dates").type
    path.chmod(0o644)
    pq.write_table(
        index.set_column(index.column_names.index("dates"), "dates", pa.array([[]] * len(index), kind)), path
    )
    with pytest.raises(BuildError, match=r"expected 2 dates, found dates \[\]"):
        copy.index()


def test_figures_of_each_date_are_those_of_its_pixels(made: Build) -> None:
    parts = strata(made, "date", "train")
    rows = made.index().filter(pa.compute.equal(made.index()["split"], "train"))
    with made.reader() as reader:
        images = np.stack([physical(reader.read(place), None) for place in places(rows)]).astype(np.float64)
    assert list(parts) == ["pre", "post"]
    for i, part in enumerate(parts.values()):
        stored = part.figures.bands["VV"].stored
        assert part.images == len(images)
        assert (stored.mean, stored.std) == pytest.approx((images[:, i].mean(), images[:, i].std()))


@pytest.mark.parametrize("roles", [("post", "pre"), ("pre", "pre"), ("pre", None), ("pre",)])
def test_dates_whose_roles_differ_between_images_go_by_number(roles: tuple[str | None, ...], made: Build) -> None:
    rows = made.index().filter(pa.compute.equal(made.index()["split"], "train"))
    dates = rows["dates"].to_pylist()
    dates[-1] = [dates[-1][0] | {"role": role} for role in roles]
    column = pa.array(dates if roles[0] != roles[-1] else dates[-1:] * len(dates), rows.schema.field("dates").type)
    other = rows.set_column(rows.schema.get_field_index("dates"), "dates", column)
    assert {name: len(part) for name, part in samples_by_date(made, other).items()} == {"1": len(rows), "2": len(rows)}


def test_a_build_of_one_date_has_no_figures_by_date(sealed: dict[str, Build]) -> None:
    with pytest.raises(UsageError, match="by='date': expected a build of several dates an image"):
        strata(sealed["zarr"], "date")


ALL, MIDDLE = slice(None), slice(78, 178)


@pytest.mark.parametrize(
    ("changes", "of", "own"),
    [({"format": "lmdb"}, ALL, ALL), ({"crop": 100}, MIDDLE, ALL), ({"pad": 300}, ALL, slice(256))],
)
def test_a_converted_build_has_the_same_dates_in_order_and_the_same_place_in_their_mask(
    made: Build, tmp_path: Path, changes: dict[str, Any], of: slice, own: slice
) -> None:
    other = convert(ConvertRequest(parent=made.path, out=tmp_path, **changes))
    assert verify(other.path, full=True) == []
    assert other.index()["dates"].to_pylist() == made.index()["dates"].to_pylist()
    options: dict[str, Any] = {"normalize": None, "shuffle": False, "batch_size": 3}
    first, second = (next(iter(Stream(one.path, **options))) for one in (made, other))
    assert first["key"] == second["key"]
    for name in ("image", "target"):
        assert np.array_equal(second[name][..., own, own], first[name][..., of, of])

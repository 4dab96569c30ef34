"""What was exported builds again, as the same content where the target holds all of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sar_data import catalog
from sar_data.builder.itinerary import build, convert
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.exporters import Target, export
from sar_data.exporters.configilm import FLAGS
from sar_data.sealed.opened import Build


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    """Patches with one task, in their own size and with 128 pixels a side."""
    out = tmp_path_factory.mktemp("regions")
    catalog.synthesise("bigearthnet-s1-v2")(out / "raw", count=40, seed=0)
    made = build(BuildRequest(dataset=catalog.pipeline("bigearthnet-s1-v2"), source=out / "raw", out=out))
    return {"120": made, "128": convert(ConvertRequest(parent=made.path, resize=128))}


def built_again(source: Path, out: Path, dataset: str) -> Build:
    return build(BuildRequest(dataset=catalog.pipeline(dataset), source=source, out=out))


@pytest.mark.parametrize(
    ("target", "side"),
    [("configilm", "120"), ("npy", "120"), ("hf", "120"), ("fgmae-lmdb", "128"), ("seco-lmdb", "128")],
)
def test_an_export_of_patches_builds_as_the_same_content(
    regions: dict[str, Build], tmp_path: Path, target: Target, side: str
) -> None:
    folder = export(target, regions[side], tmp_path / target).folder
    again = built_again(folder, tmp_path / "out", "bigearthnet-s1-v2")
    assert again.manifest.content_digest == regions[side].manifest.content_digest


def test_flags_of_snow_and_clouds_are_those_of_the_published_tables(regions: dict[str, Build], tmp_path: Path) -> None:
    raw, columns = regions["120"].path.parents[2] / "raw", ["s1_name", *FLAGS]
    made = build(BuildRequest(dataset=catalog.pipeline("bigearthnet-s1-v2"), variant="all", source=raw, out=tmp_path))
    folder = export("configilm", made, tmp_path / "configilm").folder
    published, ours = (
        pa.concat_tables(pq.read_table(path, columns=columns) for path in sorted(where.glob("metadata*.parquet")))
        .sort_by("s1_name")
        .to_pylist()
        for where in (raw, folder)
    )
    assert ours == published
    assert all(any(row[flag] for row in ours) for flag in FLAGS)


@pytest.mark.parametrize("target", ["coco", "npy", "hf"])
@pytest.mark.parametrize("name", ["ssdd", "hrsid"])
def test_ships_with_rotated_boxes_and_outlines_build_as_the_same_content(
    built: dict[str, Build], tmp_path: Path, name: str, target: Target
) -> None:
    again = built_again(export(target, built[name], tmp_path / target).folder, tmp_path / "out", name)
    assert again.manifest.content_digest == built[name].manifest.content_digest
    rotated = pc.struct_field(pc.list_flatten(again.index()["objects"]), "rotated")
    assert (rotated.null_count < len(rotated)) == (name == "ssdd")


def test_geotiffs_build_as_ones_own_data_with_the_same_pixels_splits_and_classes(
    regions: dict[str, Build], tmp_path: Path
) -> None:
    again = built_again(export("geotiff", regions["120"], tmp_path / "tiffs").folder, tmp_path / "out", "custom")
    columns = ["split", "xxh3", "labels", "crs", "transform", "time"]
    tables = [made.index().filter(pc.is_valid(made.index()["shard"])) for made in (again, regions["120"])]
    ours, theirs = (pa.table({name: table[name] for name in columns}).sort_by("xxh3").to_pylist() for table in tables)
    assert ours == theirs
    assert [band.name for band in again.manifest.bands] == [band.name for band in regions["120"].manifest.bands]

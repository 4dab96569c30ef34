"""Sets of chips and patches build from the copies that circulate, with the records of the published layout."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sar_data
from pipelines.synth import mstar as synthetic_mstar
from sar_data import catalog, synth
from sar_data.builder.fit import Fitted, fit_source
from sar_data.errors import FetchError, SourceError
from sar_data.raster import tiff
from sar_data.record import Record
from sar_data.sources.archives.open import open_tree
from sar_data.sources.outline import ends_like
from sar_data.sources.tree import Folder
from tests.download import site as web
from tests.mini.builds import make
from tests.mini.detections import put

COUNTS: dict[str, int] = {
    "bigearthnet-s1-v2": 16,
    "sen12ms": 4,
    "mstar": 8,
    "fusar-ship": 12,
    "eurosat-sar": 20,
    "dfc2020": 12,
}


class Layout(NamedTuple):
    """A copy: how it is written from the published miniature, and what of the published records it keeps.

    `found` begins the sentence that the build prints, empty for what is read as published. `split` is the policy to
    build by; `part` says that only some of the records are in it.
    """

    dataset: str
    name: str
    write: Callable[[Path, Path], None]
    found: str
    split: str = "random"
    part: bool = False


def bench(dataset: str, count: int) -> Callable[[Path, Path], None]:
    """Return what writes a copy of Copernicus-Bench; its patches are among those of the published miniature."""
    return lambda raw, out: catalog.synthesise(dataset, "copernicus-bench")(out, count=count, seed=0)


def tifs(root: Path, pattern: str = "*.tif") -> list[Path]:
    return sorted(path for path in root.rglob(pattern) if path.name[0] != ".")


def eurosat_parted(raw: Path, out: Path) -> None:
    for i, path in enumerate(tifs(raw)):
        put(out / "EuroSAT" / ("test" if i % 2 else "train") / path.parent.name / path.name, path.read_bytes())


def eurosat_flat(raw: Path, out: Path) -> None:
    for path in tifs(raw):
        put(out / "patches" / path.name, path.read_bytes())


def eurosat_parquet(raw: Path, out: Path) -> None:
    rows = [{"image": {"bytes": path.read_bytes(), "path": path.name}, "label": 0} for path in tifs(raw)]
    (out / "default/train").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), out / "default/train/0000.parquet", row_group_size=7)


def dfc_public(raw: Path, out: Path) -> None:
    """Write the test patches as those of two cities, georeferenced."""
    for path in tifs(raw, "ROIs0000_test_*.tif"):
        _, _, kind, _, number = path.stem.split("_")
        city = ("Mumbai", "CapeTown")[int(number[1:]) % 2]
        shape, dtype = tiff.header(Folder.at(path.parent), path.name)
        pixels = tiff.read(path.read_bytes(), path.name, shape=shape[1:], dtypes=(dtype,), bands=None).pixels
        data = synth.geotiff(
            np.ascontiguousarray(pixels), epsg=32643, transform=(10, 0, 5e5, 0, -10, 2e6), rows_per_strip=64
        )
        name = f"ROIs0000_autumn_{kind}_{city}_{number}.tif"
        put(out / "DFC_Public_Dataset/ROIs0000_autumn" / f"{kind}_{city}" / name, data)


def dfc_packs(raw: Path, out: Path) -> None:
    """Write a zip for each kind and part, some with a folder of their name in them."""
    packs: dict[str, list[Path]] = {}
    for path in tifs(raw, "ROIs0000_*.tif"):
        _, part, kind, *_ = path.stem.split("_")
        packs.setdefault(f"{kind}_{'validation' if part == 'validation' else '0'}", []).append(path)
    out.mkdir(parents=True)
    for name, paths in packs.items():
        with zipfile.ZipFile(out / f"{name}.zip", "w") as archive:
            for path in paths:
                archive.write(path, path.name if name.startswith("dfc") else f"{name}/{path.name}")


def reben_mirror(raw: Path, out: Path) -> None:
    shutil.copytree(raw / "BigEarthNet-S1", out / "BigEarthNet-S1")
    shutil.copy(raw / "metadata.parquet", out)


def season(raw: Path, out: Path) -> None:
    shutil.copytree(raw / "ROIs1158_spring", out / "ROIs1158_spring")


def seasons_apart(raw: Path, out: Path) -> None:
    for path in tifs(raw, "ROIs*.tif"):
        kind = path.parent.name.partition("_")[0]
        top = f"{path.parent.parent.name}_{kind}"
        put(out / top / path.parent.parent.name / path.parent.name / path.name, path.read_bytes())


def mstar_pictures(raw: Path, out: Path, *, form: str) -> None:
    """Write the pictures of SOC in folders of classes: each chip once."""
    seen = set()
    for path in sorted((raw / "Data").rglob("*.jpeg")):
        part = path.relative_to(raw).parts
        if "SOC" in part and (name := (part[part.index("SOC") + 2], path.stem)) not in seen:
            seen.add(name)
            where = form.format(split=part[part.index("SOC") + 1].lower(), target=name[0], stem=path.stem)
            put(out / where, path.read_bytes())


def fusar_flat(raw: Path, out: Path) -> None:
    for path in tifs(raw, "Ship_*.tiff"):
        put(out / "FUSAR" / path.name, path.read_bytes())
    put(out / "FUSAR/meta.csv", (raw / "meta.csv").read_bytes())


def zipped(raw: Path, out: Path) -> None:
    out.mkdir(parents=True)
    shutil.make_archive(str(out / "all"), "zip", raw)


def scenes_zipped(raw: Path, out: Path) -> None:
    """Write each scene as the zip of its name, as it is published."""
    out.mkdir(parents=True)
    for scene in sorted(path for path in raw.iterdir() if path.is_dir()):
        shutil.make_archive(str(out / scene.name), "zip", scene)


def scenes_flat(raw: Path, out: Path) -> None:
    """Write each scene's files below one folder of its name."""
    for scene in sorted(path for path in raw.iterdir() if path.is_dir()):
        inner = scene / scene.name
        shutil.copytree(inner if inner.is_dir() else scene, out / scene.name)


ALL = "random:train=1,val=0,test=0"
GEO = ("crs", "transform", "footprint")
LAYOUTS = [
    Layout("eurosat-sar", "folders of a split", eurosat_parted, "class folders in 10 train + 10 test", "folders"),
    Layout(
        "eurosat-sar",
        "Copernicus-Bench",
        bench("eurosat-sar", 20),
        "class folders in all_imgs, 20 patches",
        "copernicus-bench",
    ),
    Layout("eurosat-sar", "flat", eurosat_flat, "20 patches whose names tell the class", "blocks:size=1,buffer=0"),
    Layout("eurosat-sar", "Parquet of a hub", eurosat_parquet, "Parquet, 1 files", "blocks:size=1,buffer=0"),
    Layout("dfc2020", "packs of IEEE DataPort", dfc_packs, "", "official"),
    Layout("dfc2020", "Copernicus-Bench", bench("dfc2020", 8), "", "copernicus-bench", part=True),
    Layout("bigearthnet-s1-v2", "mirror without the second table", reben_mirror, "", "official", part=True),
    Layout(
        "bigearthnet-s1-v2",
        "Copernicus-Bench, 5 %",
        bench("bigearthnet-s1-v2", 16),
        "the subset of Copernicus-Bench, both bands in one file",
        "official",
        part=True,
    ),
    Layout("sen12ms", "one season", season, "", "group:train=0.5,val=0,test=0.5", part=True),
    Layout("sen12ms", "a folder an archive", seasons_apart, "a folder for each archive", "random"),
    Layout("fusar-ship", "flat", fusar_flat, "", "random", part=True),
    Layout("fusar-ship", "zipped", zipped, "", "random"),
    Layout("opensarship-1", "a zip a scene", scenes_zipped, "", ALL),
    Layout("opensarship-1", "a folder a scene", scenes_flat, "", ALL),
    Layout("opensarship-2", "a zip a scene", scenes_zipped, "", ALL),
    Layout("opensarship-2", "a folder a scene", scenes_flat, "", ALL),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Fitted, dict[str, Record]]]:
    @cache
    def made(dataset: str) -> tuple[Path, Fitted, dict[str, Record]]:
        root = tmp_path_factory.mktemp(dataset)
        catalog.synthesise(dataset)(root, count=COUNTS.get(dataset, 6), seed=0)
        fit = fit_source(catalog.pipeline(dataset), Folder.at(root), root)
        return root, fit, records_of(fit)

    return made


def records_of(fit: Fitted) -> dict[str, Record]:
    units = fit.pipeline.units(fit.tree)
    return {record.key: record for unit in units for record in fit.pipeline.scan(fit.tree, unit)}


def check_files(dataset: str, layout: str, source: Path) -> None:
    """Hold a copy to the paths that its dataset declares for the layout."""
    files = [path.relative_to(source.parent).as_posix() for path in source.rglob("*")]
    assert all(ends_like(pattern, files) for pattern in catalog.pipeline(dataset).layouts[layout])


def built(dataset: str, source: Path, out: Path, split: str) -> None:
    pipeline = catalog.pipeline(dataset)
    container = "zarr" if pipeline.spec.shape else "webdataset"
    made = make(pipeline, source, out, container=container, split=split, lists=None)
    assert made.manifest.splits["train"].count


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.dataset}, {layout.name}")
def test_a_copy_gives_the_records_of_the_published_layout(
    layout: Layout, published: Callable[[str], tuple[Path, Fitted, dict[str, Record]]], tmp_path: Path
) -> None:
    raw, original, expected = published(layout.dataset)
    layout.write(raw, source := tmp_path / "raw")
    check_files(layout.dataset, layout.name, source)
    fit = fit_source(catalog.pipeline(layout.dataset), open_tree(source, work=tmp_path), source)
    assert fit.layout.startswith(layout.found)
    assert bool(fit.layout) == bool(layout.found)
    found = records_of(fit)
    usable = {key for key, record in expected.items() if record.unused is None}
    mine = {key for key, record in found.items() if record.unused is None}
    assert mine
    assert mine == usable or (layout.part and mine < usable)
    for key, record in found.items():
        if record.unused is None:
            for name in {"labels", "group", "official", *GEO}:
                assert getattr(record, name) == getattr(expected[key], name), (key, name)
    key = min(mine)
    image = fit.pipeline.read(fit.tree, found[key]).image
    assert np.array_equal(image, original.pipeline.read(original.tree, expected[key]).image)
    built(layout.dataset, source, tmp_path / "out", layout.split)


BENCHES = [layout for layout in LAYOUTS if layout.name.startswith("Copernicus-Bench")]


@pytest.mark.parametrize("layout", BENCHES, ids=lambda layout: layout.dataset)
def test_the_zip_of_copernicus_bench_is_fetched_and_built_as_a_variant(
    layout: Layout, published: Callable[[str], tuple[Path, Fitted, dict[str, Record]]], tmp_path: Path
) -> None:
    """The miniature's zip goes the whole way, for which its own checksum takes the place of the published one."""
    raw, _, expected = published(layout.dataset)
    layout.write(raw, tmp_path / "made")
    dataset = catalog.pipeline(layout.dataset)
    variant = dataset.variants["copernicus-bench"]
    (source,) = variant.spec.sources
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "made")).read_bytes()
    wanted: dict[str, Any] = {"dataset": dataset, "variant": "copernicus-bench", "fetch": True, "runner": "serial"}
    with web.serving() as site:
        site.answers[f"/{source.file}"] = [web.good(packed)]
        with pytest.raises(FetchError, match=f"expected the published {source.checksum}"):
            sar_data.build(**wanted, source=tmp_path / "wrong", out=tmp_path / "out", mirror=site.url)
        mine = replace(source, checksum=f"md5:{hashlib.md5(packed, usedforsecurity=False).hexdigest()}")
        here = replace(variant, spec=replace(variant.spec, sources=(mine,)))
        wanted["dataset"] = replace(dataset, variants={"copernicus-bench": here})
        made = sar_data.build(**wanted, source=tmp_path / "raw", out=tmp_path / "out", mirror=site.url)
    assert (made.manifest.variant, made.manifest.split_policy.policy) == ("copernicus-bench", "copernicus-bench")
    assert all(made.manifest.splits[name].count for name in ("train", "val", "test"))
    assert set(made.index().to_pandas().key) <= {key for key, record in expected.items() if record.unused is None}


def test_the_sources_of_copernicus_bench_are_pinned() -> None:
    known = [catalog.pipeline(layout.dataset, "copernicus-bench").spec for layout in BENCHES]
    home = "https://hf.co/datasets/wangyi111/Copernicus-Bench/resolve/9d252acd3aa0e3da3128e05c6f028647f0e48e5f/"
    assert {spec.name: [(source.url, source.checksum) for source in spec.sources] for spec in known} == {
        "eurosat-sar": [(f"{home}l2_eurosat_s1s2/eurosat_s1.zip", "md5:e7e7f8fc68fc55a7a689cb654912ff3f")],
        "dfc2020": [(f"{home}l2_dfc2020_s1s2/dfc2020.zip", "md5:f10ba017dab6f38b7a6857b169ea924b")],
        "bigearthnet-s1-v2": [(f"{home}l2_bigearthnet_s1s2/bigearthnetv2.zip", "md5:269355db0449e0da7213c95f30c346d4")],
    }
    assert {spec.name: spec.samples for spec in known} == {
        "eurosat-sar": 16_200 + 5_400 + 5_400,
        "dfc2020": 3_156 + 986 + 986,
        "bigearthnet-s1-v2": 11_894 + 6_117 + 5_991,
    }


def test_parquet_of_images_without_a_place_says_so(
    published: Callable[[str], tuple[Path, Fitted, dict[str, Record]]], tmp_path: Path
) -> None:
    raw, original, _ = published("eurosat-sar")
    rows = []
    for path in tifs(raw):
        image = tiff.read(path.read_bytes(), path.name, shape=(64, 64), dtypes=("float32",), bands=2).pixels
        data = synth.geotiff(image, epsg=None, transform=None, rows_per_strip=8)
        rows.append({"image": {"bytes": data, "path": None}, "label": path.parent.name})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000-of-00001.parquet")
    fit = fit_source(original.pipeline, Folder.at(tmp_path), tmp_path)
    assert fit.layout == "Parquet, 1 files whose rows are patches without a georeference: no place is known"
    assert {record.footprint for record in records_of(fit).values()} == {None}
    assert fit.pipeline.splits.keys() == {"fgmae", "stratified", "random"}


def test_the_public_release_of_dfc2020_tells_city_and_place(
    published: Callable[[str], tuple[Path, Fitted, dict[str, Record]]], tmp_path: Path
) -> None:
    raw, original, expected = published("dfc2020")
    dfc_public(raw, tmp_path / "raw")
    check_files("dfc2020", "public release", tmp_path / "raw")
    fit = fit_source(original.pipeline, Folder.at(tmp_path / "raw"), tmp_path / "raw")
    found = records_of(fit)
    assert fit.layout.startswith(
        "the public release, 8 patches of CapeTown, Mumbai" if len(found) == 8 else "the public"
    )
    for key, record in found.items():
        assert record.group == record.attrs["city"] == key.split("_")[3]
        assert (record.crs, record.footprint) == ("EPSG:32643", (5e5, 2e6 - 2560, 5e5 + 2560, 2e6))
        twin = expected[f"ROIs0000_test_s1_0_{key.rpartition('_')[2]}"]
        sample, other = fit.pipeline.read(fit.tree, record), original.pipeline.read(original.tree, twin)
        assert np.array_equal(sample.image, other.image)
        assert sample.mask is not None
        assert np.array_equal(sample.mask, other.mask)
    built("dfc2020", tmp_path / "raw", tmp_path / "out", "group:train=0.5,val=0,test=0.5")


def test_crops_with_labels_of_modis_are_refused_with_the_reason(tmp_path: Path) -> None:
    for kind in ("optical", "radar", "label"):
        put(tmp_path / "raw/DFC2020/train" / f"{kind}_0.tif", b"")
    with pytest.raises(SourceError, match="GFM-Bench: its labels are the MODIS maps"):
        fit_source(catalog.pipeline("dfc2020"), Folder.at(tmp_path / "raw"), tmp_path / "raw")


PICTURES = [
    ("JPEG, SOC with train and test", "SOC/{split}/{target}/{stem}.jpeg", "folders"),
    ("JPEG, ten classes", "MSTAR_10_Classes/{target}/{stem}.jpg", "random"),
    ("JPEG, padded, eight classes", "Padded_imgs/{target}/{stem}.JPG", "random"),
]
OTHERS = [
    ("terrasar-x", "lists beside other folders", "lists beside folders of other names; …"),
    ("dfc2020", "public release", "the public release, … patches of …"),
    *(("mstar", name, "JPEG or PNG in folders of classes, …") for name, _, _ in PICTURES),
    ("mstar", "Phoenix, class folders", ""),
]
"""The layouts of which this file tests more than records: dataset, name and what a build says."""


@pytest.mark.parametrize(("name", "form", "split"), PICTURES)
def test_mstar_as_pictures_in_folders_of_classes(name: str, form: str, split: str, tmp_path: Path) -> None:
    synthetic_mstar.synthesise(tmp_path / "made", count=24, seed=0)
    mstar_pictures(tmp_path / "made", source := tmp_path / "raw", form=form)
    if "padded" in name:
        put(source / "Padded_imgs/SLICY/HB14931.JPG", next(source.rglob("*.JPG")).read_bytes())
    check_files("mstar", name, source)
    fit = fit_source(catalog.pipeline("mstar"), Folder.at(source), source)
    assert fit.layout.startswith("JPEG or PNG in folders of classes")
    assert fit.pipeline.spec.variant == "jpeg"
    found = records_of(fit)
    assert len(found) == len([path for path in source.rglob("*") if path.is_file()])
    (task,) = fit.pipeline.spec.tasks
    for record in found.values():
        target = record.files[0].path.split("/")[-2]
        assert record.labels["target"] == ((task.classes.index(target),) if target != "SLICY" else ())
        assert bool(record.unused) == (target == "SLICY")
    built("mstar", source, tmp_path / "out", split) if split == "folders" else None


def test_mstar_as_phoenix_in_folders_of_classes(tmp_path: Path) -> None:
    synthetic_mstar.synthesise(tmp_path / "made", count=8, seed=0)
    pipeline = catalog.pipeline("mstar")
    for part, degrees in (("train", "17"), ("test", "15")):
        for path in sorted((tmp_path / "made").rglob("HB*.0*")):
            if f"{degrees}_DEG" in path.parts and "CLUTTER" not in path.parts:
                put(
                    tmp_path / "raw" / part / path.parts[path.parts.index(f"{degrees}_DEG") + 1] / path.name,
                    path.read_bytes(),
                )
    check_files("mstar", "Phoenix, class folders", tmp_path / "raw")
    found = records_of(fit_source(pipeline, Folder.at(tmp_path / "raw"), tmp_path / "raw"))
    expected = records_of(fit_source(pipeline, Folder.at(tmp_path / "made"), tmp_path / "made"))
    assert found
    assert all(record.labels == expected[key].labels for key, record in found.items())

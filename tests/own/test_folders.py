"""Class folders, lists and tables are found and built without a line of Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sar_data
from pipelines.custom import PIPELINE
from pipelines.path_label import PIPELINE as LISTS
from sar_data.errors import BadRecord, SarDataError, SourceError, UsageError
from sar_data.own.pipeline import fit
from sar_data.own.template import declaration_text
from sar_data.raster import image
from sar_data.raster.gdal import encode
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from tests.own.trees import png, tif, values


def fitted(root: Path, **fields: Any) -> tuple[Pipeline, dict[str, Record]]:
    tree = Folder.at(root)
    found, _ = fit(tree, PIPELINE, fields)
    records = [record for unit in found.units(tree) for record in found.scan(tree, unit)]
    return found, {record.key: record for record in records}


def lists(root: Path, **texts: str) -> Path:
    for i in range(4):
        png(root / f"img/chip_{i}.png", i)
    for name, text in texts.items():
        (root / name.replace("__", ".")).write_text(text)
    return root


@pytest.mark.parametrize(
    ("form", "key", "split"),
    [
        ("train/{name}/{i}.png", "train_Cargo_0", "train"),
        ("{name}/{i}.png", "Cargo_0", None),
        ("{split}/{name}/{i}.png", "train_Cargo_0", "train"),
        ("my set/chips/{split}/{name}/{i}.png", "my_set_chips_train_Cargo_0", "train"),
        ("data/{name}/{split}/{i}.png", "data_Cargo_train_0", "train"),
        ("{name}/scene/{i}.png", "Cargo_scene_0", None),
        ("{split}_data/{name}/{i}.png", "train_data_Cargo_0", "train"),
        ("chips/set-{split}/{name}/{i}.png", "chips_set-train_Cargo_0", "train"),
    ],
)
def test_class_folders_tell_classes_and_splits(tmp_path: Path, form: str, key: str, split: str | None) -> None:
    for i in range(12):
        word = ("Training", "valid", "test")[i % 3] if "set" in form else ("train", "val", "test")[i % 3]
        png(tmp_path / form.format(name=("Cargo", "Tanker")[i // 6], split=word, i=i), i)
    found, records = fitted(tmp_path)
    assert found.spec.tasks[0].classes == ("Cargo", "Tanker")
    assert len(records) == 12
    record = next(r for r in records.values() if re.fullmatch(key.replace("train", "[Tt]rain(ing)?"), r.key))
    assert (record.labels, record.official) == ({"class": (0,)}, split)
    assert next(iter(found.splits)) == ("folders" if split else "stratified")


def test_class_folders_build_from_python_and_what_was_guessed_is_in_the_manifest(tmp_path: Path) -> None:
    for i in range(12):
        png(tmp_path / "raw" / ("train", "val", "test")[i % 3] / ("Cargo", "Tanker")[i // 6] / f"{i}.png", i)
    build = sar_data.build("custom", source=tmp_path / "raw", out=tmp_path, declare={"name": "ships"}, runner="serial")
    assert sar_data.verify(build.path, full=True) == []
    assert build.path.parent.parent.name == "ships"
    manifest = build.manifest
    assert {split: manifest.splits[split].count for split in manifest.splits} == {"train": 4, "val": 4, "test": 4}
    assert "split by folder: test 4, train 4, val 4" in manifest.discovered


LISTED = "".join(f"img/chip_{i}.png {i % 2}\n" for i in range(3))


@pytest.mark.parametrize(
    "texts",
    [
        {"train__txt": LISTED},
        {"train__txt": "image,label\n" + LISTED.replace(" ", ",")},
        {"train__txt": "path label\n" + LISTED},
        {"train__csv": LISTED.replace(" ", ",")},
        {"train__csv": '"filename";"class"\n' + LISTED.replace(" ", ";")},
        {"train__tsv": "id\tscene\tlabel\n" + LISTED.replace(" ", "\ta\t").replace("img/", "").replace(".png", "")},
        {"train_list__txt": LISTED},
        {"TrainList01__txt": f"# by hand\n{LISTED}"},
        {"train__txt": "".join(f"{i % 2} img/chip_{i}.png\n" for i in range(3))},
        {"train__csv": "".join(f"{i % 2},chip_{i}.png\n" for i in range(3))},
        {"my_train_labels__csv": "label,image\n" + "".join(f"{i % 2},/data/x/img/chip_{i}\n" for i in range(3))},
    ],
)
def test_lists_with_and_without_headings_say_labels_and_split(tmp_path: Path, texts: dict[str, str]) -> None:
    heading = next(iter(texts.values())).splitlines()[0].replace(",", " ")
    heading = f"{heading}\n" if heading in ("image label", "path label") else ""
    lists(tmp_path, **texts, test__txt=f"{heading}img/chip_3.png 1\n")
    found, records = fitted(tmp_path)
    assert found.spec.tasks[0].classes == ("0", "1")
    assert [(r.labels["class"], r.official) for r in records.values()] == [
        ((0,), "train"),
        ((1,), "train"),
        ((0,), "train"),
        ((1,), "test"),
    ]
    assert next(iter(LISTS.fit(Folder.at(tmp_path))[0].splits)) == "official"  # type: ignore[misc]


def test_a_first_word_that_is_always_the_same_is_a_part_of_the_path(tmp_path: Path) -> None:
    for i in range(4):
        png(tmp_path / f"my chips/{i}.png", i)
    (tmp_path / "train.txt").write_text("".join(f"my chips/{i}.png\n" for i in range(4)))
    found, records = fitted(tmp_path)
    assert (found.spec.tasks, len(records)) == ((), 4)


def test_what_is_no_list_of_these_images_and_several_tables_are_said(tmp_path: Path) -> None:
    (lists(tmp_path) / "train.txt").write_text("a/b.png 0\n")
    (said, *_) = fit(Folder.at(tmp_path), PIPELINE, {})[1]
    assert said == "the lists train.txt are left out: train.txt: expected names of images, found 'a/b.png'"
    (tmp_path / "train.txt").unlink()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("image,label\nchip_0,x\nchip_1,y\n")
    (said, *_) = fit(Folder.at(tmp_path), PIPELINE, {})[1]
    assert said == "several tables name images, a.csv, b.csv: give `table=…`"


def test_what_is_no_image_is_counted_by_kind(tmp_path: Path) -> None:
    for name in ("a.bmp", "b.bmp", "c.mat"):
        (tmp_path / name).write_bytes(b"BM")
    with pytest.raises(SourceError, match=r"\.jpeg\) in the folder, found no image among 2 \.bmp, 1 \.mat"):
        fitted(tmp_path)


def test_an_opaque_picture_is_read_without_its_opacity(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (1, 8, 8), dtype=np.uint8)
    for number, opacity in enumerate((255, 254)):
        (tmp_path / f"{number}").mkdir()
        pixels = np.concatenate([grey, np.full_like(grey, opacity)])
        (tmp_path / f"{number}/a.png").write_bytes(encode(pixels, "PNG"))
    assert np.array_equal(image.grey((tmp_path / "0/a.png").read_bytes(), "a.png"), grey)
    with pytest.raises(BadRecord, match="found 2 that differ: write them as the bands of a GeoTIFF"):
        image.grey((tmp_path / "1/a.png").read_bytes(), "a.png")


def test_lists_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    lists(tmp_path)
    (tmp_path / "splits").mkdir()
    for split, number in {"train": 0, "val": 1, "test": 2}.items():
        (tmp_path / f"splits/{split}.txt").write_text(f"chip_{number}\n")
    _, records = fitted(tmp_path)
    assert [record.official for record in records.values()] == ["train", "val", "test"]


def test_lists_of_paths_alone_make_a_set_without_labels(tmp_path: Path) -> None:
    lists(tmp_path, train__txt="img/chip_0.png\nimg/chip_1\n", val__txt="chip_2\n")
    found, records = fitted(tmp_path)
    assert found.spec.tasks == ()
    assert [record.official for record in records.values()] == ["train", "train", "val"]  # the fourth is in no list


def test_a_list_that_says_labels_now_and_then_is_refused(tmp_path: Path) -> None:
    lists(tmp_path, train__txt="img/chip_0.png 1\nimg/chip_1.png\n")
    with pytest.raises(SourceError, match=r"train\.txt, line 2: expected `path label`, as in line 1"):
        LISTS.fit(Folder.at(tmp_path))  # type: ignore[misc]


def table(root: Path, kind: str) -> str:
    for i in range(6):
        tif(root / f"chips/scene_{i}.tif", values(i), place=i)
    columns = {
        "file": [f"scene_{i}.tif" for i in range(6)],
        "label": ["b", "a", "a|b", "", "c", "a"],
        "split": ["train", "train", "Validation", "test", "test", ""],
        "scene": ["s1", "s1", "s2", "s2", "s3", "s3"],
        "date": [f"2024-05-0{i + 1}" for i in range(6)],
    }
    if kind == "parquet":
        lists_of = [[word for word in text.split("|") if word] for text in columns["label"]]
        pq.write_table(pa.table({**columns, "label": lists_of}), root / "meta.parquet")
        return "meta.parquet"
    rows = [",".join(columns), *(",".join(cells) for cells in zip(*columns.values(), strict=True))]
    (root / "meta.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    return "meta.csv"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_says_labels_split_group_and_date_by_column(tmp_path: Path, kind: str) -> None:
    table(tmp_path, kind)
    found, records = fitted(tmp_path, unit="power", bands=["VV", "VH"])
    assert (found.spec.tasks[0].kind, found.spec.tasks[0].classes) == ("multilabel", ("a", "b", "c"))
    assert next(iter(found.splits)) == "column"
    assert {"group", "blocks"} <= found.splits.keys()
    both = records["chips_scene_2"]
    assert (both.labels, both.official, both.group, str(both.time)) == (
        {"labels": (0, 1)},
        "val",
        "s2",
        "2024-05-03 00:00:00+00:00",
    )
    assert both.crs == "EPSG:32632"
    assert both.footprint == (500_800, 5_399_840, 500_960, 5_400_000)
    assert records["chips_scene_5"].official is None


def test_coordinates_of_a_table_place_images_that_have_no_georeference(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / f"{i}.png", i)
    (tmp_path / "meta.csv").write_text("image,label,lon,lat\n0,x,10.0,48.0\n1,y,10.5,48.0\n2,x,11.0,48.0\n")
    _, records = fitted(tmp_path, x_column="lon", y_column="lat", pixel_size_m="10")
    left, bottom, right, top = records["0"].footprint or (0, 0, 0, 0)
    assert (records["0"].crs, (left + right) / 2, (bottom + top) / 2) == ("EPSG:4326", 10.0, 48.0)
    assert top - bottom == pytest.approx(160 / 111_320)
    _, said = fit(Folder.at(tmp_path), PIPELINE, {"x_column": "lon", "y_column": "lat", "pixel_size_m": 10})
    assert "columns: image is the image, label is the label, lon is x of the centre, lat is y of the centre" in said


def test_coordinates_that_make_no_footprint_stop(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / f"{i}.png", i)
    (tmp_path / "meta.csv").write_text("image,label,lon,lat\n0,x,10.0,48.0\n1,y,10.5,48.0\n2,x,11.0,48.0\n")
    with pytest.raises(SourceError, match=r"pixel_size_m: expected the size of a pixel .*`pixel_size_m=…`"):
        fitted(tmp_path, x_column="lon", y_column="lat")
    with pytest.raises(UsageError, match="`crs=EPSG:4326`: expected x_column and y_column"):
        fitted(tmp_path, crs="EPSG:4326")


def test_coordinates_beside_a_georeference_are_left_out_and_said_so(tmp_path: Path) -> None:
    for i in range(2):
        tif(tmp_path / f"{i}.tif", values(i), place=i)
    (tmp_path / "meta.csv").write_text("image,lon,lat\n0,10.0,48.0\n1,10.5,48.0\n")
    fields = {"unit": "power", "x_column": "lon", "y_column": "lat"}
    _, said = fit(Folder.at(tmp_path), PIPELINE, fields)
    assert "warning: x_column, y_column: images with a georeference, such as 0.tif, keep their own place" in said
    assert {record.crs for record in fitted(tmp_path, **fields)[1].values()} == {"EPSG:32632"}


def test_init_says_what_each_column_is_used_for(tmp_path: Path) -> None:
    rows(tmp_path, "file;class;acquired;lon;lat\n0;a;2024-05-01;1;2\n1;b;2024-05-02;1;2\n2;a;2024-05-03;1;2\n")
    text = declaration_text(Folder.at(tmp_path), "x")
    assert "# Columns: file is the image, class is the label, acquired is the time." in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0.png,z,train\n", "meta.csv, row 1: expected one of 2 classes, x, y, found 'z'"),
        ("0.png,x,later\n", "meta.csv, row 1: expected the split train, val or test, found 'later'"),
        ("gone.png,x,train\n0.png,x,train\n", "meta.csv, row 1: expected an image, found no file that gone.png"),
        (
            "0.png,x,train\n0.png,y,train\n",
            "meta.csv, row 2: expected every image once, found 0.png in meta.csv, row 1",
        ),
        ("0.png,x|y,train\n", "expected one label, found x, y: give `task=multilabel`"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, rows: str, message: str) -> None:
    png(tmp_path / "0.png")
    (tmp_path / "meta.csv").write_text(f"image,label,split\n{rows}")
    with pytest.raises(SarDataError, match=re.escape(message)):
        fitted(tmp_path, classes=["x", "y"], task="classification", labels="table", table="meta.csv", split="column")


def test_rows_that_name_no_image_are_quarantined_one_by_one(tmp_path: Path) -> None:
    lists(tmp_path / "raw", train__txt=LISTED + "img/gone.png 1\n")
    build = sar_data.build(
        "path-label", source=tmp_path / "raw", out=tmp_path, bad_records="quarantine", runner="serial"
    )
    assert [(bad.path, bad.reason[:17]) for bad in build.manifest.quarantine] == [
        ("train.txt, line 4", "expected an image")
    ]


def test_groups_and_blocks_are_splits_of_a_declaration(tmp_path: Path) -> None:
    for i in range(40):
        tif(tmp_path / f"raw/{'ab'[i % 2]}/scene{i % 5}/{i}.tif", values(i), place=i)
    asked: dict[str, Any] = {"source": tmp_path / "raw", "out": tmp_path, "unit": "power", "runner": "serial"}
    by_group = sar_data.build("custom", **asked, declare={"group": "folder", "split": "group"}).index().to_pylist()
    assert {row["group"] for row in by_group} == {f"{name}/scene{n}" for name in "ab" for n in range(5)}
    homes = {row["group"]: {other["split"] for other in by_group if other["group"] == row["group"]} for row in by_group}
    assert all(len(splits) == 1 for splits in homes.values())
    blocks = sar_data.build("custom", **asked, declare={"split": "blocks:size=2,buffer=0"}).manifest
    assert blocks.split_policy.policy == "blocks"
    assert blocks.split_policy.parameters["size"] == 2
    with pytest.raises(SourceError, match=r"split: unknown split 'group'\. There are: blocks, random, stratified"):
        sar_data.build("custom", **asked, declare={"split": "group"})


def test_masks_may_lie_beside_the_images_of_each_split(tmp_path: Path) -> None:
    for i in range(6):
        split = ("train", "val", "test")[i % 3]
        tif(tmp_path / f"{split}/images/{i % 2}.tif", values(i), place=i)
        tif(tmp_path / f"{split}/masks/{i % 2}.tif", np.full((1, 16, 16), i % 3, np.uint8), place=i)
    found, records = fitted(tmp_path, unit="power", classes=["a", "b", "c"])
    assert (found.spec.tasks[0].kind, next(iter(found.splits))) == ("segmentation", "folders")
    assert len(records) == 6
    for number, split in enumerate(("train", "val", "test")):
        record = records[f"{split}_images_1"]
        assert record.official == split
        mask = found.read(Folder.at(tmp_path), record).mask
        assert mask is not None
        assert (mask == number).all()


@pytest.mark.parametrize(
    "form", ["{kind}/{name}", "{kind}/{split}/{name}", "{split}/{kind}/{name}", "gt/{kind}/{name}"]
)
def test_masks_in_a_folder_of_their_own_may_have_a_suffix(tmp_path: Path, form: str) -> None:
    for i in range(6):
        split = ("train", "val", "test")[i % 3]
        tif(tmp_path / form.format(kind="images", split=split, name=f"c{i}.tif"), values(i))
        mask = np.full((1, 16, 16), i % 3, np.uint8)
        tif(tmp_path / form.format(kind="masks", split=split, name=f"c{i}_mask.tif"), mask)
    text = declaration_text(Folder.at(tmp_path), "x")
    assert {"masks", "mask_suffix"} <= tomllib.loads(text).keys()
    assert "6 masks of 6 samples; values 0 in 33.3 %, 1 in 33.3 %, 2 in 33.3 % of the pixels" in text
    found, records = fitted(tmp_path, unit="power", classes=["a", "b", "c"])
    assert found.spec.tasks[0].kind == "segmentation"
    assert len(records) == 6
    for key, record in records.items():
        mask = found.read(Folder.at(tmp_path), record).mask
        assert mask is not None
        assert (mask == int(key[-1]) % 3).all()


@pytest.mark.parametrize("form", ["{kind}/{site}/0", "{site}/{kind}/0", "gt/{site}/{kind}/0", "gt/{kind}/{site}/0"])
def test_masks_of_one_name_belong_to_the_images_of_their_site(tmp_path: Path, form: str) -> None:
    for i, site in enumerate("abc"):
        png(tmp_path / f"{form.format(kind='images', site=site)}.png", i)
        tif(tmp_path / f"{form.format(kind='masks', site=site)}_gt.tif", np.full((1, 16, 16), i, np.uint8))
    found, records = fitted(tmp_path, classes=["a", "b", "c"])
    for site, record in zip("abc", records.values(), strict=True):
        mask = found.read(Folder.at(tmp_path), record).mask
        assert f"/{site}/" in f"/{record.files[0].path}"
        assert mask is not None
        assert (mask == "abc".index(site)).all()


def test_a_mask_that_two_images_could_have_is_none(tmp_path: Path) -> None:
    for i, site in enumerate("ab"):
        png(tmp_path / f"images/{site}/0.png", i)
        png(tmp_path / f"masks/other_{site}/0.png", i)
    with pytest.raises(BadRecord, match=r"images/a/0\.png: expected a mask of the same name, found none"):
        fitted(tmp_path, classes=["a", "b"])


@pytest.mark.parametrize("task", [None, "classification"])
def test_a_folder_of_masks_is_never_a_class(tmp_path: Path, task: str | None) -> None:
    for i in range(2):
        png(tmp_path / f"images/img{i}.png", i)
        png(tmp_path / f"masks/other{i}.png", i)
    with pytest.raises(SourceError, match=r"task: .*masks looks like a folder of masks.*give `masks=…`"):
        fitted(tmp_path, task=task)
    text = declaration_text(Folder.at(tmp_path), "x")
    assert "# ASK the task" in text
    assert not {"task", "labels", "classes"} & tomllib.loads(text).keys()
    found, _ = fitted(tmp_path, labels="folders", task="classification")
    assert found.spec.tasks[0].classes == ("images", "masks")


@pytest.mark.parametrize(
    ("names", "classes"),
    [(("01", "02", "10"), ("01", "02", "10")), (("1", "02", "10"), ("02", "1", "10")), (("0", "2"), ("0", "1", "2"))],
)
def test_labels_are_numbers_only_where_they_are_written_as_such(
    tmp_path: Path, names: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    for name in names:
        png(tmp_path / f"{name}/a.png")
    found, records = fitted(tmp_path)
    assert found.spec.tasks[0].classes == classes
    assert {key: record.labels["class"] for key, record in records.items()} == {
        f"{name}_a": (classes.index(name),) for name in names
    }


def rows(root: Path, text: str) -> Path:
    for i in range(3):
        png(root / f"{i}.png", i)
    (root / "meta.csv").write_text(text)
    return root


def test_folds_by_number_are_no_split_unless_declared(tmp_path: Path) -> None:
    rows(tmp_path, "image,label,fold\n0,a,1\n1,b,2\n2,a,3\n")
    found, said = fit(Folder.at(tmp_path), PIPELINE, {})
    assert next(iter(found.splits)) == "stratified"
    assert "table meta.csv with 3 rows, without a split: its column says 1, 2, 3, not train, val or test" in said
    with pytest.raises(BadRecord, match=r"meta\.csv, row 1: expected the split train, val or test, found '1'"):
        fitted(tmp_path, split_column="fold")


def test_y_is_a_coordinate_beside_x_and_else_a_label(tmp_path: Path) -> None:
    found, records = fitted(rows(tmp_path, "image,x,y\n0,1,2\n1,3,4\n2,5,6\n"))
    assert (found.spec.tasks, len(records)) == ((), 3)
    found, _ = fitted(rows(tmp_path, "image,x,y,class\n0,1,2,a\n1,3,4,b\n2,5,6,b\n"))
    assert found.spec.tasks[0].classes == ("a", "b")
    found, _ = fitted(rows(tmp_path, "image,y\n0,1\n1,0\n2,1\n"))
    assert found.spec.tasks[0].classes == ("0", "1")


def test_a_guessed_date_that_is_none_is_left_out_and_a_declared_one_stops(tmp_path: Path) -> None:
    rows(tmp_path, "image,label,date\n0,a,2024-05-01\n1,b,31/05/2024\n2,a,2024-05-03\n")
    _, said = fit(Folder.at(tmp_path), PIPELINE, {})
    assert (
        "left out: the column of dates: meta.csv, row 2: expected a date as ISO 8601 writes it, found '31/05/2024'"
        in said
    )
    assert "# Left out: the column of dates: meta.csv, row 2" in declaration_text(Folder.at(tmp_path), "dates")
    _, records = fitted(tmp_path)
    assert [record.time for record in records.values()] == [None] * 3
    with pytest.raises(BadRecord, match=r"meta\.csv, row 2: expected a date as ISO 8601 writes it"):
        fitted(tmp_path, date_column="date")


def test_a_table_may_spell_names_in_another_case_and_with_another_ending(tmp_path: Path) -> None:
    for i in range(3):
        tif(tmp_path / f"Chips/c{i}.tif", values(i), place=i)
    (tmp_path / "labels.csv").write_text("file,label\nC0.TIF,a\nchips/C1,b\n/data/Chips/c2.TIFF,a\n")
    _, records = fitted(tmp_path, unit="power")
    labels = {key: record.labels["class"] for key, record in records.items()}
    assert labels == {"Chips_c0": (0,), "Chips_c1": (1,), "Chips_c2": (0,)}


def test_bands_and_frames_come_together_by_their_suffixes(tmp_path: Path) -> None:
    for i in range(3):
        for j, frame in enumerate(("_pre", "_post")):
            for k, band in enumerate(("_vh", "_VV")):
                name = f"place{i}{frame}{band}.tif" if i else f"place{i}{band}{frame}.tif"
                tif(tmp_path / "img" / name, values(9 * i + 3 * j + k, bands=1), place=i)
    found, records = fitted(tmp_path, unit="power", band_suffixes=["_VV", "_vh"], frame_suffixes=["_pre", "_post"])
    assert (found.spec.frames, [band.name for band in found.spec.bands]) == (2, ["1", "2"])
    record = records["img_place2"]
    assert [file.path.rpartition("/")[2] for file in record.files] == [
        "place2_pre_VV.tif",
        "place2_pre_vh.tif",
        "place2_post_VV.tif",
        "place2_post_vh.tif",
    ]
    assert [date.role for date in record.dates] == ["pre", "post"]
    image = found.read(Folder.at(tmp_path), record).image
    assert image.shape == (2, 2, 16, 16)
    assert np.array_equal(image[1, 0], values(22, bands=1)[0])


def test_a_band_a_file_is_found_by_its_polarization(tmp_path: Path) -> None:
    for i in range(4):
        for k, band in enumerate(("VH", "VV")):
            tif(tmp_path / f"{i}-{band}.tif", values(2 * i + k, bands=1), place=i)
    found, records = fitted(tmp_path, unit="power")
    assert [(band.name, band.polarization) for band in found.spec.bands] == [("VV", "VV"), ("VH", "VH")]
    assert np.array_equal(found.read(Folder.at(tmp_path), records["1"]).image[0], values(3, bands=1)[0])


def test_a_band_that_lacks_is_named(tmp_path: Path) -> None:
    for i in range(3):
        tif(tmp_path / f"{i}_VV.tif", values(i, bands=1))
    with pytest.raises(BadRecord, match=r"0_VV\.tif: expected 0_VH with it, found none"):
        fitted(tmp_path, unit="power", band_suffixes=["_VV", "_VH"])


def test_files_of_one_sample_are_of_one_place(tmp_path: Path) -> None:
    tif(tmp_path / "0_VV.tif", values(0, bands=1), place=0)
    tif(tmp_path / "0_VH.tif", values(1, bands=1), place=1)
    with pytest.raises(BadRecord, match=r"0_VH\.tif: expected the georeference of 0_VV\.tif, found another"):
        fitted(tmp_path, unit="power")


def test_a_unit_is_asked_for_with_the_values_as_evidence(tmp_path: Path) -> None:
    tif(tmp_path / "a/0.tif", values(0))
    with pytest.raises(SourceError, match=r"expected one of dB, .*a/0.tif values lie between 0\.0.*not dB.*`unit=…`"):
        fitted(tmp_path)
    tif(tmp_path / "a/0.tif", 10 * np.log10(values(0)))
    with pytest.raises(SourceError, match="suggest dB"):
        fitted(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit": "decibel"}, "`unit=decibel`: expected 'dB', 'power', 'amplitude', 'DN', '8-bit' or 'phase'"),
        ({"polarisation": "VV"}, "`polarisation=VV`: unknown field 'polarisation'. Did you mean 'polarizations'?"),
        ({"bands": ["VV", "VV"]}, "`bands=VV,VV`: expected every one once"),
        ({"task": "segment"}, "`task=segment`: expected 'classification', 'multilabel', 'segmentation'"),
        ({"images": "../else"}, "`images=../else`: expected a path below the folder"),
    ],
)
def test_a_field_that_is_wrong_is_named_as_it_was_given(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SarDataError, match=re.escape(message)):
        sar_data.build("custom", source=tmp_path, out=tmp_path / "out", declare=fields)


def test_a_published_dataset_takes_no_declaration(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`title=Mine`: eurosat-sar is published"):
        sar_data.build("eurosat-sar", source=tmp_path, out=tmp_path / "out", declare={"title": "Mine"})


def test_another_declaration_is_another_build(tmp_path: Path) -> None:
    for i in range(6):
        tif(tmp_path / "raw" / "ab"[i % 2] / f"{i}.tif", values(i), place=i)
    first, second = (
        sar_data.build(
            "custom", source=tmp_path / "raw", out=tmp_path, runner="serial", declare={"unit": "power", **more}
        )
        for more in ({"bands": ["VV", "VH"]}, {"bands": ["HH", "HV"]})
    )
    assert first.path != second.path
    assert [band.name for band in second.manifest.bands] == ["HH", "HV"]


def flagged(root: Path, kind: str, one: tuple[str, str] = ("1", "0")) -> dict[str, list[Any]]:
    """Write six pictures and a table with a column of 0 and 1 for each of three classes, and others that are none."""
    yes, no = one
    for i in range(6):
        png(root / f"chips/{i}.png", i)
    columns: dict[str, list[Any]] = {
        "id": [str(i) for i in range(6)],
        "Water": [yes, no, yes, no, no, no],
        "Arable land": [no, yes, yes, no, no, yes],
        "Snow": [no] * 6,
        "in_train": [yes, yes, no, yes, no, yes],
        "always": [yes] * 6,
        "year": ["2019"] * 6,
        "lat": [f"48.{i}" for i in range(6)],
        "lon": [f"11.{i}" for i in range(6)],
    }
    if kind == "parquet":
        numbers = {name: [int(word == yes) for word in columns[name]] for name in ("Water", "Arable land", "Snow")}
        booleans = {name: [word == yes for word in columns[name]] for name in ("in_train", "always")}
        pq.write_table(pa.table(columns | numbers | booleans), root / "meta.parquet")
    else:
        lines = [";".join(columns), *(";".join(row) for row in zip(*columns.values(), strict=True))]
        (root / "meta.csv").write_text("\n".join(lines))
    return columns


@pytest.mark.parametrize(
    ("kind", "one"), [("csv", ("1", "0")), ("csv", ("1.0", "0.0")), ("csv", ("True", "False")), ("parquet", ("1", "0"))]
)
def test_columns_of_0_and_1_are_classes(tmp_path: Path, kind: str, one: tuple[str, str]) -> None:
    flagged(tmp_path, kind, one)
    found, records = fitted(tmp_path)
    assert (found.spec.tasks[0].kind, found.spec.tasks[0].classes) == ("multilabel", ("Water", "Arable land", "Snow"))
    assert [record.labels["labels"] for record in records.values()] == [(0,), (1,), (0, 1), (), (), (1,)]
    text = declaration_text(Folder.at(tmp_path), "flags")
    said = tomllib.loads(text)
    assert (said["label_columns"], said["task"]) == (["Water", "Arable land", "Snow"], "multilabel")
    assert "a class a column of 0 and 1: Water, Arable land, Snow" in " ".join(text.split("\n# "))
    assert "left out: the columns lon and lat" in fit(Folder.at(tmp_path), PIPELINE, {})[1][-1]
    (tmp_path / "dataset.toml").write_text(text)
    assert fitted(tmp_path)[1] == records


def test_one_column_a_row_is_a_classification_and_classes_may_have_other_names(tmp_path: Path) -> None:
    rows(tmp_path, "image,c0,c1\n0,1,0\n1,0,1\n2,1,0\n")
    found, records = fitted(tmp_path, label_columns=["c1", "c0"], classes=["sea", "land"])
    assert (found.spec.tasks[0].kind, found.spec.tasks[0].classes) == ("multiclass", ("sea", "land"))
    assert [record.labels["class"] for record in records.values()] == [(1,), (0,), (1,)]
    with pytest.raises(BadRecord, match=r"meta\.csv, row 2: expected 0 or 1 in the column c1, found '2'"):
        fitted(rows(tmp_path, "image,c0,c1\n0,1,0\n1,0,2\n2,1,0\n"), label_columns=["c0", "c1"])


@pytest.mark.parametrize("field", ["label_column", "label_columns"])
def test_declared_columns_that_are_not_there_stop_although_no_table_is_declared(tmp_path: Path, field: str) -> None:
    with pytest.raises(SourceError, match=r"meta\.csv: expected the columns lbl, found image, label"):
        fitted(rows(tmp_path, "image,label\n0,a\n1,b\n2,a\n"), **{field: "lbl"})
    (tmp_path / "meta.csv").unlink()
    with pytest.raises(SourceError, match="table: expected one of these images with the columns lbl, found none"):
        fitted(tmp_path, **{field: "lbl"})


def test_columns_of_0_and_1_beside_class_folders_are_left_out_and_said_so(tmp_path: Path) -> None:
    for i in range(4):
        png(tmp_path / f"{'ab'[i % 2]}/{i}.png", i)
    (tmp_path / "meta.csv").write_text("image,night,rain\n" + "".join(f"{i},{i % 2},{i // 2}\n" for i in range(4)))
    found, said = fit(Folder.at(tmp_path), PIPELINE, {})
    assert found.spec.tasks[0].classes == ("a", "b")
    assert "table meta.csv with 4 rows, whose columns of 0 and 1 are left out beside class folders: night, rain" in said


def test_lists_with_a_heading_may_have_columns_of_0_and_1(tmp_path: Path) -> None:
    for i in range(6):
        png(tmp_path / f"{i}.png", i)
    for name, numbers in (("train", (0, 1, 2)), ("test", (3, 4, 5))):
        lines = "".join(f"{i}.png,{i % 2},{(i + 1) % 2}\n" for i in numbers)
        (tmp_path / f"{name}.csv").write_text(f"image,ice,water\n{lines}")
    found, records = fitted(tmp_path)
    assert (found.spec.tasks[0].classes, next(iter(found.splits))) == (("ice", "water"), "lists")
    assert [record.labels["class"] for record in records.values()] == [(1,), (0,)] * 3


def test_a_table_that_is_declared_says_the_labels(tmp_path: Path) -> None:
    rows(tmp_path, "image,label\n0,a\n1,b\n2,a\n").joinpath("other.csv").write_text("image,label\n0,x\n")
    assert fitted(tmp_path, table="meta.csv")[0].spec.tasks[0].classes == ("a", "b")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_of_lists_of_zeros_and_ones_has_a_class_for_each(form: str, tmp_path: Path) -> None:
    flags = [[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]]
    lists(tmp_path)
    names = [f"chip_{i}" for i in range(4)]
    if form == "csv":
        (tmp_path / "a.csv").write_text(
            "image,label\n" + "".join(f'{name},"{row}"\n' for name, row in zip(names, flags, strict=True))
        )
    else:
        pq.write_table(pa.table({"image": names, "label": flags}), tmp_path / "a.parquet")
    found, records = fitted(tmp_path)
    assert found.spec.tasks[0].classes == ("0", "1", "2")
    assert [record.labels["labels"] for record in records.values()] == [(1,), (0, 1), (), (1,)]
    with pytest.raises(
        SourceError, match=r"labels: expected lists of 0 and 1 for each of 2 classes, .* found \[0, 0, 0\]"
    ):
        fitted(tmp_path, classes=("sea", "ice"))

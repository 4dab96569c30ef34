"""Detection sets build from the copies that circulate: other folders, other annotation forms, the same ships."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines import ssdd
from sar_data import catalog
from sar_data.builder.fit import fit_source
from sar_data.errors import SourceError
from sar_data.record import Object, Record
from sar_data.sources.archives.open import open_tree
from sar_data.sources.outline import ends_like
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline, Tree
from tests.mini import detections as mini
from tests.mini.builds import make
from tests.mini.detections import Shot, put

COUNT = 12
Write = Callable[[list[Shot], Path], None]


class Layout(NamedTuple):
    """A copy: how it is written, and what of the published records it keeps.

    `bits` says that boxes come through unchanged, `shapes` which of "rotated" and "polygons" do; `official` that the
    official split is known; `found` begins the sentence that the build prints, empty for what is read as published.
    """

    dataset: str
    name: str
    write: Write
    found: str
    bits: bool = True
    shapes: tuple[str, ...] = ()
    official: bool = True


def parts(found: Sequence[Shot], *names: str) -> dict[str, list[Shot]]:
    """Return the images of the official train split and of the others under two names."""
    train = [one for one in found if (one.record.official or "train") == "train"]
    return {names[0]: train, names[1]: [one for one in found if one not in train]}


def write_coco(found: list[Shot], out: Path, *, images: str, documents: str, ending: str = "") -> None:
    """Write images and a COCO document a split, called after the split."""
    for split in ("train", "val", "test"):
        mine = [one for one in found if one.record.official == split]
        for one in mine:
            put(out / images.format(split) / one.file, one.data)
        if mine:
            put(out / documents.format(split), mini.coco(mine, first=0))


def write_one_coco(found: list[Shot], out: Path) -> None:
    """Write one COCO document of all images."""
    put(out / "annotations/instances.json", mini.coco(found))
    for one in found:
        put(out / "images" / one.file, one.data)


def write_voc(found: list[Shot], out: Path, *, images: str = "JPEGImages", lists: bool = True) -> None:
    for one in found:
        put(out / images / one.file, one.data)
        put(out / "Annotations" / f"{one.stem}.xml", mini.voc(one))
    for split, mine in parts(found, "train", "test").items() if lists else ():
        put(out / f"ImageSets/Main/{split}.txt", "".join(f"{one.stem}\n" for one in mine))


def write_yolo(found: list[Shot], out: Path, text: Callable[[Shot], str] = mini.yolo) -> None:
    """Write images/{train,val} and labels/{train,val}, and data.yaml."""
    for split, mine in parts(found, "train", "val").items():
        for one in mine:
            put(out / "images" / split / one.file, one.data)
            put(out / "labels" / split / f"{one.stem}.txt", text(one))
    put(out / "data.yaml", f"train: images/train\nval: images/val\nnames:\n{_names(found[0].classes)}")


def _names(classes: Sequence[str]) -> str:
    return "".join(f"  {i}: {name}\n" for i, name in enumerate(classes))


def write_roboflow(found: list[Shot], out: Path) -> None:
    """Write what Roboflow exports: names with the ending and a hash, a folder a split, the class called "ships"."""
    for split, mine in parts(found, "train", "valid").items():
        for one in mine:
            name = f"{one.stem}_jpg.rf.{abs(hash(one.stem)):032x}"
            put(out / split / "images" / f"{name}.jpg", one.data)
            put(out / split / "labels" / f"{name}.txt", mini.yolo(one))
    put(out / "data.yaml", "train: ../train/images\nval: ../valid/images\n\nnc: 1\nnames: ['ships']\n")
    put(out / "README.roboflow.txt", "SSDD\n")


def write_beside(found: list[Shot], out: Path, *, form: str) -> None:
    """Write what Roboflow exports as COCO and as VOC: a folder a split, images and annotations beside each other."""
    for split, mine in parts(found, "train", "valid").items():
        for one in mine:
            put(out / split / one.file, one.data)
            if form == "VOC":
                put(out / split / f"{one.stem}.xml", mini.voc(one))
        if form == "COCO":
            put(out / split / "_annotations.coco.json", mini.coco(mine, first=0))


def write_darknet(found: list[Shot], out: Path) -> None:
    """Write images and text in one folder, lists of paths and the names of the classes, as Darknet has them."""
    for split, mine in parts(found, "train", "test").items():
        put(out / f"{split}.txt", "".join(f"data/obj/{one.file}\n" for one in mine))
        for one in mine:
            put(out / "obj" / one.file, one.data)
            put(out / "obj" / f"{one.stem}.txt", mini.yolo(one))
    put(out / "obj.names", "".join(f"{name}\n" for name in found[0].classes))


def write_mmrotate(found: list[Shot], out: Path) -> None:
    """Write DOTA text in train and test, of which test is once more by place."""
    for split, mine in parts(found, "train", "test").items():
        for one in mine:
            places = ("all", one.record.attrs["scene"]) if split == "test" else ("",)
            for folder in (out / split / place for place in places):
                put(folder / "images" / one.file, one.data)
                put(folder / "labelTxt" / f"{one.stem}.txt", mini.dota(one))


def write_sarship(found: list[Shot], out: Path) -> None:
    write_yolo(found, out / "SAR-Ship-Dataset")


def write_sardet_yolo(found: list[Shot], out: Path) -> None:
    for one in found:
        put(out / str(one.record.official) / "images" / one.file, one.data)
        put(out / str(one.record.official) / "labels" / f"{one.stem}.txt", mini.yolo(one))
    put(out / "data.yaml", f"names: [{', '.join(found[0].classes)}]\n")


def write_png(found: list[Shot], out: Path) -> None:
    """Write the images as PNG, which keeps their pixels, with the documents of the published release."""
    from sar_data import synth
    from sar_data.raster import image

    pngs = [dataclasses.replace(one, data=synth.png(image.grey(one.data, one.file)[0]), ending="png") for one in found]
    write_coco(pngs, out / "HRSID_png", images="images", documents="annotations/{}2017.json")


LAYOUTS = [
    Layout(
        "ssdd",
        "coco_style alone",
        partial(
            write_coco,
            images="Official-SSDD-OPEN/BBox_SSDD/coco_style/images/{}",
            documents="Official-SSDD-OPEN/BBox_SSDD/coco_style/annotations/{}.json",
        ),
        "COCO, 9 train + 3 test, JPEG",
        shapes=("polygons",),
    ),
    Layout("ssdd", "VOC flat", write_voc, "VOC, 9 train + 3 test, JPEG"),
    Layout(
        "ssdd",
        "mmdet COCO",
        partial(write_coco, images="JPEGImages", documents="annotations/{}.json"),
        "COCO, 9 train + 3 test, JPEG",
        shapes=("polygons",),
    ),
    Layout("ssdd", "YOLO", write_yolo, "YOLO boxes, 9 train + 3 val, JPEG; its own split is", bits=False),
    Layout(
        "ssdd",
        "YOLO polygons",
        partial(write_yolo, text=partial(mini.yolo_rings, ring_of=lambda thing: thing.polygons[0])),
        "YOLO polygons, 9 train + 3 val, JPEG",
        bits=False,
        shapes=("polygons",),
    ),
    Layout(
        "ssdd",
        "YOLO turned boxes",
        partial(write_yolo, text=partial(mini.yolo_rings, ring_of=mini.turned)),
        "YOLO turned boxes, 9 train + 3 val, JPEG",
        bits=False,
        shapes=("rotated",),
    ),
    Layout("ssdd", "Roboflow export", write_roboflow, "YOLO boxes, 9 train + 3 val, JPEG", bits=False),
    Layout(
        "ssdd",
        "Roboflow export, COCO",
        partial(write_beside, form="COCO"),
        "COCO, 9 train + 3 val, JPEG",
        shapes=("polygons",),
    ),
    Layout("ssdd", "Roboflow export, VOC", partial(write_beside, form="VOC"), "VOC, 9 train + 3 val, JPEG"),
    Layout("ssdd", "Darknet", write_darknet, "YOLO boxes, 9 train + 3 test, JPEG", bits=False),
    Layout("ssdd", "mmrotate DOTA", write_mmrotate, "DOTA, 9 train + 3 test, JPEG", bits=False, shapes=("rotated",)),
    Layout(
        "hrsid",
        "images folder",
        partial(write_coco, images="HRSID/images", documents="HRSID/annotations/{}2017.json"),
        "COCO, 8 train + 4 test, JPEG",
        shapes=("polygons",),
    ),
    Layout("hrsid", "PNG", write_png, "COCO, 8 train + 4 test, PNG", shapes=("polygons",)),
    Layout("hrsid", "YOLO", write_yolo, "YOLO boxes, 8 train + 4 val, JPEG", bits=False, official=False),
    Layout("hrsid", "one merged JSON", write_one_coco, "COCO, 12 images, JPEG", shapes=("polygons",), official=False),
    Layout(
        "hrsid",
        "YOLO polygons",
        partial(write_yolo, text=partial(mini.yolo_rings, ring_of=lambda thing: thing.polygons[0])),
        "YOLO polygons, 8 train + 4 val, JPEG",
        bits=False,
        shapes=("polygons",),
        official=False,
    ),
    Layout("hrsid", "VOC", write_voc, "VOC, 8 train + 4 test, JPEG", official=False),
    Layout("hrsid", "Roboflow export", write_roboflow, "YOLO boxes, 8 train + 4 val", bits=False, official=False),
    Layout(
        "ls-ssdd",
        "COCO",
        partial(write_coco, images="JPEGImages_sub", documents="annotations/{}.json"),
        "COCO, 8 train + 4 test, JPEG",
    ),
    Layout("ls-ssdd", "VOC flat", partial(write_voc, images="JPEGImages", lists=False), ""),
    Layout("ls-ssdd", "YOLO", write_yolo, "YOLO boxes, 8 train + 4 val, JPEG", bits=False),
    Layout("sar-ship-dataset", "YOLO with a split", write_sarship, "YOLO boxes, 12 train, JPEG", bits=False),
    Layout("sar-ship-dataset", "COCO", write_one_coco, "COCO, 12 images, JPEG"),
    Layout("sar-ship-dataset", "VOC, first release", partial(write_voc, lists=False), "VOC, 12 images, JPEG"),
    Layout(
        "sardet-100k",
        "documents at the root",
        partial(write_coco, images="SARDet_100K/JPEGImages/{}", documents="SARDet_100K/{}.json"),
        "COCO, 7 train + 3 val + 2 test, JPEG and PNG",
        shapes=("polygons",),
    ),
    Layout(
        "sardet-100k",
        "images folder",
        partial(write_coco, images="SARDet/images/{}", documents="SARDet/annotations/instances_{}.json"),
        "COCO, 7 train + 3 val + 2 test, JPEG and PNG",
        shapes=("polygons",),
    ),
    Layout("sardet-100k", "YOLO", write_sardet_yolo, "YOLO boxes, 7 train + 3 val + 2 test", bits=False),
    Layout("air-sarship", "VOC", partial(write_voc, lists=False), "VOC, 12 images, TIFF"),
    Layout("air-sarship", "COCO", write_one_coco, "COCO, 12 images, TIFF"),
]


@cache
def published(dataset: str, root: Path) -> tuple[Pipeline, list[Shot]]:
    catalog.synthesise(dataset)(root, count=COUNT, seed=0)
    pipeline = catalog.pipeline(dataset)
    return pipeline, [one for one in mini.shots(pipeline, Folder.at(root)) if one.record.unused is None]


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Pipeline, list[Shot]]]:
    top = tmp_path_factory.mktemp("published")
    return lambda dataset: published(dataset, top / dataset)


def records_of(pipeline: Pipeline, tree: Tree) -> dict[str, Record]:
    return {record.key: record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)}


def same(found: Object, published: Object, layout: Layout) -> bool:
    """Say whether an object is the published one, as far as the layout's form can tell."""
    exact = found.box == published.box if layout.bits else found.box == pytest.approx(published.box, abs=1e-6)
    turned = layout.shapes == ("rotated",)  # the box is then the one around the turned box
    rings = not found.polygons or found.polygons == published.polygons or not layout.bits
    return found.label == published.label and rings and (turned or exact)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.dataset}, {layout.name}")
def test_a_copy_gives_the_records_of_the_published_layout(
    layout: Layout, miniatures: Callable[[str], tuple[Pipeline, list[Shot]]], tmp_path: Path
) -> None:
    pipeline, shots = miniatures(layout.dataset)
    layout.write(shots, tmp_path / "raw")
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    assert all(ends_like(pattern, files) for pattern in pipeline.layouts[layout.name])
    fit = fit_source(pipeline, open_tree(tmp_path / "raw"), tmp_path / "raw")
    assert fit.layout.startswith(layout.found)
    assert bool(fit.layout) == bool(layout.found)
    found = records_of(fit.pipeline, fit.tree)
    assert found.keys() == {one.record.key for one in shots}
    for one in shots:
        record = found[one.record.key]
        assert (record.group, record.labels) == (one.record.group, one.record.labels)
        assert record.official == (one.record.official if layout.official else None)
        assert len(record.objects) == len(one.objects)
        assert all(same(a, b, layout) for a, b in zip(record.objects, one.objects, strict=True))
        for thing in record.objects:
            assert bool(thing.rotated) == ("rotated" in layout.shapes)
            assert bool(thing.polygons) == bool(layout.shapes)
    made = make(
        pipeline, tmp_path / "raw", tmp_path / "out", container="webdataset", split=next(iter(fit.pipeline.splits))
    )
    assert made.manifest.layout == fit.layout
    assert made.index().num_rows == len(shots)


def test_a_val_of_hrsid_is_the_copys_own_split(
    miniatures: Callable[[str], tuple[Pipeline, list[Shot]]], tmp_path: Path
) -> None:
    pipeline, shots = miniatures("hrsid")
    for split, mine in parts(shots, "train", "val").items():
        put(tmp_path / f"raw/annotations/instances_{split}2017.json", mini.coco(mine))
        for one in mine:
            put(tmp_path / "raw" / f"{split}2017" / one.file, one.data)
    fit = fit_source(pipeline, open_tree(tmp_path / "raw"), tmp_path / "raw")
    assert next(iter(fit.pipeline.splits)) == "folders"
    found = records_of(fit.pipeline, fit.tree).values()
    assert {(record.official, record.attrs["folder_split"]) for record in found} == {(None, "train"), (None, "val")}


def test_two_different_images_of_one_name_are_refused(
    miniatures: Callable[[str], tuple[Pipeline, list[Shot]]], tmp_path: Path
) -> None:
    pipeline, shots = miniatures("ssdd")
    for number, one in enumerate(shots[:2]):
        put(tmp_path / f"raw/train/images/000002_jpg.rf.{number:032x}.jpg", one.data)
        put(tmp_path / f"raw/train/labels/000002_jpg.rf.{number:032x}.txt", mini.yolo(shots[0]))
    with pytest.raises(SourceError, match=r"expected 000002 once, .* export the images again without augmentation"):
        fit_source(pipeline, open_tree(tmp_path / "raw"), tmp_path / "raw")


def test_a_copy_of_the_old_ssdd_is_refused_too(
    miniatures: Callable[[str], tuple[Pipeline, list[Shot]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, shots = miniatures("ssdd")
    write_voc(shots, tmp_path / "raw")
    monkeypatch.setattr(ssdd, "IMAGES", len(shots))
    with pytest.raises(SourceError, match="perhaps the OLD SSDD"):
        fit_source(pipeline, open_tree(tmp_path / "raw"), tmp_path / "raw")


def test_the_copys_own_split_is_taken_when_asked_for(
    miniatures: Callable[[str], tuple[Pipeline, list[Shot]]], tmp_path: Path
) -> None:
    pipeline, shots = miniatures("ssdd")
    write_yolo(shots, tmp_path / "raw")
    made = make(pipeline, tmp_path / "raw", tmp_path / "out", container="webdataset", split="folders")
    assert {split: made.manifest.splits[split].count for split in ("train", "val", "test")} == {
        "train": 9,
        "val": 3,
        "test": 0,
    }

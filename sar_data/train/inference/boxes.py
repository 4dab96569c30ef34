"""The boxes of a prediction in four forms, best first for each image.

boxes.parquet          a row a box: in pixels, and its corners in the image's reference system
boxes.json             COCO, with scores
boxes.geojson          in longitude and latitude (RFC 7946), of images whose place is known
dota/Task2_CLASS.txt   the form in which DOTA takes horizontal boxes: image, score, x0, y0, x1, y1
dota/Task1_CLASS.txt   in place of it of rotated boxes: image, score and four corners

Corners are those of rotated boxes, where a model finds such. Then x0, y0, x1, y1 and COCO's bbox are the hulls, and
there are centre, width, height and degrees, too, in COCO's documents as `rotated`, as `export coco` has them.
Sorted boxes are in memory at 48 bytes each; all that is written of them is there for a few at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from sar_data.errors import SourceError
from sar_data.raster import maps
from sar_data.system import durable, private
from sar_data.train.inference.answers import BOXES
from sar_data.train.inference.documents import AT_ONCE, Answers, Row, map_corners, parquet, rows_of
from sar_data.train.rotated.rings import ring

LONGEST = 48  # letters of a class in the name of a file
Add = Callable[[Sequence[Row]], None]
SIDES = ("x0", "y0", "x1", "y1")
TURNED = ("centre_x", "centre_y", "width", "height", "degrees")
_BOXES = pa.schema(
    {
        "key": pa.string(),
        "label": pa.string(),
        "score": pa.float32(),
        **dict.fromkeys(SIDES, pa.float32()),
        "crs": pa.string(),
        "corners": pa.list_(pa.list_(pa.float64())),
    }
)


def write(folder: Path, answers: Answers, run: str) -> dict[str, int]:
    """Write the boxes in all forms, best first for each image, and return how many each class has."""
    found = pa.concat_tables([rows_of(answers, number, BOXES) for number in range(len(answers.parts))])
    found = found.sort_by([("image", "ascending"), ("score", "descending")])
    said, dota = Counter[int](), folder / "dota"
    private.make_folders(folder, dota)
    with ExitStack() as files:
        forms = [
            files.enter_context(form)
            for form in (
                _table(folder / "boxes.parquet", answers),
                _coco(folder / "boxes.json", answers, run),
                _geojson(folder / "boxes.geojson", answers.classes),
                _dota(dota, answers),
            )
        ]
        for batch in found.to_batches(max_chunksize=AT_ONCE):
            rows = [_placed(row, answers) for row in batch.to_pylist()]
            for add in forms:
                add(rows)
            said.update(row["label"] for row in rows)
    return {name: said[label] for label, name in enumerate(answers.classes)}


def _placed(row: Row, answers: Answers) -> Row:
    image = answers.images[row["image"]]
    box = row["rotated"] or row["box"]
    corners = map_corners(box, image)
    placed = {"corners": None if corners is None else corners.tolist(), "crs": image.place.crs}
    return {**row, "key": image.key, "ring": ring(box), **placed}


@contextmanager
def _table(path: Path, answers: Answers) -> Iterator[Add]:
    schema = _BOXES
    for name in TURNED if answers.rotated else ():
        schema = schema.append(pa.field(name, pa.float32()))

    def flat(row: Row) -> Row:
        sides = dict(zip(SIDES, row["box"], strict=True)) | dict(zip(TURNED, row["rotated"] or (), strict=False))
        return {name: row[name] for name in ("key", "score", "crs", "corners")} | {
            "label": answers.classes[row["label"]],
            **sides,
        }

    with parquet(path, schema) as add:
        yield lambda rows: add([flat(row) for row in rows])


@contextmanager
def _coco(path: Path, answers: Answers, run: str) -> Iterator[Add]:
    """Publish a document that pycocotools loads; ids begin at 1, and `score` is a field of our own."""
    head = {
        "info": {"description": f"Boxes that {run} predicts"},
        "categories": [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(answers.classes, 1)],
        "images": [
            {"id": number, "file_name": image.key, "height": image.height, "width": image.width}
            for number, image in enumerate(answers.images, 1)
        ],
    }
    with _document(path, head, "annotations") as add:
        count = 0

        def annotate(rows: Sequence[Row]) -> None:
            nonlocal count
            add([_annotation(number, row) for number, row in enumerate(rows, count + 1)])
            count += len(rows)

        yield annotate


def _annotation(number: int, row: Row) -> Row:
    x0, y0, x1, y1 = row["box"]
    box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0, "segmentation": []}
    if turned := row["rotated"]:
        box |= {"rotated": turned, "area": turned[2] * turned[3], "segmentation": [row["ring"].ravel().tolist()]}
    ids = {"id": number, "image_id": row["image"] + 1, "category_id": row["label"] + 1}
    return {**ids, **box, "score": row["score"]}


@contextmanager
def _geojson(path: Path, classes: Sequence[str]) -> Iterator[Add]:
    with _document(path, {"type": "FeatureCollection"}, "features") as add:
        yield lambda rows: add(list(_features(rows, classes)))


def _features(rows: Sequence[Row], classes: Sequence[str]) -> Iterator[Row]:
    placed = [row for row in rows if row["corners"] is not None and row["crs"]]
    for crs in dict.fromkeys(row["crs"] for row in placed):
        own = [row for row in placed if row["crs"] == crs]
        try:
            rings = maps.degrees(np.array([row["corners"] for row in own]), crs)
        except SourceError:
            continue  # of a system of the user's own, which has no place on the Earth
        for row, corners in zip(own, rings.tolist(), strict=True):
            yield {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
                "properties": {"key": row["key"], "label": classes[row["label"]], "score": row["score"]},
            }


@contextmanager
def _dota(folder: Path, answers: Answers) -> Iterator[Add]:
    task = "Task1" if answers.rotated else "Task2"
    with ExitStack() as stack:
        names = file_names(answers.classes)
        files = [stack.enter_context(durable.publish(folder / f"{task}_{name}.txt")) for name in names]

        def add(rows: Sequence[Row]) -> None:
            for row in rows:
                sides = " ".join(f"{side:.2f}" for side in (row["ring"].ravel() if row["rotated"] else row["box"]))
                files[row["label"]].write(f"{row['key']} {row['score']:.6f} {sides}\n".encode())

        yield add


def file_names(classes: Sequence[str]) -> list[str]:
    """Return what stands for each class in the name of a file: short, and each once."""
    names = [name.replace("/", "-") for name in classes]
    if len(set(names)) == len(names) and max(map(len, names)) <= LONGEST:
        return names
    return [f"{label}-{name[:LONGEST]}" for label, name in enumerate(names)]


@contextmanager
def _document(path: Path, head: Row, name: str) -> Iterator[Add]:
    """Publish a JSON object that ends with a list of that name; what this yields adds to the list."""
    with durable.publish(path) as file:
        file.write(f"{_json(head)[:-1]},{_json(name)}:[".encode())
        comma = ""

        def add(rows: Sequence[Row]) -> None:
            nonlocal comma
            for row in rows:
                file.write(f"{comma}{_json(row)}".encode())
                comma = ","

        yield add
        file.write(b"]}")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

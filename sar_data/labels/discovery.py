"""Discover the annotations of the images in a tree: COCO, VOC, YOLO or DOTA, in folders of any name.

`discover(tree)` reads names, and documents that name images; it opens no image. Its result has, for each image, the
annotation file and the split; `read_objects` reads its objects by the reader of that form.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sar_data.errors import BadRecord, SourceError
from sar_data.labels import boxes, coco, dota, voc, yolo
from sar_data.labels.masks import without_masks
from sar_data.labels.pairing import full_stem, images_by_name, nearest, nearness, stem_of
from sar_data.labels.splits import SPLIT_WORDS, folder_split, split_of
from sar_data.naming import few
from sar_data.record import Object, SourceFile
from sar_data.sources.tree import read_with_digest
from sar_data.spec import Tree
from sar_data.text import decode

Form = Literal["COCO", "VOC", "DOTA", "YOLO"]
FORMS: tuple[Form, ...] = ("COCO", "VOC", "DOTA", "YOLO")  # of two that annotate as many images, the first is read
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
_KINDS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "bmp": "BMP", "tif": "TIFF", "tiff": "TIFF"}
MAX_DEPTH, SNIFFED = 6, 4096


class Picture(NamedTuple):
    """An image and what annotates it, as paths in the tree.

    `stem` is the image's name without its ending and without what Roboflow adds. `labels` is None where no file
    annotates the image. `split` is train, val or test as folders, lists or the names of annotation files say. `also`
    has the other paths that speak of this image: its copies in other folders, and annotation files that were not taken;
    `name` is what its COCO document calls it.
    """

    stem: str
    image: str
    labels: str | None
    split: str | None = None
    also: tuple[str, ...] = ()
    name: str = ""


class _Mention(NamedTuple):
    """The mention of an image in a COCO document, with the split of the document."""

    split: str | None
    document: str
    name: str


class ImageObjects(NamedTuple):
    """The objects of an image, and the files that contain them, with their digests."""

    objects: tuple[Object, ...]
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedImages:
    """The images of a tree and their annotations; `form` is None where none are annotated.

    `pictures` is by the path of the image, `missing` names images that are annotated and not there. `names` are the
    classes in the order of their numbers, where a file beside YOLO's labels names them, which is `names_file`.
    """

    tree: Tree
    form: Form | None
    kind: str
    pictures: Mapping[str, Picture]
    missing: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    names_file: str | None = None

    @property
    def splits(self) -> Counter[str]:
        """The number of images of each split, without those of an unknown one."""
        return Counter(picture.split for picture in self.pictures.values() if picture.split)

    def sentence(self) -> str:
        """Return the findings in words, such as "YOLO, 928 train + 232 test, PNG"."""
        endings = {_KINDS.get(image.rpartition(".")[2].lower(), "another form") for image in self.pictures}
        splits = self.splits
        counts = " + ".join(f"{splits[name]:,} {name}" for name in ("train", "val", "test") if splits[name])
        if others := len(self.pictures) - splits.total():
            counts = f"{counts} + {others:,} others" if counts else f"{others:,} images"
        bare = sum(picture.labels is None for picture in self.pictures.values()) if self.form else 0
        less = f", {bare:,} of them without an annotation" if bare else ""
        lost = f"; {len(self.missing):,} annotated images are not there, as {self.missing[0]}" if self.missing else ""
        return f"{self.kind}, {counts}, {' and '.join(sorted(endings))}{less}{lost}"

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes that occur; this reads every annotation that is needed.

        Numbers of YOLO without a file of names are their own names: "0", "1", ….
        """
        files = sorted({picture.labels for picture in self.pictures.values() if picture.labels})
        if self.form == "COCO":
            categories = (coco.load(self.tree, path).categories for path in files)
            return tuple(dict.fromkeys(names[at] for names in categories for at in sorted(names)))
        if self.names:
            return self.names
        parsers = {"VOC": voc.names, "DOTA": dota.names, "YOLO": yolo.names}
        class_names = {name for path in files for name in parsers[str(self.form)](self.tree.read(path), path)}
        return tuple(sorted(class_names, key=_in_order))

    def read_objects(
        self, unit: str, shape: tuple[int, int], classes: Sequence[str], *, most: float = math.inf
    ) -> ImageObjects:
        """Return the objects of an image of `pictures`, whose size is (height, width), as indices of `classes`.

        `classes` are in lower case. Where the dataset has one class and the files name one, they are the same. Boxes
        that reach out of the image by up to `most` pixels are cut and say so. Raise BadRecord for a broken annotation
        and for one that gives another size.
        """
        picture = self.pictures[unit]
        if picture.labels is None:
            return ImageObjects((), ())
        if self.form == "COCO":
            document = coco.load(self.tree, picture.labels)
            if (size := document.shape(name := picture.name)) != shape:
                raise BadRecord(document.file.path, f"expected {name} of {shape[0]}x{shape[1]} pixels, found {size}")
            own_classes = tuple(value.lower() for value in document.categories.values())
            return ImageObjects(
                document.objects(name, own_classes if len(own_classes) == len(classes) == 1 else classes, most=most),
                (document.file,),
            )
        file, data = read_with_digest(self.tree, path := picture.labels)
        if self.form == "VOC":
            annotation = voc.parse(data, path, classes)
            if annotation.shape not in (None, shape):
                raise BadRecord(
                    path, f"expected a size of {shape[0]}x{shape[1]}, as the image has, found {annotation.shape}"
                )
            return ImageObjects(
                boxes.collect_objects(annotation.things, lambda thing: voc.object_of(thing, shape, path, most)), (file,)
            )
        if self.form == "DOTA":
            outlines = dota.parse(data, path, classes)
        else:
            outlines = yolo.outlines(data, path, shape, self._numbers(classes))
        names_files = (read_with_digest(self.tree, self.names_file)[0],) if self.names_file else ()
        return ImageObjects(
            boxes.collect_objects(outlines, lambda drawn: _object(*drawn, shape, path, most)), (file, *names_files)
        )

    def _numbers(self, classes: Sequence[str]) -> list[int]:
        """Return the class of each of YOLO's numbers; raise BadRecord for a name that is no class."""
        if not self.names or len(self.names) == len(classes) == 1:
            return list(range(len(classes)))
        if strange := [name for name in self.names if name.lower() not in classes]:
            raise BadRecord(str(self.names_file), f"expected the classes {few(classes)}, found {strange[0][:40]!r}")
        return [classes.index(name.lower()) for name in self.names]


def _in_order(name: str) -> tuple[bool, int, str, str]:
    """Return the sort key of class names: words as text, then numbers, of any length, by value."""
    digits = name.lstrip("0") if name.isdecimal() else ""
    return name.isdecimal(), len(digits), digits, name


def _object(
    label: int, ring: tuple[float, ...], upright: bool, shape: tuple[int, int], path: str, most: float
) -> Object:
    """Return the object of an outline: an upright box alone, or its polygon, rotated where it is a rectangle."""
    box, cut = boxes.fit_box(boxes.bounding_box(ring), shape, path, most=most)
    attrs = {"cut": "1"} if cut else {}
    if upright:
        return Object(label=label, box=box, attrs=attrs)
    return Object(label=label, box=box, rotated=boxes.rotated_box(ring), polygons=(ring,), attrs=attrs)


def walk(tree: Tree, path: str = "", below: int = MAX_DEPTH) -> Iterator[str]:
    """Yield the paths of all files down to `below` folders, but for hidden ones."""
    yield from (path + name for name in sorted(tree.files(path)) if name[0] != ".")
    for name in sorted(tree.folders(path)) if below else ():
        if name[0] != "." and name != "__MACOSX":
            yield from walk(tree, f"{path}{name}/", below - 1)


@functools.lru_cache(maxsize=4)
def discover(tree: Tree, names: re.Pattern[str] | None = None, unique: bool = True) -> AnnotatedImages | None:
    """Return the images whose stems match `names` (all without it) and their annotations; None where no image lies.

    Stems are `unique` in most datasets: copies of an image in several folders are one then, in the folder that has
    most; without it, images of one name in different folders are different images, and an annotation is that of the
    image nearest to it. Masks of the images, by their names, are no images. Raise SourceError where two images of one
    stem differ, or lists contradict each other, and BadRecord for a document that cannot be read.
    """
    files = list(walk(tree))
    matching = [path for path in files if names is None or names.fullmatch(stem_of(path))]
    images = without_masks([path for path in matching if path.lower().endswith(IMAGES)])
    if not images:
        return None
    if unique:
        _check_roots(images, files)
        images, copies = _without_copies(tree, images)
    else:
        copies = {}
    stems = {stem_of(path) for path in images}
    documents = coco.documents(tree, files)
    texts: dict[Form, list[str]] = {"VOC": [path for path in matching if path.lower().endswith(".xml")]}
    label_texts, strangers = _label_texts(tree, matching, stems)
    texts |= {("DOTA" if _is_dota(tree, label_texts) else "YOLO"): label_texts + strangers}
    counts = {form: len(stems & {stem_of(path) for path in paths}) for form, paths in texts.items()}
    counts["COCO"] = len(stems & {stem_of(name) for document in documents for name in document.images})
    form = max((form for form in FORMS if counts.get(form)), key=lambda form: counts[form], default=None)
    if form == "COCO":
        paired, missing = _by_document(images, documents, copies, names)
    else:
        paired, missing = _by_stem(images, texts[form] if form else [], copies)
        paired = _add_listed_splits(tree, files, paired)
    class_names, names_file = _class_file(tree, files) if form == "YOLO" else ((), None)
    kind: str = form or "images without annotations"
    if form == "YOLO":
        kind = f"YOLO {yolo.annotation_kind(tree, [picture.labels for picture in paired.values() if picture.labels])}"
    return AnnotatedImages(tree, form, kind, paired, missing, class_names, names_file)


def _check_roots(images: list[str], files: list[str]) -> None:
    """Raise SourceError where two folders of the tree each hold the same images and their annotations."""
    tops = {
        path.partition("/")[0] for path in files if path.lower().endswith((".json", ".xml", ".txt")) and "/" in path
    }
    home: dict[str, str] = {}
    for path in images:
        top = path.partition("/")[0]
        if top in tops and split_of(top) is None and home.setdefault(stem_of(path), top) != top:
            both = few([home[stem_of(path)], top])
            raise SourceError(f"expected one copy, found {stem_of(path)} with annotations in {both}: name one of them")


def _without_copies(tree: Tree, images: list[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return one image of each stem, in the fullest folder that has it, and the paths of its copies by stem."""
    fullness = Counter(path.rpartition("/")[0] for path in images)
    selected: dict[str, str] = {}
    copies: dict[str, tuple[str, ...]] = {}
    for path in sorted(images, key=lambda path: (-fullness[path.rpartition("/")[0]], path)):
        other = selected.setdefault(stem := stem_of(path), path)
        if other == path:
            continue
        if tree.size(path) != tree.size(other):
            raise SourceError(
                f"expected {stem} once, found {other} and {path}, which differ: keep one of the copies, or export "
                "the images again without augmentation"
            )
        copies[stem] = (*copies.get(stem, ()), path)
    return list(selected.values()), copies


def _label_texts(tree: Tree, files: list[str], stems: set[str]) -> tuple[list[str], list[str]]:
    """Return the texts that have the stem of an image, and others with lines of objects: no README, no list."""
    texts = [path for path in files if path.lower().endswith(".txt")]
    unpaired = [path for path in texts if stem_of(path) not in stems]
    strangers = [path for path in unpaired if yolo.has_objects(tree.head(path, SNIFFED))]
    return [path for path in texts if stem_of(path) in stems], strangers


def _by_document(
    images: list[str],
    documents: list[coco.Annotations],
    copies: Mapping[str, tuple[str, ...]],
    names: re.Pattern[str] | None,
) -> tuple[dict[str, Picture], tuple[str, ...]]:
    """Return each image with the COCO document that annotates it, one of a split where there is one; and what lacks."""
    every = {
        name for document in documents for name in document.images if names is None or names.fullmatch(stem_of(name))
    }
    meant = images_by_name(images, copies, every)
    mentions: dict[str, list[_Mention]] = {path: [] for path in images}
    missing = set[str]()
    for document in documents:
        document_path = document.file.path
        split = split_of(document_path)
        for name in document.images:
            if name in meant:
                candidates = [path for path in meant[name] if len(meant[name]) == 1 or folder_split(path) == split]
                for path in nearest(candidates, name, document_path):
                    mentions[path].append(_Mention(split, document_path, name))
                missing |= set() if candidates else {name}
    pictures = {}
    for path, rows in mentions.items():
        splits = {row.split for row in rows if row.split}
        if len(splits) > 1:
            raise SourceError(f"expected {path} in one split, found it in {few([row.document for row in rows])}")
        # A document of a split counts before one of all images, and of several that agree the first.
        rows = sorted(rows, key=lambda row: (row.split is None, row.document))
        pictures[path] = Picture(
            stem_of(path),
            path,
            rows[0].document if rows else None,
            next(iter(splits), None) or (folder_split(path) if rows else None),
            (*copies.get(stem_of(path), ()), *(row.document for row in rows[1:])),
            rows[0].name if rows else "",
        )
    return pictures, tuple(sorted(missing))


def _by_stem(
    images: list[str], texts: list[str], copies: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Picture], tuple[str, ...]]:
    """Return each image with the file that means it, of its own split if there are several; and stems of no image."""
    fullness = Counter(path.rpartition("/")[0] for path in texts)
    meant = images_by_name(images, copies, texts)
    files_of: dict[str, list[str]] = {image: [] for image in images}
    for path in sorted(texts, key=lambda path: (-fullness[path.rpartition("/")[0]], path)):
        for image in nearest(meant[path], path):
            files_of[image].append(path)
    pictures = {}
    for image, files in files_of.items():
        split, stem = folder_split(image), stem_of(image)
        choices = sorted(files, key=lambda path: -nearness(image, path))
        labels = choices[0] if choices else None
        split = split or (folder_split(labels) if labels else None)
        pictures[image] = Picture(stem, image, labels, split, (*copies.get(stem, ()), *choices[1:]))
    return pictures, tuple(sorted({full_stem(path) for path, images_of in meant.items() if not images_of}))


def _add_listed_splits(tree: Tree, files: list[str], pictures: dict[str, Picture]) -> dict[str, Picture]:
    """Return the pictures with the split of lists such as ImageSets/Main/train.txt, where no folder gives one."""
    if all(picture.split for picture in pictures.values()):
        return pictures
    split_by_name: dict[str, str] = {}
    for path in files:
        stem = path.rpartition("/")[2].removesuffix(".txt").lower()
        if not path.endswith(".txt") or stem not in SPLIT_WORDS:
            continue
        for line in decode(tree.read(path)).splitlines():
            name = line.split()[0].replace("\\", "/").rpartition("/")[2] if line.split() else ""
            name = stem_of(name) if name.lower().endswith(IMAGES) else name
            if name and split_by_name.setdefault(name, SPLIT_WORDS[stem]) != SPLIT_WORDS[stem]:
                raise SourceError(f"{path}: expected {name} in one list, found it in that of {split_by_name[name]} too")
    return {
        key: picture._replace(split=picture.split or split_by_name.get(picture.stem))
        for key, picture in pictures.items()
    }


def _is_dota(tree: Tree, texts: list[str]) -> bool:
    return any(dota.is_dota(tree.head(path, SNIFFED)) for path in texts[:8])


def _class_file(tree: Tree, files: list[str]) -> tuple[tuple[str, ...], str | None]:
    """Return the names of YOLO's classes in order and the file that has them: data.yaml, classes.txt or obj.names."""
    for path in files:
        if names := yolo.class_list(path.rpartition("/")[2], tree, path):
            return names, path
    return (), None

"""WebDataset and folders like it: all files of one name up to the first dot are one sample.

KEY.npy (or .tif, .png, .jpg, .npz, .image.npy) is its image, or a file a band as KEY.vv.npy; KEY.mask.png its mask;
KEY.cls its class, KEY.json what else is known of it. Tars are trees of their members (sar_data/sources/archives), so
that an unpacked one reads the same. Where samples have no such files, lists as train.txt say split and labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from sar_data.containers import image_files
from sar_data.containers.entry import Entry, Head, Labels, below
from sar_data.containers.exported import export_document
from sar_data.containers.layouts import BANDS_FIELD, CLASS_EXTENSION, DOCUMENT_EXTENSION, IMAGE_EXTENSIONS, LABEL_FIELDS
from sar_data.errors import BadRecord, SourceError
from sar_data.labels.discovery import walk
from sar_data.labels.lists import list_names
from sar_data.labels.masks import mask_folders
from sar_data.labels.splits import folder_split
from sar_data.labels.words import words_of
from sar_data.naming import few
from sar_data.raster import any_format, tiff
from sar_data.record import Mask, Sample
from sar_data.spec import Tree
from sar_data.system import strict_json
from sar_data.text import decode

POLARIZATIONS = ("VV", "VH", "HH", "HV")
IMAGES = (
    *(f"image.{kind}" for kind in IMAGE_EXTENSIONS),
    *IMAGE_EXTENSIONS,
    *(f"img.{kind}" for kind in IMAGE_EXTENSIONS),
)
BANDS = tuple(tuple(f"{band.lower()}.{kind}" for kind in IMAGE_EXTENSIONS) for band in POLARIZATIONS)
MASKS = tuple(f"{word}.{kind}" for word in ("mask", "seg", "label") for kind in IMAGE_EXTENSIONS)
SHARE = 0.5  # of the images that have a file beside them which says what they are
LONGEST = 1 << 24  # bytes of a file that says what a sample is


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Samples of several files each; `lists` are those that say split and labels, by split.

    `frames` are those of our own export, None for other containers.
    """

    lists: tuple[tuple[str, str], ...] = ()
    frames: int | None = None
    files: tuple[str, ...] = ()
    kind = "webdataset"
    expected = ()
    classes = ()

    def sentence(self) -> str:
        beside = f", lists {few([path for _, path in self.lists])}" if self.lists else ""
        return f"WebDataset: a sample is the files of one name{beside}"

    def entries(self, tree: Tree, bands: Sequence[str]) -> list[Entry]:  # noqa: ARG002 -- names lie in the files
        entries = []
        listed = _read_lists(tree, self.lists)
        for (folder, key), parts in _samples(tree).items():
            if not (images := image_paths(parts)):
                continue
            rest = [path for path in parts.values() if path not in images]
            split, labels = listed.get(key, (folder_split(f"{folder}/"), None))
            entries.append(Entry(name=key, split=split, files=(*images, *sorted(rest)), labels=labels))
        return entries

    def head(self, tree: Tree, entry: Entry) -> Head:
        parts = _extensions(entry)
        images = image_paths(parts)
        heads = [image_files.header(tree, path, self.frames) for path in images]
        places = {tiff.georeference(tree, path) for path in images if any_format.is_tiff(path)}
        if len(places) > 1:
            raise BadRecord(entry.where, f"expected one georeference, found several in {few(images)}")
        document = _document(tree, parts)
        names = document.get(BANDS_FIELD) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadRecord(parts[DOCUMENT_EXTENSION], f"expected names as {BANDS_FIELD}, found {names!r:.80}")
        bands = tuple(names)
        (shape, dtype), *others = heads
        if others:  # a file a band
            if len({*heads}) > 1 or len(shape) > 3 or shape[0] != 1:
                raise BadRecord(entry.where, f"expected a band of one size in each file, found {few(heads)}")
            bands = tuple(_parts(path)[2].partition(".")[0].upper() for path in images)
            shape = (len(images), *shape[1:])
        if bands and len(bands) != shape[-3]:
            raise BadRecord(entry.where, f"expected the {len(bands)} bands {few(bands)}, found {shape[-3]}")
        crs, transform = next(iter(places), (None, None))
        labels = _labels(tree, parts, document, entry.where)
        axes = "fbyx"[-len(shape) :]
        return Head(shape=shape, dtype=dtype, axes=axes, bands=bands, labels=labels, crs=crs, transform=transform)

    def read(self, tree: Tree, entry: Entry) -> Sample:
        parts = _extensions(entry)
        samples = [image_files.read(tree, path, self.frames) for path in image_paths(parts)]
        if len({sample.image.shape for sample in samples}) > 1:
            raise BadRecord(entry.where, "expected bands of one size, found several")
        nodata = tuple(count for sample in samples for count in sample.nodata or (0,) * len(sample.image))
        return replace(
            samples[0],
            image=np.concatenate([sample.image for sample in samples]) if len(samples) > 1 else samples[0].image,
            nodata=nodata if any(nodata) else (),
            mask=_mask(tree, parts),
        )


def mask_beside(tree: Tree, path: str) -> Mask | None:
    """Return the mask of an image that lies beside it or in a folder of masks, None without one; raise BadRecord."""
    folder, key, _ = _parts(path)
    return _mask(tree, _samples(below(tree))[(folder, key)])


def _mask(tree: Tree, parts: Mapping[str, str]) -> Mask | None:
    path = next((parts[name] for name in MASKS if name in parts), None)
    return any_format.codes(tree.read(path), path)[0] if path else None


def _parts(path: str) -> tuple[str, str, str]:
    """Return folder, key and extension of a path, as WebDataset parts them."""
    folder, _, name = path.rpartition("/")
    key, _, extension = name.partition(".")
    return folder, key, extension.lower()


@lru_cache(maxsize=2)
def _samples(tree: Tree) -> Mapping[tuple[str, str], Mapping[str, str]]:
    """Return (folder, key) → extension → path of all files, listed once a process."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for path in walk(tree):
        folder, key, extension = _parts(path)
        parts = groups.setdefault((folder, key), {})
        parts[path if extension in parts else extension] = path  # `head` refuses a second one
    masks = mask_folders([path for parts in groups.values() for path in image_paths(parts)])
    by_key: dict[str, list[tuple[str, str]]] = {}
    for folder, key in groups if masks else ():
        by_key.setdefault(key, []).append((folder, key))
    for path in masks:  # masks/KEY.png beside images/KEY.npy
        folder, key, extension = _parts(path)
        others = [
            group for group in by_key[key] if group[0] != folder and folder_split(path) == folder_split(f"{group[0]}/")
        ]
        if len(others) == 1:
            mask, parts = f"mask.{extension}", groups[others[0]]
            parts[path if mask in parts else mask] = groups[(folder, key)].pop(extension)
    return {group: parts for group, parts in groups.items() if parts}


def _extensions(entry: Entry) -> dict[str, str]:
    """Return extension → path of a sample's files; a file in another folder than the image is its mask.

    Raises BadRecord where several files are its image, its mask or another part of it: only one would be used.
    """
    folder, parts = _parts(entry.files[0])[0], dict[str, str]()
    for path in entry.files:
        name = f"{'mask.' * (_parts(path)[0] != folder)}{_parts(path)[2]}"
        if (other := parts.setdefault(name, path)) != path:
            raise _several(entry, name, [other, path])
    image, mask, *bands = ([parts[name] for name in names if name in parts] for names in (IMAGES, MASKS, *BANDS))
    if image:  # of all bands
        bands = [[*image, *chain(*bands)]]
    for part, paths in (("mask", mask), *(("image", paths) for paths in bands)):
        if len(paths) > 1:
            raise _several(entry, part, paths)
    return parts


def _several(entry: Entry, part: str, paths: Sequence[str]) -> BadRecord:
    return BadRecord(entry.where, f"expected one file as its {part}, found {few(paths)}: rename or remove the others")


def image_paths(parts: Mapping[str, str]) -> list[str]:
    """Return the image of a sample, or its bands in the order of POLARIZATIONS; [] where it has none."""
    if (image := next((parts[name] for name in IMAGES if name in parts), None)) is not None:
        return [image]
    return [parts[name] for name in chain(*BANDS) if name in parts]


def _document(tree: Tree, parts: Mapping[str, str]) -> Mapping[str, Any]:
    if (path := parts.get(DOCUMENT_EXTENSION)) is None:
        return {}
    if tree.size(path) > LONGEST:
        raise BadRecord(path, f"expected a JSON object of at most {LONGEST:,} bytes, found a longer one")
    try:
        document = strict_json.loads(tree.read(path))
    except ValueError as error:
        raise BadRecord(path, f"expected a JSON object, found none: {error}"[:200]) from None
    if not isinstance(document, dict):
        raise BadRecord(path, f"expected a JSON object, found {type(document).__name__}")
    return document


def _labels(tree: Tree, parts: Mapping[str, str], document: Mapping[str, Any], where: str) -> Labels:
    """Return the labels of a sample: of KEY.cls, else of the first field of KEY.json that is one."""
    if (path := parts.get(CLASS_EXTENSION)) is not None:
        word = decode(tree.head(path, LONGEST)).strip()
        if not word:
            raise BadRecord(path, "expected a class, found an empty file")
        return (word,)
    field = next((name for name in LABEL_FIELDS if document.get(name) is not None), None)
    return None if field is None else words_of(document[field], f"{where}, {field}")


@lru_cache(maxsize=2)
def _read_lists(tree: Tree, lists: tuple[tuple[str, str], ...]) -> Mapping[str, tuple[str, Labels]]:
    """Return key → split and labels of the lines `path` or `path label,label` of lists; raise BadRecord for others."""
    rows: dict[str, tuple[str, Labels]] = {}
    keys = {key for _, key in _samples(tree)}
    for split, path in lists:
        for number, line in enumerate(decode(tree.read(path)).splitlines(), 1):
            if not (line := line.strip()):
                continue
            name, _, label = line.rpartition(" ") if _parts(line)[1] not in keys or " " in line else (line, "", "")
            key = _parts(name.strip() or line)[1]
            if key not in keys:
                raise BadRecord(f"{path}, line {number}", f"expected the path of an image, found {line[:80]!r}")
            if key in rows:
                raise BadRecord(f"{path}, line {number}", f"expected every image once, found {key[:80]} again")
            rows[key] = split, tuple(label.split(",")) if label else None
    return rows


def members(tree: Tree, *, named: bool) -> Members | None:
    """Return the container of a tree in which most images have files that say what they are, None for another tree.

    With `named`, of a dataset that is known by its name, arrays without such files count, too: its own are pictures. So
    do all images of our own export.
    """
    samples = [parts for parts in _samples(tree).values() if image_paths(parts)]
    if not samples:
        return None
    telling = sum(_says(tree, parts) for parts in samples[:64])
    if telling >= SHARE * len(samples[:64]):
        return Members()
    exported = export_document(tree)
    arrays = sum(image_paths(parts)[0].endswith((".npy", ".npz")) for parts in samples)
    if not named or (exported is None and arrays < SHARE * len(samples)):
        return None
    try:
        lists = list_names(tree.files(), "the source")
    except SourceError:
        lists = {}
    return Members(lists=tuple(sorted(lists.items())), frames=exported.frames if exported else None)


def _says(tree: Tree, parts: Mapping[str, str]) -> bool:
    """Say whether a sample has files as only WebDataset has them beside an image."""
    if CLASS_EXTENSION in parts or any(name.startswith(("image.", "img.")) for name in parts):
        return True
    try:
        document = _document(tree, parts)
    except BadRecord:
        return False
    return any(isinstance(document.get(field), str | int | list) for field in (*LABEL_FIELDS, BANDS_FIELD))

"""Images with boxes in COCO documents, in any folders: what tools of detection and our own exports write.

A sample is an image that a document names; its key is the image's name, its split that which the document's name says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from sar_data.containers import image_files
from sar_data.containers.entry import Entry, Head
from sar_data.containers.exported import export_document
from sar_data.containers.members import mask_beside
from sar_data.errors import BadRecord
from sar_data.labels import coco
from sar_data.labels.discovery import walk
from sar_data.labels.splits import split_of
from sar_data.naming import few
from sar_data.raster import any_format, tiff
from sar_data.record import Sample
from sar_data.spec import Tree


class _Mention(NamedTuple):
    """The document that names an image, and what it calls it."""

    document: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoImages:
    """The documents; `classes` are their categories in the order of their ids, `frames` those of our own export."""

    documents: tuple[str, ...]
    classes: tuple[str, ...]
    frames: int | None = None
    files = ()
    kind = "coco"
    expected = ()

    def sentence(self) -> str:
        return f"COCO: images and their boxes in {few(self.documents)}"

    def entries(self, tree: Tree, bands: Sequence[str]) -> list[Entry]:  # noqa: ARG002 -- no names of bands
        return [
            Entry(name=_stem(path), split=split_of(mention.document), files=(path, mention.document))
            for path, mention in _mentions(tree, self.documents).items()
        ]

    def head(self, tree: Tree, entry: Entry) -> Head:
        path, (document, name) = entry.files[0], _mentions(tree, self.documents)[entry.files[0]]
        annotations = coco.load(tree, document)
        shape, dtype = image_files.header(tree, path, self.frames)
        if (size := annotations.shape(name)) != shape[-2:]:
            raise BadRecord(document, f"expected {name} of {shape[-2]}x{shape[-1]} pixels, found {size[0]}x{size[1]}")
        crs, transform = tiff.georeference(tree, path) if any_format.is_tiff(path) else (None, None)
        objects = annotations.objects(name, tuple(name.lower() for name in self.classes))
        return Head(shape=shape, dtype=dtype, axes="byx", objects=objects, crs=crs, transform=transform)

    def read(self, tree: Tree, entry: Entry) -> Sample:
        path = entry.files[0]
        return replace(image_files.read(tree, path, self.frames), mask=mask_beside(tree, path))


@lru_cache(maxsize=2)
def _mentions(tree: Tree, documents: tuple[str, ...]) -> Mapping[str, _Mention]:
    """Return the path of each image that is named → where; raise BadRecord for one that is not there once."""
    paths: dict[str, list[str]] = {}
    for path in walk(tree):
        if path.lower().endswith(any_format.ENDINGS):
            paths.setdefault(path.rpartition("/")[2], []).append(path)
    mentions: dict[str, _Mention] = {}
    for document in documents:
        for name, image in coco.load(tree, document).images.items():
            file_name = str(image["file_name"]).replace("\\", "/")
            same = paths.get(file_name.rpartition("/")[2], [])
            meant = [path for path in same if f"/{path}".endswith(f"/{file_name}")] or same
            if len(meant) != 1:
                raise BadRecord(document, f"expected the image {file_name:.80} once, found {few(meant) or 'none'}")
            if (other := mentions.setdefault(meant[0], _Mention(document, name))).document != document:
                raise BadRecord(document, f"expected {file_name:.80} in one document, found it in {other.document} too")
    return MappingProxyType(mentions)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def coco_images(tree: Tree) -> CocoImages | None:
    """Return the COCO documents of a tree and their images, None without one; raise BadRecord for a broken one."""
    if not (documents := coco.documents(tree, walk(tree, below=2))):
        return None
    names = [document.categories[number] for document in documents for number in sorted(document.categories)]
    paths = tuple(document.file.path for document in documents)
    exported = export_document(tree)
    frames = exported.frames if exported else None
    return CocoImages(documents=paths, classes=tuple(dict.fromkeys(names)), frames=frames)

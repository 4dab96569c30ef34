"""Find the masks among the images of a folder, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from sar_data.labels.pairing import full_stem

FOLDERS = (
    *("masks", "mask", "labels", "label", "lbl", "gt", "ground_truth", "groundtruth", "target", "targets"),
    *("annotations", "annotation", "segmentation", "segmentations", "segmentationclass", "segmentationobject"),
)
SUFFIXES = ("_mask", "_label", "_labels", "_lbl", "_gt", "_seg", "-mask", "-label", "_Mask", "_MASK")


def mask_folders(images: Sequence[str]) -> dict[str, str]:
    """Return image → the mask folder that contains it, unless all images are in one."""
    parts = [path.split("/")[:-1] for path in images]
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False)))
    folder_of = {}
    for path, folders in zip(images, parts, strict=True):
        if (name := next((name for name in folders[shared:] if name.lower() in FOLDERS), None)) is not None:
            folder_of[path] = "/".join(folders[: folders.index(name, shared) + 1])
    return folder_of


def without_masks(images: Sequence[str]) -> list[str]:
    """Return the images without their masks: images with the name of another one, in a mask folder or with a suffix."""
    inside = mask_folders(images)
    stems = {full_stem(path) for path in images if path not in inside}
    return [path for path in images if stems.isdisjoint(_image_stems(full_stem(path), path in inside))]


def _image_stems(stem: str, inside: bool) -> Iterable[str]:
    """Yield the possible names of the image of a mask."""
    yield from [stem] if inside else []
    yield from (stem.removesuffix(suffix) for suffix in SUFFIXES if stem.endswith(suffix))

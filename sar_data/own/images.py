"""Group the files of a folder into samples: all images below a folder, by the suffixes of bands, and by dates."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sar_data.labels.lists import LONGEST
from sar_data.labels.splits import split_of
from sar_data.own.declaration import Declaration
from sar_data.raster.any_format import ENDINGS
from sar_data.spec import Tree

MAX_DEPTH = 32  # levels of folders
SYSTEMS = frozenset({"__MACOSX", "@eaDir", "lost+found"})  # folders of operating systems
SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}
"""Word of a folder, a column or a list → its split."""


@dataclass(frozen=True, slots=True)
class Chip:
    """The files of one sample, frame by frame, with the bands in order; `stem` is the common part of their names.

    `missing` is the name, without its suffix, of an expected file that does not exist.
    """

    stem: str
    files: tuple[str, ...]
    missing: str | None = None


def walk(tree: Tree, folder: str = "", depth: int = MAX_DEPTH) -> Iterator[str]:
    """Yield every file below `folder` (which ends in "/" unless it is the root), sorted, without hidden ones."""
    yield from (folder + name for name in sorted(tree.files(folder)) if name[0] != ".")
    for name in sorted(tree.folders(folder)) if depth else ():
        if name[0] != "." and name not in SYSTEMS:
            yield from walk(tree, f"{folder}{name}/", depth - 1)


def is_image(path: str) -> bool:
    """Say by its suffix whether a file is an image."""
    return path.lower().endswith(ENDINGS)


def stem_of(path: str) -> str:
    """Return a path without its suffix."""
    head, dot, ending = path.rpartition(".")
    return head if dot and "/" not in ending else path


def root_of(declaration: Declaration) -> str:
    """Return the folder in which images are searched for, ending in "/" unless it is the root."""
    words = (declaration.images or "").strip("/").split("/")
    if any("*" in word or "?" in word for word in words):
        words = words[: next(i for i, word in enumerate(words) if "*" in word or "?" in word)]
    return "".join(f"{word}/" for word in words if word not in ("", "."))


def in_folder(path: str, folder: str) -> bool:
    """Say whether a file is below a folder: that of this path, or any of this name."""
    return path.startswith(f"{folder}/") or ("/" not in folder and f"/{folder}/" in path)


def candidates(declaration: Declaration, paths: Iterable[str]) -> list[str]:
    """Return the images among `paths` that the declaration means: below `images`, or matching it, without masks."""
    pattern, root = declaration.images or "", root_of(declaration)
    globbed = "*" in pattern or "?" in pattern
    masks = declaration.masks.strip("/") if declaration.masks else None
    return [
        path
        for path in paths
        if is_image(path)
        and (fnmatchcase(path, pattern) if globbed else path.startswith(root))
        and not (masks and in_folder(path, masks))
        and not (declaration.mask_suffix and not masks and stem_of(path).endswith(declaration.mask_suffix))
    ]


def chips(declaration: Declaration, paths: Iterable[str]) -> tuple[dict[str, Chip], list[str]]:
    """Return the samples by the path of their first file, and the images with none of the suffixes or folders.

    The folder of a date is no part of a sample's name.
    """
    dates, bands = declaration.frames or ("",), declaration.band_suffixes or ("",)
    ends = ("",) if declaration.frame_folders else dates
    suffixes = {end + band: (i, j) for i, end in enumerate(ends) for j, band in enumerate(bands)}
    suffixes |= {band + end: (i, j) for i, end in enumerate(ends) for j, band in enumerate(bands)}
    images = candidates(declaration, paths)
    if set(suffixes) == {""} and not declaration.frame_folders:
        return {path: Chip(stem_of(path), (path,)) for path in images}, []
    grouped, strangers = _group_files(images, suffixes, declaration.frame_folders)
    samples = {}
    for (above, stem), files in grouped.items():
        places = [(i, j) for i in range(len(dates)) for j in range(len(bands))]
        lacking = next((place for place in places if place not in files), None)
        missing = None
        if lacking is not None:
            date, band = dates[lacking[0]], bands[lacking[1]]
            missing = f"{above}{date}/{stem}{band}" if declaration.frame_folders else stem + date + band
        chip = Chip(above + stem, tuple(files[place] for place in places if place in files), missing)
        samples[chip.files[0]] = chip
    return samples, strangers


def _group_files(
    images: Iterable[str], suffixes: Mapping[str, tuple[int, int]], folders: Sequence[str]
) -> tuple[dict[tuple[str, str], dict[tuple[int, int], str]], list[str]]:
    """Return (what is above the folder of the date, stem) → place → file, and the files without a place.

    The longest matching suffix is used, and the lowest folder; without `folders` nothing is above.
    """
    ends = re.compile(f"(?:{'|'.join(re.escape(end) for end in sorted(suffixes, key=len, reverse=True))})$")
    grouped: dict[tuple[str, str], dict[tuple[int, int], str]] = {}
    strangers = []
    for path in images:
        above, stem, date = _without_date(stem_of(path), folders)
        if (match := ends.search(stem)) is None or (folders and date is None):
            strangers.append(path)
            continue
        end, band = suffixes[match[0]]
        grouped.setdefault((above, stem[: match.start()]), {})[end if date is None else date, band] = path
    return grouped, strangers


def _without_date(stem: str, folders: Sequence[str]) -> tuple[str, str, int | None]:
    """Return what is above the lowest of some folders, what is below it, and its number; None where it is in none."""
    parts = stem.split("/")
    at = next((i for i in range(len(parts) - 2, -1, -1) if parts[i] in folders), None)
    if at is None:
        return "", stem, None
    return "".join(f"{name}/" for name in parts[:at]), "/".join(parts[at + 1 :]), folders.index(parts[at])


def split_and_class_of_folders(stems: Collection[str], root: str) -> dict[str, tuple[str | None, str | None]]:
    """Return stem → (split, class) by the folders below `root`.

    The split is the first folder with a name for train, val or test, the class the first other one. Folders that all
    images share are no class, unless nothing else is left.
    """
    parts = {stem: stem[len(root) :].split("/")[:-1] for stem in stems}
    splits = _splits(list(parts.values()))
    shared = _shared_depth(list(parts.values()), splits)
    result = {}
    for stem, folders in parts.items():
        split = next((splits[name] for name in folders if name in splits), None)
        result[stem] = (split, next((name for name in folders[shared:] if name not in splits), None))
    return result


def _splits(parts: list[list[str]]) -> dict[str, str]:
    """Return folder → split: by usual names, and train_data beside test_data without other folders beside them."""
    splits = {name: SPLITS[name.lower()] for folders in parts for name in folders if name.lower() in SPLITS}
    for level in range(max(map(len, parts), default=0)):
        splits_of_level = {
            name: split_of(name) for name in {folders[level] for folders in parts if len(folders) > level}
        }
        if None not in splits_of_level.values() and len(set(splits_of_level.values())) == len(splits_of_level) > 1:
            splits |= {name: split for name, split in splits_of_level.items() if split}
    return splits


def _shared_depth(parts: list[list[str]], splits: Mapping[str, str]) -> int:
    """Return the number of leading folders that all images share and that cannot be their class."""
    first, last = min(parts, default=[]), max(parts, default=[])
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    while shared and any(all(name in splits for name in folders[shared:]) for folders in parts):
        shared -= 1
    return shared


class Names:
    """Finds images by their names in a table or a list: paths, also of another machine, with or without suffix.

    Case and suffix may differ from the file's where this is unique.
    """

    def __init__(self, samples: Mapping[str, Chip], root: str) -> None:
        self._by: dict[str, str] = {}
        self._loosely: dict[str, str | None] = {}
        for unit, chip in samples.items():
            for path in {chip.stem, *chip.files, *map(stem_of, chip.files)}:
                for name in (path, path.removeprefix(root)):
                    self._by.setdefault(name, unit)
                for name in {path.lower(), path.removeprefix(root).lower(), path.rpartition("/")[2].lower()}:
                    self._loosely[name] = unit if self._loosely.get(name, unit) == unit else None

    def find(self, name: str) -> str | None:
        """Return the sample of a name: by its longest ending that is a path, else by a unique file name."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or ".." in parts or len(name) > LONGEST:
            return None
        ends = ["/".join(parts[start:]) for start in range(len(parts))]
        exact = next((self._by[end] for end in ends if end in self._by), None)
        if exact is not None:
            return exact
        if loosely := next((unit for end in ends if (unit := self._loosely.get(end.lower())) is not None), None):
            return loosely
        return self.find(stem_of(name)) if is_image(name) else None

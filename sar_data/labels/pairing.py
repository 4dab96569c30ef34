"""Match names in annotations to images, with and without the suffix that Roboflow adds to exported names.

Roboflow calls each augmented copy of a.png `a_png.rf.HASH.png`, with a hash of its own.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile

from sar_data.labels.splits import SPLIT_WORDS

_YEAR = re.compile(r"\d{4}$")  # train2017
_ROBOFLOW = re.compile(r"(.+)_(?:jpe?g|png|bmp|tiff?)\.rf\.\w+", re.I)


def stem_of(path: str) -> str:
    """Return the name of a file without its ending and without what Roboflow adds to it."""
    stem = full_stem(path)
    exported = _ROBOFLOW.fullmatch(stem)
    return exported[1] if exported else stem


def full_stem(path: str) -> str:
    """Return the name of a file without its ending, with what Roboflow adds to it."""
    return _file_name(path).rpartition(".")[0]


def images_by_name(
    images: Sequence[str], copies: Mapping[str, Sequence[str]], names: Iterable[str]
) -> Mapping[str, set[str]]:
    """Return the images of each name in annotations: those of its file name, else of its full stem.

    `names` are paths of annotations, or image names of COCO; `copies` are the other paths of an image, by its stem.
    Where file names and stems match nothing, a name with Roboflow's suffix may match the one image without it, or the
    reverse. Augmented copies of an image differ only in this suffix, and none may get the annotation of another.
    """
    by_file, by_whole, by_stem = (defaultdict[str, set[str]](set) for _ in range(3))
    for image in images:
        for path in (image, *copies.get(stem_of(image), ())):
            by_file[_file_name(path)].add(image)
            by_whole[full_stem(path)].add(image)
    matches = {name: by_file.get(_file_name(name)) or by_whole.get(full_stem(name)) or set() for name in names}
    for image in set(images).difference(*matches.values()):
        by_stem[stem_of(image)].add(image)
    claims = Counter(
        stem
        for stem, _ in {(stem_of(name), full_stem(name)) for name, images_found in matches.items() if not images_found}
    )
    for name, images_found in matches.items():
        stem = stem_of(name)
        wholes = {full_stem(image) for image in by_stem.get(stem, ())}
        if not images_found and len(wholes) == claims[stem] == 1 and stem in (full_stem(name), *wholes):
            matches[name] = by_stem[stem]
    return matches


def nearest(images: Iterable[str], *others: str) -> list[str]:
    """Return the images that share most folders with other paths; the first of these paths counts most."""
    home = _folders(others[0].rpartition("/")[0])
    candidates = list(images)
    # None is nearer than those below the same folder; each folder may have an image of this name.
    below = [image for image in candidates if _folders(image.rpartition("/")[0])[: len(home)] == home]
    scores = {image: [nearness(image, other) for other in others] for image in below or candidates}
    most = max(scores.values(), default=[])
    return [image for image, score in scores.items() if score == most]


def nearness(path: str, other: str) -> int:
    """Return the number of folders that two paths share, from the root down and from the files up.

    Folder names of one split are equal, such as valid and val2017.
    """
    folders, other_folders = _folders(path.rpartition("/")[0]), _folders(other.rpartition("/")[0])
    shared = _common(folders, other_folders)
    return shared + _common(folders[shared:][::-1], other_folders[shared:][::-1])


def _common(folders: Sequence[str], other_folders: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(folders, other_folders, strict=False)))


@lru_cache(maxsize=1 << 16)
def _folders(path: str) -> tuple[str, ...]:
    return tuple(SPLIT_WORDS.get(_YEAR.sub("", name).lower(), name) for name in path.split("/") if name)


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]

"""Lists of `path label` lines, one file a split, as many image sets without a format of their own come."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from sar_data.errors import BadRecord, SourceError
from sar_data.spec import Tree
from sar_data.text import decode

_LIST = re.compile(
    r"(?:.*[_-])?(train|training|val|valid|validation|test|testing)\d*"
    r"(?:[_-]?(?:list|lists|label|labels|file|files|image|images|set|split|data|gt)\d*)?\.(?:txt|csv|tsv|lst|parquet)",
    re.I,
)
LONGEST = 4096  # characters of a path: Linux knows no longer one
_SPLITS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


def list_names(files: list[str], where: str) -> dict[str, str]:
    """Return split → file name among `files`; raise SourceError for none and for two of one split."""
    by_split: dict[str, str] = {}
    for name in sorted(files):
        if match := _LIST.fullmatch(name):
            split = _SPLITS.get(match[1].lower(), match[1].lower())
            if split in by_split:
                raise SourceError(
                    f"{where}: expected one list of {split}, found {by_split[split]} and {name}: keep one"
                )
            by_split[split] = name
    if "train" not in by_split:
        raise SourceError(
            f"{where}: expected lists such as train.txt and test.txt, found {sorted(files)[:6] or 'none'}. Class "
            "folders and tables need no lists: `sar-data init DIR` looks at the folder and declares it"
        )
    return by_split


def locate(path: str, endings: tuple[str, ...], exists: Callable[[str], bool]) -> str | None:
    """Return the file that a listed path means: as it is, with an ending, or without the folders of another machine."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or len(path) > LONGEST:
        return None
    for start in range(len(parts)):
        for ending in ("", *endings):
            if exists(candidate := "/".join(parts[start:]) + ending):
                return candidate
    return None


@lru_cache(maxsize=8)
def pairs(tree: Tree, path: str) -> dict[str, str]:
    """Return first word → second of a file of two words a line; raise BadRecord where it is missing or not one."""
    words = decode(tree.read(path)).split()
    if len(words) % 2:
        raise BadRecord(path, f"expected two words a line, found {len(words)} words")
    return dict(zip(words[::2], words[1::2], strict=True))

"""The split that the names of folders and documents say."""

from __future__ import annotations

import re

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SPLIT = re.compile(rf"(?:^|[\W_])({'|'.join(SPLIT_WORDS)})(?:\d{{4}})?(?=$|[\W_])", re.I)


def split_of(path: str) -> str | None:
    """Return the split that the folders of a path name, or its file where it is a document; the last one counts."""
    for part in reversed(path.split("/")):
        words = {SPLIT_WORDS[word.lower()] for word in _SPLIT.findall(part)}
        if words:
            return words.pop() if len(words) == 1 else None
    return None


def folder_split(path: str) -> str | None:
    """Return the split that the folders of a path name; that of an image may be called train_1 wherever it lies."""
    return split_of(path.rpartition("/")[0])

"""The files in the folder of a build from an unknown source; no link to a folder is followed, so that the walk ends."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from sar_data.system.paths import DEPTH

EMPTY = "an empty folder"


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a folder: the size of each regular file or of the target of a link, and in words all others."""

    sizes: dict[str, int] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def list_contents(build: Path) -> Contents:
    """Return the contents of a folder, by paths below it; bytes that are not UTF-8 are shown as \\xNN."""
    contents = Contents()
    todo = [("", 0)]
    while todo:
        folder, depth = todo.pop()
        try:
            with os.scandir(build / folder) as entries:
                there = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            contents.others[_shown(folder) or "."] = f"a folder that cannot be read ({error.strerror})"
            continue
        if not there:
            contents.others[_shown(folder)] = EMPTY
        for entry in there:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if not entry.is_dir(follow_symlinks=False):
                _file(contents, _shown(name), entry)
            elif depth + 1 < DEPTH:
                todo.append((name, depth + 1))
            else:
                contents.others[_shown(name)] = f"a folder below {DEPTH} others"
    return contents


def _file(contents: Contents, name: str, entry: os.DirEntry[str]) -> None:
    try:
        facts = entry.stat()
    except OSError as error:
        contents.others[name] = f"a link that leads nowhere ({error.strerror})"
        return
    if stat.S_ISREG(facts.st_mode):
        contents.sizes[name] = facts.st_size
    else:
        contents.others[name] = "a link to a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe, a socket or a device"


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")

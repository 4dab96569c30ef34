"""What lies in the folder of a build, whoever made it: a walk that follows no link to a folder and ends."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from sar_data.system.paths import DEPTH

EMPTY = "an empty folder"


@dataclass(frozen=True, slots=True)
class Present:
    """The bytes of each regular file, or of what a link to one leads to; and in words what else is there, by name."""

    sizes: dict[str, int] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def present(build: Path) -> Present:
    """Return what lies in a folder. Names are below it; bytes that are no UTF-8 are shown as \\xNN."""
    found = Present()
    todo = [("", 0)]
    while todo:
        folder, depth = todo.pop()
        try:
            with os.scandir(build / folder) as entries:
                there = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            found.others[_shown(folder) or "."] = f"a folder that cannot be read ({error.strerror})"
            continue
        if not there:
            found.others[_shown(folder)] = EMPTY
        for entry in there:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if not entry.is_dir(follow_symlinks=False):
                _file(found, _shown(name), entry)
            elif depth + 1 < DEPTH:
                todo.append((name, depth + 1))
            else:
                found.others[_shown(name)] = f"a folder below {DEPTH} others"
    return found


def _file(found: Present, name: str, entry: os.DirEntry[str]) -> None:
    try:
        facts = entry.stat()
    except OSError as error:
        found.others[name] = f"a link that leads nowhere ({error.strerror})"
        return
    if stat.S_ISREG(facts.st_mode):
        found.sizes[name] = facts.st_size
    else:
        found.others[name] = "a link to a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe, a socket or a device"


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")

"""Rules for file names, so that a name stays below its folder on every system."""

from __future__ import annotations

import re

PATH = 4096  # bytes: Linux's PATH_MAX
PART = 255  # bytes between two slashes: the limit of every common file system
DEPTH = 64  # folders
CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
DRIVE = re.compile(r"[A-Za-z]:")


def flaw(path: str) -> str | None:
    """Return why a relative path with forward slashes is not allowed, None for one that stays below its root."""
    parts = path.split("/")
    if path.startswith("/") or DRIVE.match(path):
        return "expected a relative name, found an absolute one"
    if ".." in parts:
        return "expected a name below the root, found one with `..`"
    if CONTROL.search(path):
        return "expected a plain name with forward slashes, found a backslash or a control character"
    if "" in parts or "." in parts:
        return "expected a name between any two slashes, found nothing or a dot"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "expected a name in Unicode, found half of a surrogate pair"
    if len(parts) > DEPTH or size > PATH or any(len(part.encode()) > PART for part in parts):
        return f"expected at most {DEPTH} folders of {PART} bytes, found {size} bytes"
    return None

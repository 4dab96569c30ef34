"""Placeholders instead of files: pointers of Git LFS, git-annex and DVC, web pages, empty files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sar_data.errors import BadRecord, SourceError
from sar_data.spec import Tree

HEAD = 1024  # bytes: more than a pointer of Git LFS has, and enough to recognise a web page
LFS = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype html", b"<html")
_LFS_SIZE = re.compile(rb"^size (\d{1,18})$", re.M)
_ANNEX = re.compile(rb"(?:\.\./)*(?:\.git)?/?annex/objects/\S*?-s(\d{1,18})-|/annex/objects/")
_DVC = re.compile(rb"^outs:\s*$.*?^\s*(?:- )?(?:md5|hash):", re.M | re.S)
_DVC_SIZE = re.compile(rb"^\s*(?:- )?size: (\d{1,18})$", re.M)


class Placeholder(NamedTuple):
    """A placeholder: its `kind` in the plural, for counts, and the sentence with the remedy."""

    kind: str
    reason: str


def detect_placeholder(head: bytes, size: int) -> Placeholder | None:
    """Return the placeholder that a file is, by its first HEAD bytes and its size; None for a real file."""
    if not size:
        return Placeholder("empty files", "expected the file, found an empty one. Fetch it again")
    if head.startswith(LFS):
        return _pointer("Git LFS", _LFS_SIZE.search(head), "git lfs pull")
    if match := _ANNEX.match(head):
        return _pointer("git-annex", match if match[1] else None, "git annex get .")
    if _DVC.search(head):
        return _pointer("DVC", _DVC_SIZE.search(head), "dvc pull")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        page = f"found an HTML page ({head.strip()[:15]!r}): a login, a form or an error was saved under its name"
        return Placeholder("HTML pages", f"expected the file, {page}. Fetch it again")
    return None


def _pointer(tool: str, size: re.Match[bytes] | None, command: str) -> Placeholder:
    missing = f"{int(size[1]):,} bytes are missing" if size else "the file itself is missing"
    reason = f"expected the file, found a pointer of {tool}: {missing}. Run `{command}` in the source"
    return Placeholder(f"pointers of {tool}", reason)


def placeholder_at(tree: Tree, path: str) -> Placeholder | None:
    """Return the placeholder that a file of a tree is, None for a real file; raise BadRecord where it is missing."""
    return detect_placeholder(tree.head(path, HEAD), tree.size(path))


@contextmanager
def explain_placeholders(tree: Tree) -> Iterator[None]:
    """Replace the error of a reader by that of the placeholder, where the file is one."""
    try:
        yield
    except BadRecord as error:
        raise explain(tree, error) from error.__cause__
    except SourceError as error:  # a message about a file begins with its name
        explained = explain(tree, BadRecord(str(error).partition(": ")[0], ""))
        if not explained.reason:
            raise
        raise SourceError(str(explained)) from error.__cause__


def explain(tree: Tree, error: BadRecord) -> BadRecord:
    """Return the error of the placeholder at the path of `error`, or the same error for a real file."""
    try:
        placeholder = placeholder_at(tree, error.path)
    except BadRecord:  # the error has no path, or that of a missing file
        return error
    return (
        error
        if placeholder is None or placeholder.reason == error.reason
        else BadRecord(error.path, placeholder.reason)
    )

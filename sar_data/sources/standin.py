"""What stands in a source where a file should be: pointers of Git LFS, git-annex and DVC, web pages, nothing at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sar_data.errors import BadRecord, SourceError
from sar_data.spec import Tree

HEAD = 1024  # bytes: a pointer of Git LFS has fewer, and a page says what it is
LFS = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype html", b"<html")
_LFS_SIZE = re.compile(rb"^size (\d{1,18})$", re.M)
_ANNEX = re.compile(rb"(?:\.\./)*(?:\.git)?/?annex/objects/\S*?-s(\d{1,18})-|/annex/objects/")
_DVC = re.compile(rb"^outs:\s*$.*?^\s*(?:- )?(?:md5|hash):", re.M | re.S)
_DVC_SIZE = re.compile(rb"^\s*(?:- )?size: (\d{1,18})$", re.M)


class StandIn(NamedTuple):
    """What stands in the place of a file: `kind` in the plural, to be counted by, and the sentence with the remedy."""

    kind: str
    reason: str


def stand_in(head: bytes, size: int) -> StandIn | None:
    """Return what stands in the place of a file, by its first HEAD bytes and its size; None where it is a file."""
    if not size:
        return StandIn("empty files", "expected the file, found an empty one. Fetch it anew")
    if head.startswith(LFS):
        return _pointer("Git LFS", _LFS_SIZE.search(head), "git lfs pull")
    if found := _ANNEX.match(head):
        return _pointer("git-annex", found if found[1] else None, "git annex get .")
    if _DVC.search(head):
        return _pointer("DVC", _DVC_SIZE.search(head), "dvc pull")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        page = f"found an HTML page ({head.strip()[:15]!r}): a login, a form or an error was saved under its name"
        return StandIn("HTML pages", f"expected the file, {page}. Fetch it anew")
    return None


def _pointer(what: str, size: re.Match[bytes] | None, command: str) -> StandIn:
    missing = f"{int(size[1]):,} bytes are missing" if size else "the file itself is missing"
    reason = f"expected the file, found a pointer of {what}: {missing}. Run `{command}` in the source"
    return StandIn(f"pointers of {what}", reason)


def in_place_of(tree: Tree, path: str) -> StandIn | None:
    """Return what stands in the place of a file of a tree, None for a file; raise BadRecord where there is none."""
    return stand_in(tree.head(path, HEAD), tree.size(path))


@contextmanager
def explaining(tree: Tree) -> Iterator[None]:
    """Say of a file that a reader refuses what stands in its place, where it is no file of any kind."""
    try:
        yield
    except BadRecord as error:
        raise explained(tree, error) from error.__cause__
    except SourceError as error:  # a message about a file begins with its name
        found = explained(tree, BadRecord(str(error).partition(": ")[0], ""))
        if not found.reason:
            raise
        raise SourceError(str(found)) from error.__cause__


def explained(tree: Tree, error: BadRecord) -> BadRecord:
    """Return an error that says what stands in the place of the file, the same one where it is a file."""
    try:
        found = in_place_of(tree, error.path)
    except BadRecord:  # it names no file, or one that is not there
        return error
    return error if found is None or found.reason == error.reason else BadRecord(error.path, found.reason)

"""What stands in a source where a file should be: pointers of Git LFS, git-annex and DVC, web pages, nothing at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sar_data.errors import BadRecord
from sar_data.spec import Tree

HEAD = 1024  # bytes: a pointer of Git LFS has fewer, and a page says what it is
LFS = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype html", b"<html")
_LFS_SIZE = re.compile(rb"^size (\d{1,18})$", re.M)
_ANNEX = re.compile(rb"(?:\.\./)*(?:\.git)?/?annex/objects/\S*?-s(\d{1,18})-|/annex/objects/")
_DVC = re.compile(rb"^outs:\s*$.*?^\s*(?:- )?(?:md5|hash):", re.M | re.S)
_DVC_SIZE = re.compile(rb"^\s*(?:- )?size: (\d{1,18})$", re.M)


def stand_in(head: bytes, size: int) -> str | None:
    """Return what stands in the place of a file, with the remedy, by its first HEAD bytes and its size; else None."""
    if not size:
        return "expected the file, found an empty one. Fetch it anew"
    if head.startswith(LFS):
        return _pointer("Git LFS", _LFS_SIZE.search(head), "git lfs pull")
    if found := _ANNEX.match(head):
        return _pointer("git-annex", found if found[1] else None, "git annex get .")
    if _DVC.search(head):
        return _pointer("DVC", _DVC_SIZE.search(head), "dvc pull")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return (
            f"expected the file, found an HTML page ({head.strip()[:15]!r}): a login, a form or an error was saved "
            "under its name. Fetch it anew"
        )
    return None


def _pointer(what: str, size: re.Match[bytes] | None, command: str) -> str:
    missing = f"{int(size[1]):,} bytes are missing" if size else "the file itself is missing"
    return f"expected the file, found a pointer of {what}: {missing}. Run `{command}` in the source"


def in_place_of(tree: Tree, path: str) -> str | None:
    """Return what stands in the place of a file of a tree, None for a file; raise BadRecord where there is none."""
    return stand_in(tree.head(path, HEAD), tree.size(path))


@contextmanager
def explaining(tree: Tree) -> Iterator[None]:
    """Say of a file that a reader refuses what stands in its place, where it is no file of any kind."""
    try:
        yield
    except BadRecord as error:
        try:
            reason = in_place_of(tree, error.path)
        except BadRecord:  # it names no file, or one that is not there
            reason = None
        if reason is None or reason == error.reason:
            raise
        raise BadRecord(error.path, reason) from error

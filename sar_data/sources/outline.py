"""An outline of a tree in a few lines: folders with the suffixes, counts and one name of their files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sar_data.spec import Tree

MAX_FOLDERS, MAX_DEPTH = 24, 8  # the most subfolders that are listed per folder, and the depth


@dataclass(frozen=True, slots=True)
class Branch:
    """A folder: the number of files of each suffix, one name of each, and its first subfolders out of `folders`."""

    name: str
    counts: dict[str, int]
    samples: dict[str, str]
    branches: tuple[Branch, ...]
    folders: int

    @property
    def form(self) -> tuple[object, ...]:
        """A key that is equal for folders with the same kinds of contents."""
        return frozenset(self.counts), frozenset(branch.form for branch in self.branches)

    def files(self, path: str = "") -> Iterator[str]:
        """Yield the path of one file of each ending, folder by folder."""
        yield from (path + name for name in self.samples.values())
        for branch in self.branches:
            yield from branch.files(f"{path}{branch.name}/")

    def total(self) -> Counter[str]:
        """The number of files of each suffix here and below."""
        return sum((branch.total() for branch in self.branches), Counter(self.counts))

    def lines(self, indent: int = 0) -> Iterator[str]:
        """Yield a line per folder; of folders with the same contents only the first, and how many there are."""
        pad = "  " * indent
        yield from (f"{pad}{self.samples[ending]}{_more(count)}" for ending, count in sorted(self.counts.items()))
        shown = dict[object, Branch]()
        alike = Counter(branch.form for branch in self.branches)
        for branch in self.branches:
            if shown.setdefault(branch.form, branch) is branch:
                yield f"{pad}{branch.name}/"
                yield from branch.lines(indent + 1)
                others = [other.name for other in self.branches if other.form == branch.form and other is not branch]
                unseen = self.folders - len(self.branches) if alike[branch.form] == max(alike.values()) else 0
                if others:
                    yield f"{pad}… and {len(others) + unseen:,} more such folders, as {others[0]}/"


def _more(count: int) -> str:
    return f"  ({count:,} such files)" if count > 1 else ""


def outline(tree: Tree, path: str = "", below: int = MAX_DEPTH) -> Branch:
    """Return the outline of a folder of a tree, of many subfolders the first; hidden names are skipped."""
    files = sorted(name for name in tree.files(path) if name[0] != ".")
    folders = sorted(name for name in tree.folders(path) if name[0] != ".")
    samples: dict[str, str] = {}
    for name in files:
        samples.setdefault(_ending(name), name)
    counts = dict(Counter(map(_ending, files)))
    some = islice(folders, MAX_FOLDERS if below else 0)
    branches = tuple(outline(tree, f"{path}{name}/", below - 1) for name in some)
    return Branch(path.rstrip("/").rpartition("/")[2], counts, samples, branches, len(folders))


def ends_like(pattern: str, paths: Iterable[str]) -> bool:
    """Say whether a path ends like a pattern, in which * is any name, {a,b} a choice and digits any number."""
    form = re.sub(r"\d+", "#", re.escape(pattern)).replace("\\*", "[^/]*").replace("\\#", "#").replace("#", r"\d+")
    form = re.sub(r"\\\{(.*?)\\\}", lambda choice: f"(?:{choice[1].replace(',', '|')})", form)
    ending = re.compile(f"(?:^|/){form}$", re.IGNORECASE)
    return any(ending.search(path) for path in paths)


def _ending(name: str) -> str:
    """Return what the names of one kind of files share: the suffix and, before it, a last word such as _VV."""
    stem, dot, ending = name.rpartition(".")
    word = re.search(r"[_.][A-Za-z]+$", stem) if dot else None
    return f"{word[0] if word else ''}{dot}{ending}" if dot else ""

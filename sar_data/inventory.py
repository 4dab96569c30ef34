"""What stands below a folder: sealed builds, training runs, and what builders left; and which of them a word means."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

from sar_data.builder.prefix import PrefixTarget
from sar_data.builder.target import ASIDE, BUILDING, DROPPED, discard
from sar_data.errors import BuildError, UsageError
from sar_data.exporters.folder import WORKING
from sar_data.naming import few
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.system import locks
from sar_data.system.regular import read_regular
from sar_data.system.store import Place, Store, is_url

Kind = Literal["build", "run"]
State = Literal["sealed", "finished", "unfinished", "being made", "set aside", "unreadable"]
CONFIG, METRICS = "config.json", "metrics.json"  # of a run
MARKS: Mapping[Kind, str] = {"build": NAME, "run": CONFIG}
LATEST = "latest"
LEFT: Mapping[str, str] = {
    BUILDING: "Its build would start again",
    DROPPED: "Its build was removed, but for this",
    WORKING: "Its export would start again",
}
"""The end of the name of a hidden folder that a stopped process leaves, and what its removal means."""
DEEPEST = 4  # folders below the one that is searched
MOST_LOOKED_AT = 20_000  # entries of folders: a folder of raw files is not walked to its end
HOMES: Mapping[Kind, tuple[str, str]] = {"build": ("SAR_DATA_BUILDS", "builds"), "run": ("SAR_DATA_RUNS", "runs")}
"""Where builds and runs lie that are named by a word: a variable of the environment, else a folder here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A build or a run. `what` is the split policy of a build, the job of a run; `date` is when it was finished.

    `bytes` are those of its files, `samples` those that a build has packed; `reason` says why it cannot be read.
    """

    path: Place
    kind: Kind
    state: State
    date: str
    bytes: int
    dataset: str = ""
    version: str = ""
    format: str = ""
    what: str = ""
    samples: int | None = None
    reason: str = ""


def builds(folder: str | Path | None = None) -> list[Entry]:
    """Return the builds and runs below a folder, sorted by path; without one, of `builds` and `runs` here.

    Of the URL of a folder in an object store the builds are returned.

    Hidden folders of builders that were stopped, or are at work, are among them, and builds that were set aside. Only
    names and small documents are read.
    """
    if folder is not None and is_url(folder):
        return list(_entries_in_store(folder.rstrip("/")))
    folders = [Path(folder)] if folder is not None else [home(kind) for kind in HOMES]
    if folder is not None and not folders[0].is_dir():
        raise UsageError(f"{folder}: expected a folder, found nothing")
    entries = (_entry(path) for place in folders for path in sorted(_below(place)))
    return [entry for entry in entries if entry is not None]


def home(kind: Kind) -> Path:
    """Return the folder in which builds, or runs, are looked up by name."""
    variable, usual = HOMES[kind]
    return Path(os.environ.get(variable) or usual)


def find(name: str | Path, kind: Kind = "build") -> Path | None:
    """Return the one build or run that a word means, None where it means none.

    The word is `latest`, or the beginning of a path below `home`, of a folder's name or of its recipe digest; or such a
    word behind the path of a folder that exists. Raises UsageError where it means several.
    """
    root, rest = _split_path(Path(name), kind)
    there = [path for path in _below(root) if _is(path, kind)]
    if rest == LATEST:
        return max(there, key=lambda path: (path / MARKS[kind]).stat().st_mtime_ns, default=None)
    names = {path: (path.relative_to(root).as_posix(), path.name, path.name.rpartition("-")[2]) for path in there}
    exact = [path for path, known in names.items() if rest in known]
    begun = [path for path, known in names.items() if any(word.startswith(rest) for word in known)]
    meant = exact if len(exact) == 1 else sorted(begun)
    if len(meant) > 1:
        raise UsageError(f"{name}: expected one {kind}, found {len(meant)}: {few(meant)}. Type more of its name")
    return meant[0] if meant else None


def names(kind: Kind) -> list[str]:
    """Return the names of the folders of all builds, or runs, below `home`."""
    return sorted(path.name for path in _below(home(kind)) if _is(path, kind))


def is_left(path: PurePath) -> bool:
    """Say whether a folder has a name of those that a stopped process leaves."""
    return path.name.startswith(".") and path.name.endswith(tuple(LEFT))


def remove(entry: Entry) -> bool:
    """Remove the hidden folder of a process that was stopped; say whether it is gone.

    One that a process has taken up meanwhile stays, and so does a link and a folder of another user. Raises UsageError
    for anything but what is left of an unfinished build.
    """
    path = entry.path
    if entry.kind != "build" or entry.state != "unfinished" or not is_left(PurePosixPath(path)):
        raise UsageError(f"{path}: expected an unfinished build, found one that is {entry.state}")
    if is_url(path):
        return _target_of(path).remove_rest()
    path = Path(path)
    with _try_lock(path) as free:
        if free:
            discard(path)
    return not path.exists()


def _split_path(path: Path, kind: Kind) -> tuple[Path, str]:
    """Return the folder to search, and the word to look up in it."""
    if len(path.parts) > 1:
        for folder in path.parents:
            if os.path.isdir(folder) and folder != Path():
                return folder, path.relative_to(folder).as_posix()
    return home(kind), path.as_posix()


def _below(root: Path) -> Iterator[Path]:
    """Yield the folders below one that are a build, a run, or a builder's, sealed or not."""
    looked_at = 0
    level = [root]
    for _ in range(DEEPEST):  # os.path.isfile, since Path.is_file raises where a folder is closed to us
        inner: list[Path] = []
        for folder in level:
            try:
                entries = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            for path in (Path(entry.path) for entry in entries):
                looked_at += 1
                if looked_at > MOST_LOOKED_AT:
                    return
                if is_left(path) or any(os.path.isfile(path / mark) for mark in MARKS.values()):
                    yield path
                elif not path.name.startswith("."):
                    inner.append(path)
        level = inner


def _is(path: Path, kind: Kind) -> bool:
    """Say whether a folder is a build, or a run, that may be meant by a word."""
    if path.name.startswith(".") or ASIDE in path.name or not os.path.isfile(path / MARKS[kind]):
        return False
    return kind == "build" or _about(path) is not None


def _entry(path: Path) -> Entry | None:
    """Return what stands at a path, None where it is none of ours after all."""
    mark = next((path / name for name in (NAME, METRICS, CONFIG) if os.path.isfile(path / name)), path)
    date = _date(mark.stat().st_mtime)
    size = sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
    if is_left(path):
        with _try_lock(path) as free:
            return Entry(path, "build", "unfinished" if free else "being made", date, size)
    if mark.name != NAME:
        if (about := _about(path)) is None:
            return None
        state: State = "finished" if mark.name == METRICS else "unfinished"
        return Entry(path, "run", state, date, size, dataset=about[0], version=about[1], what=about[2])
    try:
        manifest = Manifest.load(path)
    except BuildError as error:
        return Entry(path, "build", "unreadable", date, size, reason=str(error).removeprefix(f"{path}/"))
    return _sealed_entry(path, manifest, "set aside" if ASIDE in path.name else "sealed", date, size)


def _sealed_entry(path: Place, manifest: Manifest, state: State, date: str, size: int) -> Entry:
    return Entry(
        path,
        "build",
        state,
        date,
        size,
        dataset=manifest.dataset,
        version=manifest.version,
        format=manifest.format,
        what=manifest.split_policy.policy,
        samples=sum(split.count for split in manifest.splits.values()),
    )


def _entries_in_store(url: str) -> Iterator[Entry]:
    """Yield the builds below a URL, sealed or not; raise UsageError for a web server, which lists nothing."""
    if url.startswith("http"):
        raise UsageError(f"{url}: expected a store that lists its objects, such as s3://, found a web server")
    store = Store(url)
    sizes = store.sizes()
    for folder in sorted({name.rpartition("/")[0] for name in sizes if name.endswith(f"/{NAME}")}):
        place, size = f"{url}/{folder}", _bytes_below(folder, sizes)
        date = _date(store.time_of(f"{folder}/{NAME}").timestamp())
        try:
            yield _sealed_entry(
                place, Manifest.decode(store.read(f"{folder}/{NAME}"), f"{place}/{NAME}"), "sealed", date, size
            )
        except BuildError as error:
            yield Entry(place, "build", "unreadable", date, size, reason=str(error).removeprefix(f"{place}/"))
    folders = {str(parent) for name in sizes for parent in PurePosixPath(name).parents if is_left(parent)}
    for folder in sorted(folders):
        target = _target_of(f"{url}/{folder}")
        build = f"{folder.rpartition('/')[0]}/{target.deposit.name}".lstrip("/")
        size = _bytes_below(folder, sizes) + (0 if f"{build}/{NAME}" in sizes else _bytes_below(build, sizes))
        date = _date(max(store.time_of(name).timestamp() for name in sizes if name.startswith(f"{folder}/")))
        yield Entry(f"{url}/{folder}", "build", "unfinished" if target.lease.is_free() else "being made", date, size)


def _bytes_below(folder: str, sizes: Mapping[str, int]) -> int:
    return sum(size for name, size in sizes.items() if name.startswith(f"{folder}/"))


def _target_of(working: str) -> PrefixTarget:
    """Return the target whose builders work in the folder at a URL."""
    above, _, name = working.rpartition("/")
    return PrefixTarget(f"{above}/{name.removeprefix('.').removesuffix(BUILDING)}")


def _date(seconds: float) -> str:
    """Return a time of a file as text: file systems hold times beyond those of a calendar."""
    least, most = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (1, 9999))
    return datetime.fromtimestamp(min(max(seconds, least), most), UTC).isoformat(timespec="seconds")


def _about(run: Path) -> tuple[str, str, str] | None:
    """Return dataset, version and job that config.json says of a run, None where it is of something else."""
    try:
        config = json.loads(read_regular(run / CONFIG))
        texts = (config["build"]["dataset"], config["build"]["version"], config["job"])
    except (BuildError, ValueError, LookupError, TypeError, RecursionError):
        return None
    dataset, version, job = (str(text)[:80] for text in texts)
    return dataset, version, job


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Lock the hidden folder of a builder for as long as the block lasts; give False where a builder has it.

    What cannot be opened or locked is not free either: nobody can say that it is abandoned.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        free = locks.try_lock(descriptor)
    except OSError:
        free = False
    try:
        yield free
    finally:
        locks.release(descriptor)

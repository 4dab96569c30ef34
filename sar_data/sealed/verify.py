"""Verify: compare a sealed build with its manifest, its SHA256SUMS and its index, and list every difference."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import BuildError, OtherVersion, UsageError
from sar_data.formats.container import Fault, Shard
from sar_data.progress import Progress
from sar_data.record import IGNORE
from sar_data.runners import Runner, Serial
from sar_data.sealed.contents import content_digest
from sar_data.sealed.documents import Document
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.leaves import differing_leaves
from sar_data.sealed.manifest import (
    DIGEST,
    NAME,
    Manifest,
    canonical,
    document_digest,
    read_bytes,
    read_document,
    recipe_digest,
)
from sar_data.sealed.opened import SUMS_NAME, Build, layout_of
from sar_data.sealed.present import EMPTY, Contents, list_contents
from sar_data.sealed.recount import ShardCounts, count_shards, shards
from sar_data.sealed.samples import SAMPLES_NAME, differing_keys, read_samples
from sar_data.sealed.summary import mask_pixels, normalization, summarise
from sar_data.sealed.sums import parse_build_sums
from sar_data.split.policy import SPLITS, UNUSED
from sar_data.statistics.stats import BandStats
from sar_data.system.checksum import sha256
from sar_data.system.regular import read_regular
from sar_data.system.store import Place, is_url

if TYPE_CHECKING:
    from sar_data.sealed.remote.build import Remote

UNCOVERED = (NAME, SUMS_NAME, "report.html")  # the report is derived
RECIPE = re.compile("[0-9a-f]{8}")  # the part of a digest in a folder's name
LISTED = f"a line in {SUMS_NAME}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One difference, with its shard and the key of its record where these are known."""

    shard: str | None
    key: str | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        where = "".join(f"{name} {value}: " for name, value in (("shard", self.shard), ("record", self.key)) if value)
        return f"{where}{self.what}: expected {self.expected}, found {self.found}"


def check_extent(full: bool, sample: float | None) -> None:
    """Raise UsageError for a share that is none, and for a share of all."""
    if sample is not None and (full or not 0 < sample <= 1):
        what = "`full=True` or a share, found both" if full else "a share above 0, at most 1 (100 %)"
        raise UsageError(f"`sample={sample:g}`: expected {what}")


def verify(
    path: Place,
    *,
    full: bool = False,
    sample: float | None = None,
    seed: int = 0,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> list[Problem]:
    """Return all differences of the build at `path`, a folder or a URL, an empty list if there are none.

    By default the names and sizes of all files are compared, and the hashes of files without pixels. `sample` also
    reads every byte of that share of the shards, at least one of each split; another `seed` draws others. `full` reads
    every byte: it compares the hashes of files and images, the content digest and the statistics. The statistics of a
    split with a damaged image are not compared, because they must differ. Raises UsageError for a share that is none.
    """
    check_extent(full, sample)
    try:
        files = Build.open(path).files if is_url(path) else None
        folder = files.folder if files else Path(path)
        written = read_bytes(folder)
        document = read_document(written, folder / NAME)
        build = Build(folder, Manifest.parse(document, folder / NAME), files)
    except BuildError as error:
        return [Problem(None, None, NAME, "a manifest", str(error))]
    runner = runner or Serial()
    sums: dict[str, str] = {}
    problems = _document(PurePosixPath(path).name, written, document)
    try:
        data = read_regular(folder / SUMS_NAME)
        problems += _differ(SUMS_NAME, build.manifest.sums, hashlib.sha256(data).hexdigest())
        sums = parse_build_sums(data, SUMS_NAME)
    except BuildError as error:
        problems.append(Problem(None, None, SUMS_NAME, "lines of sha256sum", str(error)))
    owners = {shard.file: shard.name for split in build.manifest.splits.values() for shard in split.shards}
    pixels = {*owners, *_masks(build)}
    chosen = _draw(build.manifest, sample, seed) if sample is not None else set()
    if build.manifest.container.spooled:
        owners = {}  # all shards of a split share its file
    problems += _files(build, sums, owners)
    if full:
        problems += _hashes(build, sums, owners, runner, progress)
    else:
        documents = {name: digest for name, digest in sums.items() if name not in pixels or owners.get(name) in chosen}
        problems += _hashes(build, documents, owners, runner if chosen else Serial(), progress if chosen else None)
    try:
        index = build.index()
    except BuildError as error:
        return [*problems, Problem(None, None, INDEX_NAME, "a table", str(error))]
    problems += _rows(build.manifest, index)
    if full:
        return problems + _pixels(build, index, runner, progress)
    return problems + (_some_pixels(build, index, chosen, runner, progress) if chosen else [])


def _draw(manifest: Manifest, share: float, seed: int) -> set[str]:
    """Return the names of a share of the shards, drawn by a seed, at least one of each split that has some."""
    random = np.random.default_rng(seed)
    names: set[str] = set()
    for split in (manifest.splits[name] for name in SPLITS):
        if split.shards:
            count = math.ceil(share * len(split.shards))
            names |= {split.shards[at].name for at in random.permutation(len(split.shards))[:count]}
    return names


def find_damage(path: Place) -> list[Problem]:
    """Return the missing, short or changed files of the build at `path`, as the quick `verify` does; no extra files.

    Raises OtherVersion for a build that this version cannot read.
    """
    try:
        Build.open(path) if is_url(path) else read_document(read_bytes(Path(path)), Path(path) / NAME)
    except OtherVersion:
        raise
    except BuildError as error:
        return [Problem(None, None, NAME, "a manifest", str(error))]
    return [problem for problem in verify(path) if problem.expected != LISTED]


def _document(folder: str, written: bytes, document: dict[str, Any]) -> list[Problem]:
    """Compare the manifest with its own digest, its canonical form and the digest of its recipe."""
    problems = []
    if document["schema_version"] != 2:
        problems += _differ(f"digest of {NAME}", document.get(DIGEST), document_digest(document))
        if written != canonical(document):
            problems.append(Problem(None, None, NAME, "the canonical form of its document", "another form"))
    problems += _differ("recipe digest", document["recipe_digest"], recipe_digest(document["recipe"]))
    container, _, short = folder.partition("-")
    if container == document["format"] and RECIPE.fullmatch(short):
        problems += _differ("name of the folder", f"{container}-{document['recipe_digest'][:8]}", folder)
    return problems


def _differ(what: str, expected: Any, actual: Any, shard: str | None = None) -> list[Problem]:
    return [] if expected == actual else [Problem(shard, None, what, str(expected), str(actual))]


def _files(build: Build, sums: dict[str, str], owners: dict[str, str]) -> list[Problem]:
    """Compare the files of the folder with those in SHA256SUMS, and the sizes of shards with the manifest."""
    there = _contents(build)
    absent = sorted({*sums, *owners} - there.sizes.keys())
    problems = [Problem(owners.get(name), None, name, "a file", there.others.get(name, "none")) for name in absent]
    left = {f"{split}/{name}" for split in build.manifest.splits for name in build.manifest.container.left_by_readers}
    extra = dict.fromkeys(there.sizes.keys() - sums.keys() - left - {*UNCOVERED}, "none")
    # The folder of a missing file may be empty, and that of a split without samples.
    homes = {*map(os.path.dirname, absent), *SPLITS}
    known = {*absent, *(name for name in homes if there.others.get(name) == EMPTY)}
    extra |= {name: what for name, what in there.others.items() if name not in known}
    problems += [Problem(owners.get(name), None, name, LISTED, extra[name]) for name in sorted(extra)]
    for split in build.manifest.splits.values():
        for shard in split.shards:
            if shard.file in owners and shard.file in there.sizes:
                size = there.sizes[shard.file]
                problems += _differ(shard.file, f"{shard.bytes} bytes", f"{size} bytes", shard.name)
    for name, (least, most) in _masks(build).items():
        if not least <= (size := there.sizes.get(name, least)) <= (size if most is None else most):
            problems += _differ(name, f"{most} bytes", f"{size} bytes")
    with _fetch_shared(build):
        faults = [fault for faults in _faults(build).values() for fault in faults]
    faults += build.manifest.container.build_faults(build.path, list(build.manifest.splits))
    return problems + [Problem(None, None, *fault) for fault in faults if fault.what.partition(": ")[0] not in absent]


def _masks(build: Build) -> dict[str, tuple[int, int | None]]:
    """Return the least and the most bytes of the files of masks alone."""
    container, layout = build.manifest.container, layout_of(build.manifest)
    shards = [
        Shard(name, number, shard.count, split.shard_length, number)
        for name, split in build.manifest.splits.items()
        for number, shard in enumerate(split.shards)
    ]
    files = {container.mask_file(shard, layout): shard for shard in shards} if layout.mask else {}
    return {
        name: container.size(layout, shard, "mask")
        for name, shard in files.items()
        if name != container.file(shard, layout)
    }


def _faults(build: Build) -> dict[str, list[Fault]]:
    """Return for each split the faults of the files that its shards share."""
    manifest, layout = build.manifest, layout_of(build.manifest)
    return {
        name: manifest.container.faults(build.path, layout, name, split.shard_length, len(split.shards))
        for name, split in manifest.splits.items()
    }


def _hashes(
    build: Build, sums: dict[str, str], owners: dict[str, str], runner: Runner, progress: Progress | None
) -> list[Problem]:
    """Compare the sha256 of every file that exists."""
    if build.files is None:
        names = [name for name in sums if os.path.isfile(build.path / name)]
        digests = runner.map(_sha256, [str(build.path / name) for name in names])
    else:
        there = build.files.contents()
        names = [name for name in sums if name in there]
        digests = runner.map(partial(_fetch_sha256, build.files), names)
    problems = []
    for done, (name, actual) in enumerate(zip(names, digests, strict=True), 1):
        problems += _differ(f"sha256 of {name}", sums[name], actual, owners.get(name))
        if progress:
            progress("sums", done, len(names))
    return problems


def _sha256(path: str) -> str:
    try:
        return sha256(path)
    except (BuildError, OSError) as error:
        return str(error)


def _fetch_sha256(files: Remote, name: str) -> str:
    """Return the sha256 of a remote file, which has it once it has come; else what came."""
    try:
        return sha256(str(files.path(name)))
    except BuildError as error:
        return str(error)


def _contents(build: Build) -> Contents:
    """Return the files that are there, in the folder or in the store."""
    return list_contents(build.path) if build.files is None else Contents(build.files.contents())


@contextmanager
def _fetch_shared(build: Build) -> Iterator[None]:
    """Have here, within the block, the shards of a remote build that `faults` of its container opens."""
    container = build.manifest.container
    masks = {*_masks(build)} if container.compression else set()
    files = sorted(build.shard_files if container.spooled else masks)
    keep = build.files.hold(files) if build.files else None
    try:
        yield
    finally:
        del keep


def _rows(manifest: Manifest, index: pa.Table) -> list[Problem]:
    """Compare the index's rows with the manifest's counts."""
    columns = {name: index[name].to_pylist() for name in ("key", "split", "shard", "reason")}
    problems = [
        Problem(None, key, INDEX_NAME, "one row a key", f"{times} rows")
        for key, times in Counter(columns["key"]).items()
        if times > 1
    ]
    splits = Counter(columns["split"])
    places = zip(columns["split"], columns["shard"], strict=True)
    by_shard = Counter(f"{split}/{shard:06d}" for split, shard in places if shard is not None)
    planned = {shard.name: shard.count for split in manifest.splits.values() for shard in split.shards}
    for name, split in manifest.splits.items():
        problems += _differ(f"rows of {name} in {INDEX_NAME}", split.count, splits[name])
    for name in sorted(planned.keys() | by_shard.keys()):
        problems += _differ(f"rows in {INDEX_NAME}", planned.get(name, "no such shard"), by_shard[name], name)
    unused = zip(columns["reason"], columns["split"], strict=True)
    reasons = Counter(reason for reason, split in unused if split == UNUSED and reason is not None)
    for reason in sorted(manifest.unused.keys() | reasons.keys()):
        problems += _differ(f"unused rows in {INDEX_NAME}, {reason}", manifest.unused.get(reason, 0), reasons[reason])
    return problems


def _pixels(build: Build, index: pa.Table, runner: Runner, progress: Progress | None) -> list[Problem]:
    """Read every image: compare its hash, then the content digest and the statistics."""
    manifest, layout = build.manifest, layout_of(build.manifest)
    # If one file has all shards and is damaged, that is one problem, and not one for each record.
    broken = [split for split, faults in _faults(build).items() if faults] if manifest.container.spooled else []
    totals = {split: BandStats.none(layout.units) for split in manifest.splits if split not in broken}
    hidden = {split: np.zeros(IGNORE + 1, np.int64) for split in totals}
    damaged: set[str] = set()
    problems: list[Problem] = []
    try:
        recorded_samples = read_samples(build.path)
    except BuildError as error:
        recorded_samples = None
        problems.append(Problem(None, None, SAMPLES_NAME, "a table", str(error)))
    todo = shards(build, index, totals)
    in_order = sorted(todo, key=lambda rows: SPLITS.index(rows.split))  # as packed rows lie in the tables
    starts = accumulate((len(rows.places) for rows in in_order), initial=0)
    first = {rows.name: start for rows, start in zip(in_order, starts, strict=False)}
    for shard in count_shards(build, todo, runner, progress):
        if shard.faults:
            damaged.add(shard.rows.split)
        problems += _image_problems(shard)
        totals[shard.rows.split] += shard.statistics
        hidden[shard.rows.split] += shard.mask_pixels
        if recorded_samples is not None and not shard.faults and not broken:
            problems += _samples(recorded_samples, first[shard.rows.name], shard, len(layout.bands))
    packed = index.filter(pc.is_valid(index["shard"]))
    problems += _differ("content digest", manifest.content_digest, content_digest(packed))
    for split in totals.keys() - damaged if layout.mask else ():
        pixels = mask_pixels(layout.mask_classes, [hidden[split].tolist()])
        problems += _differ(f"mask pixels of {split}", manifest.splits[split].mask_pixels, pixels)
    schema = 3 if manifest.digest else 2
    for split, recorded in (manifest.statistics or {}).items():
        if split not in totals or split in damaged:
            continue
        total = totals[split]
        problems += _figures(f"statistics of {split}", recorded, summarise(total, layout.bands, schema=schema))
        if split == "train":
            problems += _figures("normalization", manifest.normalization, normalization(total, layout.bands))
    return problems


def _some_pixels(
    build: Build, index: pa.Table, chosen: set[str], runner: Runner, progress: Progress | None
) -> list[Problem]:
    """Read the images of some shards: compare their hashes."""
    whole = [name for name, faults in _faults(build).items() if not (faults and build.manifest.container.spooled)]
    todo = [rows for rows in shards(build, index, whole) if rows.name in chosen]
    return [problem for shard in count_shards(build, todo, runner, progress) for problem in _image_problems(shard)]


def _image_problems(shard: ShardCounts) -> list[Problem]:
    name = shard.rows.name
    problems = [Problem(name, key, *fault) for key, fault in shard.sequential_faults]
    return problems + [Problem(name, key, "pixels", *values) for key, values in shard.faults.items()]


def _samples(recorded: pa.Table, first: int, shard: ShardCounts, bands: int) -> list[Problem]:
    """Compare the recorded figures of a shard's images with computed ones; `first` is its first sample's number."""
    keys = [place.key for place in shard.rows.places]
    rows = recorded.slice(first * bands, len(keys) * bands)
    return [
        Problem(shard.rows.name, key, SAMPLES_NAME, "the figures of the stored image", "others")
        for key in differing_keys(rows, keys, shard.figures, shard.thumbs)
    ]


def _figures(what: str, expected: Document | None, actual: Document | None) -> list[Problem]:
    """Compare two documents figure by figure."""
    return [
        Problem(None, None, f"{what}: {name}", str(first), str(second))
        for name, (first, second) in differing_leaves(expected, actual).items()
    ]

"""Builds of a stranger: one file of a sealed build changed at random, and sums, sizes and digests that fit it.

`python -m tests.fuzz.strangers KIND,… FIRST COUNT FOLDER` tries them in a process of its own, for a reader that is
broken in C takes its process with it. Before each mutant it prints kind and number, after a kind one line of JSON.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.cli import main as main_command
from sar_data.errors import SarDataError
from sar_data.exporters import TARGETS, Target, export
from sar_data.methods import cite
from sar_data.reports.build import report
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.opened import Build
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.sealed.verify import verify
from sar_data.stream.dataset import Stream
from sar_data.views.contact_sheet import contact_sheet
from tests.fuzz.mutants import NUMBERS, mutated
from tests.mini import invented
from tests.mini.resealed import edit, resealed

SHARD = {"lmdb": "train/data.mdb", "webdataset": "train/000000.tar", "zarr+zstd": "train/image/c/0/0/0/0"}
TEXTS = (None, "", "train", "unused", "../x", "/etc/passwd", "a\nb", "\ud7ff", "x" * 5000)
INTEGERS = (None, 0, 1, -1, 7, 63, 64, 255, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**62, 2**63 - 1, -(2**63))
WORDS: tuple[Any, ...] = (
    *(None, True, "", "x", "../x", "dB", "power", "8-bit", "train", "zscore", "float32", "lmdb", "$\\frac{$", "[/x]"),
    *(0, 1, -1, 2, 255, 2**31, 2**53, 2**70, 0.0, -1.0, 0.5, 1e-300, 1e39, 1e300, [], {}, [1], [[]], {"a": 1}),
)
FLOATS = (None, 0.0, -1.0, 1e308, float("nan"), float("inf"), 2.0**31)


def sound(root: Path) -> dict[str, Path]:
    """Return small builds of every container, made once."""
    source = invented.archive(root / "raw", 14)
    made = invented.pipeline("segmentation")
    builds = {
        name: invented.sealed(
            made,
            source,
            root / name,
            format=name.partition("+")[0],
            compression="zstd" if "+" in name else "none",
            shard_length=5,
        ).path
        for name in ("lmdb", "webdataset", "zarr", "zarr+zstd")
    }
    ragged = invented.archive(root / "ragged", 14, ragged=True)
    objects = invented.pipeline("detection", shape=None)
    for name in ("lmdb", "webdataset"):
        build = invented.sealed(objects, ragged, root / f"objects {name}", format=name, shard_length=5)
        builds[f"{name} objects"] = build.path
    return {name: Path(shutil.copytree(path, root / "sound" / name / path.name)) for name, path in builds.items()}


def of_lmdb(build: Path, draw: random.Random) -> None:
    """Change a page's header or the pointers behind it, or anything."""
    path = build / SHARD["lmdb"]
    data = bytearray(path.read_bytes())
    if draw.random() < 0.2:
        path.write_bytes(mutated(bytes(data), draw))
        return
    for _ in range(draw.choice((1, 1, 2, 4))):
        page = draw.randrange(len(data) // 4096)
        at, size = 4096 * page + draw.choice((draw.randrange(0, 24, 2), draw.randrange(200))), draw.choice((1, 2, 4, 8))
        raw = draw.choice((draw.choice(NUMBERS), draw.randrange(1 << 16), draw.randrange(8))).to_bytes(8, "little")
        data[at : at + size] = raw[:size]
    path.write_bytes(data)


def of_documents(build: Path, draw: random.Random) -> None:
    """Change a zarr.json."""
    path = draw.choice(sorted(build.rglob("zarr.json")))
    path.write_bytes(mutated(path.read_bytes(), draw))


def of_tar(build: Path, draw: random.Random) -> None:
    """Change a header of a tar or of an array in it."""
    path = build / SHARD["webdataset"]
    data = path.read_bytes()
    starts = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    at = draw.choice(starts)
    head = mutated(data[at : at + 640], draw)
    if draw.random() < 0.7:
        head = head[:640].ljust(640, b"\0")
    if draw.random() < 0.5:  # a checksum that fits
        head = head[:148] + b"%06o\0 " % (sum(head[:148]) + sum(head[156:512]) + 8 * 32) + head[156:]
    path.write_bytes(data[:at] + head + data[at + 640 :])


def of_chunks(build: Path, draw: random.Random) -> None:
    """Change a compressed chunk, or the index of its shard."""
    path = build / SHARD["zarr+zstd"]
    data = path.read_bytes()
    cut = max(len(data) - 40, 0) if draw.random() < 0.5 else 0
    path.write_bytes(data[:cut] + mutated(data[cut:], draw))


def of_manifest(build: Path, draw: random.Random) -> None:
    """Change one or two values of the manifest, or take them out."""

    def change(document: dict[str, Any]) -> None:
        for _ in range(draw.choice((1, 1, 1, 2))):
            _elsewhere(document, draw)

    edit(build, change)


def _elsewhere(part: Any, draw: random.Random) -> None:
    """Change one value somewhere in a document."""
    while True:
        places = list(part) if isinstance(part, dict) else range(len(part))
        where = draw.choice(places)
        inner = part[where]
        if isinstance(inner, dict | list) and inner and draw.random() < 0.9:
            part = inner
            continue
        if draw.random() < 0.2:
            del part[where]
        elif draw.random() < 0.2:
            part[where] = part[draw.choice(places)]
        elif isinstance(part, dict) and draw.random() < 0.1:
            part[draw.choice(("VV", "x", "train"))] = inner
        else:
            part[where] = draw.choice(WORDS)
        return


def of_index(build: Path, draw: random.Random) -> None:
    """Change index.parquet: its bytes, or a value, a type or the order of its rows."""
    _of_table(build / INDEX_NAME, draw)


def of_samples(build: Path, draw: random.Random) -> None:
    """Change samples.parquet in the same ways."""
    _of_table(build / SAMPLES_NAME, draw)


def _of_table(path: Path, draw: random.Random) -> None:
    if draw.random() < 0.3:
        path.write_bytes(mutated(path.read_bytes(), draw))
        return
    table = pq.read_table(path)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        try:
            table = draw.choice((_value, _value, _value, _value, _type, _rows, _columns))(table, draw)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue  # a value that a column of this type cannot hold, which no index can either
    try:
        pq.write_table(table, path)
    except (pa.ArrowException, OverflowError):
        return


def _value(table: pa.Table, draw: random.Random) -> pa.Table:
    at = draw.randrange(len(table.schema))
    field = table.schema.field(at)
    values = table[field.name].to_pylist()
    if not values:
        return table
    row = draw.randrange(len(values))
    values[row] = _other(values[row], field.type, draw)
    return table.set_column(at, pa.field(field.name, field.type), pa.array(values, field.type))


def _other(value: Any, kind: pa.DataType, draw: random.Random) -> Any:
    """Return another value of a type: now and then null, of nested ones with one part changed."""
    if draw.random() < 0.1:
        return None
    if pa.types.is_list(kind):
        parts = list(value or ())
        if not parts or draw.random() < 0.3:
            return draw.choice(([], [None], parts * 2, [*parts, _other(None, kind.value_type, draw)]))
        where = draw.randrange(len(parts))
        parts[where] = _other(parts[where], kind.value_type, draw)
        return parts
    if pa.types.is_struct(kind):
        field = kind.field(draw.randrange(kind.num_fields))
        known = dict(value or {kind.field(i).name: None for i in range(kind.num_fields)})
        return known | {field.name: _other(known.get(field.name), field.type, draw)}
    if pa.types.is_string(kind):
        return draw.choice(TEXTS)
    if pa.types.is_floating(kind):
        return draw.choice(FLOATS)
    return draw.choice(INTEGERS)


def _type(table: pa.Table, draw: random.Random) -> pa.Table:
    at = draw.randrange(len(table.schema))
    kind = draw.choice((pa.string(), pa.int64(), pa.float32(), pa.bool_(), pa.binary(), pa.null(), pa.int8()))
    column = pa.nulls(len(table), kind) if draw.random() < 0.5 else table.column(at).cast(kind)
    return table.set_column(at, table.schema.names[at], column)


def _rows(table: pa.Table, draw: random.Random) -> pa.Table:
    rows = list(range(len(table)))
    draw.shuffle(rows)
    return table.take(draw.choice((rows, rows[: len(rows) // 2], rows * 2, [])))


def _columns(table: pa.Table, draw: random.Random) -> pa.Table:
    at, other = draw.randrange(len(table.schema)), draw.randrange(len(table.schema))
    name = table.schema.names[at]
    if draw.random() < 0.3:
        return table.remove_column(at)
    if draw.random() < 0.3:
        return table.append_column(name, table.column(other))
    return table.set_column(at, name, table.column(other))


Change = Callable[[Path, random.Random], None]
KINDS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "lmdb": (of_lmdb, ("lmdb", "lmdb objects")),
    "documents": (of_documents, ("zarr", "zarr+zstd")),
    "tar": (of_tar, ("webdataset", "webdataset objects")),
    "chunks": (of_chunks, ("zarr+zstd",)),
    "manifest": (of_manifest, ("lmdb", "webdataset", "zarr", "zarr+zstd", "lmdb objects", "webdataset objects")),
    "samples": (of_samples, ("lmdb", "webdataset objects")),
    "index": (of_index, ("lmdb", "webdataset", "zarr", "zarr+zstd", "lmdb objects", "webdataset objects")),
}


def streamed(path: Path, io: str, normalize: str | None = "zscore") -> None:
    crop = {"crop": 6} if "objects" in path.parts[-2] else {}
    with Stream(path, batch_size=2, shuffle=False, io=io, normalize=normalize, **crop) as stream:
        for _ in range(2):
            for _ in stream:
                pass


def through_the_library(path: Path) -> None:
    from sar_data.torch import tars

    crop = "objects" not in path.parts[-2]
    for sample in tars(path, normalize="zscore" if crop else None):
        sample["image"].sum()


def in_xarray(path: Path) -> None:
    Build.open(path).dataset("train").load()


def shown(path: Path) -> None:
    contact_sheet(Build.open(path), path.parent / "sheet.png", count=2)


def answered(*words: str) -> None:
    answer = CliRunner().invoke(main_command, words)
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception


def exported(path: Path, target: Target) -> None:
    with tempfile.TemporaryDirectory() as out:
        export(target, Build.open(path), Path(out))


def repacked(path: Path, **changes: Any) -> None:
    with tempfile.TemporaryDirectory() as out:
        format = "lmdb" if path.name.startswith("webdataset") else "webdataset"
        convert(ConvertRequest(parent=path, out=Path(out), format=format, **changes))


def uses(path: Path, draw: random.Random) -> dict[str, Callable[[], object]]:
    """Return what is done with a build; a sheet and a conversion, which take long, with some."""
    found: dict[str, Callable[[], object]] = {
        "verify": lambda: verify(path, full=True),
        "mmap": lambda: streamed(path, "mmap"),
        "pread": lambda: streamed(path, "pread", how),
    }
    how = draw.choice(("minmax", "fgmae-uint8", "sarhub", None))
    baked: dict[str, Any] = draw.choice(({}, {}, {"crop": 4}, {"crop": 4, "resize": 2}, {"normalize": "zscore"}))
    target = draw.choice([*TARGETS])
    if path.name.startswith("webdataset"):
        found["tars"] = lambda: through_the_library(path)
    if path.name.startswith("zarr"):
        found["xarray"] = lambda: in_xarray(path)
    if draw.random() < 0.2:
        found |= {"stats": lambda: answered("stats", str(path)), f"export {target}": lambda: exported(path, target)}
    if draw.random() < 0.2:
        by = draw.choice(("class", "pass", "month", "place", "split"))
        found |= {
            f"stats by {by}": lambda: answered("stats", str(path), "--by", by),
            "leakage": lambda: answered("leakage", str(path)),
            "cite": lambda: cite(path),
            "builds": lambda: answered("builds", str(path.parent)),
        }
    if draw.random() < 0.1:
        found["report"] = lambda: report(Build.open(path), path.parent / "report.html")
    if draw.random() < 0.1:
        found["show"] = lambda: shown(path)
    if draw.random() < 0.2:
        found["repack"] = lambda: repacked(path, **baked)
    return found


def tried(kind: str, number: int, builds: dict[str, Path]) -> tuple[Counter[str], list[str]]:
    """Use one mutant in every way; return how each way ended, and the traces of what nobody explains."""
    draw = random.Random(f"{kind} {number}")
    change, names = KINDS[kind]
    name = draw.choice(names)
    ends, traces = Counter[str](), []
    with tempfile.TemporaryDirectory() as root:
        path = Path(shutil.copytree(builds[name], Path(root) / name / builds[name].name))
        change(path, draw)
        if change is not of_manifest:
            resealed(path)
        for what, use in uses(path, draw).items():
            try:
                result = use()
            except SarDataError as error:
                ends[f"{what}: {type(error).__name__}"] += 1
            except Exception:
                traces.append(f"{kind} {number}, {what}:\n{traceback.format_exc()}")
            else:
                ends[f"{what}: {'problems' if result else 'taken'}"] += 1
    return ends, traces


def main(kinds: list[str], first: int, count: int, folder: Path) -> None:
    builds = {path.parent.name: path for path in (folder / "sound").glob("*/*")}
    for kind in kinds:
        ends, traces = Counter[str](), []
        for number in range(first, first + count):
            print(kind, number, flush=True)
            more, lost = tried(kind, number, builds)
            ends += more
            traces += lost
        print(json.dumps({"kind": kind, "mutants": count, "ends": ends, "traces": traces}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))

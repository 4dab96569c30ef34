"""Every reader of files from outside, with sound files to begin with: name → (parts of a file, how they become one)."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import pickle
import random
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
import numcodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from safetensors.numpy import save as safetensors_bytes

from pipelines import path_label
from pipelines.synth import custom
from pipelines.synth._phoenix import phoenix as written_phoenix
from sar_data import dtypes
from sar_data.containers import pickled
from sar_data.containers.find import find_container
from sar_data.containers.members import members
from sar_data.download import ledger
from sar_data.download import partial as transfers
from sar_data.download.credentials import Credentials
from sar_data.errors import BadRecord
from sar_data.labels import ais, coco, discovery, dota, fields, geojson, lists, parquet, table, voc, yolo
from sar_data.own import declaration, rows
from sar_data.raster import any_format, gdal, image, npy, npz, phoenix, picture, stack, tiff, window
from sar_data.raster import parquet_images as image_rows
from sar_data.raster.zarrzip import ZarrZip
from sar_data.record import Record, SourceFile
from sar_data.sources.archives import tar
from sar_data.sources.archives import zip as zips
from sar_data.sources.archives.open import open_tree
from sar_data.sources.lists import ListFinder
from sar_data.sources.placeholder import detect_placeholder
from sar_data.sources.scenes import listing
from sar_data.split.official import Official
from sar_data.split.path_lists import PathLists
from tests.contract.trees import walked
from tests.fuzz.memory import Memory
from tests.fuzz.mutants import mutated
from tests.mini.archives import spanned_bytes
from tests.raster.test_short import png
from tests.raster.test_tiff import by_gdal, small

NOISE = np.random.default_rng(0)
PICTURE = NOISE.integers(0, 255, (1, 64, 48), dtype=np.uint8)
FLOATS = NOISE.normal(0, 9, (1, 20, 30)).astype(np.float32)
Build = Callable[[Sequence[bytes]], bytes]


def joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)


@dataclass(frozen=True)
class Reader:
    """`read` takes a file's bytes; `seeds` are sound files in parts, which `build` makes one: checksums come out right.

    Every message must hold one of `names`.
    """

    read: Callable[[bytes], object]
    seeds: Sequence[Sequence[bytes]]
    build: Build = joined
    names: tuple[str, ...] = ("a.bin",)

    def mutant(self, draw: random.Random) -> bytes:
        """Return a sound file of which one part, or the whole, was changed."""
        parts = list(draw.choice(self.seeds))
        if len(parts) > 1 and draw.random() < 0.7:
            at = draw.randrange(len(parts))
            parts[at] = mutated(parts[at], draw)
            return self.build(parts)
        return mutated(self.build(parts), draw)


# Rasters.
TIFFS = [
    *([data] for data in (small(FLOATS), small(np.repeat(FLOATS, 2, 0), planar=True))),
    *([by_gdal(FLOATS, **options)] for options in ({"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}, {"compress": "deflate"})),
    *([by_gdal(FLOATS, tiled=True, blockxsize=16, blockysize=16, compress=c)] for c in ("none", "lzw", "zstd")),
    *([by_gdal(PICTURE, compress=c)] for c in ("jpeg", "packbits")),
    *([by_gdal(image, nodata=value)] for image, value in ((FLOATS, -9999), (PICTURE, 0), (FLOATS, float("nan")))),
    *([by_gdal(FLOATS.astype(kind))] for kind in ("float64", "int32", "complex64")),
]
SINGLE = [TIFFS[0], *TIFFS[2:]]


def read_tiff(data: bytes) -> None:
    tiff.georeference_of(data)
    raster = tiff.read(data, "a.bin", shape=None, dtypes=None, bands=None)
    raster.codes(255)
    stored(raster.image()[0])


def stored(image: Any) -> None:
    """Pass an image through the gate that is before every build."""
    if image.dtype.kind == "c":
        image = dtypes.parts(image, "amplitude-phase")
    if image.dtype.name in dtypes.TAKEN:
        dtypes.fit_dtype(dtypes.without(image, -9999.0)[0], "float32", "a.bin")


def read_heads(data: bytes) -> None:
    tree = Memory({"a.bin": data})
    tiff.georeference(tree, "a.bin")
    tiff.header(tree, "a.bin")
    tiff.nodata(tree, "a.bin")
    window.shape(tree, "a.bin")


def read_window(data: bytes) -> None:
    window.read(Memory({"a.bin": data}), "a.bin", 3, 4, 9, 9)


def read_mixed(ending: str, data: bytes) -> None:
    tree = Memory({f"a.bin{ending}": data})
    any_format.header(tree, f"a.bin{ending}")
    stored(any_format.read(data, f"a.bin{ending}").image)


def built_png(parts: Sequence[bytes]) -> bytes:
    head, *rows = parts
    chunks = [(b"IHDR", head), *((b"IDAT", zlib.compress(row)) for row in rows), (b"IEND", b"")]
    return image.PNG + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


PNGS = [
    [struct.pack(">IIBBBBB", 48, 64, 8, 0, 0, 0, 0), b"".join(b"\1" + row.tobytes() for row in PICTURE[0])],
    [struct.pack(">IIBBBBB", 48, 64, 8, 2, 0, 0, 0), bytes(64 * 145)],
    [struct.pack(">IIBBBBB", 48, 64, 8, 0, 0, 0, 1), bytes(3192)],
]


def npy_bytes(array: Any) -> bytes:
    raw = io.BytesIO()
    np.save(raw, array)
    return raw.getvalue()


FACTS = {"NumberOfRows": "8", "NumberOfColumns": "9", "TargetType": "t72", "SensorCalibrationFactor": "100.0"}
PHOENIX = [
    [written_phoenix(np.abs(NOISE.normal(9, 2, (2, 8, 9))), FACTS, dtype=kind, odd_line=odd)]
    for kind, odd in ((">f4", True), (">f4", False), (">u2", False))
]


def read_stack(data: bytes) -> None:
    stack.stack([("first.tif", small(FLOATS)), ("a.bin", data)], shape=(20, 30), dtype="float32")


def zarray(values: Any, codec: Any, chunks: tuple[int, ...]) -> bytes:
    facts = {"zarr_format": 2, "shape": values.shape, "chunks": chunks, "dtype": values.dtype.str, "order": "C"}
    filters = [{"id": "vlen-utf8"}] if values.dtype == object else None
    compressor = codec.get_config() if codec else None
    return json.dumps({**facts, "compressor": compressor, "filters": filters, "fill_value": None}).encode()


def zarr_parts(codec: Any, values: Any) -> list[bytes]:
    raw = numcodecs.VLenUTF8().encode(values) if values.dtype == object else values.tobytes()
    return [zarray(values, codec, values.shape), bytes(codec.encode(raw)) if codec else bytes(raw)]


def built_zarr(parts: Sequence[bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        for name, part in zip(("band/.zarray", "band/0"), parts, strict=True):
            file.writestr(zipfile.ZipInfo(name), part)
    return raw.getvalue()


def read_zarr(data: bytes) -> None:
    shard = ZarrZip(Memory({"a.bin": data}), "a.bin")
    shard.shape("band")
    shard.read("band", 0)
    shard.texts("band")


NAMES = np.array(["0000001", "0000002"])
ZARRS = [
    zarr_parts(codec, values)
    for codec in (None, numcodecs.Zlib(1), numcodecs.Blosc("lz4"))
    for values in (NAMES, NAMES.astype(object), np.arange(3))
]

# Labels.
VOC = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotation><filename>1.jpg</filename><size><width>48</width>'
    "<height>64</height><depth>3</depth></size>\n<object><name>ship</name><truncated>0</truncated>"
    "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>13</xmax><ymax>24</ymax></bndbox>"
    "<rotated_bndbox><rotated_bbox_cx>8</rotated_bbox_cx><rotated_bbox_cy>14</rotated_bbox_cy>"
    "<rotated_bbox_w>10</rotated_bbox_w><rotated_bbox_h>20</rotated_bbox_h><rotated_bbox_theta>3</rotated_bbox_theta>"
    "</rotated_bndbox><segm><point>3,4</point><point>13,4</point><point>13,24</point></segm></object></annotation>"
)
SHIPS = (
    "<ShipList><ship><Time_UTC>2015/8/23.22:12:45</Time_UTC><UpperLeft_x>5</UpperLeft_x><UpperLeft_y>6</UpperLeft_y>"
    "<LowerRight_x>25</LowerRight_x><LowerRight_y>1</LowerRight_y><Center_x>15</Center_x><Center_y>3</Center_y>"
    "<Sog>123</Sog><Cog>20.5</Cog><True_Head>511</True_Head><Ship_Type>70</Ship_Type><MMSI>413338000</MMSI>"
    "<Center_longitude>114.2</Center_longitude></ship></ShipList>"
)
COCO = {
    "images": [
        {"id": 1, "file_name": "a/1.jpg", "height": 64, "width": 48},
        {"id": "2", "file_name": "2.jpg", "height": 9, "width": 9},
    ],
    "categories": [{"id": 0, "name": "ship"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 2, 3.5, 4], "segmentation": [[1, 2, 4, 2, 4, 6]]},
        {"id": 2, "image_id": "2", "category_id": "0", "bbox": [1, 2, 3, 4], "iscrowd": 1, "segmentation": {}},
    ],
}
SHAPE = {"type": "Polygon", "coordinates": [[[500.0, 900.0], [520, 900], [520, 880.5, 3.0], [500, 900]]]}
SHAPES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "geometry": SHAPE, "properties": {"name": "a"}},
        {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [SHAPE["coordinates"]]}},
        {"type": "Feature", "geometry": None},
    ],
}
TEXT = {"labels": ["Pastures"], "projection": "PROJCS", "ulx": 4.5, "corners": {"lrx": 3}}


def read_voc(data: bytes) -> None:
    found = voc.parse(data, "a.bin", ("ship",))
    voc.join_annotations({"a.bin": found, "second a.bin": found}, found.shape or (9, 9))


def read_ships(data: bytes) -> None:
    ais.is_repaired(data[-64:])
    for ship in ais.read_ships(data, "a.bin").values():
        ais.shape(ship, "a.bin")
        ais.time(ship, "a.bin")
        ais.attributes(ship, "a.bin")
        ais.agree_class("Cargo", ship.get("Ship_Type"), "a.bin")


def read_coco(data: bytes) -> None:
    found = coco.load(Memory({"a.bin": data}), "a.bin")
    for name in found.images:
        found.objects(name, ("ship",))
        found.shape(name)


def read_annotated(data: bytes) -> None:
    tree = Memory({"a.json": data, "images/a.png": png(bytes(64 * 49))})
    found = discovery.discover(tree)
    if found is not None and found.form:
        for unit in found.pictures:
            found.read_objects(unit, (64, 48), ("ship",))


def npz_bytes(save: Any) -> bytes:
    sink = io.BytesIO()
    save(sink, image=FLOATS)
    return sink.getvalue()


def image_rows_bytes() -> bytes:
    rows = [{"image": {"bytes": b"II*", "path": f"{i}.tif"}, "label": i} for i in range(3)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def read_image_rows(data: bytes) -> None:
    tree = Memory({"a.bin": data})
    for number, _ in enumerate(image_rows.read_rows(tree, "a.bin")):
        image_rows.image_bytes(tree, "a.bin", number)


def read_geojson(data: bytes) -> None:
    for shape in geojson.shapes(data, "a.bin", (0.5, 0.0, 490.0, 0.0, -0.5, 910.0)):
        if shape.seen(64, 48, 0):
            gdal.rasterize([(shape.polygons, 1)], (64, 48))


def read_list(data: bytes) -> None:
    told = rows.read_rows(Memory({"a.csv": data}), "a.csv", rows.Columns(), lambda name: name.endswith(".tif"))
    for row in told.rows:
        lists.locate(row.image, (".tif",), lambda path: False)


def read_rows_of_parquet(data: bytes) -> None:
    rows.read_rows(Memory({"a.parquet": data}), "a.parquet", rows.Columns(), lambda name: True)


def read_declaration(data: bytes) -> None:
    declaration.read_declaration(Memory({"dataset.toml": data}))


def parquet_bytes() -> bytes:
    raw = io.BytesIO()
    pq.write_table(pa.table({"name": ["a", "b"], "labels": [["x"], []], "split": ["train", None]}), raw)
    return raw.getvalue()


def read_parquet(data: bytes) -> None:
    found = parquet.table(Memory({"a.bin": data}), "a.bin", "name", ("labels", "split"))
    for name in ("a", "b", "c"):
        found.get(name)


# Lists of splits.
RECORDS = [Record(key=f"S1A_{i}", files=(SourceFile(f"{i}.tif", 1),), attrs={"s2_name": f"S2_{i}"}) for i in range(4)]


@dataclass(frozen=True)
class Shelf:
    """Lists of which one is the mutant."""

    data: bytes

    def find(self, name: str) -> bytes | None:
        return {"a.bin": self.data, "val.csv": b"S2_1\n", "test.csv": b"S2_3\n"}.get(name)

    def where(self) -> str:
        return "memory"


def read_official(data: bytes) -> None:
    policy = Official(train="a.bin", val=None, test="val.csv", id_pattern=r"S[12]A?_\d+", mapping=None)
    policy.assign(RECORDS, seed=0, lists=Shelf(data))


def read_mapping(data: bytes) -> None:
    nameless = [Record(key=record.key, files=record.files) for record in RECORDS]
    policy = Official(train="val.csv", val=None, test="test.csv", mapping="a.bin")
    policy.assign(nameless, seed=0, lists=Shelf(data))


def read_paths(data: bytes) -> None:
    policy = PathLists(train="a.bin", val=None, test="val.csv", pattern=r"(S2)(A)?_\d+", alias_attr="none")
    named = [Record(key=key, files=RECORDS[0].files) for key in ("S2", "S2/A")]
    policy.assign(named, seed=0, lists=Shelf(data))


def read_packed(data: bytes) -> None:
    ListFinder(((Memory({"a.bin.bz2": data}), "", "memory"),)).find("a.bin")


# Archives.
FILES = {"a/b.txt": b"b" * 700, "a/c.json": b"{}", "d" * 120 + "/e.tif": bytes(1200)}


def tar_parts(format: int) -> list[bytes]:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=format, pax_headers={}) as file:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    data = raw.getvalue()[:8192]
    return [data[i : i + 512] for i in range(0, len(data), 512)]


def built_tar(parts: Sequence[bytes]) -> bytes:
    """Return a tar with right checksums in whatever still looks like a header."""
    blocks = [bytearray(part[:512].ljust(512, b"\0")) for part in parts]
    for block in blocks:
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(map(bytes, blocks))


def in_memory(walk: Callable[[str, int, int], Any], data: bytes) -> None:
    descriptor = os.memfd_create("a.bin")
    try:
        os.write(descriptor, data)
        for _ in walk("a.bin", descriptor, len(data)):
            pass
    finally:
        os.close(descriptor)


def walk_zip(archive: str, file: int, size: int) -> Any:
    return zips.walk(archive, file, 0, size)


def zipped(method: int) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as file:
        for name, data in FILES.items():
            file.writestr(zipfile.ZipInfo(name), data, method)
    return raw.getvalue()


def read_archive(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        walked(open_tree(path))


TAR = b"".join(tar_parts(tarfile.GNU_FORMAT))

# Downloads and scenes.
SUM = "sha256:" + "0" * 64
ENTRY = {
    "url": "https://example.org/a",
    "bytes": 12,
    "checksum": SUM,
    "kind": "observed",
    "time": "2026-11-30T00:00:00",
}
SCENE = "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC"
PRODUCT = {"name": SCENE, "link": "https://example.org/a", "bytes": 3, "checksum": "md5:" + "0" * 32}
MATCH = {"scene": SCENE, "how": "name", "product": {**PRODUCT, "online": True, "archive": True}, "twins": []}
LISTING = {"catalogue": "cdse", "url": "https://example.org", "scenes": [MATCH], "nameless": 0}
ROWS = f"patch,scene file,link\na,{SCENE},https://example.org/a\nb,,\n"


def in_folder(name: str, read: Callable[[Path], object], data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        read(Path(folder))


def read_listing(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows, _, document = data.partition(b"\n\n")
        (Path(folder) / "a.bin.csv").write_bytes(rows)
        (Path(folder) / "a.bin.json").write_bytes(document)
        listing.read(Path(folder) / "a.bin.csv")


def read_labelled(name: str, data: bytes) -> None:
    files = {"train.txt": b"a.npy one\nb.npy two\n", "test.txt": b"c.npy two\n", "classes.txt": b"one\ntwo\n"}
    files |= {
        "a.npy": npy_bytes(FLOATS),
        "b.npy": npy_bytes(FLOATS),
        "c.npy": npy_bytes(FLOATS),
        "dataset.json": b'{"bands": ["VV"], "unit": "dB"}',
    }
    tree = Memory({**files, name: data})
    found, _ = path_label.fit(tree, path_label.PIPELINE)
    for unit in found.units(tree):
        for record in found.scan(tree, unit):
            found.read(tree, record)


def seeds(*values: Any) -> list[list[bytes]]:
    """Return sound files of one part each: bytes, text, or what JSON holds."""
    texts = [value if isinstance(value, bytes | str) else json.dumps(value) for value in values]
    return [[text if isinstance(text, bytes) else text.encode()] for text in texts]


POINTERS = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 58024\n",
    b"/annex/objects/MD5E-s5000--0123456789abcdef.tif\n",
    b"outs:\n- md5: a304afb96060aad90176268345e10355\n  size: 88\n  path: a.tif\n",
    b"<!DOCTYPE html><html>",
)


def read_stand_in(data: bytes) -> None:
    if detect_placeholder(data[:1024], len(data)) is None:
        raise BadRecord("a.bin", "expected what stands in for a file, found a file")


def read_parts(names: tuple[str, ...], data: bytes) -> None:
    """Cut a file into parts and read them as the archive that they are."""
    with tempfile.TemporaryDirectory() as home:
        step = -(-len(data) // len(names))
        for i, name in enumerate(names):
            Path(home, name).write_bytes(data[i * step : (i + 1) * step])
        walked(open_tree(Path(home, names[0])))


# Containers of other programs.
ONE = {"VV": FLOATS[0], "VH": FLOATS[0]}
TUPLE = (np.stack([FLOATS[0]] * 2, -1).tobytes(), (20, 30, 2), b"\1")


def lmdb_bytes(value: bytes) -> bytes:
    """Return the file of an environment in which some keys have this value."""
    with tempfile.TemporaryDirectory() as home:
        with lmdb.open(home, map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
            for number in range(8):
                transaction.put(str(number).encode(), value)
        return Path(home, "data.mdb").read_bytes()


def rows_bytes(write: Callable[[Any, pa.Table], None]) -> bytes:
    cells = [{"bytes": npy_bytes(FLOATS), "path": f"{i}.npy"} for i in range(3)]
    sink = io.BytesIO()
    write(sink, pa.table({"image": cells, "label": [0, 1, 2], "split": ["train", "val", "test"]}))
    return sink.getvalue()


def write_stream(sink: Any, rows_of_images: pa.Table) -> None:
    with pa.ipc.new_stream(sink, rows_of_images.schema) as stream:
        stream.write_table(rows_of_images, max_chunksize=2)


def read_container(name: str, data: bytes) -> None:
    tree = Memory({name: data})
    if (container := find_container(tree)) is None:
        raise BadRecord(name, "expected a container, found none")
    for entry in container.entries(tree, ()):
        container.head(tree, entry)
        container.read(tree, entry)


def read_member(name: str, data: bytes) -> None:
    """Read the samples of a WebDataset, of which one file is changed."""
    files = {"a.npy": npy_bytes(FLOATS), "b.npy": npy_bytes(FLOATS), "a.cls": b"1", "b.json": b'{"label": 1}'}
    tree = Memory({**files, name: data})
    container = members(tree, named=True)
    for entry in container.entries(tree, ()) if container else ():
        container and container.head(tree, entry)
        container and container.read(tree, entry)


READERS: dict[str, Reader] = {
    "lmdb of pickles": Reader(
        partial(read_container, "train.mdb"),
        [[lmdb_bytes(pickle.dumps(TUPLE, protocol))] for protocol in (3, 4)],
        names=("train.mdb",),
    ),
    "pickle": Reader(
        lambda data: pickled.parse(lambda at, size: data[at : at + size], len(data), "a.bin"),
        [[pickle.dumps(TUPLE, protocol)] for protocol in (3, 4)],
    ),
    "lmdb of safetensors": Reader(
        partial(read_container, "train.mdb"), [[lmdb_bytes(safetensors_bytes(ONE))]], names=("train.mdb",)
    ),
    "arrow": Reader(partial(read_container, "train.arrow"), [[rows_bytes(write_stream)]], names=("train.arrow", "key")),
    "parquet of images": Reader(
        partial(read_container, "train.parquet"),
        [[rows_bytes(lambda sink, rows_of_images: pq.write_table(rows_of_images, sink))]],
        names=("train.parquet", "container"),
    ),
    "npz": Reader(lambda data: npz.read(data, "a.bin"), [[npz_bytes(np.savez)], [npz_bytes(np.savez_compressed)]]),
    "json of a member": Reader(
        partial(read_member, "b.json"),
        seeds({"labels": ["a"], "bands": ["VV"], "split": "train"}),
        names=("b.json", "b.npy"),
    ),
    "tiff": Reader(read_tiff, TIFFS),
    "tiff heads": Reader(read_heads, SINGLE),
    "tiff window": Reader(read_window, SINGLE),
    "tiff stack": Reader(read_stack, TIFFS[:1]),
    "png": Reader(lambda data: image.grey(data, "a.bin"), PNGS, built_png),
    "png whole": Reader(lambda data: image.read(data, "a.bin"), [[png(bytes(64 * 49))], [gdal.encode(PICTURE, "PNG")]]),
    "jpeg": Reader(
        lambda data: image.grey(data, "a.bin"),
        [[gdal.encode(PICTURE, "JPEG")], [gdal.encode(np.repeat(PICTURE, 3, 0), "JPEG")]],
    ),
    "npy": Reader(lambda data: npy.read(data, "a.bin"), [[npy_bytes(FLOATS)], [npy_bytes(PICTURE[0].astype(">i2").T)]]),
    "npy by ending": Reader(
        partial(read_mixed, ".npy"),
        [[npy_bytes(FLOATS.astype(kind))] for kind in ("float32", "float64", "int64", "complex128", "bool")],
    ),
    "png of 16 bits": Reader(
        partial(read_mixed, ".png"), [[struct.pack(">IIBBBBB", 48, 64, 16, 0, 0, 0, 0), bytes(64 * 97)]], built_png
    ),
    "stand-in": Reader(read_stand_in, [[pointer] for pointer in POINTERS]),
    "zip in parts": Reader(partial(read_parts, ("a.bin.zip.001", "a.bin.zip.002")), [[zipped(zipfile.ZIP_STORED)]]),
    "spanned zip": Reader(
        partial(read_parts, ("a.bin.z01", "a.bin.zip")), [[spanned_bytes({"a": bytes(700), "b": b"x" * 900}, 2)]]
    ),
    "jpeg by ending": Reader(partial(read_mixed, ".jpg"), [[gdal.encode(PICTURE, "JPEG")]]),
    "tiff by ending": Reader(partial(read_mixed, ".tif"), TIFFS),
    "picture": Reader(lambda data: picture.single_kind(Memory({"a.bin.tif": data}), ["a.bin.tif"]), SINGLE[:-3]),
    "phoenix": Reader(lambda data: phoenix.read(data, "a.bin"), PHOENIX),
    "zarr in zip": Reader(read_zarr, ZARRS, built_zarr),
    "voc": Reader(read_voc, [[VOC.encode()], [VOC.replace("utf-8", "GBK").encode("gbk")], [VOC.encode("utf-16")]]),
    "ship list": Reader(read_ships, seeds(SHIPS, SHIPS.replace("</ShipList", "<\\ShipList"))),
    "coco": Reader(read_coco, seeds(COCO)),
    "geojson": Reader(read_geojson, seeds(SHAPES)),
    "fields": Reader(lambda data: fields.read_fields("a.bin", data, {"labels": list, "ulx": float}), seeds(TEXT)),
    "yolo": Reader(
        lambda data: yolo.parse(data, "a.bin", (64, 48), 2), seeds("0 0.5 0.5 0.1 0.2\n1 0.1 0.2 0.3 0.4\n")
    ),
    "yolo outlines": Reader(
        lambda data: yolo.outlines(data, "a.bin", (64, 48), (0, 1)),
        seeds("0 0.5 0.5 0.1 0.2\n1 0.1 0.2 0.3 0.4 0.5 0.6 0.1 0.9\n", "0 0.1 0.2 0.3 0.4 0.5 0.6\n"),
    ),
    "dota": Reader(
        lambda data: dota.parse(data, "a.bin", ("ship",)),
        seeds("imagesource:S\ngsd:0.5\n1 2 3 4 5 6 7 8 ship 0\n", "1.5 2 3 4 5 6 7 8 ship\n"),
    ),
    "annotated tree": Reader(read_annotated, [[json.dumps(COCO).encode()]], names=("",)),
    "rows of images": Reader(read_image_rows, [[image_rows_bytes()]]),
    "table": Reader(
        lambda data: table.read_table("a.bin", data, ("name", "b")),
        seeds(
            *("name,a,b\n1,2,3\n'x y',\"2,2\",3\n", "name;b\n1;2\n"),
            *("name,b\n船,2\n".encode(encoding) for encoding in ("gbk", "utf-16", "utf-8-sig")),
        ),
    ),
    "list of labels": Reader(
        read_list, seeds("a/b.tif 0\nc d.tif,1\n", "image,label,split\na.tif,x|y,train\n"), names=("a.csv",)
    ),
    "table of labels": Reader(read_rows_of_parquet, [[parquet_bytes()]], names=("a.parquet",)),
    "declaration": Reader(read_declaration, seeds(custom.DECLARATION), names=("dataset.toml",)),
    "pairs": Reader(lambda data: lists.pairs(Memory({"a.bin": data}), "a.bin"), seeds("a 0\nb 1\n")),
    "parquet": Reader(read_parquet, [[parquet_bytes()]]),
    "official list": Reader(read_official, seeds("S1A_0\nS2_2\n", "name\nS1A_0,S1A_3\n")),
    "mapping": Reader(read_mapping, seeds("S2_1,S1A_1\nS2_3,S1A_3\n"), names=("a.bin", "val.csv")),
    "list of paths": Reader(read_paths, seeds("/data/S2A_2 4\n/data/S2A_3 5\n"), names=("a.bin", "val.csv")),
    "packed list": Reader(read_packed, [[bz2.compress(b"S1A_0\n" * 300)]]),
    "tar": Reader(
        partial(in_memory, tar.walk),
        [tar_parts(format) for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)],
        built_tar,
    ),
    "zip": Reader(partial(in_memory, walk_zip), [[zipped(zipfile.ZIP_STORED)], [zipped(zipfile.ZIP_DEFLATED)]]),
    "tar as a tree": Reader(partial(read_archive, "a.bin.tar"), [tar_parts(tarfile.GNU_FORMAT)], built_tar),
    "zip as a tree": Reader(partial(read_archive, "a.bin.zip"), [[zipped(zipfile.ZIP_DEFLATED)]]),
    "tar.gz": Reader(partial(read_archive, "a.bin.tar.gz"), [[gzip.compress(TAR, mtime=0)]]),
    "tar.bz2": Reader(partial(read_archive, "a.bin.tar.bz2"), [[bz2.compress(TAR)]]),
    "tar.zst": Reader(partial(read_archive, "a.bin.tar.zst"), [[zstandard.compress(TAR)]]),
    "sources.json": Reader(
        partial(in_folder, ledger.NAME, ledger.read),
        seeds({"version": 1, "files": {"a.zip": ENTRY}}),
        names=("sources.json",),
    ),
    "part.json": Reader(
        partial(in_folder, "n", lambda folder: transfers.read_note(folder / "n")),
        seeds({"url": "https://a", "validator": '"1"', "total": 3, "boot": "b", "pid": 1, "host": "h"}),
    ),
    "netrc": Reader(
        partial(in_folder, ".netrc", lambda folder: Credentials({}, folder / ".netrc")("example.org", False)),
        seeds("machine example.org login me password secret\nmacdef init\ncd /\n\n"),
        names=(".netrc",),
    ),
    "scene list": Reader(read_listing, [[ROWS.encode(), b"\n", json.dumps(LISTING).encode()]]),
    **{
        f"path-label {name}": Reader(partial(read_labelled, name), seeds(text), names=(name.partition(".")[0],))
        for name, text in (
            ("dataset.json", {"title": "T", "bands": ["VV"], "unit": "dB", "licence": "MIT", "citation": "none"}),
            ("classes.txt", "one\ntwo\n"),
            ("train.txt", "a.npy one\nb.npy two\n"),
        )
    },
}

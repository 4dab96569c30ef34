"""Write the samples of a sealed build as other programs write them, so that an import can be compared with it."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from sar_data.containers.layouts import CONFIGILM_SPLITS, LIST_FILE, SHARD, PickleLayout
from sar_data.record import Image
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.places import places
from sar_data.synth import geotiff

BANDS = ("VV", "VH")


class Written(NamedTuple):
    """A sample of a build: its key, its split, the numbers of its classes, and its image [band, y, x] in dB."""

    key: str
    split: str
    labels: list[int]
    image: Image


def samples(build: Build) -> list[Written]:
    """Return the packed samples of a build, sorted by key."""
    labels = dict(zip(*(build.index()[name].to_pylist() for name in ("key", "label_indices")), strict=True))
    with build.reader() as reader:
        found = [(place, reader.read(place).copy()) for place in places(build.index())]
    return sorted(Written(place.key, place.split, labels[place.key], image) for place, image in found)


def classes(build: Build) -> tuple[str, ...]:
    """Return the classes of a build's first task."""
    return next(iter(layout_of(build.manifest).classes.values()))


def environment(path: Path, values: Iterable[tuple[bytes, bytes]]) -> None:
    """Write an LMDB environment as its library does."""
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=1 << 28) as env, env.begin(write=True) as transaction:
        for key, value in values:
            transaction.put(key, value)


def bits(labels: list[int], count: int, dtype: str = "<f4") -> bytes:
    """Return the bytes of 1 for each class of a sample, and 0 for the others."""
    target = np.zeros(count, dtype)
    target[labels] = 1
    return target.tobytes()


def pickled(one: Written, layout: PickleLayout, target: bytes) -> bytes:
    """Return a value of a layout, its image along the layout's axes with the bands in the order of its own writer."""
    planes = one.image[[BANDS.index(band) for band in layout.bands]]
    image = planes[None] if layout.axes == "fbyx" else np.ascontiguousarray(planes.transpose(1, 2, 0))
    optical = np.zeros((4, 4, 12), "<f4")
    parts = {
        "image": image.tobytes(),
        "shape": image.shape,
        "optical": optical.tobytes(),
        "optical_shape": optical.shape,
        "target": target,
    }
    return pickle.dumps(tuple(parts[name] for name in layout.parts))


def pickles(out: Path, build: Build, layout: PickleLayout) -> dict[str, str]:
    """Write an environment a split, as FG-MAE's writers do; return the key of each sample in an import."""
    count, keys = len(classes(build)), {}
    multilabel = build.manifest.tasks[0].kind == "multilabel"
    for split, part in by_split(samples(build)).items():
        targets = [bits(one.labels, count) if multilabel else np.int64(one.labels[0]).tobytes() for one in part]
        values = (pickled(one, layout, target) for one, target in zip(part, targets, strict=True))
        environment(out / layout.file.format(split=split), zip(numbers(part), values, strict=True))
        keys |= {one.key: f"{split}_{i}" for i, one in enumerate(part)}
    return keys


def by_split(written: list[Written]) -> dict[str, list[Written]]:
    """Return the samples of each split."""
    return {split: [one for one in written if one.split == split] for split in {one.split: None for one in written}}


def numbers(part: list[Written]) -> Iterator[bytes]:
    """Yield decimal keys from 0 on."""
    yield from (str(i).encode() for i in range(len(part)))


def safetensors(out: Path, build: Build) -> None:
    """Write one environment and a table, as rico-hdl does and ConfigILM reads; the partner's patches lie among them."""
    written, names = samples(build), classes(build)
    partners = [(f"S2_{one.key}".encode(), save({"B02": np.zeros((4, 4), "<u2")})) for one in written]
    environment(
        out / "lmdb",
        sorted([*((one.key.encode(), save(dict(zip(BANDS, one.image, strict=True)))) for one in written), *partners]),
    )
    table: Mapping[str, Any] = {
        "patch_id": [f"S2_{one.key}" for one in written],
        "labels": [sorted(names[i] for i in one.labels) for one in written],
        "split": [CONFIGILM_SPLITS[one.split] for one in written],
        "s1_name": [one.key for one in written],
    }
    pq.write_table(pa.table(table), out / "metadata.parquet")


def tars(out: Path, build: Build, image: str = "npy", packed: str = "") -> None:
    """Write two shards a split with the members KEY.npy (or .tif) and KEY.cls, or KEY.json of several labels.

    `packed` is .gz for compressed ones.
    """
    names = classes(build)
    for split, part in by_split(samples(build)).items():
        for number in range(2):
            with tarfile.open(out / f"{SHARD.format(split=split, number=number)}{packed}", f"w:{packed[1:]}") as tar:
                for one in part[number::2]:
                    member(tar, f"{one.key}.{image}", encoded(one.image, image))
                    if len(one.labels) == 1:
                        member(tar, f"{one.key}.cls", str(one.labels[0]).encode())
                    else:
                        member(tar, f"{one.key}.json", json.dumps({"labels": [names[i] for i in one.labels]}).encode())


def member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Append a file to a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def encoded(image: Image, kind: str) -> bytes:
    """Return an image [band, y, x] as a file."""
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, image)
    elif kind == "npz":
        np.savez_compressed(buffer, image=image)
    else:
        buffer.write(geotiff(image, epsg=32633, transform=(10.0, 0.0, 5e5, 0.0, -10.0, 6e6), rows_per_strip=17))
    return buffer.getvalue()


def lists(out: Path, build: Build, kind: str = "npy") -> None:
    """Write arrays and lists with a line `path label,label`, as SAR-HUB has them."""
    (out / "images").mkdir()
    for split, part in by_split(samples(build)).items():
        lines = []
        for one in part:
            (out / "images" / f"{one.key}.{kind}").write_bytes(encoded(one.image, kind))
            lines.append(f"images/{one.key}.{kind} {','.join(map(str, one.labels))}\n")
        (out / LIST_FILE.format(split=split)).write_text("".join(lines))


def rows(out: Path, build: Build, form: str, cell: str) -> None:
    """Write a file a split of rows with key, image and label; the image as lists of numbers, or as bytes and path.

    An Arrow stream in a folder of its split is what save_to_disk of `datasets` leaves, with its metadata.
    """
    names = classes(build)
    feature = {"names": list(names), "_type": "ClassLabel"}
    for split, part in by_split(samples(build)).items():
        images: Any = [one.image.tolist() for one in part]
        if cell == "file":
            images = [{"bytes": encoded(one.image, "npy"), "path": f"{one.key}.npy"} for one in part]
        kind = None if cell == "file" else pa.list_(pa.list_(pa.list_(pa.float32())))
        several = any(len(one.labels) != 1 for one in part)
        labels = [one.labels if several else one.labels[0] for one in part]
        facts = {"label": {"feature": feature, "_type": "Sequence"} if several else feature}
        table = pa.table({"image": pa.array(images, kind), "label": labels})
        if cell != "file":
            table = table.append_column("key", pa.array([one.key for one in part]))
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": facts}})})
        if form == "parquet":
            pq.write_table(table, out / f"{split}-00000-of-00001.parquet", row_group_size=7)
        else:
            (out / split).mkdir()
            path = str(out / split / "data-00000-of-00001.arrow")
            with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table, max_chunksize=7)

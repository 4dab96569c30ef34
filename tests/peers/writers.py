"""The containers of other programs, each written by the library it is of; nothing here is ours.

webdataset's ShardWriter writes several tars and several tar.gz, `datasets` a folder by save_to_disk and Parquet as for
a hub, safetensors' own `save` the values of an LMDB; lmdb, pickle and numpy alone the tuples that FG-MAE and SeCo read.
"""

import json
import pickle
import sys
from pathlib import Path

import lmdb
import numpy as np
import pyarrow
import pyarrow.parquet
import webdataset
from datasets import Array3D, ClassLabel, Dataset, DatasetDict, Features, List, Value
from safetensors.numpy import save

folder, out = Path(sys.argv[1]), Path(sys.argv[3])
facts = {fact["key"]: fact for fact in json.loads(Path(sys.argv[2]).read_text())}
classes = json.loads((folder / "sar-data.json").read_text())["tasks"][0]["classes"]
images = {key: np.load(folder / "images" / f"{key}.npy") for key in facts}
numbers = {key: [classes.index(name) for name in fact["labels"]] for key, fact in facts.items()}
splits = {split: [key for key in facts if facts[key]["split"] == split] for split in ("train", "val", "test")}
bands = next(iter(facts.values()))["bands"]


def tars(suffix: str) -> None:
    (place := out / f"webdataset of {suffix}").mkdir(parents=True)
    for split, keys in splits.items():
        with webdataset.ShardWriter(f"{place}/{split}-%06d.{suffix}", maxcount=16, verbose=0) as sink:
            for key in keys:
                sink.write({"__key__": key, "npy": images[key], "json": {"labels": facts[key]["labels"]}})


def hugging_face() -> None:
    shape = next(iter(images.values())).shape
    features = Features(
        {"key": Value("string"), "image": Array3D(shape, "float32"), "labels": List(ClassLabel(names=classes))}
    )
    tables = DatasetDict(
        {
            {"val": "validation"}.get(split, split): Dataset.from_list(
                [{"key": key, "image": images[key], "labels": numbers[key]} for key in keys], features
            )
            for split, keys in splits.items()
        }
    )
    tables.save_to_disk(out / "datasets on disk")
    for split, table in tables.items():
        (path := out / f"datasets on a hub/data/{split}-00000-of-00001.parquet").parent.mkdir(
            parents=True, exist_ok=True
        )
        table.to_parquet(path)


def environment(path: Path, values: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(path), map_size=1 << 30) as env, env.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)


def safetensors() -> None:
    values = {key: save(dict(zip(bands, image, strict=True))) for key, image in images.items()}
    environment(out / "safetensors/patches.lmdb", values)
    names = {"train": "train", "val": "validation", "test": "test"}
    rows = [
        {"s1_name": key, "labels": sorted(fact["labels"]), "split": names[fact["split"]]} for key, fact in facts.items()
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out / "safetensors/metadata.parquet")


def pickles(name: str, order: tuple[str, ...], optical: bool, file: str) -> None:
    for split, keys in splits.items():
        values = {}
        for number, key in enumerate(keys):
            image = np.stack([images[key][bands.index(band)] for band in order], -1)
            target = np.zeros(len(classes), np.float32)
            target[numbers[key]] = 1
            partner = np.zeros((120, 120, 12), np.int16)
            parts = (image.tobytes(), image.shape, target.tobytes())
            values[str(number)] = pickle.dumps((partner.tobytes(), partner.shape, *parts) if optical else parts)
        environment(out / name / file.format(split=split), values)


tars("tar")
tars("tar.gz")
hugging_face()
safetensors()
pickles("pickles of five", ("VV", "VH"), True, "{split}_B12_B2.lmdb")
pickles("pickles of three", ("VH", "VV"), False, "{split}_B12.lmdb")

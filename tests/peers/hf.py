"""The Hugging Face export in `datasets`, whole and streamed, and its files in pandas, polars and duckdb."""

import hashlib
import json
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
from datasets import Array3D, Image, load_dataset

folder, facts = Path(sys.argv[1]), {fact["key"]: fact for fact in json.loads(Path(sys.argv[2]).read_text())}
splits = load_dataset(str(folder))
assert splits.keys() == {"train", "validation", "test"}
seen = set()
for split, samples in splits.items():
    assert isinstance(samples.features["image"], Array3D)
    assert isinstance(samples.features["preview"], Image)
    names = samples.features["labels"].feature
    for sample in samples.with_format("numpy"):
        fact = facts[str(sample["key"])]
        assert hashlib.sha256(sample["image"].tobytes()).hexdigest() == fact["sha256"]
        assert ({"val": "validation"}.get(fact["split"], fact["split"])) == split
        assert [names.int2str(int(label)) for label in sample["labels"]] == fact["labels"]
        assert sample["preview"].shape == (*fact["shape"][1:], 3)
        seen.add(fact["key"])
assert seen == facts.keys()
streamed = load_dataset(str(folder), split="train", streaming=True)
first = next(iter(streamed))
assert hashlib.sha256(np.array(first["image"], np.float32).tobytes()).hexdigest() == facts[first["key"]]["sha256"]
for path in (folder / "data").iterdir():
    table = pandas.read_parquet(path)
    image = np.array([[row.tolist() for row in band] for band in table["image"][0]], np.float32)
    assert hashlib.sha256(image.tobytes()).hexdigest() == facts[table["key"][0]]["sha256"]
    assert polars.read_parquet(path)["key"].to_list() == table["key"].to_list()
    assert duckdb.sql(f"select image[1][1][1] from '{path}'").fetchall()[0][0] == image[0, 0, 0]

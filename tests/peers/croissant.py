"""The cards of a build in mlcroissant: no error, no warning, and a record for each row of the index."""

import json
import sys
from pathlib import Path

import mlcroissant

folder, facts = Path(sys.argv[1]), {fact["key"]: fact for fact in json.loads(Path(sys.argv[2]).read_text())}
dataset = mlcroissant.Dataset(str(folder / "croissant.json"))
assert not dataset.metadata.issues.errors, dataset.metadata.issues.errors
assert not dataset.metadata.issues.warnings, dataset.metadata.issues.warnings
seen = set()
for record in dataset.records("samples"):
    key = record["samples/key"].decode()
    if record["samples/split"] == b"unused":
        continue
    assert record["samples/split"].decode() == facts[key]["split"]
    assert [label.decode() for label in record["samples/labels"]] == facts[key]["labels"]
    seen.add(key)
assert seen == facts.keys()

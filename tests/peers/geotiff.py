"""The GeoTIFF export in a rasterio of its own, without anything of ours."""

import csv
import hashlib
import json
import sys
from pathlib import Path

import rasterio

folder, facts = Path(sys.argv[1]), {fact["key"]: fact for fact in json.loads(Path(sys.argv[2]).read_text())}
with open(folder / "samples.csv", newline="") as file:
    rows = {row["key"]: row for row in csv.DictReader(file)}
assert rows.keys() == facts.keys()
for key, row in rows.items():
    with rasterio.open(folder / row["image"]) as image:
        assert hashlib.sha256(image.read().tobytes()).hexdigest() == facts[key]["sha256"]
        assert image.crs.to_string() == facts[key]["crs"]

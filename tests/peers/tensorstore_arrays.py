"""The arrays of a Zarr build in tensorstore, by the facts of the samples."""

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

import tensorstore

build, facts = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
for split in {fact["split"] for fact in facts}:

    def opened(name: str, split: str = split) -> tensorstore.TensorStore:
        store = {"driver": "file", "path": f"{build / split / name}/"}
        return tensorstore.open({"driver": "zarr3", "kvstore": store}).result()

    images, valid = opened("image").read().result(), opened("valid").read().result()
    digests = Counter(hashlib.sha256(image.tobytes()).hexdigest() for image in images[valid])
    assert digests == Counter(fact["sha256"] for fact in facts if fact["split"] == split)

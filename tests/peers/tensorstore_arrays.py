"""Images and keys of a Zarr build in tensorstore, sample by sample."""

import hashlib
import json
import sys
from pathlib import Path

import tensorstore

build, facts = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
for split in {fact["split"] for fact in facts}:

    def opened(name: str, split: str = split) -> tensorstore.TensorStore:
        store = {"driver": "file", "path": f"{build / split / name}/"}
        return tensorstore.open({"driver": "zarr3", "kvstore": store}).result()

    images, keys, valid = (opened(name).read().result() for name in ("image", "key_utf8", "valid"))
    digests = {
        bytes(key).rstrip(b"\0").decode(): hashlib.sha256(image.tobytes()).hexdigest()
        for image, key in zip(images[valid], keys[valid], strict=True)
    }
    assert digests == {fact["key"]: fact["sha256"] for fact in facts if fact["split"] == split}
    assert not keys[~valid].any()

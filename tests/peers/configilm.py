"""The ConfigILM export in ConfigILM's own dataset of BigEarthNet v2."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

sys.path.pop(0)  # this folder, in which a module has the package's name
from configilm.extra.BENv2_utils import NEW_LABELS
from configilm.extra.DataSets.BENv2_DataSet import BENv2DataSet

folder, facts = Path(sys.argv[1]), {fact["key"]: fact for fact in json.loads(Path(sys.argv[2]).read_text())}
places = {
    "images_lmdb": folder / "images.lmdb",
    "metadata_parquet": folder / "metadata.parquet",
    "metadata_snow_cloud_parquet": folder / "metadata_for_patches_with_snow_cloud_or_shadow.parquet",
}
seen = set()
for split, ours in (("train", "train"), ("validation", "val"), ("test", "test")):
    samples = BENv2DataSet(places, split=split, img_size=(2, 120, 120), return_extras=True)
    assert len(samples) == sum(fact["split"] == ours for fact in facts.values()) > 0
    for image, target, patch in samples:
        fact = facts[samples.BENv2Loader.mapping[patch]]
        order = [samples.channel_order.index(band) for band in fact["bands"]]
        assert hashlib.sha256(np.ascontiguousarray(image.numpy()[order]).tobytes()).hexdigest() == fact["sha256"]
        assert [NEW_LABELS[i] for i in np.flatnonzero(target.numpy())] == sorted(fact["labels"])
        seen.add(fact["key"])
assert seen == facts.keys()

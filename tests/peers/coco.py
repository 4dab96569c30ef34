"""The COCO export in pycocotools, and its images in Pillow."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

folder, facts = Path(sys.argv[1]), {fact["key"]: fact for fact in json.loads(Path(sys.argv[2]).read_text())}
seen = set()
for split in {fact["split"] for fact in facts.values()}:
    document = COCO(str(folder / f"{split}.json"))
    for image in document.loadImgs(document.getImgIds()):
        fact = facts[image["key"]]
        pixels = np.asarray(Image.open(folder / image["file_name"]))
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == fact["sha256"]
        drawn = document.loadAnns(document.getAnnIds(image["id"]))
        boxes = [[x, y, x + width, y + height] for x, y, width, height in (item["bbox"] for item in drawn)]
        assert boxes == fact["boxes"]
        seen.add(fact["key"])
assert seen == facts.keys()

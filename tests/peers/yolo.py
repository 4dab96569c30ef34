"""The YOLO export in Ultralytics' own dataset."""

import json
import sys
from pathlib import Path

import numpy as np
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils import YAML

folder, facts = Path(sys.argv[1]), {fact["key"]: fact for fact in json.loads(Path(sys.argv[2]).read_text())}
data = {"channels": 3, **YAML.load(folder / "data.yaml")}
seen = set()
for split in {fact["split"] for fact in facts.values()}:
    samples = YOLODataset(img_path=str(folder / data[split]), data=data, augment=False, task="detect")
    for label in samples.labels:
        fact = facts[Path(label["im_file"]).stem]
        height, width = label["shape"]
        assert [height, width] == fact["shape"][1:]
        x, y, w, h = (label["bboxes"] * [width, height, width, height]).T
        assert np.allclose(np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1), fact["boxes"], atol=1e-3)
        seen.add(fact["key"])
assert seen == facts.keys()

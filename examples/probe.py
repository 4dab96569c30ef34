"""A linear probe of an encoder: what a published model's features say of the classes, in one pass over the images.

`python examples/probe.py RAW BUILDS RUN`. Without `weights` in the settings the encoder is a random one, which is the
baseline of every probe; docs/training.md says which weights there are.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sar_data
import sar_data.train

SETTINGS = {"model": "resnet18", "epochs": 20, "seed": 0}


def main(source: Path, out: Path, run: Path, settings: Mapping[str, Any] = SETTINGS) -> None:
    """Build, encode each image once, train many heads on the features, and test the one that val chose."""
    build = sar_data.build("eurosat-sar", source=source, out=out, split="stratified", workers=1)
    # An unfinished run goes on, a finished one is left as it is.
    metrics = sar_data.train.train("probe", build.path, out=run, settings=settings, say=print)
    print(f"overall accuracy on test: {metrics['test']['oa']:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))

"""From raw files to a sealed build, what it says of itself, and another one of it in LMDB.

`python examples/build_from_python.py RAW BUILDS`
"""

from __future__ import annotations

import sys
from pathlib import Path

import sar_data


def main(source: Path, out: Path) -> None:
    """Build, verify, look at the index, bake the normalization."""
    build = sar_data.build("eurosat-sar", source=source, out=out, split="stratified", workers=1)
    counts = {name: split.count for name, split in build.manifest.splits.items()}
    print(f"{build.path.name}: {counts}, {len(sar_data.verify(build.path, full=True))} problems")

    figures = build.manifest.normalization  # of the train split alone
    assert figures is not None
    print("mean in dB:", {band: round(value, 1) for band, value in figures.mean.items()})

    index = build.index().to_pylist()  # a row a record: split, labels, time, footprint, hashes
    print("the first record:", index[0]["key"], index[0]["split"], index[0]["labels"])

    baked = sar_data.convert(build.path, format="lmdb", normalize="zscore", workers=1)
    print("applied:", [step.step for step in baked.manifest.applied], "to", baked.path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""LMDBs of pickled tuples, a split in each, as the loaders of FG-MAE and SeCo read them: images [y, x, band], float32.

Keys are 0, 1, …, in the order of SPLIT.keys.txt, which has the build's own key of each. Nothing is unpickled here; what
is pickled are bytes and tuples of whole numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from pickle import dumps
from typing import Any

import numpy as np

from sar_data.containers.layouts import KEYS_FILE, OFFICIAL, PICKLE_DTYPE, SECO, TARGET_DTYPE, PickleLayout
from sar_data.exporters.lmdb_file import write_environment
from sar_data.exporters.source import Source, labels_of
from sar_data.record import Image
from sar_data.spec import sample_shape

SIDE = 128  # pixels of a side, to which both loaders reshape every band
PROTOCOL = 4  # of pickles, which Python 3.4 and later read
MORE_BYTES = 1 << 10  # of a value: what is around the image


def write(source: Source, folder: Path) -> None:
    """Write the five parts of FG-MAE's official loader; raise UsageError for a build that is not as it expects."""
    _write(source, folder, OFFICIAL)


def write_seco(source: Source, folder: Path) -> None:
    """Write the three parts of FG-MAE's loader for SeCo; raise UsageError for a build that is not as it expects."""
    _write(source, folder, SECO)


def _write(source: Source, folder: Path, layout: PickleLayout) -> None:
    _check(source, layout)
    size = 4 * SIDE * SIDE * len(layout.bands) + MORE_BYTES + 4 * len(source.task("multilabel", "multiclass").classes)
    for split in source.splits:
        keys = source.rows(split)["key"].to_pylist()
        environment = folder / layout.file.format(split=split)
        write_environment(environment, _records(source, split, layout), len(keys), size)
        (folder / KEYS_FILE.format(split=split)).write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")


def _check(source: Source, layout: PickleLayout) -> None:
    """Raise UsageError unless images are as the loader's fixed numbers expect: VV and VH in dB, of SIDE pixels."""
    bands = {band.name: band.unit for band in source.manifest.bands}
    if any(bands.get(name) != "dB" for name in layout.bands):
        names = ", ".join(f"{name} in {unit}" for name, unit in bands.items())
        raise source.refusal(f"expected VV and VH in dB, found {names}: `convert(unit=dB)` where there is power")
    if source.manifest.shape != (SIDE, SIDE):
        shape = source.manifest.shape
        raise source.refusal(
            f"expected 2×{SIDE}×{SIDE} pixels, to which the loader reshapes, found {sample_shape(1, 2, shape)}: "
            f"`convert(resize={SIDE})`"
        )
    source.check_single()


def _records(source: Source, split: str, layout: PickleLayout) -> Iterator[tuple[str, bytes]]:
    """Yield key and value of each sample."""
    task = source.task("multilabel", "multiclass")
    order = [source.layout.bands.index(name) for name in layout.bands]
    for number, (row, image, _) in enumerate(source.samples(split)):
        pixels: Image = np.ascontiguousarray(image[order].transpose(1, 2, 0), PICKLE_DTYPE)
        target = np.zeros(len(task.classes), TARGET_DTYPE)
        target[labels_of(row, task)] = 1
        parts: dict[str, Any] = {
            "optical": b"",
            "optical_shape": (0,),
            "image": pixels.tobytes(),
            "shape": pixels.shape,
            "target": target.tobytes(),
        }
        yield str(number), dumps(tuple(parts[name] for name in layout.parts), PROTOCOL)

"""Copies of miniature archives, and the ways to damage them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from sar_data.labels.corine import CLASSES_43

Array = npt.NDArray[Any]


def copied(source: Path, to: Path) -> Path:
    """Return a copy of an archive that may be changed."""
    return Path(shutil.copytree(source, to))


def patches(source: Path) -> list[Path]:
    """Return the patch folders of a BigEarthNet archive, by name."""
    return sorted(path for path in (source / "BigEarthNet-S1-v1.0").iterdir() if path.is_dir())


def tif(patch: Path, band: str = "VH") -> Path:
    return patch / f"{patch.name}_{band}.tif"


def facts(patch: Path) -> Path:
    return patch / f"{patch.name}_labels_metadata.json"


def labels(patch: Path) -> list[int]:
    """Return a patch's labels among the 43 classes."""
    return [CLASSES_43.index(name) for name in json.loads(facts(patch).read_text())["labels"]]


class rewrite:
    """Read a band with rasterio, and write other pixels over the old ones: all other bytes stay."""

    @staticmethod
    def read(patch: Path, band: str) -> Array:
        with rasterio.open(tif(patch, band)) as source:
            image: Array = source.read(1)
        return image

    @staticmethod
    def write(patch: Path, band: str, image: Array) -> None:
        path = tif(patch, band)
        old = rewrite.read(patch, band).tobytes()
        data = path.read_bytes()
        at = data.index(old)  # strips lie one after the other, uncompressed
        new = np.ascontiguousarray(image, "<f4").tobytes()
        assert len(new) == len(old)
        path.write_bytes(data[:at] + new + data[at + len(old) :])

    @staticmethod
    def facts(patch: Path, **changes: Any) -> None:
        known = json.loads(facts(patch).read_text())
        facts(patch).write_text(json.dumps({**known, **changes}))

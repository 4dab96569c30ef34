"""Metadata of bands in GeoTIFFs, as GDAL writes them: names, scales, offsets. They are applied only on request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

from sar_data.errors import SarDataError
from sar_data.raster import any_format, tiff
from sar_data.spec import Tree

_NOTE = re.compile(r'sample="(\d{1,5})" role="(description|scale|offset)">([^<]{1,40})<')
Scaling = tuple[tuple[float, ...], tuple[float, ...]]
"""Scale and offset per band: a value is the stored number, times scale, plus offset."""


@dataclass(frozen=True, slots=True)
class BandMetadata:
    """The `names` of bands where all files agree, else (), and every `scaling` that occurs.

    A file without metadata has scales of 1 and offsets of 0.
    """

    names: tuple[str, ...]
    scalings: frozenset[Scaling]

    @property
    def scaling(self) -> Scaling | None:
        """The scaling of all files, None where they differ, or where it changes nothing."""
        return next(iter(self.scalings)) if len(self.scalings) == 1 and self.scales else None

    @property
    def scales(self) -> bool:
        """Say whether a file has a scaling that changes its numbers."""
        return any({*scale} - {1} or {*offset} - {0} for scale, offset in self.scalings)


def read_band_metadata(tree: Tree, samples: Iterable[Sequence[str]]) -> BandMetadata:
    """Return the metadata of the files of samples, in the order of their bands; unreadable files are skipped."""
    names, scalings = set(), set()
    for files in samples:
        try:
            band_names, scaling = _read_sample(tree, files)
        except SarDataError:
            continue
        names.add(band_names)
        scalings.add(scaling)
    return BandMetadata(names.pop() if len(names) == 1 else (), frozenset(scalings))


def _read_sample(tree: Tree, files: Sequence[str]) -> tuple[tuple[str, ...], Scaling]:
    """Return the names of a sample's bands, () where one has none, and their scaling."""
    names: list[str] = []
    scale: list[float] = []
    offset: list[float] = []
    for path in files:
        (bands, _, _), _ = any_format.header(tree, path)
        text = tiff.metadata(tree, path) if any_format.is_tiff(path) else ""
        items = {(role, int(band)): value.strip() for band, role, value in _NOTE.findall(text)}
        names += [items.get(("description", band), "") for band in range(bands)]
        scale += [_number(items.get(("scale", band)), 1) for band in range(bands)]
        offset += [_number(items.get(("offset", band)), 0) for band in range(bands)]
    return tuple(names) if all(names) else (), (tuple(scale), tuple(offset))


def _number(text: str | None, default: float) -> float:
    """Return the number in a text, the default where it is none."""
    try:
        number = float(text or default)
    except ValueError:
        return default
    return number if isfinite(number) else default

"""What GeoTIFFs note of their bands, as GDAL writes it: names, scales, offsets. Nothing of it is applied unasked."""

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
"""Scale and offset, one a band: a value is the stored number, times scale, plus offset."""


@dataclass(frozen=True, slots=True)
class Noted:
    """The `names` of bands where all files give the same ones, else none, and every `scaling` that occurs.

    A file that notes none has scales of 1 and offsets of 0.
    """

    names: tuple[str, ...]
    scalings: frozenset[Scaling]

    @property
    def scaling(self) -> Scaling | None:
        """The scaling of all files, None where they have several, or one that changes nothing."""
        return next(iter(self.scalings)) if len(self.scalings) == 1 and self.scales else None

    @property
    def scales(self) -> bool:
        """Say whether a file has a scaling that changes its numbers."""
        return any({*scale} - {1} or {*offset} - {0} for scale, offset in self.scalings)


def noted(tree: Tree, samples: Iterable[Sequence[str]]) -> Noted:
    """Return what the files of samples note, those of each in the order of its bands; without unreadable ones."""
    names, scalings = set(), set()
    for files in samples:
        try:
            named, scaling = _of(tree, files)
        except SarDataError:
            continue
        names.add(named)
        scalings.add(scaling)
    return Noted(names.pop() if len(names) == 1 else (), frozenset(scalings))


def _of(tree: Tree, files: Sequence[str]) -> tuple[tuple[str, ...], Scaling]:
    """Return the names of a sample's bands, none where one has none, and their scaling."""
    names: list[str] = []
    scale: list[float] = []
    offset: list[float] = []
    for path in files:
        (bands, _, _), _ = any_format.header(tree, path)
        text = tiff.metadata(tree, path) if any_format.is_tiff(path) else ""
        said = {(role, int(band)): value.strip() for band, role, value in _NOTE.findall(text)}
        names += [said.get(("description", band), "") for band in range(bands)]
        scale += [_number(said.get(("scale", band)), 1) for band in range(bands)]
        offset += [_number(said.get(("offset", band)), 0) for band in range(bands)]
    return tuple(names) if all(names) else (), (tuple(scale), tuple(offset))


def _number(text: str | None, default: float) -> float:
    """Return the number that a text is, the default where it is none."""
    try:
        number = float(text or default)
    except ValueError:
        return default
    return number if isfinite(number) else default

"""The bakes of a sealed build, from the steps that its manifest records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sar_data.builder.bake import Bake, Baked
from sar_data.builder.speckle import Filter
from sar_data.normalization.presets import presets
from sar_data.radiometry import units_after
from sar_data.record import Image, Mask
from sar_data.sealed.documents import Applied
from sar_data.sealed.manifest import Manifest

ORDER = ("speckle-filter", "crop", "pad", "unit", "resize", "normalize", "dtype")  # of the steps in one conversion
ONE_OF = {"pad": "crop"}  # a conversion has only one of the two


@dataclass(frozen=True, slots=True)
class Bakes:
    """Several bakes, one after another: those of a chain of conversions, or none."""

    parts: tuple[Bake, ...]

    @property
    def keeps_pixels(self) -> bool:
        """Say whether every pixel is there afterwards, be it in other numbers."""
        return all(bake.keeps_pixels for bake in self.parts)

    def apply(self, image: Image, mask: Mask | None = None) -> Baked:
        """Return what `Bake.apply` does, its counts added up."""
        counts = np.zeros((2, image.shape[-3]), np.int64)
        for bake in self.parts:
            image, mask, *counted = bake.apply(image, mask)
            counts += counted
        clipped, unvalued = (tuple(row) for row in counts.tolist())
        return Baked(image, mask, clipped, unvalued)


def bakes_of(parent: Manifest, steps: Sequence[Applied]) -> Bakes:
    """Return what makes a build with these further steps of its parent; figures of a normalization are the recorded."""
    units, storage = tuple(band.unit for band in parent.bands), parent.storage
    scale = storage.scale
    fill = storage.missing if storage.missing is not None else float("nan") if "float" in storage.dtype else 0.0
    bakes = []
    for group in _conversions(steps):
        after = units_after(units, group["unit"]["to"]) if "unit" in group else units
        normalize = group.get("normalize", {})
        narrowed = group.get("dtype", {})
        resized = group.get("resize", {})
        window = group.get("crop") or group.get("pad")
        bakes.append(
            Bake(
                cut=window["size"][0] if window else None,
                units=tuple(zip(units, after, strict=True)),
                speckle=_filter(group["speckle-filter"]) if "speckle-filter" in group else None,
                resize=resized["size"][0] if resized else None,
                resample=resized.get("domain", "dB"),
                normalize=normalize.get("method"),
                offset=tuple(normalize.get("offset", ())),
                divisor=tuple(normalize.get("divisor", ())),
                dtype=narrowed.get("dtype"),
                scale=scale,
                fill=fill,
            )
        )
        units = (presets()[normalize["method"]].unit_after,) * len(units) if normalize else after
        if group.keys() - {"crop", "pad"}:  # a window alone leaves numbers as they are
            scale, fill = narrowed.get("scale"), narrowed.get("missing", float("nan"))
    return Bakes(tuple(bakes))


def _conversions(steps: Sequence[Applied]) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the steps of each conversion, step → parameters: a new one begins where their order does."""
    group: dict[str, dict[str, Any]] = {}
    last = -1
    for step in steps:
        rank = ORDER.index(ONE_OF.get(step.step, step.step))
        if rank <= last:
            yield group
            group = {}
        group[step.step], last = step.parameters, rank
    if group:
        yield group


def _filter(parameters: dict[str, Any]) -> Filter:
    return Filter(parameters["filter"], parameters["window"], parameters["looks"])

"""What is done to stored values on their way into a batch: by name, and the same numbers wherever it is done.

The names are those of sar_data/normalization/presets.toml, which says what each does, who does so, and what it
destroys; None leaves values in the declared unit, as they are.

With a `unit` (dB, power or amplitude) values are converted first, and the figures are those that the build recorded in
that unit; what has no value in it, as zero power has no dB, is masked.

Derived bands are written as in channels.py. Mean and std of a difference, "VV-VH", follow from the recorded co-moments:
std² = var(VV) + var(VH) - 2 cov. Those of a formula of powers do not: they are measured (measured.py), and given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError, UsageError, unknown
from sar_data.normalization.presets import presets
from sar_data.radiometry import CONVERTIBLE, convert_unit, spell_unit, units_after
from sar_data.sealed.documents import Applied, BandStatistics, DomainStatistics, Normalization
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.spread import spread
from sar_data.stream.channels import VEGETATION, Channel, Formula, channel_of

PRESETS = tuple(presets())
AFFINE = tuple(name for name, preset in presets().items() if preset.affine)
STRETCHES = {name: preset.stretch for name, preset in presets().items() if preset.stretch is not None}
CROSSED = (["VH", "VV"], ["HV", "HH"])  # polarizations of the cross-polarized band before the other
Figures = Mapping[str, tuple[float, float]]
"""Channel → what to subtract and what to divide by, in physical units."""
# SSL4EO-S12's figures for Sentinel-1 in dB, which its MAE and FG-MAE weights were trained with: mean, std.
FGMAE = presets()["fgmae-uint8"].bands


class Conversion(NamedTuple):
    """How a channel in the unit `wanted` is made of a plane in `unit`, or by a formula of it and the plane `second`."""

    unit: str
    target: str
    formula: Formula | None = None
    second: int = -1
    other: str = ""

    def of(self, plane: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the channel, float32 in the shape of its planes; NaN where there is no value."""
        if self.formula is None:
            return convert_unit(plane, self.unit, self.target)
        return derive(self.formula, (plane, self.unit), (second, self.other))


def derive(
    formula: Formula, first: tuple[npt.NDArray[np.float32], str], second: tuple[npt.NDArray[np.float32], str]
) -> npt.NDArray[np.float32]:
    """Return what a formula makes of two bands and their units, float32; NaN where that is not finite."""
    powers = [convert_unit(values, unit, "power") for values, unit in (first, second)]
    with np.errstate(all="ignore"):
        quotient = formula.of(*powers)
    return np.where(np.isfinite(quotient), quotient, np.float32(np.nan))


@dataclass(frozen=True, slots=True)
class Normalizer:
    """Channel c is (stored[first[c]] - stored[second[c]] - terms[c, 0]) * terms[c, 1], with nothing for second = -1.

    Behind the planes of the channels are those of the second bands of formulas; `convert` makes channels of both.
    `terms` [plane, 2] are float32 and hold the scale of stored integers, too; where values are converted, `after`
    [channel, 2] has the figures. `stretch` is None, or what follows for
    every channel of the whole patch (sar_data/normalization/stretch.py): "grey" with `grey` [channel, 2] = floor and
    span, "range", or "clip", to 0 … 1. Values that are `missing`, NaN or infinite become `fill`.
    """

    channels: tuple[str, ...]
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    terms: npt.NDArray[np.float32]
    stretch: str | None
    grey: npt.NDArray[np.float32]
    fill: np.float32
    missing: np.float32
    conversions: tuple[Conversion, ...] = ()
    after: npt.NDArray[np.float32] | None = None

    @property
    def blank(self) -> np.float32:
        """What a masked pixel is before a conversion or a stretch: NaN, where one of them follows."""
        return self.fill if self.stretch is None and not self.conversions else np.float32(np.nan)

    def convert(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return gathered images [sample, frame * plane, y, x] converted and normalized; stretching is left to do.

        The result is float32 [sample, frame * channel, y, x]: the same array where every plane is a channel.
        """
        if self.after is None:
            return images
        count = len(self.first)
        for channel, conversion in enumerate(self.conversions):
            planes, others = (images[:, place::count] for place in (channel, max(conversion.second, 0)))
            offset, factor = self.after[channel]
            planes[:] = (conversion.of(planes, others) - offset) * factor
        if count > len(self.channels):
            whole = images.reshape(len(images), -1, count, *images.shape[-2:])
            images = whole[:, :, : len(self.channels)].reshape(len(images), -1, *images.shape[-2:])
        if self.stretch is None:
            images[~np.isfinite(images)] = self.fill
        return images


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a batch shows of an image: `bands` by name (None: all), in which `unit` (None: the build's), normalized how
    and by which figures (None: the build's), and what masked pixels become. With `one_frame` it is one image of those
    of a sample.
    """

    bands: Sequence[str] | None = None
    unit: str | None = None
    normalize: str | None = "zscore"
    figures: Figures | None = None
    fill: float | None = 0.0
    one_frame: bool = False


def in_unit(manifest: Manifest, unit: str | None) -> Manifest:
    """Return what a manifest would say if its build were in another unit: units of bands, and figures of train.

    Raise UsageError where no band can be converted. Of dB and power (and of amplitude, in these) figures are recorded;
    in another unit there are none.
    """
    if unit is None:
        return manifest
    units = units_after([band.unit for band in manifest.bands], spell_unit(unit))
    bands = [band.model_copy(update={"unit": after}) for band, after in zip(manifest.bands, units, strict=True)]
    train = (manifest.statistics or {}).get("train")
    columns: dict[str, dict[str, float]] = {name: {} for name in ("mean", "std", "min", "max")}
    for old, new in zip(manifest.bands, bands, strict=True):
        recorded = _figures_in(train.bands[old.name], old.unit, new.unit) if train else None
        for name, column in columns.items():
            if recorded and (value := getattr(recorded, name)) is not None:
                column[old.name] = value
    whole = len(columns["mean"]) == len(columns["std"]) == len(bands)  # zero power has no dB, and so no least value
    named = {band.name: band.unit for band in bands}
    # Not checked here: whether float32 has a place for them is asked once, when they become factors.
    figures = Normalization.model_construct(None, units=named, **columns) if whole else None
    return manifest.model_copy(update={"bands": bands, "normalization": figures})


def _figures_in(figures: BandStatistics, unit: str, target: str) -> DomainStatistics | None:
    """Return the figures of a band in a unit, None where they are not recorded."""
    return figures.stored if unit == target else {"dB": figures.db, "power": figures.power}.get(target)


def normalizer(
    manifest: Manifest,
    bands: Sequence[str] | None,
    how: str | None,
    *,
    fill: float | None = 0.0,
    unit: str | None = None,
    figures: Figures | None = None,
) -> Normalizer:
    """Return how a build's stored images become channels; raise UsageError for names that do not exist or do not fit.

    `bands` are names of bands or derived ones, all bands by default, in `unit` or as they are. `fill` is put where a
    pixel is masked, after normalization; None leaves NaN. `figures` take the place of the build's own.
    """
    stored = manifest
    manifest = in_unit(stored, unit)
    names = [band.name for band in manifest.bands]
    chosen = tuple(names if bands is None else [bands] if isinstance(bands, str) else bands)
    channels = [channel_of(name, names) for name in chosen]
    _check_derived(stored, channels)
    asked, how = how, _still_to_do(manifest, how)
    conversions = _conversions(stored, manifest, channels)
    scale = manifest.storage.scale or 1.0
    terms = [(0.0, 1.0)] * len(channels)
    if figures is not None and asked in AFFINE:
        terms = [_given(manifest, name, figures) for name in chosen]
    elif how in AFFINE:
        terms = [_figures(manifest, channel, how) for channel in channels]
    grey = _greys(chosen, {band.name: band.unit for band in manifest.bands}, how)
    missing = manifest.storage.missing
    after = _terms(terms, 1.0)
    planes = [(channel.first, None if channel.formula else channel.second) for channel in channels]
    planes += [(channel.second, None) for channel in channels if channel.formula and channel.second]
    terms = [(0.0, 1.0)] * len(planes) if conversions else terms
    return Normalizer(
        chosen,
        np.array([names.index(first) for first, _ in planes], np.int64),
        np.array([-1 if second is None else names.index(second) for _, second in planes], np.int64),
        _terms(terms, scale),
        STRETCHES.get(how or ""),
        np.array(grey, np.float32),
        np.float32(np.nan if fill is None else fill),
        np.float32(np.nan if missing is None else missing),
        conversions,
        after if conversions else None,
    )


def of_channels(units: Mapping[str, str], how: str, *, figures: Figures | None = None) -> Normalizer:
    """Return what remains to be done to images that are channels in physical units already; masked pixels stay NaN.

    `units` are channel → unit, in the channels' order, "" where a build was normalized so before and had the unit that
    fits. An affine normalization takes `figures` of each. Raises UsageError for a normalization that does not exist and
    for a channel without figures.
    """
    names, count = tuple(units), len(units)
    if how not in PRESETS:
        raise unknown("normalization", how, PRESETS)
    if missing := [name for name in names if how in AFFINE and name not in (figures or {})]:
        raise unknown("channel of the figures", missing[0], figures or {})
    known = {name: unit or presets()[how].unit or "" for name, unit in units.items()}
    terms = [figures[name] if figures and how in AFFINE else (0.0, 1.0) for name in names]
    return Normalizer(
        names,
        np.arange(count),
        np.full(count, -1),
        _terms(terms, 1.0),
        STRETCHES.get(how),
        np.array(_greys(names, known, how), np.float32),
        np.float32(np.nan),
        np.float32(np.nan),
    )


def figures_of(manifest: Manifest, bands: Sequence[str], how: str) -> Figures | None:
    """Return the figures by which a build's channels are normalized, None where a normalization needs none.

    Of a build that is normalized already they are those it was normalized by.
    """
    if how not in AFFINE:
        return None
    names = [band.name for band in manifest.bands]
    if done := _normalization_of(manifest):
        both = zip(done.parameters["offset"], done.parameters["divisor"], strict=True)
        known = dict(zip(names, both, strict=True))
        return {name: known[name] for name in bands}
    return {name: _figures(manifest, channel_of(name, names), how) for name in bands}


def units_of(manifest: Manifest, bands: Sequence[str]) -> dict[str, str]:
    """Return channel → unit, of a difference that of its first band, of bands or derived ones that a build has."""
    units = {band.name: band.unit for band in manifest.bands}
    channels = {name: channel_of(name, list(units)) for name in bands}
    return {name: item.formula.unit if item.formula else units[item.first] for name, item in channels.items()}


def _conversions(stored: Manifest, target: Manifest, channels: Sequence[Channel]) -> tuple[Conversion, ...]:
    """Return how each channel is made of its planes, nothing where values stay as they are.

    Raise UsageError for a difference where units change, which is one of stored values.
    """
    units = {a.name: (a.unit, b.unit) for a, b in zip(stored.bands, target.bands, strict=True)}
    changed = any(before != after for before, after in units.values())
    if not changed and not any(channel.formula for channel in channels):
        return ()
    conversions, plane = list[Conversion](), len(channels)
    for channel in channels:
        if channel.formula and channel.second:
            arguments = (channel.formula.unit, channel.formula, plane, units[channel.second][0])
            conversions.append(Conversion(units[channel.first][0], *arguments))
            plane += 1
        elif channel.second and changed:
            raise UsageError(
                f"unit={target.bands[0].unit!r}: {channel.name} is a difference of stored values: bake the unit first"
            )
        else:
            conversions.append(Conversion(*units[channel.first]))
    return tuple(conversions)


def _terms(figures: Sequence[tuple[float, float]], scale: float) -> npt.NDArray[np.float32]:
    """Return [channel, 2] of offsets and spreads in the stored scale; raise BuildError where float32 has no place."""
    with np.errstate(all="ignore"):
        offset, spread = np.reshape(figures, (-1, 2)).T * scale
        terms = np.stack([offset, 1 / spread], axis=1).astype(np.float32)
    if not np.isfinite(terms).all():
        raise BuildError(f"normalization: expected figures of float32 pixels, found {figures}"[:300])
    return terms


def _check_derived(manifest: Manifest, channels: Sequence[Channel]) -> None:
    """Raise UsageError for what is derived of bands that were normalized one by one, or that have no linear power."""
    bands = {band.name: band for band in manifest.bands}
    for channel in (channel for channel in channels if channel.second):
        if _normalization_of(manifest):
            raise UsageError(
                f"bands={channel.name!r}: expected a build in its physical unit, found one that is normalized band by "
                "band: take its parent"
            )
        units = [bands[name].unit for name in channel.bands]
        if channel.formula and not {*units} <= {*CONVERTIBLE}:
            raise UsageError(
                f"bands={channel.name!r}: expected bands in {', '.join(CONVERTIBLE)}, found {' and '.join(units)}, of "
                "which no power is known"
            )
        if channel.formula == VEGETATION and [bands[name].polarization for name in channel.bands] in CROSSED:
            right = channel._replace(first=channel.bands[1], second=channel.first).name
            raise UsageError(f"bands={channel.name!r}: expected the like-polarized band first: {right!r}")


def _still_to_do(manifest: Manifest, how: str | None) -> str | None:
    """Return what is left to do: nothing is normalized twice."""
    if how is not None and how not in PRESETS:
        raise unknown("normalization", how, PRESETS)
    done = _normalization_of(manifest)
    if done is None or how is None:
        return how
    if (method := done.parameters["method"]) != how:
        raise UsageError(f"normalize={how!r}: this build is normalized by {method} already; take its parent, or None")
    return None


def _normalization_of(manifest: Manifest) -> Applied | None:
    """Return the step that normalized what a build holds, None where its values are physical."""
    return next((step for step in manifest.applied if step.step == "normalize"), None)


def _given(manifest: Manifest, name: str, figures: Figures) -> tuple[float, float]:
    """Return what to subtract from stored values and what to divide them by, so that given figures normalize them.

    What is normalized already is (x - a) / b, and is to become (x - offset) / divisor. Raises UsageError where what is
    beyond a and b was cut off.
    """
    if name not in figures:
        raise unknown("channel of the figures", name, figures)
    offset, divisor = figures[name]
    if (done := _normalization_of(manifest)) is None:
        return offset, divisor
    method = done.parameters["method"]
    ((a, b),) = (figures_of(manifest, (name,), method) or {}).values()
    if presets()[method].clip and (a, b) != (offset, divisor):
        raise UsageError(
            f"figures: expected {a:g} and {b:g} for {name}, to which this build was cut by {method}, found "
            f"{offset:g} and {divisor:g}: take its parent"
        )
    return (offset - a) / b, divisor / b


def _figures(manifest: Manifest, channel: Channel, how: str) -> tuple[float, float]:
    """Return what to subtract and what to divide by; a band that is constant in train is divided by 1."""
    first, second, formula = channel
    if second is not None and presets()[how].bands:
        return presets()[how].published_figures(channel.name, None)
    if formula and how == "zscore":
        raise UsageError(
            f"`normalize=zscore`: no figures are recorded for {channel.name}, which `Stream.measured` measures over "
            "train: give them by `figures=…`"
        )
    low, width = spread(manifest, first, how)
    if second is None:
        return low, width or 1.0
    if how != "zscore" or manifest.statistics is None:
        raise UsageError(f"`normalize={how}`: no figures are recorded for {channel.name}; `normalize=zscore` has them")
    for pair in manifest.statistics["train"].co_moments:
        if set(pair.bands) == {first, second}:
            means = dict(zip(pair.bands, pair.means, strict=True))
            alone = (width**2, spread(manifest, second, how)[1] ** 2)  # as builds of schema 2 have it
            variance = sum(pair.variances or alone) - 2 * pair.covariance
            return means[first] - means[second], math.sqrt(max(variance, 0.0)) or 1.0
    raise BuildError(f"{channel.name}: the manifest has no co-moments of these bands")


def _greys(channels: Sequence[str], units: Mapping[str, str], how: str | None) -> list[tuple[float, float]]:
    """Return the value of grey level 0 and the span of all levels of each channel."""
    if how is None or presets()[how].kind != "grey":
        return [(0.0, 1.0)] * len(channels)
    return [presets()[how].grey(name, units.get(name)) for name in channels]

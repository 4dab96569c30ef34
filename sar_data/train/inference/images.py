"""The images that a model is to predict: of a folder, of one file on disk or behind a URL, or of a sealed build.

Whatever they come from, a window of them is float32 [C, h, w]: the model's channels in the model's units, NaN where
there is no data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError, SourceError, UsageError
from sar_data.naming import few
from sar_data.progress import Say
from sar_data.radiometry import CONVERTIBLE, convert_unit, spell_unit
from sar_data.raster import maps
from sar_data.raster.scene import ENDINGS, REMOTE, Place, Scene, is_image
from sar_data.sealed.files import open_files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.stream.channels import channel_of, is_formula, operands
from sar_data.stream.collection import open_collection
from sar_data.stream.normalize import derive
from sar_data.stream.rows import Rows, largest, load
from sar_data.train.inference.agreement import check_dates, sized, unit_for
from sar_data.train.inference.finished import Finished
from sar_data.train.input import Input
from sar_data.train.request import SPLITS, PredictRequest

Floats = npt.NDArray[np.float32]
PLACES = ("height", "width", "crs", "transform")  # columns of the index
NUMBERED = (("1",), ("1", "2", "3"), ("1", "2", "3", "4"))  # bands of a picture that nobody named
MOST_LOOKED_AT = 1024  # pixels of a side of the window by which values are judged


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its key, its size in pixels, and where it lies on the ground."""

    key: str
    height: int
    width: int
    place: Place


class Images(Protocol):
    """All images of a source, in the order of their keys."""

    @property
    def images(self) -> Sequence[Image]:
        """All of them; others call one by its number here."""

    def read(self, number: int, top: int, left: int, height: int, width: int) -> Floats:
        """Return float32 [C, height, width] of a window of an image, in the model's units."""

    def thinned(self, number: int, most: int) -> Floats:
        """Return a whole image with no side longer than `most` pixels."""

    def close(self) -> None:
        """Close the files."""


@dataclass(frozen=True, slots=True)
class Channels:
    """How the bands of a source become the channels of a model, which are bands or derived of two.

    `units` are the model's, by channel; `bands` what the channels are made of, and `read` how the source calls them;
    `unit` is the source's, None where it is the model's.
    """

    units: dict[str, str]
    bands: tuple[str, ...]
    read: tuple[str, ...]
    unit: str | None

    def of(self, pixels: Floats) -> Floats:
        """Return [C, h, w] in the model's units of the bands' pixels [band, h, w]."""
        values = dict(zip(self.bands, pixels, strict=True))
        found = []
        for name, unit in self.units.items():
            channel = channel_of(name, self.bands)
            if channel.formula:
                first, second = ((values[band], self._unit_of(band)) for band in channel.bands)
                found.append(derive(channel.formula, first, second))
                continue
            there = unit if self.unit is None else self.unit
            planes = [convert_unit(values[band], there, unit) for band in channel.bands]
            found.append(planes[0] if len(planes) == 1 else planes[0] - planes[1])
        return np.stack(found)

    def _unit_of(self, band: str) -> str:
        """Return the unit of a band that a formula takes; raise UsageError where nobody has said it."""
        known = {self.units.get(band), *_plain_units(self.units)} & {*CONVERTIBLE}
        unit = self.unit or self.units.get(band) or (known.pop() if len(known) == 1 else None)
        if unit is None:
            raise UsageError(f"{band}: expected the unit of the values, of which a power is taken: give `unit=…`")
        return unit


class Files:
    """The images of raster files: one file, a folder, or a URL.

    In a folder files of one band whose names end in the model's bands, such as a_VV.tif and a_VH.tif, are one image.
    Raises SourceError for a source without images, UsageError for bands and units that are not the model's.
    """

    def __init__(self, source: str, model: Input, bands: Sequence[str] | None, unit: str | None) -> None:
        self._bands = None if bands is None else tuple(bands)
        self._files = [(source, {"": source})] if _is_file(source) else list(_listed(Path(source), _plain(model)))
        if not self._files:
            raise SourceError(
                f"{source}: expected a sealed build, images ({', '.join(ENDINGS)}, Phoenix) or one scene: what `build` "
                "reads in other forms is predicted as a build"
            )
        self._open: tuple[int, Scene] | None = None
        self._channels: dict[tuple[str, ...], Channels] = {}
        self._model, self._unit = model, None if unit is None else spell_unit(unit)
        self._check_unit()
        self.images = [self._image(number) for number in range(len(self._files))]
        self._check_values(source)

    def _image(self, number: int) -> Image:
        scene = self._scene(number)
        self._taken(scene)
        key = Path(self._files[number][0]).stem if len(self._files) == 1 else self._files[number][0]
        return Image(key, scene.height, scene.width, scene.place)

    def read(self, number: int, top: int, left: int, height: int, width: int) -> Floats:
        scene = self._scene(number)
        channels = self._taken(scene)
        return channels.of(scene.read(channels.read, top, left, height, width))

    def thinned(self, number: int, most: int) -> Floats:
        scene = self._scene(number)
        channels = self._taken(scene)
        return channels.of(scene.downsample(channels.read, most))

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _scene(self, number: int) -> Scene:
        """Return an open image; one is open at a time."""
        if self._open is None or self._open[0] != number:
            self.close()
            files = self._files[number][1]
            named = tuple(files) if len(files) > 1 else self._bands
            self._open = (number, Scene(list(files.values()), named))
        return self._open[1]

    def _taken(self, scene: Scene) -> Channels:
        """Return what the model takes of a scene; raise UsageError where it has no such bands."""
        if scene.bands not in self._channels:
            names = _plain(self._model)
            read = tuple(there for name in names if (there := _matched(name, scene.bands)))
            if len(names) == 1 and not read and scene.bands in NUMBERED and _is_grey(scene):
                read = scene.bands[:1]
            if len(read) < len(names):
                raise UsageError(
                    f"{scene.files[0]}: expected the bands {few(names)}, which the model takes, found "
                    f"{few(list(scene.bands))}: `bands=…` names the bands of the file in their order"
                )
            self._channels[scene.bands] = Channels(self._model.units, tuple(names), read, self._unit)
        return self._channels[scene.bands]

    def _check_unit(self) -> None:
        units = _plain_units(self._model.units)
        if self._unit is not None and self._unit not in units and not {self._unit, *units} <= {*CONVERTIBLE}:
            raise UsageError(
                f"`unit={self._unit}`: expected {few(sorted(units))}, which the model takes, or what is converted to "
                f"it: {', '.join(CONVERTIBLE)}"
            )

    def _check_values(self, source: str) -> None:
        """Raise UsageError where the first image's values cannot be of the model's unit and nobody gave another."""
        if self._unit is not None:
            return
        first = self.images[0]
        height, width = min(first.height, MOST_LOOKED_AT), min(first.width, MOST_LOOKED_AT)
        values = self.read(0, (first.height - height) // 2, (first.width - width) // 2, height, width)
        for (name, unit), plane in zip(self._model.units.items(), values, strict=True):
            finite = plane[np.isfinite(plane)]
            if len(operands(name)) > 1 or not finite.size:
                continue
            negative = bool((finite < 0).any())
            if (unit == "dB" and not negative) or (unit in ("power", "amplitude") and negative):
                raise UsageError(
                    f"{source}: expected values in {unit}, which the model takes, found {name} between "
                    f"{finite.min():.4g} and {finite.max():.4g}: `unit=…` says what they are (dB, power or amplitude)"
                )


def _is_grey(scene: Scene) -> bool:
    """Say whether a picture's colours are all the same, so that the first one is its only band."""
    planes = scene.downsample(scene.bands[:3], MOST_LOOKED_AT)
    return np.array_equal(planes, np.broadcast_to(planes[:1], planes.shape), equal_nan=True)


def _is_file(source: str) -> bool:
    return source.startswith(REMOTE) or Path(source).is_file()


def _plain(model: Input) -> list[str]:
    """Return the bands that a model's channels are made of; a derived one has two."""
    names = list(model.units)
    single = [name for name in names if len(operands(name)) == 1]
    return list(dict.fromkeys([*single, *(part for name in names for part in operands(name))]))


def _plain_units(units: Mapping[str, str]) -> set[str]:
    """Return the units of channels that are bands or differences, which are those of their bands."""
    return {unit for name, unit in units.items() if not is_formula(name)}


def _matched(name: str, bands: Sequence[str]) -> str | None:
    """Return the band of a name, or the only one that has it as a word, as Sigma0_VV_db has VV."""
    if name in bands:
        return name
    words = [band for band in bands if name.casefold() in re.split(r"[\W_]+", band.casefold())]
    return words[0] if len(words) == 1 else None


def _listed(folder: Path, bands: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the key of each image of a folder, and its files by the bands that their names end in."""
    if not folder.is_dir():
        raise SourceError(f"{folder}: expected a sealed build, a folder of images or one scene, found nothing")
    paths = sorted(path for path in folder.rglob("*") if _is_seen(path) and is_image(path))
    by_name = {band.casefold(): band for band in bands}
    ends = re.compile(rf"(.+?)[_.-]({'|'.join(map(re.escape, by_name))})", re.IGNORECASE)
    groups: dict[Path, dict[str, str]] = {}
    for path in paths:
        if len(bands) > 1 and (match := ends.fullmatch(path.stem)):
            groups.setdefault(path.with_name(match[1]), {})[by_name[match[2].casefold()]] = str(path)
    whole = {file for files in groups.values() if len(files) == len(bands) for file in files.values()}
    found = {path: {"": str(path)} for path in paths if str(path) not in whole}
    found |= {stem: files for stem, files in groups.items() if len(files) == len(bands)}
    stems = Counter(path.with_suffix("") for path in found)
    short = {
        path: path if path in groups or stems[path.with_suffix("")] > 1 else path.with_suffix("") for path in found
    }
    if twice := [path for path, count in Counter(short.values()).items() if count > 1]:
        raise SourceError(f"{twice[0]}: expected images of names that differ, found two of this one: rename one")
    for path, files in sorted(found.items()):
        yield short[path].relative_to(folder).as_posix(), files


def _is_seen(path: Path) -> bool:
    return path.name[0] != "." and path.is_file()


class Stored:
    """The images of some splits of a sealed build, one split after the other, as the model was trained to see them.

    Raises UsageError for a build of other bands, units or sizes, or without these splits.
    """

    def __init__(self, build: str, finished: Finished, split: str | None, say: Say) -> None:
        try:
            files = open_files(build)
        except BuildError as error:  # of an address alone
            raise BuildError(
                f"{build}: expected a build, or an image whose address ends in .tif, .png or .jpg, found neither: "
                f"{error} Download a Phoenix file first"
            ) from error
        try:
            manifest = Manifest.load(files.folder)
            self.content_digest = manifest.content_digest
            there = [name for name in SPLITS if getattr(manifest.splits.get(name), "count", 0)]
            if split is not None and split not in there:
                raise UsageError(f"{build}: expected samples of the split {split}, found those of {few(there)}")
            self.splits = there if split is None else [split]
            check_dates(finished.input, manifest, build)
            unit = unit_for(finished.input, manifest, build, own=False, say=say)
            fitting = [sized(finished, manifest, files, name, say) for name in self.splits]
            mixed = layout_of(manifest).shape is None
            sides = [largest(files, manifest, [name]) if mixed else None for name in self.splits]
            index = files.path(INDEX_NAME)
            rows = [load(index, manifest, name, PLACES) for name in self.splits]
        finally:
            files.close()
        options: dict[str, Any] = {"bands": finished.input.channels, "unit": unit, "normalize": None, "fill": None}
        self.pad = max((settings.pad or 0 for settings in fitting), default=0) or None
        self._collections = [
            open_collection(build, split=name, pad=settings.pad or side, **options)
            for name, settings, side in zip(self.splits, fitting, sides, strict=True)
        ]
        self._starts = np.cumsum([0, *map(len, self._collections)])
        self.images = [image for own in rows for image in _placed(own, build)]

    def read(self, number: int, top: int, left: int, height: int, width: int) -> Floats:
        which = int(np.searchsorted(self._starts, number, side="right")) - 1
        row = np.array([number - self._starts[which]])
        image: Floats = self._collections[which].batch(row)["image"][0]
        return image[..., top : top + height, left : left + width].copy()

    def thinned(self, number: int, most: int) -> Floats:
        image = self.images[number]
        step = max(1, -(-max(image.height, image.width) // most))
        return self.read(number, 0, 0, image.height, image.width)[..., ::step, ::step]

    def close(self) -> None:
        for collection in self._collections:
            collection.close()


def _placed(rows: Rows, build: str) -> Iterator[Image]:
    columns = [rows.column(name).to_pylist() for name in PLACES]
    for crs in {*columns[PLACES.index("crs")]} - {None}:
        try:
            maps.reference_system(crs)
        except SourceError as error:
            raise BuildError(f"{build}: {INDEX_NAME}: crs: {error}") from error
    for key, height, width, crs, transform in zip(rows.key.to_pylist(), *columns, strict=True):
        yield Image(key, height, width, Place(crs, tuple(transform) if transform else None))


def images_of(source: str, finished: Finished, asked: PredictRequest, say: Say) -> Images:
    """Return the images of a source, whatever it is."""
    if asked.of_build:
        return Stored(source, finished, asked.split, say)
    if finished.input.dates > 1:
        raise UsageError(
            f"{source}: expected a sealed build, in which a sample has the {finished.input.dates} dates that the model "
            "compares, found images: `build` makes one of files by the ends of their names (frame_suffixes)"
        )
    return Files(source, finished.input, asked.bands, asked.unit)

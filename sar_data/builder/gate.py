"""Make every type of pixels one that a build can store, or refuse it, before a build is planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from sar_data.dtypes import COMPLEX, TAKEN, holds, pair, parts
from sar_data.errors import BadRecord, SourceError, UsageError
from sar_data.naming import few
from sar_data.raster import tiff
from sar_data.record import Record, Sample
from sar_data.spec import Band, ComplexAs, DatasetSpec, Pipeline, Tree, Unit

PARTS: dict[ComplexAs, tuple[tuple[str, Unit, str], ...]] = {
    "iq": (("I", "DN", "in phase"), ("Q", "DN", "in quadrature")),
    "amplitude-phase": (("amplitude", "amplitude", "modulus"), ("phase", "phase", "argument, in radians")),
}
"""The name, the unit and the meaning of the two bands that a band of complex numbers becomes."""
TIFFS = (".tif", ".tiff")


def adapt(pipeline: Pipeline, complex_as: ComplexAs | None = None) -> tuple[Pipeline, tuple[str, ...]]:
    """Return a pipeline whose pixels can be stored, with sentences of what that changes.

    Raises SourceError for complex numbers of which nobody says what they become, UsageError for another unknown type.
    """
    spec, how = pipeline.spec, complex_as or pipeline.spec.complex_as
    if spec.dtype in COMPLEX:
        if how is None:
            raise SourceError(
                f"{spec.name}: the files hold complex numbers ({spec.dtype}), which no build stores as such: choose "
                "`complex_as=iq` (bands I and Q) or `complex_as=amplitude-phase`"
            )
        adapted = replace(spec, dtype="float32", bands=_bands(spec, how), complex_as=how)
        return replace(pipeline, spec=adapted), (
            f"{spec.dtype} becomes the bands {few([b.name for b in adapted.bands])}",
        )
    if complex_as is not None and (whole := _complex_bands(spec)):
        if complex_as == "iq":
            return pipeline, ()
        adapted = replace(spec, bands=_bands(replace(spec, bands=whole), complex_as), complex_as=complex_as)
        names = f"{few([b.name for b in spec.bands])} become {few([b.name for b in adapted.bands])}"
        return replace(pipeline, spec=adapted, read=partial(_polar, read=pipeline.read)), (names,)
    if complex_as is not None:
        raise UsageError(f"`complex_as={complex_as}`: expected files of complex numbers, found {spec.dtype}")
    if spec.dtype not in TAKEN:
        raise UsageError(f"{spec.name}: expected pixels of {', '.join(TAKEN)} or complex numbers, found {spec.dtype}")
    dtype = TAKEN[spec.dtype]
    if spec.nodata is not None and holds(spec.dtype, spec.nodata):
        dtype = _with_nan(dtype)
    if dtype == spec.dtype:
        return pipeline, ()
    return replace(pipeline, spec=replace(spec, dtype=dtype)), (f"{spec.dtype} is stored as {dtype}",)


def _complex_bands(spec: DatasetSpec) -> tuple[Band, ...]:
    """Return one band for each pair NAME_I and NAME_Q; none where the bands are not such pairs."""
    first, second = spec.bands[0::2], spec.bands[1::2]
    names = [band.name.removesuffix("_I") for band in first]
    if [f"{name}_I" for name in names] + [f"{name}_Q" for name in names] != [band.name for band in (*first, *second)]:
        return ()
    if spec.nodata is not None or spec.scale or not spec.dtype.startswith("float"):
        return ()
    return tuple(replace(band, name=name, description=name) for band, name in zip(first, names, strict=True))


def _polar(tree: Tree, record: Record, read: Callable[[Tree, Record], Sample]) -> Sample:
    """Return a sample of which each two bands, I and Q, became amplitude and phase."""
    sample = read(tree, record)
    counts = [max(pair_of_bands) for pair_of_bands in zip(sample.nodata[0::2], sample.nodata[1::2], strict=True)]
    nodata = tuple(count for count in counts for _ in range(2))
    return replace(sample, image=parts(pair(sample.image), "amplitude-phase"), nodata=nodata)


def _bands(spec: DatasetSpec, how: ComplexAs) -> tuple[Band, ...]:
    """Return the two bands of each band; a sole band without a polarization leaves its name out."""
    alone = len(spec.bands) == 1 and not spec.bands[0].polarization
    return tuple(
        replace(
            band, name=part if alone else f"{band.name}_{part}", unit=unit, description=f"{band.description}, {meaning}"
        )
        for band in spec.bands
        for part, unit, meaning in PARTS[how]
    )


def _with_nan(dtype: str) -> str:
    """Return the type in which the same numbers and NaN have a place."""
    return dtype if dtype.startswith("float") else "float32"


def with_absence(pipeline: Pipeline, tree: Tree, records: Sequence[Record]) -> tuple[Pipeline, tuple[str, ...]]:
    """Return a pipeline that stores floats where some record's file declares a whole number to be no data; a sentence.

    Only a dataset of whole numbers is looked at, and of its files only the heads of its images that are TIFFs. One that
    cannot be read is left to packing, which knows what becomes of bad records.
    """
    spec = pipeline.spec
    if _with_nan(spec.dtype) == spec.dtype:
        return pipeline, ()
    images = (file for record in records for file in (record.files[:-1] if spec.mask else record.files))
    for path in (file.path for file in images if file.path.lower().endswith(TIFFS)):
        try:
            value = tiff.nodata(tree, path)
        except BadRecord:
            continue
        if value is not None and holds(spec.dtype, value):
            sentence = f"{path} declares {value:g} to be no data: {spec.dtype} is stored as float32, with NaN"
            return replace(pipeline, spec=replace(spec, dtype=_with_nan(spec.dtype))), (sentence,)
    return pipeline, ()

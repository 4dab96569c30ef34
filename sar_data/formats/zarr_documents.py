"""The zarr.json documents of a split: any difference from those of the writer is refused before a library reads them.

A document decides which codecs a library runs, how much memory it takes, and where it looks for chunks. So documents
are not searched for dangerous fields: they are compared with the only valid ones, which follow from the manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sar_data.errors import BuildError
from sar_data.formats.container import Fault, Layout
from sar_data.formats.raw import read_bytes
from sar_data.formats.zarr_keys import ATTRIBUTES, AXES, KEYS, LONGEST
from sar_data.formats.zarr_shards import INNER
from sar_data.record import IGNORE
from sar_data.system.regular import open_regular

NAME = "zarr.json"
MOST_BYTES = 1 << 20  # of a document
ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
BYTES: dict[str, Any] = {"name": "bytes", "configuration": {}}  # of a type of one byte


def image_attributes(layout: Layout) -> dict[str, Any]:
    """Return CF attributes: units, and the packing convention for scaled integers."""
    cf: dict[str, Any] = {"units": layout.unit, "long_name": "; ".join(layout.descriptions)}
    if layout.scale is not None:
        cf |= {"scale_factor": 1 / layout.scale, "add_offset": 0.0, "_FillValue": int(layout.missing or 0)}
    return cf


def mask_attributes(layout: Layout) -> dict[str, Any]:
    """Return CF attributes of a mask: what its values mean (CF conventions, flag_values)."""
    return {"long_name": f"class of each pixel, {IGNORE} ignored", "flag_meanings": list(layout.mask_classes)}


def group_attributes(layout: Layout) -> dict[str, Any]:
    """Return the attributes of a split's group."""
    return {"Conventions": "CF-1.11", "title": layout.title}


def axes(layout: Layout) -> tuple[str, ...]:
    """Return the names of an image's axes."""
    return ("sample", *("frame", "band", "y", "x")[4 - len(layout.image_shape()) :])


def shape_of(name: str, layout: Layout) -> tuple[int, ...]:
    """Return the shape of one stored image, or of one mask."""
    return layout.image_shape() if name == "image" else layout.image_shape()[-2:]


def chunk(folder: Path, name: str, shard: int, layout: Layout) -> Path:
    """Return the path of the chunk with a shard's images or masks, below a split's folder."""
    return folder / f"{name}/c/{shard}{'/0' * len(shape_of(name, layout))}"


@dataclass(frozen=True, slots=True)
class Split:
    """A split whose documents are checked: its folder, and its layout and shards from the manifest."""

    folder: Path
    layout: Layout
    slots: int
    shards: int
    compression: str | None

    def faults(self) -> Iterator[Fault]:
        """Yield the faults of the documents, those of the group first."""
        try:
            group = read_document(self.folder / NAME)
        except BuildError as error:
            yield self._unreadable(NAME, error)
            return
        samples, width = _side(group, "image", 0), _side(group, KEYS, 1)
        for what, side, (least, most) in (
            ("samples of image", samples, self._bounds),
            (f"bytes of {KEYS}", 1 if width is None else width, (1, LONGEST)),
        ):
            if type(side) is not int or not least <= side <= most:
                yield Fault(f"{self.folder.name}/{NAME}: {what}", f"{least} to {most}", _short(side))
                return
        arrays = self._arrays(samples, width)
        expected = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": group_attributes(self.layout),
            "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays},
        }
        yield from compare(f"{self.folder.name}/{NAME}", expected, group)
        for name, array in arrays.items():
            try:
                yield from compare(f"{self.folder.name}/{name}/{NAME}", array, read_document(self.folder / name / NAME))
            except BuildError as error:
                yield self._unreadable(f"{name}/{NAME}", error)

    def check(self) -> int:
        """Return the number of samples, with the quarantined; raise BuildError for the first fault."""
        for fault in self.faults():
            raise BuildError(f"{self.folder.parent / fault.what}: expected {fault.expected}, found {fault.found}")
        return int(_side(read_document(self.folder / NAME), "image", 0))

    @property
    def _bounds(self) -> tuple[int, int]:
        """The least and the most samples of the shards; the last shard may have fewer samples than slots."""
        return max((self.shards - 1) * self.slots + 1, 0), self.shards * self.slots

    def _unreadable(self, name: str, error: BuildError) -> Fault:
        return Fault(f"{self.folder.name}/{name}", "the document of this build", str(error))

    def _arrays(self, samples: int, width: int | None) -> dict[str, dict[str, Any]]:
        """Return the documents of a split's arrays; without a width of keys, as in version 1, none of their bytes."""
        layout, shape = self.layout, self.layout.image_shape()
        kind = BYTES if layout.dtype == "uint8" else ENDIAN
        fill = "NaN" if "float" in layout.dtype else int(layout.fill)
        text = [{"name": "vlen-utf8", "configuration": {}}, _zstd(0)]
        arrays = {
            "image": _array(
                (samples, *shape),
                (self.slots, *shape),
                axes(layout),
                data_type=layout.dtype,
                fill_value=fill,
                codecs=self._codecs(kind, shape),
                attributes=image_attributes(layout),
            ),
            "key": _array((samples,), (max(samples, 1),), ("sample",), data_type="string", fill_value="", codecs=text),
            "valid": _array(
                (samples,),
                (max(samples, 1),),
                ("sample",),
                data_type="bool",
                fill_value=False,
                codecs=[BYTES, _zstd(0)],
            ),
        }
        bands = len(layout.bands)
        arrays["band"] = _array((bands,), (bands,), ("band",), data_type="string", fill_value="", codecs=text)
        if width is not None:
            arrays[KEYS] = _array(
                (samples, width),
                (max(samples, 1), width),
                AXES,
                data_type="uint8",
                fill_value=0,
                codecs=[BYTES, _zstd(0)],
                attributes=ATTRIBUTES,
            )
        if layout.mask:
            arrays["mask"] = _array(
                (samples, *shape[-2:]),
                (self.slots, *shape[-2:]),
                ("sample", "y", "x"),
                data_type="uint8",
                fill_value=IGNORE,
                codecs=self._codecs(BYTES, shape[-2:]),
                attributes=mask_attributes(layout),
            )
        return arrays

    def _codecs(self, kind: dict[str, Any], shape: tuple[int, ...]) -> list[dict[str, Any]]:
        if self.compression is None:
            return [kind]
        sharding = {
            "chunk_shape": [INNER, *shape],
            "codecs": [kind, _zstd(3)],
            "index_codecs": [ENDIAN, {"name": "crc32c", "configuration": {}}],
            "index_location": "end",
        }
        return [{"name": "sharding_indexed", "configuration": sharding}]


def _side(group: dict[str, Any], name: str, axis: int) -> Any:
    """Return the length of an axis of an array in a group's document, None where it is missing."""
    try:
        return group["consolidated_metadata"]["metadata"][name]["shape"][axis]
    except (KeyError, TypeError, IndexError):
        return None


def _zstd(level: int) -> dict[str, Any]:
    return {"name": "zstd", "configuration": {"level": level, "checksum": False}}


def _array(shape: tuple[int, ...], chunk: tuple[int, ...], names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "dimension_names": list(names),
        "storage_transformers": [],
        "attributes": {},
        **more,
    }


def read_document(path: Path) -> dict[str, Any]:
    """Return a document; raise BuildError where it is not a JSON object."""
    file = open_regular(path)
    size = os.fstat(file).st_size
    os.close(file)
    if size > MOST_BYTES:
        raise BuildError(f"{path}: expected a document of at most {MOST_BYTES} bytes, found {size}")
    try:
        document = json.loads(read_bytes(path, 0, size))
        json.dumps(document)  # also refuses a document that is nested too deep
    except (ValueError, RecursionError) as error:
        if isinstance(error, BuildError):
            raise
        raise BuildError(f"{path}: expected JSON: {error}") from error
    if not isinstance(document, dict):
        raise BuildError(f"{path}: expected a JSON object, found {type(document).__name__}")
    return document


def compare(what: str, expected: Any, actual: Any) -> Iterator[Fault]:
    """Yield the differences of two values, each with the name of its field."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if "configuration" in expected:  # a codec without settings may be written without the field
            actual = {"configuration": {}, **actual}
        for field in sorted(expected.keys() | actual.keys()):
            inner = f"{what}{': ' if what.endswith(NAME) else '.'}{_short(field)[1:-1]}"
            if field not in expected:
                yield Fault(inner, "no such field", _short(actual[field]))
            elif field not in actual:
                yield Fault(inner, _short(expected[field]), "nothing")
            else:
                yield from compare(inner, expected[field], actual[field])
    elif isinstance(expected, list) and isinstance(actual, list):
        for i, pair in enumerate(zip(expected, actual, strict=False)):
            yield from compare(f"{what}[{i}]", *pair)
        for i in range(len(expected), len(actual)):
            yield Fault(f"{what}[{i}]", "no such item", _short(actual[i]))
        for i in range(len(actual), len(expected)):
            yield Fault(f"{what}[{i}]", _short(expected[i]), "nothing")
    elif json.dumps(expected) != json.dumps(actual):  # 1, 1.0 and true are equal in Python
        yield Fault(what, _short(expected), _short(actual))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"

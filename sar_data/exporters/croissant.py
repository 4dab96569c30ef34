"""Cards of a build: Croissant 1.1 with the layer of GeoCroissant 1.0, a README, the citation, and the index itself.

The cards name the build's files by path, size and hash, so they may be put beside these files. Sources: the Croissant
format specification 1.1 and the GeoCroissant specification 1.0 (2026-01-29), both of MLCommons.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.exporters.build_card import readme
from sar_data.exporters.source import Source
from sar_data.methods import cite
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.leakage import ground_of
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import SUMS_NAME
from sar_data.sealed.sums import parse_build_sums
from sar_data.system.checksum import sha256
from sar_data.system.regular import read_regular

CARD_NAME, CITATION_NAME = "croissant.json", "CITATION.bib"
CONFORMS = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/geo/1.0"]
TERMS = [
    "arrayShape",
    "citeAs",
    "column",
    "containedIn",
    "equivalentProperty",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isArray",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
]
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "geocr": "http://mlcommons.org/croissant/geo/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{term: f"cr:{term}" for term in TERMS},
}
ENCODINGS = {".parquet": "application/x-parquet", ".tar": "application/x-tar", ".json": "application/json"}
# Column of the index → type of its values; those that hold structures are left to FORMAT.md.
FIELDS = {
    "key": "sc:Text",
    "split": "sc:Text",
    "shard": "sc:Integer",
    "position": "sc:Integer",
    "height": "sc:Integer",
    "width": "sc:Integer",
    "group": "sc:Text",
    "place": "sc:Text",
    "time": "sc:Date",
    "orbit_pass": "sc:Text",
    "relative_orbit": "sc:Integer",
    "crs": "sc:Text",
    "labels": "sc:Text",
    "label_indices": "sc:Integer",
    "xxh3": "sc:Text",
}
REPEATED = ("labels", "label_indices")


def write(source: Source, folder: Path) -> None:
    """Write the cards and a copy of the index."""
    shutil.copyfile(source.build.path / INDEX_NAME, folder / INDEX_NAME)
    text = json.dumps(card(source), indent=1, ensure_ascii=False)
    (folder / CARD_NAME).write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme(source), encoding="utf-8")
    (folder / CITATION_NAME).write_text(cite(source.build.path).bibtex + "\n", encoding="utf-8")


def card(source: Source) -> dict[str, Any]:
    """Return the Croissant document of a build."""
    manifest = source.manifest
    counts = ", ".join(f"{manifest.splits[split].count:,} {split}" for split in source.splits)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": f"{manifest.dataset}-{manifest.format}",
        "description": f"{manifest.title}: {counts} samples. FORMAT.md of sar-data specifies the files.",
        "license": manifest.licence,
        "citeAs": manifest.citation,
        "version": version(manifest.version),
        "datePublished": datetime.now(UTC).date().isoformat(),  # of the cards: no build knows when its data were
        **dict(_geography(source)),
        "distribution": list(_files(source)),
        "recordSet": [_records(source.index)],
    }


def version(text: str) -> str:
    """Return a version as Croissant has it, MAJOR.MINOR.PATCH, from the first numbers of a publisher's."""
    numbers = [*re.findall(r"\d+", text)[:3], "0", "0", "0"]
    return ".".join(numbers[:3])


def _geography(source: Source) -> Iterator[tuple[str, Any]]:
    """Yield the fields of GeoCroissant, and those of schema.org that it asks for; what is not known is left out."""
    manifest, index = source.manifest, source.index
    frames = sorted(pc.unique(index["crs"].drop_null()).to_pylist())
    if (box := _box(index)) is not None:
        west, south, east, north = box
        shape = {"@type": "sc:GeoShape", "box": f"{south:.6g} {west:.6g} {north:.6g} {east:.6g}"}
        yield "spatialCoverage", {"@type": "sc:Place", "geo": shape}
    times = pc.min_max(index["time"]).as_py()
    if times["min"] is not None:
        yield "temporalCoverage", f"{times['min'].date()}/{times['max'].date()}"
    if frames:
        yield "geocr:coordinateReferenceSystem", frames[0] if len(frames) == 1 else "EPSG:4326"
    if manifest.pixel_size_m:
        resolution = {"@type": "sc:QuantitativeValue", "value": manifest.pixel_size_m, "unitText": "m"}
        yield "geocr:spatialResolution", resolution
    yield (
        "geocr:bandConfiguration",
        {
            "@type": "geocr:BandConfiguration",
            "geocr:totalBands": len(manifest.bands),
            "geocr:bandNameList": [band.name for band in manifest.bands],
        },
    )


def _box(index: pa.Table) -> tuple[float, float, float, float] | None:
    """Return west, south, east and north in degrees of all footprints on the earth, None where there is none."""
    boxes = ground_of(index).boxes_in_degrees
    boxes = boxes[np.isfinite(boxes[:, 0])]
    if not len(boxes):
        return None
    (west, south), (east, north) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    return west, south, east, north


def _files(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the build's files, with hash and size."""
    path = source.build.path
    sums = parse_build_sums(read_regular(path / SUMS_NAME), str(path / SUMS_NAME))
    sums |= {name: sha256(path / name) for name in (NAME, SUMS_NAME)}
    for name, digest in sorted(sums.items()):
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{(path / name).stat().st_size} B",
            "encodingFormat": ENCODINGS.get(Path(name).suffix, "application/octet-stream"),
            "sha256": digest,
        }


def _records(index: pa.Table) -> dict[str, Any]:
    """Return the record set of the index; columns without any value are left out."""
    fields = []
    for name, kind in FIELDS.items():
        if index[name].null_count == len(index):
            continue
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"samples/{name}",
            "name": f"samples/{name}",
            "dataType": kind,
            "source": {"fileObject": {"@id": INDEX_NAME}, "extract": {"column": name}},
        }
        if name in REPEATED:
            field |= {"isArray": True, "arrayShape": "-1"}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "key": {"@id": "samples/key"},
        "field": fields,
    }

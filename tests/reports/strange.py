"""A sealed build whose every word is meant to harm who opens its report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build
from tests.mini.resealed import edit

PAYLOADS = (
    "<script>alert(1)</script>",
    "\"><script>alert('2')</script>",
    "'><img src=x onerror=alert(3)>",
    "<svg onload=alert(4)>",
    "</title><script>alert(5)</script>",
    "</style><script>alert(6)</script>",
    "--><script>alert(7)</script><!--",
    "</pre><iframe src=https://evil.example/8></iframe>",
    '<img src="https://evil.example/9.png">',
    '<link rel=stylesheet href="https://evil.example/10.css">',
    "<meta http-equiv=refresh content='0;url=https://evil.example/11'>",
    "<base href=https://evil.example/12/>",
    "<a href='javascript:alert(13)'>13</a>",
    "javascript:alert(14)",
    "{{ 15 * 15 }}{% include 'base.html' %}",
    "${alert(16)}`<b>16</b>`",
    "&lt;script&gt;alert(17)&lt;/script&gt;",
    "<style>@import 'https://evil.example/18.css';</style>",
    "<details open ontoggle=alert(19)>",
    "<math><mtext></mtext><script>alert(20)</script></math>",
)


def of(build: Build, folder: Path) -> Build:
    """Return a copy of a build of the classes 0 to 3 whose texts are payloads, as sound as the build was."""
    path = Path(shutil.copytree(build.path, folder / build.path.name))
    classes = PAYLOADS[:4]
    old = json.loads((path / NAME).read_bytes())["tasks"][0]["classes"]

    def change(document: dict) -> None:
        names = dict(zip(old, classes, strict=True))
        document["tasks"][0]["classes"] = list(classes)
        for split in document["splits"].values():
            split["class_shares"] = {names[name]: share for name, share in split["class_shares"].items()}
        for place, field in enumerate(("title", "licence", "citation", "layout", "range_axis"), 4):
            document[field] = PAYLOADS[place]
        document["discovered"] = [PAYLOADS[9]]
        document["symmetries"] = [PAYLOADS[10]]
        document["bands"][0] |= {"description": PAYLOADS[11], "calibration": PAYLOADS[12]}
        document["quarantine"] = [{"key": None, "path": PAYLOADS[13], "reason": PAYLOADS[14]}]
        document["dropped_objects"] = {PAYLOADS[15]: 1}
        document["unused"] = {PAYLOADS[16]: 1}
        document["split_policy"]["parameters"] = {PAYLOADS[17]: PAYLOADS[18]}
        document["leakage"]["touching"] |= {"value": None, "reason": PAYLOADS[19]}
        document["recipe"] = {PAYLOADS[0]: PAYLOADS[1]}

    edit(path, change)
    table = pq.read_table(path / INDEX_NAME)
    keys = [f"{PAYLOADS[i % len(PAYLOADS)].replace('/', '∕')} {i}" for i in range(len(table))]
    attrs = [[{"name": PAYLOADS[2], "value": PAYLOADS[i % 2]}] for i in range(len(table))]
    names = dict(zip(old, classes, strict=True))
    labels = [None if row is None else [names[label] for label in row] for row in table["labels"].to_pylist()]
    for name, values in {"key": keys, "attrs": attrs, "labels": labels}.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    pq.write_table(table, path / INDEX_NAME)
    return Build.open(path)

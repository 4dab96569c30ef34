"""The dataset card, README.md: what the Hugging Face hub and `datasets` read, then a page for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sar_data.exporters.card_tables import title_and_tables
from sar_data.exporters.hf_columns import features_of
from sar_data.exporters.source import Source
from sar_data.text import literal, markdown

SPLITS = {"train": "train", "val": "validation", "test": "test"}
# Licences that the hub knows by these names; others get a name of their own.
LICENCES = re.compile(r"cc-by(-nc)?(-sa|-nd)?-\d\.\d|cc0-1\.0|mit|apache-2\.0|cdla-permissive-\d\.\d")
TASKS = {
    "multiclass": "image-classification",
    "multilabel": "image-classification",
    "segmentation": "image-segmentation",
    "change": "image-segmentation",
    "detection": "object-detection",
}


def card(source: Source) -> str:
    """Return the text of the card."""
    head = [f"{name}: {literal(value)}" for name, value in _fields(source).items()]
    return "\n".join(["---", *head, "---", "", *_page(source)]) + "\n"


def _fields(source: Source) -> dict[str, Any]:
    """Return the fields that programs read."""
    manifest = source.manifest
    licence = re.sub(r"[^a-z0-9.]+", "-", manifest.licence.lower()).strip("-")
    known = LICENCES.fullmatch(licence) is not None
    files = [{"split": SPLITS[split], "path": f"data/{SPLITS[split]}-*.parquet"} for split in source.splits]
    return {
        "pretty_name": manifest.title,
        **({"license": licence} if known else {"license": "other", "license_name": licence}),
        "task_categories": list(dict.fromkeys(TASKS[task.kind] for task in manifest.tasks if task.kind in TASKS)),
        "tags": ["SAR", "remote sensing"],
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"features": features_of(source)},
    }


def _page(source: Source) -> Iterator[str]:
    """Yield the lines for people."""
    manifest = source.manifest
    yield from title_and_tables(source, SPLITS)
    yield from (
        "",
        "`image` has the bands in this order and these units; missing pixels are NaN. `preview` is a picture",
    )
    licence, citation = markdown(manifest.licence), markdown(manifest.citation)
    yield from ("of it for the eye.", "", f"Licence: {licence}", "", f"Citation: {citation}", "")
    build = markdown(f"{manifest.dataset} {manifest.version}")
    yield f"Exported by sar-data from a build of {build}, whose content digest is"
    yield f"`{manifest.content_digest}`."

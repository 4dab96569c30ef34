"""The contracts of the documents that leave the house, generated from the models: `python -m sar_data.schemas DIR`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sar_data.download.ledger import Ledger
from sar_data.own.declaration import Declaration
from sar_data.sealed import index, samples
from sar_data.sealed.manifest import Manifest
from sar_data.sources.scenes.listing import Listing


def documents() -> dict[str, dict[str, Any]]:
    """Return file name → document, for schemas/."""
    manifest = Manifest.model_json_schema(mode="serialization")
    sources = Ledger.model_json_schema(mode="serialization")
    scenes = TypeAdapter(Listing).json_schema(mode="serialization")
    declaration = Declaration.model_json_schema(mode="validation")
    for schema in (manifest, sources, scenes, declaration):
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return {
        "manifest.schema.json": manifest,
        "index.arrow.json": index.document(),
        "samples.arrow.json": samples.document(),
        "sources.schema.json": sources,
        "scenes.schema.json": scenes,
        "dataset.schema.json": declaration,
    }


def write(folder: Path) -> None:
    """Write every document into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents().items():
        (folder / name).write_text(text(document), encoding="utf-8")


def text(document: dict[str, Any]) -> str:
    """Return a document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))

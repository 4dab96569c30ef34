"""The types of a flow's parameters: a server checks values against their schemas before a run begins.

Only the server uses the schemas. A flow that is called in Python uses the checks of the library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from sar_data import catalog, formats
from sar_data.formats import FORMATS
from sar_data.normalization.presets import presets

Dataset = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted({*catalog.names(), *catalog.aliases()})})]
"""The name of a dataset, or another name of it."""
Normalization = Annotated[str, WithJsonSchema({"type": "string", "enum": [*presets()]})]
"""The name of a normalization."""
Container = Annotated[str, WithJsonSchema({"type": "string", "enum": [*FORMATS]})]
"""The name of a container."""
Compression = Annotated[str, WithJsonSchema({"type": "string", "enum": formats.compressions()})]
"""A compression that some container has."""
Absolute = Annotated[Path, WithJsonSchema({"type": "string", "format": "path", "pattern": "^/"})]
"""An absolute path: a worker runs in a folder of its own."""


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Place = Annotated[
    str,
    BeforeValidator(_as_text),
    WithJsonSchema({"type": "string", "format": "path-or-url", "pattern": "^(/|[a-z][a-z0-9+.-]*://)"}),
]
"""An absolute path, or a URL."""
Positive = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 1})]
Share = Annotated[float, WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1})]

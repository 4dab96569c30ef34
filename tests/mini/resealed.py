"""Edit the manifest of a sealed build as one would who knows how it is made: with a digest that fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sar_data.sealed.manifest import DIGEST, NAME, canonical, document_digest


def edit(build: Path, change: Callable[[dict[str, Any]], object], *, digest: bool = True) -> None:
    """Change the manifest's document in place; without `digest` its own digest stays that of the old one."""
    document = json.loads((build / NAME).read_bytes())
    change(document)
    if digest:
        document[DIGEST] = document_digest(document)
    (build / NAME).write_bytes(canonical(document))

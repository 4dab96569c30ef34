"""Edit a sealed build as one would who knows how it is made: with digests and sums that fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sar_data.sealed.manifest import DIGEST, NAME, canonical, document_digest
from sar_data.sealed.opened import SUMS_NAME
from sar_data.sealed.sums import parse_build_sums
from sar_data.system.checksum import sha256


def edit(build: Path, change: Callable[[dict[str, Any]], object], *, digest: bool = True) -> None:
    """Change the manifest's document in place; without `digest` its own digest stays that of the old one."""
    document = json.loads((build / NAME).read_bytes())
    change(document)
    if digest:
        document[DIGEST] = document_digest(document)
    (build / NAME).write_bytes(canonical(document))


def resealed(build: Path) -> None:
    """Let the sums, the shards' sizes and the manifest say what the files are: nothing but their contents is wrong."""
    names = parse_build_sums((build / SUMS_NAME).read_bytes(), SUMS_NAME)
    lines = [f"{sha256(str(build / name))}  {name}\n" for name in names if (build / name).is_file()]
    (build / SUMS_NAME).write_text("".join(lines))

    def change(document: dict[str, Any]) -> None:
        document["sums"] = sha256(str(build / SUMS_NAME))
        for split in document["splits"].values() if document["format"] != "lmdb" else ():
            for shard in split["shards"]:
                if (build / shard["file"]).is_file():
                    shard["bytes"] = (build / shard["file"]).stat().st_size

    edit(build, change)

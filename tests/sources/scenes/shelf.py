"""Products as a hub has them on its shelf."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import datetime

from tests.sources.scenes.site import Reply, Request


@dataclass(frozen=True)
class Stored:
    """A product; `name` ends in .SAFE, `data` is its archive."""

    name: str
    data: bytes = b"PK\x03\x04" + bytes(60)
    online: bool = True
    md5: bool = True

    @property
    def id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.name} {len(self.data)}"))

    @property
    def stem(self) -> str:
        return self.name.removesuffix(".SAFE")

    @property
    def checksum(self) -> str:
        return hashlib.md5(self.data).hexdigest()

    @property
    def start(self) -> datetime:
        found = re.search(r"\d{8}T\d{6}", self.name)
        assert found
        return datetime.strptime(found[0], "%Y%m%dT%H%M%S")


def archive(stored: Stored, request: Request, *, ranges: bool = True, cut: int | None = None) -> Reply:
    """Return the product's bytes, or those of the range that was asked for, if `ranges` are known at all."""
    total = len(stored.data)
    headers = {"Content-Type": "application/zip", "ETag": f'"{stored.checksum}"', "Accept-Ranges": "bytes"}
    headers["Content-Disposition"] = f'attachment; filename="{stored.stem}.zip"'
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if not found or not ranges:
        return Reply(200, stored.data, headers, cut)
    first = int(found[1])
    if first >= total:
        return Reply(416, b"", {"Content-Range": f"bytes */{total}"})
    return Reply(206, stored.data[first:], {**headers, "Content-Range": f"bytes {first}-{total - 1}/{total}"}, cut)

"""A dataset's sources in words: printed by `fetch` before it starts, and by `build` without a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sar_data.spec import DatasetSpec, Source


def listing(spec: DatasetSpec, sources: Iterable[Source], folder: Path | str) -> Iterator[str]:
    """Yield the lines: licence, citation, every file with its addresses, size and checksum, manual ones last."""
    yield f"{spec.title} ({spec.name} {spec.version})"
    yield f"  licence   {spec.licence or 'none is stated'}"
    yield f"  citation  {spec.citation}"
    sources = tuple(sources)
    for title, manual in (("to fetch", False), ("to get by hand", True)):
        part = [source for source in sources if bool(source.manual) == manual]
        if part:
            yield f"{title}, into {folder}"
        for source in part:
            yield f"  {source.file}  ({'official list, ' if source.name in spec.lists else ''}{_size(source)})"
            yield from (f"    {url}" for url in (source.url, *source.mirrors))
            yield f"    {source.checksum or 'no checksum is published: that of the first download is recorded'}"
            yield from (f"    {line}" for line in (source.manual, source.note) if line)


def _size(source: Source) -> str:
    return "size not published" if source.size is None else f"{source.size:,} bytes"

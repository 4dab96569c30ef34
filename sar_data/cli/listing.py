"""A dataset's sources in words: printed by `fetch` before it starts, and by `build` without a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.filesize import decimal

from sar_data.download.plan import FetchPlan
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


def plan_lines(plan: FetchPlan) -> Iterator[str]:
    """Yield the lines of a plan: what is to come of each source, and the disk."""
    for part in plan.parts:
        size = "of unknown size" if part.size is None else f"{'' if part.exact else 'about '}{decimal(part.size)}"
        begun = "" if part.size in (part.left, None) or part.left is None else f", {decimal(part.left)} to come"
        yield f"  {part.state:10} {part.name}, {size}{begun}"
    yield f"  {plan.sentence()}"


def _size(source: Source) -> str:
    if source.size is not None:
        return f"{source.size:,} bytes"
    return "size not published" if source.about is None else f"about {decimal(source.about)}"

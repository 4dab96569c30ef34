"""Bring a dataset's sources into a folder: fetch what can be fetched, verify what is there, say what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from sar_data.download import ledger
from sar_data.download.credentials import Credentials
from sar_data.download.http import Offline, Stopped, Web, shown
from sar_data.download.ledger import Entry, Ledger
from sar_data.download.target import Fetched, Wanted
from sar_data.download.transfer import TransferProgress, download
from sar_data.errors import FetchError, SarDataError, SourceError, TargetError, Unreachable, UsageError, unknown
from sar_data.naming import MOST
from sar_data.progress import Say
from sar_data.spec import DatasetSpec, Source

State = Literal["fetched", "found", "missing", "failed"]
AT_ONCE = 4  # files; more would only take turns on one line, and public archives limit connections
# SPDX names of licences under which anyone may fetch and use data without agreeing to anything first.
OPEN = {
    "Apache-2.0",
    "CC0-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "MIT",
    "ODC-By-1.0",
    "PDDL-1.0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    """What became of a source: its verified file, or in `message` why not; `passing` if later may be better."""

    source: Source
    state: State
    file: Fetched | None = None
    message: str = ""
    passing: bool = False

    @property
    def there(self) -> bool:
        return self.state in ("fetched", "found")

    @property
    def kind(self) -> Literal["published", "observed"]:
        return "published" if self.source.checksum else "observed"


def chosen(spec: DatasetSpec, only: Sequence[str]) -> tuple[Source, ...]:
    """Return the sources whose names fit one of the shell patterns, all if there are none.

    Raises UsageError for a pattern that fits nothing.
    """
    for pattern in only:
        if not any(_fits(source, pattern) for source in spec.sources):
            raise unknown(f"source of {spec.name}", pattern, [source.name for source in spec.sources])
    return tuple(s for s in spec.sources if not only or any(_fits(s, pattern) for pattern in only))


def folder_of(spec: DatasetSpec, variant: DatasetSpec) -> Path:
    """Return where a variant's sources go if nobody says: raw/NAME, or raw/NAME-VARIANT where they are its own."""
    return Path("raw", variant.name if variant.sources == spec.sources else f"{variant.name}-{variant.variant}")


def _fits(source: Source, pattern: str) -> bool:
    return fnmatchcase(source.name, pattern) or fnmatchcase(source.file, pattern)


def web_of(environ: Mapping[str, str]) -> Web:
    """Return a client with the credentials of a user, and with AWS_ENDPOINT_URL_S3 for s3:// addresses."""
    return Web(authorise=Credentials.of(environ), s3_endpoint=environ.get("AWS_ENDPOINT_URL_S3") or None)


def needs_acceptance(spec: DatasetSpec, sources: Iterable[Source]) -> bool:
    """Say whether the licence has to be agreed to first; for what is got by hand that was done there."""
    return spec.licence not in OPEN and not all(source.manual for source in sources)


def check_licence(spec: DatasetSpec, sources: Iterable[Source], accepted: bool) -> None:
    """Raise UsageError where the licence has to be agreed to first, and was not."""
    if needs_acceptance(spec, sources) and not accepted:
        terms = spec.licence or "no stated licence: ask its publisher what you may do with it"
        raise UsageError(
            f"{spec.name} comes under {terms}. Nothing was fetched: read the terms where the data are published, then "
            "give `accept_licence=True`"
        )


def check(outcomes: Iterable[FetchResult]) -> None:
    """Raise unless every file is there: Unreachable where later may be better, SourceError where a person is needed."""
    bad = [outcome for outcome in outcomes if not outcome.there]
    if not bad:
        return
    said = "; ".join(f"{one.source.file}: {one.state}: {one.message} ({one.source.url})" for one in bad[:MOST])
    said += f"; and {len(bad) - MOST} more" if len(bad) > MOST else ""
    if any(one.state == "failed" and not one.passing for one in bad):
        raise FetchError(said)
    if any(one.passing for one in bad):
        raise Unreachable(said)
    raise SourceError(said)


def fetch(
    sources: Iterable[Source],
    folder: Path,
    *,
    web: Web,
    now: Callable[[], str],
    mirror: str | None = None,
    progress: TransferProgress | None = None,
    say: Say | None = None,
) -> list[FetchResult]:
    """Bring sources into `folder`, several at once, and record what is verified; return what became of each.

    One that fails stops no other, but a full disk stops all, and where no host can be reached that is one error
    (Unreachable). `mirror` is the address of a folder that has the files under their names, asked instead of the
    publishers. `now` gives the time for the record.
    """
    sources = tuple(sources)
    known = ledger.read(folder)
    wanted = [(source, _wanted(source, known, mirror)) for source in sources]
    _check_space([want for source, want in wanted if not source.manual], folder)
    offline: list[Offline] = []

    def one(source: Source, want: Wanted) -> FetchResult:
        path = folder / want.name
        if source.manual and not path.exists():
            return FetchResult(source=source, state="missing", message=source.manual)
        if source.manual and path.is_dir():
            return FetchResult(source=source, state="found", message="a folder, whose files the build checks")
        try:
            file = download(want, folder, web=web, progress=progress, say=say)
            outcome = FetchResult(source=source, state="fetched" if file.url else "found", file=file)
            entry = Entry(
                url=file.url or _recorded(known, want) or shown(source.url),
                bytes=file.bytes,
                checksum=file.checksum,
                kind=outcome.kind,
                time=now(),
            )
            ledger.record(folder, want.name, entry)
        except (TargetError, Stopped):
            web.halt()
            raise
        except SarDataError as error:
            if isinstance(error, Offline):
                offline.append(error)
            return FetchResult(
                source=source, state="failed", message=str(error), passing=isinstance(error, Unreachable)
            )
        return outcome

    outcomes = _together([partial(one, *pair) for pair in wanted], web)
    if offline and not web.answered.is_set():
        raise Offline(f"{web.away()}. What is in {folder} is kept: run the same command again")
    return outcomes


def fetch_here(
    sources: Iterable[Source],
    folder: Path,
    *,
    mirror: str | None = None,
    progress: TransferProgress | None = None,
    say: Say | None = None,
) -> list[FetchResult]:
    """Fetch as the user of this process: with the credentials of the environment, and the time of its clock."""
    with web_of(os.environ) as web:
        return fetch(
            sources,
            folder,
            web=web,
            now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
            mirror=mirror,
            progress=progress,
            say=say,
        )


def _together(jobs: Iterable[Callable[[], FetchResult]], web: Web) -> list[FetchResult]:
    """Run jobs in threads; raise what one of them raises, once all have ended."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            # The one that failed is told of, not those that it stopped.
            failed = [error for future in futures if (error := future.exception())]
        except BaseException:
            web.halt()
            raise
    for error in sorted(failed, key=lambda error: isinstance(error, Stopped)):
        raise error
    return [future.result() for future in futures]


def _wanted(source: Source, known: Ledger, mirror: str | None) -> Wanted:
    urls = (source.url, *source.mirrors) if mirror is None else (_below(mirror, source.file),)
    urls = () if source.manual else urls
    seen = known.files.get(source.file)
    return Wanted(
        name=source.file, urls=urls, checksum=source.checksum, seen=seen.checksum if seen else None, size=source.size
    )


def _below(mirror: str, name: str) -> str:
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https", "s3") or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(
            f"`mirror={shown(mirror)}`: expected the https, http or s3 address of a folder, without user, password or "
            "query (credentials belong into ~/.netrc)"
        )
    return f"{mirror.rstrip('/')}/{quote(name)}"


def _recorded(known: Ledger, want: Wanted) -> str | None:
    entry = known.files.get(want.name)
    return entry.url if entry else None


def _check_space(wanted: Iterable[Wanted], folder: Path) -> None:
    """Raise TargetError where the published sizes of what is missing exceed the free space."""
    need = 0
    for want in wanted:
        part = folder / f"{want.name}.part"
        if want.size is not None and not (folder / want.name).exists():
            need += max(0, want.size - (part.stat().st_size if part.exists() else 0))
    free = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
    if free < need:
        raise TargetError(
            f"{folder}: needs {need / 1e9:,.2f} GB more, {free / 1e9:,.2f} GB free. Free some space, choose another "
            "`to=…`, or fetch some with `only=…`."
        )

"""Fetch a dataset's sources into a folder, verify the existing files, and report the missing ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from sar_data.download import ledger
from sar_data.download.credentials import Credentials
from sar_data.download.http import Offline, Stopped, Web, redact
from sar_data.download.ledger import Entry, Ledger
from sar_data.download.plan import FetchPlan, plan_sources
from sar_data.download.target import Target, VerifiedFile
from sar_data.download.transfer import TransferProgress, download
from sar_data.errors import FetchError, SarDataError, SourceError, TargetError, Unreachable, UsageError, unknown
from sar_data.naming import MAX_NAMES
from sar_data.progress import Say
from sar_data.spec import DatasetSpec, Source

State = Literal["fetched", "found", "missing", "failed"]
MAX_PARALLEL = 4  # files; more would share the same connection, and public archives limit connections
# SPDX names of licences that allow anyone to fetch and use data without prior agreement.
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
    """The result for a source: its verified file, or in `message` the reason; `passing` if a retry may succeed."""

    source: Source
    state: State
    file: VerifiedFile | None = None
    message: str = ""
    passing: bool = False

    @property
    def there(self) -> bool:
        return self.state in ("fetched", "found")

    @property
    def kind(self) -> Literal["published", "observed"]:
        return "published" if self.source.checksum else "observed"


def select_sources(spec: DatasetSpec, only: Sequence[str]) -> tuple[Source, ...]:
    """Return the sources whose names match one of the shell patterns, all without patterns.

    Raises UsageError for a pattern that matches nothing.
    """
    for pattern in only:
        if not any(_matches(source, pattern) for source in spec.sources):
            raise unknown(f"source of {spec.name}", pattern, [source.name for source in spec.sources])
    return tuple(s for s in spec.sources if not only or any(_matches(s, pattern) for pattern in only))


def folder_of(spec: DatasetSpec, variant: DatasetSpec) -> Path:
    """Return the default folder of a variant's sources: raw/NAME, or raw/NAME-VARIANT where it has its own."""
    return Path("raw", variant.name if variant.sources == spec.sources else f"{variant.name}-{variant.variant}")


def _matches(source: Source, pattern: str) -> bool:
    return fnmatchcase(source.name, pattern) or fnmatchcase(source.file, pattern)


def web_of(environ: Mapping[str, str]) -> Web:
    """Return a client with the credentials of a user, and with AWS_ENDPOINT_URL_S3 for s3:// addresses."""
    return Web(authorise=Credentials.of(environ), s3_endpoint=environ.get("AWS_ENDPOINT_URL_S3") or None)


def needs_acceptance(spec: DatasetSpec, sources: Iterable[Source]) -> bool:
    """Say whether the user must agree to the licence first; for manual sources this happens at the publisher."""
    return spec.licence not in OPEN and not all(source.manual for source in sources)


def check_licence(spec: DatasetSpec, sources: Iterable[Source], accepted: bool) -> None:
    """Raise UsageError where the user must agree to the licence first, and has not."""
    if needs_acceptance(spec, sources) and not accepted:
        terms = spec.licence or "no stated licence: ask its publisher what you may do with it"
        raise UsageError(
            f"{spec.name} comes under {terms}. Nothing was fetched: read the terms where the data are published, then "
            "give `accept_licence=True`"
        )


def check_results(outcomes: Iterable[FetchResult]) -> None:
    """Raise unless every file is there: Unreachable where a retry may succeed, SourceError where a person must act."""
    bad = [outcome for outcome in outcomes if not outcome.there]
    if not bad:
        return
    message = "; ".join(
        f"{outcome.source.file}: {outcome.state}: {outcome.message} ({outcome.source.url})"
        for outcome in bad[:MAX_NAMES]
    )
    message += f"; and {len(bad) - MAX_NAMES} more" if len(bad) > MAX_NAMES else ""
    if any(outcome.state == "failed" and not outcome.passing for outcome in bad):
        raise FetchError(message)
    if any(outcome.passing for outcome in bad):
        raise Unreachable(message)
    raise SourceError(message)


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
    """Fetch sources into `folder`, several at once, and record the verified files; return the result of each.

    A failing source does not stop the others, but a full disk stops all, and where no host can be reached this is one
    error (Unreachable). `mirror` is the address of a folder with the files under their names, used instead of the
    publishers. `now` gives the time for the record.
    """
    sources = tuple(sources)
    ledger_before = ledger.read(folder)
    targets = [(source, _target_of(source, ledger_before, mirror)) for source in sources]
    _check_space(plan_sources(sources, folder))
    offline: list[Offline] = []

    def fetch_source(source: Source, target: Target) -> FetchResult:
        path = folder / target.name
        if source.manual and not path.exists():
            return FetchResult(source=source, state="missing", message=source.manual)
        if source.manual and path.is_dir():
            return FetchResult(source=source, state="found", message="a folder, whose files the build checks")
        try:
            file = download(target, folder, web=web, progress=progress, say=say)
            outcome = FetchResult(source=source, state="fetched" if file.url else "found", file=file)
            entry = Entry(
                url=file.url or _recorded_url(ledger_before, target) or redact(source.url),
                bytes=file.bytes,
                checksum=file.checksum,
                kind=outcome.kind,
                time=now(),
            )
            ledger.record(folder, target.name, entry)
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

    outcomes = _run_jobs([partial(fetch_source, *pair) for pair in targets], web)
    if offline and not web.answered.is_set():
        raise Offline(f"{web.away()}. What is in {folder} is kept: run the same command again")
    return outcomes


def fetch_as_user(
    sources: Iterable[Source],
    folder: Path,
    *,
    mirror: str | None = None,
    progress: TransferProgress | None = None,
    say: Say | None = None,
) -> list[FetchResult]:
    """Fetch as the user of this process, with the credentials of its environment and the time of its clock."""
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


def _run_jobs(jobs: Iterable[Callable[[], FetchResult]], web: Web) -> list[FetchResult]:
    """Run jobs in threads, in the context of the caller; raise what one of them raises, once all have ended."""
    with ThreadPoolExecutor(MAX_PARALLEL, thread_name_prefix="fetch") as pool:
        futures = [pool.submit(copy_context().run, job) for job in jobs]
        try:
            # Raise the error that caused the stop, not those of the stopped jobs.
            failed = [error for future in futures if (error := future.exception())]
        except BaseException:
            web.halt()
            raise
    for error in sorted(failed, key=lambda error: isinstance(error, Stopped)):
        raise error
    return [future.result() for future in futures]


def _target_of(source: Source, recorded: Ledger, mirror: str | None) -> Target:
    urls = (source.url, *source.mirrors) if mirror is None else (_mirror_url(mirror, source.file),)
    urls = () if source.manual else urls
    entry = recorded.files.get(source.file)
    return Target(
        name=source.file, urls=urls, checksum=source.checksum, seen=entry.checksum if entry else None, size=source.size
    )


def _mirror_url(mirror: str, name: str) -> str:
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https", "s3") or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(
            f"`mirror={redact(mirror)}`: expected the https, http or s3 address of a folder, without user, password or "
            "query (credentials belong in ~/.netrc)"
        )
    return f"{mirror.rstrip('/')}/{quote(name)}"


def _recorded_url(recorded: Ledger, target: Target) -> str | None:
    entry = recorded.files.get(target.name)
    return entry.url if entry else None


def _check_space(plan: FetchPlan) -> None:
    """Raise TargetError where the published sizes of the missing files exceed the free space."""
    need, free = plan.needed_bytes, plan.free_bytes
    if free < need:
        raise TargetError(
            f"{plan.folder}: needs {need / 1e9:,.2f} GB more, {free / 1e9:,.2f} GB free. Free some space, choose "
            "another `to=…`, or fetch some with `only=…`."
        )

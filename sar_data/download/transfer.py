"""Fetch one file: resume the last attempt or process, try mirrors in turn, publish the verified file."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from sar_data.download import digest, sniff
from sar_data.download import response as answer
from sar_data.download.http import Offline, Web, is_secure, redact
from sar_data.download.lock import lock_part
from sar_data.download.pace import Pace, Stalled
from sar_data.download.partial import Part
from sar_data.download.response import Offer, Restart, Retry, Unauthorized
from sar_data.download.target import Target, VerifiedFile, verify_file
from sar_data.errors import FetchError, Unreachable
from sar_data.progress import Say
from sar_data.system import durable

TransferProgress = Callable[[str, int, int | None], None]
"""(name, bytes so far, total bytes or None), called from the thread of the transfer, about once a MiB."""

TELL_BYTES = 1 << 20
UNSIZED_BYTES = 256 << 20  # the limit where neither publisher nor server gives a size: lists are smaller
LOGIN = (
    "it needs a login. Put `machine HOST login USER password PASSWORD` into ~/.netrc, or a token into the "
    "environment variable SAR_DATA_TOKEN_HOST (HOST in capitals, _ for dots)"
)


def download(
    target: Target, folder: Path, *, web: Web, progress: TransferProgress | None = None, say: Say | None = None
) -> VerifiedFile:
    """Fetch a file into `folder`, or verify the existing one; a partial download is resumed.

    Waits where another process is fetching the file. Raises Unreachable where every address failed temporarily,
    TargetError where the disk is full, FetchError for permanent failures, and Stopped.
    """
    path = folder / target.name
    tell = progress or (lambda name, have, total: None)
    say = say or (lambda line: None)
    urls, failures = list(target.urls), list[FetchError]()
    while True:
        with lock_part(path, web.pause, say) as part:
            if part is None:
                break
            # A rejected file of one address was renamed, so that the next address starts a new part.
            if file := _Transfer(target, part, web, tell, say).run(urls, failures):
                return file

    def step(have: int, size: int) -> None:
        web.pause()
        tell(target.name, have, size)

    return verify_file(target, path, step)


class Rejected(FetchError):
    """An address gave another file than the expected one."""


class _Transfer:
    """The transfer of one file, in the thread of its caller."""

    def __init__(self, target: Target, part: Part, web: Web, tell: TransferProgress, say: Say) -> None:
        self._target = target
        self._part = part
        self._web = web
        self._tell = tell
        self._say = say
        self._reached = part.have  # progress means bytes that were never there before
        self._has_older_bytes = part.have > 0  # of an earlier attempt

    def run(self, urls: list[str], failures: list[FetchError]) -> VerifiedFile | None:
        """Try `urls` in turn, each taken from the list; return the file of the first that gives it complete.

        Returns None where an address gave another file, which is renamed, and more addresses are left.
        """
        with digest.FileHasher(self._part.descriptor, self._target.algorithm) as self._follower:
            while urls:
                try:
                    return self._from(urls.pop(0))
                except FetchError as error:
                    failures.append(error)
                    if urls:
                        self._say(f"{error}; trying the next address")
                    if urls and isinstance(error, Rejected):
                        return None
        kinds = (Offline, Unreachable, FetchError)
        kind = next(kind for kind in kinds if all(isinstance(error, kind) for error in failures))
        raise kind("; ".join(map(str, failures)))

    def _from(self, url: str) -> VerifiedFile:
        """Try one address until the file is complete, patience ends or the failure is permanent."""
        if self._target.checksum is None and not is_secure(self._web.address(url)):
            raise FetchError(
                f"{self._target.name}: expected https or a published checksum, found {redact(url)} and none: anyone on "
                f"the way could change the file. Get it from a place you trust, put it into {self._part.target.parent}"
            )
        patience, part, failed, refused = self._web.patience, self._part, 0, False
        if not part.resumable(redact(url), self._target.expected):
            self._drop()
        while True:
            self._web.check_online(url)
            try:
                if part.have != part.note.total or not part.have:
                    self._attempt(url, refused=refused)
                return self._publish(url)
            except (Retry, httpx.TransportError) as error:
                trouble = (
                    error if isinstance(error, Retry) else Retry(f"{redact(url)}: {error or type(error).__name__}")
                )
                if _is_untrusted(error):
                    raise FetchError(str(trouble)) from None
                self._web.check_refusal(url, error, failed + 1)
            progressed = part.have > self._reached and not isinstance(trouble, Stalled)
            self._reached = max(self._reached, part.have)
            failed = 1 if progressed else failed + 1
            if isinstance(trouble, Restart):
                self._drop()
            if isinstance(trouble, Unauthorized) and refused and not progressed:
                raise FetchError(f"{trouble}: {LOGIN}")
            refused = isinstance(trouble, Unauthorized)
            if failed >= patience.attempts or (trouble.requested_s or 0) > patience.max_requested_s:
                asked = f" It asks to wait {trouble.requested_s:.0f} s." if trouble.requested_s else ""
                raise Unreachable(f"{trouble}, attempt {failed}.{asked} Received bytes are kept: run it again later")
            wait_s = 0.0 if refused else patience.delay(failed, trouble.requested_s)
            self._say(f"{trouble}; again in {wait_s:.1f} s, from byte {part.have:,}")
            self._web.pause(wait_s)

    def _attempt(self, url: str, *, refused: bool) -> None:
        """Request the missing bytes once and write them; return when the file is complete."""
        part, where, headers = self._part, redact(url), dict[str, str]()
        if part.have:
            headers["range"] = f"bytes={part.have}-"
            if part.note.validator and part.note.url == where:
                headers["if-range"] = part.note.validator
        with self._web.get(url, headers, refused=refused) as response:
            offer = answer.read(response, part.have, headers.get("if-range", ""), self._target.name)
            if offer.start and offer.start == offer.total:
                return  # nothing is missing, and this body is not the file's
            max_size = self._max_size(offer, where)
            if offer.start == 0:
                self._drop()
                part.begin(where, offer.validator, offer.total)
            self._has_older_bytes |= offer.start > 0
            self._take(response, offer, max_size, where)

    def _max_size(self, offer: Offer, where: str) -> int:
        """Return the maximum size of the file; raise where the offer does not fit it."""
        size, note = self._target.size, self._part.note
        if None not in (size, offer.total) and size != offer.total:
            raise FetchError(f"{where}: expected {size:,} bytes as published, the server offers {offer.total:,}")
        if self._part.have and None not in (note.total, offer.total) and note.total != offer.total:
            message = f"{where}: expected {note.total:,} bytes as at first, the server offers {offer.total:,}"
            if note.url != where:
                raise FetchError(message)  # what another address gave is not thrown away for this one
            if offer.start:
                raise Restart(message)
        total = size if offer.total is None else offer.total
        if total is None and not offer.framed and self._target.expected is None:
            raise FetchError(f"{where}: expected a length or a checksum, found none: where it ends would be a guess")
        if total is not None:
            self._part.check_space(total - offer.start)
        return UNSIZED_BYTES if total is None else total

    def _take(self, response: httpx.Response, offer: Offer, max_size: int, where: str) -> None:
        part, reported, sniffed = self._part, 0, offer.start >= sniff.HEAD_BYTES
        pace = Pace(self._web.patience, where)
        total = self._target.size if offer.total is None else offer.total
        # Not decoded: a .gz that a server labels as encoded is stored as it is.
        for block in response.iter_raw():
            if part.have + len(block) > max_size:
                self._drop()
                why = "its size" if total is not None else "the limit for a file of unknown size"
                raise FetchError(f"{where}: expected at most {max_size:,} bytes, {why}, and the server goes on sending")
            part.append(block)
            pace.step(len(block))
            if part.have - reported < TELL_BYTES and sniffed:
                continue
            reported = part.have
            if not sniffed and part.have >= sniff.HEAD_BYTES:
                self._sniff()
                sniffed = True
            self._follower.advance(part.have)
            self._tell(self._target.name, part.have, total)
            self._web.pause()
        if not part.have or (total is not None and part.have < total):
            raise Retry(f"{where}: the connection ended after {part.have:,} of {total or 'unknown'} bytes")
        if not sniffed:
            self._sniff()
        self._tell(self._target.name, part.have, part.have)

    def _sniff(self) -> None:
        try:
            sniff.check_head(self._target.name, self._part.head(sniff.HEAD_BYTES))
        except FetchError:
            self._drop()
            raise

    def _drop(self) -> None:
        self._follower.restart()
        self._part.drop()
        self._has_older_bytes = False

    def _publish(self, url: str) -> VerifiedFile:
        """Rename the file to its name if it is the expected one."""
        part, size = self._part, self._part.have
        self._follower.advance(size)
        with durable.explain_errors(part.target, "to"):
            checksum = self._follower.result()
        if problem := self._target.mismatch(size, checksum):
            if self._has_older_bytes:
                raise Restart(f"{redact(url)}: {problem}; the file may have changed between its parts")
            rejected = part.reject()
            raise Rejected(
                f"{redact(url)}: {problem}. The received file is kept as {rejected} for inspection and is not used: "
                "remove it"
            )
        part.publish()
        return VerifiedFile(path=part.target, bytes=size, checksum=checksum, url=redact(url))


def _is_untrusted(trouble: BaseException | None) -> bool:
    """Say whether a server's certificate is invalid, which a retry cannot change."""
    while trouble is not None and not isinstance(trouble, ssl.SSLCertVerificationError):
        trouble = trouble.__cause__ or trouble.__context__
    return trouble is not None

"""Fetch one file: go on where the last attempt or process ended, try mirrors in turn, publish what is verified."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from sar_data.download import digest, sniff
from sar_data.download import response as answer
from sar_data.download.http import Offline, Web, safe, shown
from sar_data.download.lock import held
from sar_data.download.pace import Pace, Stalled
from sar_data.download.partial import Part
from sar_data.download.response import Again, Anew, Offer, Refused
from sar_data.download.target import Fetched, Wanted, verified
from sar_data.errors import FetchError, Unreachable
from sar_data.progress import Say
from sar_data.system import durable

TransferProgress = Callable[[str, int, int | None], None]
"""(name, bytes there, bytes in all or None), called from the thread of the transfer, about once a MiB."""

TELL_BYTES = 1 << 20
UNSIZED_BYTES = 256 << 20  # the most that is taken where neither publisher nor server says a size: lists are smaller
LOGIN = (
    "it wants a login. Put `machine HOST login USER password PASSWORD` into ~/.netrc, or a token into the "
    "environment variable SAR_DATA_TOKEN_HOST (HOST in capitals, _ for dots)"
)


def download(
    wanted: Wanted, folder: Path, *, web: Web, progress: TransferProgress | None = None, say: Say | None = None
) -> Fetched:
    """Fetch a file into `folder`, or verify the one that is there; a half-fetched one is gone on with.

    A file that another process is fetching is waited for. Raises Unreachable where every address failed in a way that
    may pass, TargetError where the disk is full, FetchError for all that asking again does not mend, and Stopped.
    """
    target = folder / wanted.name
    tell = progress or (lambda name, have, total: None)
    say = say or (lambda line: None)
    urls, failures = list(wanted.urls), list[FetchError]()
    while True:
        with held(target, web.pause, say) as part:
            if part is None:
                break
            # What came from one address may be put aside, so that the next one's part is another file.
            if file := _Transfer(wanted, part, web, tell, say).run(urls, failures):
                return file

    def step(have: int, size: int) -> None:
        web.pause()
        tell(wanted.name, have, size)

    return verified(wanted, target, step)


class Rejected(FetchError):
    """An address gave another file than the one wanted."""


class _Transfer:
    """One file's way here, in the thread of its caller."""

    def __init__(self, wanted: Wanted, part: Part, web: Web, tell: TransferProgress, say: Say) -> None:
        self._wanted = wanted
        self._part = part
        self._web = web
        self._tell = tell
        self._say = say
        self._reached = part.have  # getting on means bytes that were never there before
        self._mixed = part.have > 0  # some bytes are of another attempt

    def run(self, urls: list[str], failures: list[FetchError]) -> Fetched | None:
        """Try `urls` in turn, each taken from the list; return the file of the first that gives it whole.

        Return None where an address gave another file, which is put aside, and more addresses are left.
        """
        with digest.Follower(self._part.descriptor, self._wanted.algorithm) as self._follower:
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

    def _from(self, url: str) -> Fetched:
        """Ask one address until the file is there, patience ends or the answer is final."""
        if self._wanted.checksum is None and not safe(self._web.address(url)):
            raise FetchError(
                f"{self._wanted.name}: expected https or a published checksum, found {shown(url)} and none: anyone on "
                f"the way could change the file. Get it from a place you trust, put it into {self._part.target.parent}"
            )
        patience, part, failed, refused = self._web.patience, self._part, 0, False
        if not part.resumable(shown(url), self._wanted.expected):
            self._drop()
        while True:
            self._web.check_online(url)
            try:
                if part.have != part.note.total or not part.have:
                    self._attempt(url, refused=refused)
                return self._published(url)
            except (Again, httpx.TransportError) as error:
                trouble = error if isinstance(error, Again) else Again(f"{shown(url)}: {error or type(error).__name__}")
                if _untrusted(error):
                    raise FetchError(str(trouble)) from None
                self._web.refused(url, error, failed + 1)
            got_on = part.have > self._reached and not isinstance(trouble, Stalled)
            self._reached = max(self._reached, part.have)
            failed = 1 if got_on else failed + 1
            if isinstance(trouble, Anew):
                self._drop()
            if isinstance(trouble, Refused) and refused and not got_on:
                raise FetchError(f"{trouble}: {LOGIN}")
            refused = isinstance(trouble, Refused)
            if failed >= patience.attempts or (trouble.asked_s or 0) > patience.obeyed_s:
                asked = f" It asks to wait {trouble.asked_s:.0f} s." if trouble.asked_s else ""
                raise Unreachable(f"{trouble}, attempt {failed}.{asked} What came is kept: run it again later")
            wait_s = 0.0 if refused else patience.delay(failed, trouble.asked_s)
            self._say(f"{trouble}; again in {wait_s:.1f} s, from byte {part.have:,}")
            self._web.pause(wait_s)

    def _attempt(self, url: str, *, refused: bool) -> None:
        """Ask once for what is missing and take it; return when the file is whole."""
        part, where, headers = self._part, shown(url), dict[str, str]()
        if part.have:
            headers["range"] = f"bytes={part.have}-"
            if part.note.validator and part.note.url == where:
                headers["if-range"] = part.note.validator
        with self._web.get(url, headers, refused=refused) as response:
            offer = answer.read(response, part.have, headers.get("if-range", ""), self._wanted.name)
            if offer.start and offer.start == offer.total:
                return  # nothing is missing, and this body is not the file's
            most = self._most(offer, where)
            if offer.start == 0:
                self._drop()
                part.begin(where, offer.validator, offer.total)
            self._mixed |= offer.start > 0
            self._take(response, offer, most, where)

    def _most(self, offer: Offer, where: str) -> int:
        """Return how many bytes the file may have; raise where what is offered cannot be it."""
        size, note = self._wanted.size, self._part.note
        if None not in (size, offer.total) and size != offer.total:
            raise FetchError(f"{where}: expected {size:,} bytes as published, the server offers {offer.total:,}")
        if self._part.have and None not in (note.total, offer.total) and note.total != offer.total:
            said = f"{where}: expected {note.total:,} bytes as at first, the server offers {offer.total:,}"
            if note.url != where:
                raise FetchError(said)  # what another address gave is not thrown away for this one
            if offer.start:
                raise Anew(said)
        total = size if offer.total is None else offer.total
        if total is None and not offer.framed and self._wanted.expected is None:
            raise FetchError(f"{where}: expected a length or a checksum, found none: where it ends would be a guess")
        if total is not None:
            self._part.check_space(total - offer.start)
        return UNSIZED_BYTES if total is None else total

    def _take(self, response: httpx.Response, offer: Offer, most: int, where: str) -> None:
        part, told, sniffed = self._part, 0, offer.start >= sniff.HEAD_BYTES
        pace = Pace(self._web.patience, where)
        total = self._wanted.size if offer.total is None else offer.total
        # Not decoded: a .gz that a server labels as an encoding is to arrive as it lies there.
        for block in response.iter_raw():
            if part.have + len(block) > most:
                self._drop()
                why = "as it should have" if total is not None else "since nobody says how many it has"
                raise FetchError(f"{where}: expected at most {most:,} bytes, {why}, and the server goes on sending")
            part.append(block)
            pace.step(len(block))
            if part.have - told < TELL_BYTES and sniffed:
                continue
            told = part.have
            if not sniffed and part.have >= sniff.HEAD_BYTES:
                self._sniff()
                sniffed = True
            self._follower.advance(part.have)
            self._tell(self._wanted.name, part.have, total)
            self._web.pause()
        if not part.have or (total is not None and part.have < total):
            raise Again(f"{where}: the connection ended after {part.have:,} of {total or 'unknown'} bytes")
        if not sniffed:
            self._sniff()
        self._tell(self._wanted.name, part.have, part.have)

    def _sniff(self) -> None:
        try:
            sniff.check(self._wanted.name, self._part.head(sniff.HEAD_BYTES))
        except FetchError:
            self._drop()
            raise

    def _drop(self) -> None:
        self._follower.restart()
        self._part.drop()
        self._mixed = False

    def _published(self, url: str) -> Fetched:
        """Give the file its name if it is the one wanted."""
        part, size = self._part, self._part.have
        self._follower.advance(size)
        with durable.explain_errors(part.target, "to"):
            checksum = self._follower.result()
        if problem := self._wanted.mismatch(size, checksum):
            if self._mixed:
                raise Anew(f"{shown(url)}: {problem}; the file may have changed between its parts")
            kept = part.reject()
            raise Rejected(
                f"{shown(url)}: {problem}. What came is kept as {kept}, to be looked at, and is not used: remove it"
            )
        part.publish()
        return Fetched(path=part.target, bytes=size, checksum=checksum, url=shown(url))


def _untrusted(trouble: BaseException | None) -> bool:
    """Say whether a server could not prove who it is, which no waiting mends."""
    while trouble is not None and not isinstance(trouble, ssl.SSLCertVerificationError):
        trouble = trouble.__cause__ or trouble.__context__
    return trouble is not None

"""A folder in an object store, behind an fsspec URL: read, written and listed patiently, its errors explained.

Nothing can be renamed in a store: an object appears at its name once it is whole. What may pass is tried again; what
will not, such as a refusal, is said at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeGuard, TypeVar

from sar_data.errors import BuildError, MissingExtra, RemoteError, SarDataError, TargetError, UsageError, missing_extra

T = TypeVar("T")
Place = str | Path
"""The URL of a folder in a store, or a path."""

MOST_BYTES = 256 << 20  # of a manifest: one with a million bad records has less
BLOCK = 4 << 20  # bytes that a thread holds at a time
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between attempts
EXTRA = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "s3a": "s3fs"}  # what our extra installs
ABSENT = (404, 410)  # states of an HTTP answer
STRANGERS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "SSOTokenLoadError")  # botocore's
FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "InsufficientCapacity", "507")  # codes of S3
EXISTS = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
AT_ONCE = 16  # requests for small objects
CREDENTIALS = "Set or renew credentials as the store's own tools know them (AWS_PROFILE, AWS_ACCESS_KEY_ID, …)"


class Sink(Protocol):
    """What a file is copied into."""

    def begin(self, size: int, patience: float) -> None:
        """Take room for `size` bytes and start from the first."""

    def write(self, data: bytes) -> None:
        """Write every byte."""


def is_url(place: Place | None) -> TypeGuard[str]:
    """Say whether a place is the URL of a store, and no path."""
    return isinstance(place, str) and "://" in place


def place_of(text: Place) -> Place:
    """Return a URL as it is, without slashes at its end, and any other text as a path."""
    return str(text).rstrip("/") if is_url(text) else Path(text)


def absolute(place: Place) -> Place:
    """Return a path as an absolute one, and a URL as it is."""
    return place if is_url(place) else Path(place).absolute()


class Store:
    """The files below `url`, with the credentials and options that fsspec and the backend find configured.

    A value can be pickled; connections belong to a process, and are opened at the first request.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._connection: tuple[int, Any, str] | None = None
        self._closed = threading.Event()
        self._connect()  # so that a URL of an unknown kind is refused where it was given

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url,)

    def read(self, name: str) -> bytes:
        """Return the whole of a document; raise BuildError for one of more than MOST_BYTES."""

        def whole() -> bytes:
            return b"".join(self._blocks(name, lambda size: self._check_size(name, size)))

        return self._patiently(name, whole)

    def copy(self, name: str, sink: Sink, patience: float) -> tuple[str, int]:
        """Write a file into `sink`, block by block; return its sha256 and length as they came."""
        return self._patiently(name, lambda: self._copy(name, sink, patience))

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the bytes of every object below a folder, by its name below that; none where nothing is there."""

        def search() -> dict[str, int]:
            files, root = self._connect()
            files.invalidate_cache()  # others write here too
            top = f"{root}/{folder}".rstrip("/")
            try:
                objects = files.find(top, detail=True)
            except FileNotFoundError:  # no object has this prefix; a bucket that is missing is named when it is written
                return {}
            return {path.removeprefix(top).lstrip("/"): int(facts["size"]) for path, facts in objects.items()}

        return self._patiently(folder, search, "list")

    def entries(self, folder: str) -> dict[str, int | None]:
        """Return what lies directly in a folder: bytes of a file, -1 where a server hides them, None for a folder."""

        def ask() -> dict[str, int | None]:
            files, root = self._connect()
            top = f"{root}/{folder}".rstrip("/")
            try:
                objects = files.ls(top, detail=True)
            except FileNotFoundError:
                return {}
            finally:
                files.invalidate_cache()  # a source has more folders than a process can remember
            entries: dict[str, int | None] = {}
            for facts in objects:
                size = -1 if facts["size"] is None else int(facts["size"])
                name = facts["name"].rstrip("/").rpartition("/")[2]
                if name and facts["name"].rstrip("/") != top:
                    entries[name] = None if facts["type"] == "directory" else size
            return entries

        return self._patiently(folder, ask, "list")

    def fetch(self, name: str, offset: int = 0, size: int | None = None) -> bytes | None:
        """Return the bytes of an object, or up to `size` of them from `offset` on; None where there is none."""

        def get() -> bytes | None:
            end = None if size is None else offset + size
            try:
                data: bytes = self._connect()[0].cat_file(self._address(name), start=offset or None, end=end)
            except FileNotFoundError as error:
                if (cause := self._cause(error)) is not error and getattr(cause, "status", None) not in ABSENT:
                    raise
                return None
            if size is not None and len(data) > size:  # of a web server that knows no ranges
                return data[offset : offset + size]
            return data

        return self._patiently(name, get)

    def fetch_many(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of objects, many requests at once; None where there is none."""
        files = self._connect()[0]
        addresses = [self._address(name) for name in names]
        try:
            answers = files.cat(addresses, on_error="return") if len(names) > 1 else {}
        except Exception:  # each is asked for alone, and what is wrong is said of one
            answers = {}
        data = [answers.get(address) for address in addresses]
        return [item if isinstance(item, bytes) else self.fetch(name) for name, item in zip(names, data, strict=True)]

    def size(self, name: str) -> int | None:
        """Return the bytes of an object, None where there is none of this name."""

        def ask() -> int | None:
            files, address = self._connect()[0], self._address(name)
            files.invalidate_cache()
            try:
                facts = files.info(address)
            except FileNotFoundError as error:
                if (cause := self._cause(error)) is not error and getattr(cause, "status", None) not in ABSENT:
                    raise
                return None
            return int(facts["size"] or 0) if facts["type"] == "file" else None

        return self._patiently(name, ask)

    def time_of(self, name: str) -> datetime:
        """Return when an object was written, by the store's clock."""

        def ask() -> datetime:
            files, _ = self._connect()
            files.invalidate_cache()
            time: datetime = files.modified(self._address(name))
            return time

        return self._patiently(name, ask)

    def write(self, name: str, data: bytes) -> None:
        """Write an object, whole; raise RemoteError, and TargetError where the store is full."""
        self._patiently(name, lambda: self._connect()[0].pipe_file(self._address(name), data), "write")

    def create(self, name: str, data: bytes) -> bool:
        """Write an object that is not there yet; return whether it is ours, and not another's who was first."""

        def write() -> bool:
            try:
                self._connect()[0].pipe_file(self._address(name), data, mode="create")
            except Exception as error:
                if not isinstance(error, FileExistsError) and _code(error) not in EXISTS:
                    raise
                return self.read(name) == data  # an attempt of ours may have arrived without its answer
            return True

        return self._patiently(name, write, "write")

    def upload(self, path: Path, name: str) -> None:
        """Write a local file as an object; raise as `write` does. Parts of one that failed are taken back."""
        self._patiently(name, lambda: self._connect()[0].put_file(str(path), self._address(name)), "write")

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""

        def drop(name: str) -> None:
            with suppress(FileNotFoundError):
                self._connect()[0].rm_file(self._address(name))

        self.each(lambda name: self._patiently(name, lambda: drop(name), "remove"), names)

    def abort_uploads(self, folder: str) -> int:
        """Take back the parts of uploads below a folder that were never completed; return of how many objects."""
        files, root = self._connect()
        if not hasattr(files, "list_multipart_uploads"):  # of S3 alone: others have no such parts
            return 0
        bucket, _, prefix = f"{root}/{folder}/".partition("/")

        def act() -> int:
            uploads = files.list_multipart_uploads(bucket) or []
            left = [upload for upload in uploads if upload["Key"].startswith(prefix)]
            for upload in left:
                files.abort_multipart_upload(bucket, upload["Key"], upload["UploadId"])
            return len(left)

        return self._patiently(folder, act, "remove")

    def each(self, act: Callable[[str], T], names: Iterable[str]) -> list[T]:
        """Return what `act` gives for each name, several at once, in their order."""
        todo = list(names)
        if len(todo) < 2:
            return [act(name) for name in todo]
        with ThreadPoolExecutor(min(AT_ONCE, len(todo))) as pool:
            return list(pool.map(act, todo))

    def close(self) -> None:
        """End what is under way at its next block, and every wait."""
        self._closed.set()

    def _connect(self) -> tuple[Any, str]:
        """Return this process's file system, and the address of the folder in it."""
        if self._connection is None or self._connection[0] != os.getpid():
            self._connection = (os.getpid(), *_filesystem(self.url))
        return self._connection[1:]

    def _address(self, name: str) -> str:
        return f"{self._connect()[1]}/{name}"

    def _copy(self, name: str, sink: Sink, patience: float) -> tuple[str, int]:
        digest, length = hashlib.sha256(), 0
        for data in self._blocks(name, lambda size: sink.begin(size, patience)):
            sink.write(data)
            digest.update(data)
            length += len(data)
        return digest.hexdigest(), length

    def _check_size(self, name: str, size: int) -> None:
        if size > MOST_BYTES:
            raise BuildError(f"{self.url}/{name}: expected at most {MOST_BYTES} bytes, found {size}: is it a build?")

    def _blocks(self, name: str, begin: Callable[[int], None]) -> Iterator[bytes]:
        """Yield a file in blocks, one more than it should have at most; `begin` is told its size, and may raise."""
        files, address = self._connect()[0], self._address(name)
        files.invalidate_cache(address)  # instances are shared, and somebody may have listed the folder long ago
        size, length = files.info(address)["size"], 0
        if size is None:
            raise BuildError(
                f"{self.url}/{name}: expected a server that says how long a file is, found one that hides it"
            )
        begin(size)
        # An HTTP server need not know ranges (Python's own does not): one request, streamed. Others are read by range.
        block = 0 if self.url.startswith("http") else BLOCK
        with files.open(address, "rb", block_size=block, cache_type="none", size=size) as file:
            while length <= size and (data := file.read(BLOCK)):
                if self._closed.is_set():
                    raise self._closed_error()
                yield data
                length += len(data)

    def _patiently(self, name: str, work: Callable[[], T], purpose: str = "read") -> T:
        where = f"{self.url}/{name}".rstrip("/")
        for pause in (*PAUSES, None):
            try:
                return work()
            except SarDataError:
                raise
            except Exception as caught:  # every backend has errors of its own
                error = self._cause(caught)
                _raise_lasting(where, purpose, error)
                if pause is None:
                    raise RemoteError(
                        f"{where}: expected an answer, found {_describe(error)}, {len(PAUSES) + 1} times. "
                        "Try again later."
                    ) from error
            if self._closed.wait(pause):
                break
        raise self._closed_error()

    def _cause(self, error: Exception) -> Exception:
        """Return what happened: over HTTP fsspec calls a file missing on any failure to ask for its size."""
        is_http = self.url.startswith("http") and isinstance(error, FileNotFoundError)
        return error.__cause__ if is_http and isinstance(error.__cause__, Exception) else error

    def _closed_error(self) -> UsageError:
        return UsageError(f"{self.url}: closed while a file was being fetched")


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise missing_extra("fsspec", "remote") from error
    protocol = url.partition("://")[0]
    try:
        files, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        if protocol in EXTRA:
            raise missing_extra(EXTRA[protocol], "remote") from error
        raise MissingExtra(f"{url}: {error}") from error
    except ValueError as error:
        raise UsageError(
            f"{url}: expected a path or a URL that fsspec knows, such as s3:// or https://: {error}"
        ) from error
    return files, str(root).rstrip("/")


def _raise_lasting(where: str, purpose: str, error: Exception) -> None:
    """Raise what another attempt would not change, in words; return for what may pass."""
    if isinstance(error, FileNotFoundError) or getattr(error, "status", None) in ABSENT:
        if purpose == "read":
            raise BuildError(f"{where}: expected a file of a sealed build, found none. Is the copy whole?") from error
        raise TargetError(f"{where}: expected a bucket to {purpose} in, found none ({error}). Create it.") from error
    if _is_refusal(error):
        public = ", or FSSPEC_S3_ANON=true for public data" if purpose == "read" else ""
        raise RemoteError(
            f"{where}: expected leave to {purpose}, found {_describe(error)}. {CREDENTIALS}{public}."
        ) from error
    if _code(error) in FULL or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        raise TargetError(
            f"{where}: the store is full, or its quota is used up ({_describe(error)}). Free some space and run the "
            "same command again: finished parts are kept."
        ) from error
    if isinstance(error, NotImplementedError):
        raise UsageError(f"{where}: expected a store that can {purpose}, found one that cannot. Use s3://.") from error


def _is_refusal(error: Exception) -> bool:
    """Say whether trying again would get the same answer: no credentials, or not these."""
    status = getattr(error, "status", None)  # aiohttp's
    return isinstance(error, PermissionError) or status in (401, 403) or type(error).__name__ in STRANGERS


def _code(error: Exception) -> str | None:
    """Return the code of an answer of S3, of which s3fs makes an OSError; None for other errors."""
    for candidate in (error, error.__cause__):
        response = getattr(candidate, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code"))
    return None


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

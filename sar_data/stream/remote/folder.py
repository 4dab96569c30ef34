"""A folder behind an fsspec URL: read patiently where the trouble may pass, and explained where it will not."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sar_data.errors import BuildError, MissingExtra, RemoteError, SarDataError, UsageError, missing_extra
from sar_data.stream.remote.cache import Part

T = TypeVar("T")

MOST_BYTES = 256 << 20  # of a manifest: one with a million bad records has less
BLOCK = 4 << 20  # bytes that a thread holds at a time
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between attempts
EXTRA = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "s3a": "s3fs"}  # what our extra installs
ABSENT = (404, 410)  # states of an HTTP answer
STRANGERS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "SSOTokenLoadError")  # botocore's


class Depot:
    """The files below `url`, with the credentials and options that fsspec and the backend find configured."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._root = _filesystem(url)
        self._closed = threading.Event()

    def read(self, name: str) -> bytes:
        """Return the whole of a document; raise BuildError for one of more than MOST_BYTES."""

        def whole() -> bytes:
            return b"".join(self._blocks(name, lambda size: self._check_size(name, size)))

        return self._patiently(name, whole)

    def copy(self, name: str, part: Part, patience: float) -> tuple[str, int]:
        """Write a file into `part`, block by block; return its sha256 and length as they came."""
        return self._patiently(name, lambda: self._copy(name, part, patience))

    def close(self) -> None:
        """End what is under way at its next block, and every wait."""
        self._closed.set()

    def _address(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _copy(self, name: str, part: Part, patience: float) -> tuple[str, int]:
        digest, length = hashlib.sha256(), 0
        for data in self._blocks(name, lambda size: part.begin(size, patience)):
            part.write(data)
            digest.update(data)
            length += len(data)
        return digest.hexdigest(), length

    def _check_size(self, name: str, size: int) -> None:
        if size > MOST_BYTES:
            raise BuildError(f"{self.url}/{name}: expected at most {MOST_BYTES} bytes, found {size}: is it a build?")

    def _blocks(self, name: str, begin: Callable[[int], None]) -> Iterator[bytes]:
        """Yield a file in blocks, one more than it should have at most; `begin` is told its size, and may raise."""
        address = self._address(name)
        self._files.invalidate_cache(address)  # instances are shared, and somebody may have listed the folder long ago
        size, length = self._files.info(address)["size"], 0
        if size is None:
            raise BuildError(
                f"{self.url}/{name}: expected a server that says how long a file is, found one that hides it"
            )
        begin(size)
        # An HTTP server need not know ranges (Python's own does not): one request, streamed. Others are read by range.
        block = 0 if self.url.startswith("http") else BLOCK
        with self._files.open(address, "rb", block_size=block, cache_type="none", size=size) as file:
            while length <= size and (data := file.read(BLOCK)):
                if self._closed.is_set():
                    raise self._closed_error()
                yield data
                length += len(data)

    def _patiently(self, name: str, work: Callable[[], T]) -> T:
        where = f"{self.url}/{name}"
        for pause in (*PAUSES, None):
            try:
                return work()
            except SarDataError:
                raise
            except Exception as caught:  # every backend has errors of its own
                error = self._cause(caught)
                if isinstance(error, FileNotFoundError) or getattr(error, "status", None) in ABSENT:
                    raise BuildError(
                        f"{where}: expected a file of a sealed build, found none. Is the copy whole?"
                    ) from error
                if _is_refusal(error):
                    raise RemoteError(
                        f"{where}: expected leave to read, found {_describe(error)}. Set credentials as the store's "
                        "own tools know them (AWS_PROFILE, AWS_ACCESS_KEY_ID, …), or FSSPEC_S3_ANON=true for public "
                        "data."
                    ) from error
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


def _is_refusal(error: Exception) -> bool:
    """Say whether trying again would get the same answer: no credentials, or not these."""
    status = getattr(error, "status", None)  # aiohttp's
    return isinstance(error, PermissionError) or status in (401, 403) or type(error).__name__ in STRANGERS


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

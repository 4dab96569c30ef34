"""What can go wrong, in one tree: every message says what was expected, what was found and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from sar_data.naming import MAX_NAMES, nearest, suggest

LONGEST = 600  # characters of a path, and of a reason


class SarDataError(Exception):
    """Any failure that sar-data explains to its user."""


class BadRecord(SarDataError, ValueError):
    """One record of the source is wrong: `path` names the file, `reason` says expected and found.

    What quotes a file at length is cut.
    """

    def __init__(self, path: str, reason: str) -> None:
        path, reason = (text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in (path, reason))
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadRecord], tuple[str, ...]]:
        # Exceptions cross process borders by their args, which here are the joined message.
        return type(self), (self.path, self.reason)


class BadObject(BadRecord):
    """One object of an annotation is none that an image can have; `kind` says how, in words that are counted by."""

    def __init__(self, path: str, reason: str, kind: str) -> None:
        super().__init__(path, reason)
        self.kind = kind

    def __reduce__(self) -> tuple[type[BadRecord], tuple[str, ...]]:
        return type(self), (self.path, self.reason, self.kind)


class Reading:
    """Context of the code that reads a file's bytes: an exception there becomes BadRecord and names the file.

    `expected` says what the file should be, as in "a .npy array". Errors that are explained already pass.
    """

    def __init__(self, path: str, expected: str) -> None:
        self._path = path
        self._expected = expected

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, SarDataError):
            cause = f"{type(error).__name__}: {str(error) or 'no reason'}"
            raise BadRecord(
                self._path, f"expected {self._expected}, found one that fails to be read ({cause:.160})"
            ) from error


class PipelineFault(SarDataError, RuntimeError):
    """The code of a pipeline failed, or broke a promise: no file is wrong, and quarantine does not help."""

    def __init__(self, dataset: str, act: str, what: str, error: object) -> None:
        super().__init__(f"{dataset}: {act} failed at {what}: {type(error).__name__}: {error}: a fault of the pipeline")
        self.arguments = dataset, act, what, str(error)

    def __reduce__(self) -> tuple[type[PipelineFault], tuple[str, str, str, str]]:
        return type(self), self.arguments


class SourceError(SarDataError, FileNotFoundError):
    """The source as a whole is missing, empty or not the dataset that was asked for."""


class MissingList(SourceError):
    """A named list (an official split, an exclusion list, a name mapping) was not found."""


class FetchError(SarDataError, OSError):
    """A source cannot be fetched as asked, or is not what was published; trying again does not help."""


class Unreachable(FetchError):
    """A server did not give all of a file while patience lasted: what came is kept, and later may be better."""


class SplitError(SarDataError, ValueError):
    """A split policy cannot be applied, or its result breaks a law (such as an empty train split)."""


class LeakageError(SarDataError, ValueError):
    """A figure of leakage is above the limit that was asked for, or not known."""


class TargetError(SarDataError, OSError):
    """The target cannot be written: full, read-only, or held by another build."""


class WorkerDied(SarDataError, RuntimeError):
    """A worker process ended without an answer; the message names the item it held."""


class BuildError(SarDataError, ValueError):
    """A build on disk is not whole, not of this version, or cannot be used as asked."""


class OtherVersion(BuildError):
    """A build that another version of sar-data made, and this one cannot read."""


class RunError(SarDataError, ValueError):
    """A training run, or what it left on disk, is not whole or cannot be used as asked."""


class RemoteError(SarDataError, ConnectionError):
    """A remote build does not answer, or may not be read."""


class UsageError(SarDataError, ValueError):
    """An option or a name that does not exist or does not fit."""


class MissingExtra(SarDataError, ImportError):
    """An optional package is not installed; the message names the extra."""


def unknown(what: str, name: str, known: Iterable[str], also: Iterable[str] = ()) -> UsageError:
    """Return the error for a name that does not exist, with what was meant and what exists, a few of many.

    `also` are names that are taken, but not listed.
    """
    choices = sorted(set(known))
    right = suggest(name, choices, also)
    hint = f" Did you mean {right!r}?" if right else ""
    shown = ", ".join(nearest(name, choices)) or "none"
    count = f"There are {len(choices)}, such as" if len(choices) > MAX_NAMES else "There are:"
    return UsageError(f"unknown {what} {name!r:.120}.{hint} {count} {shown}")


def missing_extra(package: str, extra: str) -> MissingExtra:
    """Return the error for an optional package that is not installed."""
    return MissingExtra(f"{package} is not installed: pip install 'sar-data[{extra}]'")

"""Parameter types that know the existing names, so that the error for a wrong name suggests the nearest one."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from sar_data.errors import UsageError, unknown
from sar_data.naming import few

if TYPE_CHECKING:
    from sar_data.inventory import Kind

OF_BUILDS = ("manifest.json", "SHA256SUMS")


class OneOf(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4, and 8.1 will do
    """A name among `choices()`, which is called on use so that help imports nothing."""

    def __init__(self, what: str, choices: Callable[[], Iterable[str]]) -> None:
        self.name = what
        self._choices = choices

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in (known := list(self._choices())):
            raise unknown(self.name, value, known)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return completions(incomplete, self._choices())

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME"


class ManyOf(OneOf):
    """Names among `choices()`, with commas between them."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return ",".join(super(ManyOf, self).convert(name, param, ctx) for name in value.split(","))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, _ = incomplete.rpartition(",")
        return completions(incomplete, [before + comma + name for name in self._choices()])

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME,…"


class DatasetName(click.ParamType):  # type: ignore[type-arg]
    """A dataset, by any of its names."""

    name = "dataset"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from sar_data import catalog

        return catalog.resolve(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from sar_data import catalog

        return completions(incomplete, catalog.names())

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME"


class DatasetOrFolder(DatasetName):
    """A dataset, by any of its names; or a folder, where no dataset has that name."""

    def convert(  # type: ignore[override]  # a folder is no name
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        try:
            return super().convert(value, param, ctx)
        except UsageError as error:
            if (path := Path(value)).is_dir():
                return path
            if "/" in value:
                raise UsageError(f"{path}: expected a dataset or a folder, found nothing.{_nearest(path)}") from None
            raise UsageError(f"{error}. No folder here has that name either") from None


class SplitName(click.ParamType):  # type: ignore[type-arg]
    """The name of a split, which is checked when the build is opened."""

    name = "split"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from sar_data.split.policy import SPLITS

        return completions(incomplete, SPLITS)


class PolicyName(click.ParamType):  # type: ignore[type-arg]
    """A split policy with its parameters, which the request parses."""

    name = "policy"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from sar_data import catalog

        # Where the line ends with the option, click has not given the words before it to their arguments.
        datasets = [word for word in (ctx.params.get("dataset"), *ctx.args) if word in catalog.names()]
        return completions(incomplete, catalog.pipeline(datasets[0]).splits if datasets else ())


class ExistingPath(click.ParamType):  # type: ignore[type-arg]
    """A folder that exists; with `file` also a file."""

    name = "folder"

    def __init__(self, *, file: bool = False) -> None:
        self._file = file

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if path.is_dir() or (self._file and path.is_file()):
            return path
        what = param.opts[0] if param is not None and param.param_type_name == "option" else "path"
        if path.exists():
            hint = f": take {path.parent}" if any(path.name == name for name in OF_BUILDS) else ""
            raise UsageError(f"{what} {path}: expected a folder, found a file{hint}")
        if "://" in str(value):
            raise UsageError(f"{what} {value}: expected a folder of this machine, found an address: copy it here first")
        raise UsageError(f"{what} {path}: expected a folder, found nothing.{_nearest(path)}")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file" if self._file else "dir")]


class FolderPlace(ExistingPath):
    """A folder that exists, or the URL of one in an object store."""

    def convert(  # type: ignore[override]  # a URL is no path
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        return value if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)


class PathOrWord(ExistingPath):
    """A folder that exists, or a word for a build or run here; an existing path has priority."""

    kind: Kind = "build"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not Path(value).exists():
            if match := resolve_word(value, self.kind):
                return match
            if difflib.get_close_matches(str(value), words := self._words(), n=1):
                raise unknown(self.kind, str(value), words)
        return super().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [*completions(incomplete, self._words()), *super().shell_complete(ctx, param, incomplete)]

    def _words(self) -> list[str]:
        from sar_data.inventory import LATEST, names

        return [LATEST, *there] if (there := names(self.kind)) else []


class BuildFolder(PathOrWord):
    """A folder with a sealed build, or with the rest of a damaged one."""

    name = "build"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = super().convert(value, param, ctx)
        if any((path / name).exists() for name in OF_BUILDS):
            return path
        from sar_data.sealed.manifest import whereabouts

        raise UsageError(f"{path}: expected a sealed build, found no {OF_BUILDS[0]}; {whereabouts(path)}")


class BuildPlace(BuildFolder):
    """A folder with a sealed build, or a URL, as it was typed; a URL is checked when it is opened."""

    def convert(  # type: ignore[override]  # a URL is no path
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        return str(value) if "://" in str(value) else str(super().convert(value, param, ctx))


class PlaceOrWord(PathOrWord):
    """What `PathOrWord` takes, or a URL, which is checked when it is opened."""

    def convert(  # type: ignore[override]  # a URL is no path
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        return value if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)


class SourcePlace(click.ParamType):  # type: ignore[type-arg]
    """A folder, an archive or a URL to read, which need not exist yet."""

    name = "path"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        from sar_data.system.store import place_of

        return place_of(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class TargetPlace(click.ParamType):  # type: ignore[type-arg]
    """A folder to write in, which need not exist yet, or the URL of one in an object store."""

    name = "folder"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        from sar_data.system.store import place_of

        place = place_of(value)
        if isinstance(place, Path) and place.is_file():
            raise UsageError(f"{place}: expected a folder, found a file")
        return place

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="dir")]


class RunFolder(PathOrWord):
    """The folder of a training run."""

    name, kind = "run", "run"


class BuildOrRun(PathOrWord):
    """The folder of a sealed build, or of a training run."""

    name = "build or run"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not Path(value).exists() and resolve_word(value) is None and (match := resolve_word(value, "run")):
            return match
        return super().convert(value, param, ctx)


class Share(click.ParamType):  # type: ignore[type-arg]
    """A share, as 5% or as 0.05."""

    name = "share"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            raise UsageError(f"expected a share such as 5%, found {text!r}") from None


def resolve_word(word: str | Path, kind: Kind = "build") -> Path | None:
    """Return the path of a build or run: `latest`, or the beginning of its name; None for no match."""
    from sar_data.inventory import find

    return find(word, kind)


def completions(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    """Return the names that begin with an incomplete word, for the completion of a shell."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def formats() -> list[str]:
    """Return the names of the containers."""
    from sar_data.formats import names

    return names()


def _nearest(path: Path) -> str:
    """Return a hint for a missing path: the nearest name in the deepest folder that exists."""
    missing = Path(os.path.abspath(path))
    while not missing.parent.is_dir():
        missing = missing.parent
    try:
        names = sorted(entry.name for entry in os.scandir(missing.parent) if entry.is_dir())
    except OSError:
        return ""
    near = difflib.get_close_matches(missing.name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {missing.parent / near[0]}?" if near else ""
    return f"{hint} {missing.parent} holds: {few(names) if names else 'no folders'}"

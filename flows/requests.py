"""From the parameters of a flow to the library's request, whose fields have the same names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sar_data.errors import UsageError
from sar_data.runners import Crew

R = TypeVar("R")
PLACES = ("build", "source", "out", "parent", "path")  # parameters of text that are a path or an address


def request_of(kind: type[R], parameters: Mapping[str, Any]) -> R:
    """Return a request; raise UsageError for a relative path and for contradictory parameters."""
    fields: Any = kind
    names = [field.name for field in dataclasses.fields(fields)]
    values = {name: parameters[name] for name in names if name in parameters}
    check_absolute(**{name: value for name, value in values.items() if name in PLACES or _has_paths(value)})
    return kind(**values)


def check_request(kind: type[Any], parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that a flow would refuse before it opens a file."""
    request_of(kind, parameters)
    crew_of(parameters)


def check_absolute(**places: Path | str | Sequence[Path | str] | None) -> None:
    """Raise UsageError for a relative path: a worker runs in another folder, and would silently use a wrong path.

    A text with a colon is an address, or names weights.
    """
    for name, value in places.items():
        for place in [value] if isinstance(value, Path | str) else value or ():
            if (isinstance(place, Path) or ":" not in place) and not Path(place).is_absolute():
                raise UsageError(f"`{name}={place}`: expected an absolute path, since a worker has a folder of its own")


def crew_of(parameters: Mapping[str, Any]) -> Crew:
    """Return the workers that a flow's parameters choose."""
    return Crew(**{field.name: parameters.get(field.name) for field in dataclasses.fields(Crew)})


def _has_paths(value: Any) -> bool:
    """Return whether a parameter is a path or a list of paths."""
    return isinstance(value, Path) or (isinstance(value, list) and any(isinstance(item, Path) for item in value))

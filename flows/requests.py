"""From the parameters of a flow to the library's request, whose fields have the same names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sar_data.errors import UsageError
from sar_data.runners import Crew

R = TypeVar("R")
PLACES = ("build", "source")  # parameters of text that are a path or an address


def request_of(kind: type[R], parameters: Mapping[str, Any]) -> R:
    """Return a request; raise UsageError for a path of another folder and for what contradicts itself."""
    fields: Any = kind
    asked = {one.name: parameters[one.name] for one in dataclasses.fields(fields) if one.name in parameters}
    check_absolute(**{name: given for name, given in asked.items() if name in PLACES or _paths(given)})
    return kind(**asked)


def check_request(kind: type[Any], parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that a flow would refuse before it opens a file."""
    request_of(kind, parameters)
    crew_of(parameters)


def check_absolute(**places: Path | str | Sequence[Path | str] | None) -> None:
    """Raise UsageError for a relative path: a worker runs where it likes, and would silently take another folder.

    A text with a colon is an address, or names weights.
    """
    for name, given in places.items():
        for place in [given] if isinstance(given, Path | str) else given or ():
            if (isinstance(place, Path) or ":" not in place) and not Path(place).is_absolute():
                raise UsageError(f"`{name}={place}`: expected an absolute path, since a worker has a folder of its own")


def crew_of(parameters: Mapping[str, Any]) -> Crew:
    """Return who computes, as a flow's parameters say."""
    return Crew(**{field.name: parameters.get(field.name) for field in dataclasses.fields(Crew)})


def _paths(given: Any) -> bool:
    """Say whether a parameter is a path or several."""
    return isinstance(given, Path) or (isinstance(given, list) and any(isinstance(one, Path) for one in given))

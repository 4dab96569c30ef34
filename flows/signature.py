"""A flow whose parameters are those of another function, so that they are written down once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

T = TypeVar("T")


def like(other: Callable[..., Any], *, but: Collection[str] = ()) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Let a function of `**parameters` show its own named parameters and then those of `other`, `but` some.

    So do their descriptions: the lines of `other`'s Args follow the function's own.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        named = inspect.Parameter.KEYWORD_ONLY
        own = inspect.signature(function, eval_str=True)
        mine = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        theirs = inspect.signature(other, eval_str=True).parameters.values()
        together = [*mine, *(one for one in theirs if one.name not in but)]
        ordered = sorted(together, key=lambda one: one.default is not inspect.Parameter.empty)
        vars(function)["__signature__"] = own.replace(parameters=[one.replace(kind=named) for one in ordered])
        function.__doc__ = f"{inspect.getdoc(function)}\n{_arguments(other)}"
        return function

    return decorate


def _arguments(function: Callable[..., Any]) -> str:
    """Return the lines of a docstring's Args."""
    return (inspect.getdoc(function) or "").partition("Args:\n")[2]

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
        function.__doc__ = _documented(function, other)
        return function

    return decorate


def _documented(function: Callable[..., Any], other: Callable[..., Any]) -> str:
    """Return a function's docstring with the Args of both; that of `other` where it has none."""
    intro, _, own = (inspect.getdoc(function) or "").partition("Args:\n")
    its_intro, _, its_own = (inspect.getdoc(other) or "").partition("Args:\n")
    return "\n".join(part.rstrip() for part in (f"{intro or its_intro}Args:", own, its_own) if part)

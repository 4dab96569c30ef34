"""A flow whose parameters are those of another function, so that they are written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

T = TypeVar("T")


def like(other: Callable[..., Any], *, but: Collection[str] = ()) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Give a function of `**parameters` the named parameters of `other`, except those of `but`, after its own.

    Its docstring gets their descriptions: the lines of `other`'s Args follow its own.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        named = inspect.Parameter.KEYWORD_ONLY
        signature = inspect.signature(function, eval_str=True)
        first = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        others = inspect.signature(other, eval_str=True).parameters.values()
        parameters = [*first, *(parameter for parameter in others if parameter.name not in but)]
        ordered = sorted(parameters, key=lambda parameter: parameter.default is not inspect.Parameter.empty)
        vars(function)["__signature__"] = signature.replace(
            parameters=[parameter.replace(kind=named) for parameter in ordered]
        )
        function.__doc__ = _join_docstrings(function, other)
        return function

    return decorate


def _join_docstrings(function: Callable[..., Any], other: Callable[..., Any]) -> str:
    """Return a function's docstring with the Args of both; that of `other` where it has none."""
    intro, _, arguments = (inspect.getdoc(function) or "").partition("Args:\n")
    other_intro, _, other_arguments = (inspect.getdoc(other) or "").partition("Args:\n")
    return "\n".join(part.rstrip() for part in (f"{intro or other_intro}Args:", arguments, other_arguments) if part)

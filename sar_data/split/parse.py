"""Parse a policy of the command line: `blocks:size=15,buffer=1`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from sar_data.errors import UsageError, unknown
from sar_data.split.policy import SplitPolicy

_KINDS = {float: "a number", int: "a whole number", str: "a name", bool: "yes or no"}
_WORDS = {"yes": True, "true": True, "no": False, "false": False}


def parse(text: str, policies: Mapping[str, SplitPolicy]) -> tuple[str, SplitPolicy]:
    """Return the name and the policy that `NAME` or `NAME:FIELD=VALUE,…` stands for.

    The values replace fields of `policies[NAME]`, which stays unchanged. Raises UsageError for unknown names, for
    values of another type, and where the policy itself refuses them.
    """
    name, colon, rest = text.partition(":")
    name = name.strip()
    if name not in policies:
        raise unknown("split", name, policies)
    policy = policies[name]
    if not colon:
        return name, policy
    kinds = _fields(policy)
    changes: dict[str, Any] = {}
    for part in rest.split(","):
        field, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not field or not value:
            raise UsageError(f"split {text!r}: expected {name}:parameter=value,…, found {part!r}")
        if field not in kinds:
            raise unknown(f"parameter of split {name}", field, kinds)
        if field in changes:
            raise UsageError(f"split {text!r}: expected {field} once, found it twice: keep one")
        changes[field] = _convert(f"split {name}: {field}", value, kinds[field])
    # Every policy in `kinds` is a dataclass instance, which the protocol cannot express.
    replaced: SplitPolicy = dataclasses.replace(policy, **changes)  # type: ignore[type-var]
    return name, replaced


def split_list(text: str) -> list[str]:
    """Return the policies of a list such as `official,blocks:size=15,buffer=1,random`."""
    policies: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if policies and "=" in part and ":" not in part:  # a further parameter of the policy before it
            policies[-1] += f",{part}"
        else:
            policies.append(part)
    return policies


def _fields(policy: SplitPolicy) -> dict[str, type]:
    """Return the fields that a single word can set, with their types; an optional field counts as its type."""
    if not dataclasses.is_dataclass(policy):
        return {}
    hints = get_type_hints(type(policy))
    kinds: dict[str, type] = {}
    for field in dataclasses.fields(policy):
        choices = [kind for kind in get_args(hints[field.name]) or (hints[field.name],) if kind is not type(None)]
        if len(choices) == 1 and choices[0] in _KINDS:
            kinds[field.name] = choices[0]
    return kinds


def _convert(what: str, value: str, kind: type) -> bool | float | int | str:
    try:
        converted: bool | float | int | str = _WORDS[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        raise UsageError(f"{what}: expected {_KINDS[kind]}, found {value!r}") from None
    return converted

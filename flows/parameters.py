"""From typed `KEY=VALUE` texts to values that fit the schema of a deployment."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.utilities.schema_tools.validation import is_valid

from sar_data.errors import UsageError, unknown
from sar_data.naming import fold

WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "JSON",
}


def parse(
    parameters: Sequence[str], schema: Mapping[str, Any], label: str, given: Collection[str] = ()
) -> dict[str, Any]:
    """Return the values of `KEY=VALUE` texts: JSON where it is JSON and the parameter is not text, else as typed.

    Paths become absolute here, since the worker that reads them has a folder of its own. `given` names the parameters
    that have a value in the deployment. Raises UsageError for a parameter that does not exist, is missing or does not
    fit its type.
    """
    known: Mapping[str, Any] = schema.get("properties", {})
    values: dict[str, Any] = {}
    for text in parameters:
        key, equals, typed = text.partition("=")
        if not equals:
            raise UsageError(f"-p {text}: expected KEY=VALUE")
        if key not in known:
            raise unknown(f"parameter of {label}", key, known)
        values[key] = _value(typed, known[key])
        _check(key, typed, values[key], known[key], schema)
    missing = [key for key in schema.get("required", []) if key not in {*values, *given}]
    if missing:
        raise UsageError(f"{label} needs {' and '.join(f'-p {key}=…' for key in missing)}")
    return values


def as_flow_values(values: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON values as a flow gets them: a text whose schema is a path becomes a Path."""
    return {
        name: _each(Path, value) if "path" in _forms(fields.get(name, {})) else value for name, value in values.items()
    }


def _value(text: str, field: Mapping[str, Any]) -> Any:
    kinds = list(_kinds(field))
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not isinstance(value, str | list | None) and any(kind.get("type") == "string" for kind in kinds):
        value = text  # a folder with the name 2017 is no number
    choices = {fold(choice): choice for choice in _choices(field)}
    if choices and isinstance(value, str) and "," in value and any(kind.get("type") == "array" for kind in kinds):
        value = value.split(",")
    if _forms(field) & {"path", "path-or-url"}:
        return _each(lambda path: path if "://" in path else str(Path(path).expanduser().absolute()), value)
    return _each(lambda word: choices.get(fold(word), word), value)


def _each(change: Callable[[str], Any], value: Any) -> Any:
    """Apply `change` to a text, or to each text of a list; return other values unchanged."""
    if isinstance(value, list):
        return [_each(change, item) for item in value]
    return change(value) if isinstance(value, str) else value


def _check(key: str, typed: str, value: Any, field: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raise UsageError for a value that the field's schema refuses, as the server would without a hint."""
    required = [name for name in schema.get("required", []) if name == key]  # any other may be null
    if is_valid({key: value}, {**schema, "properties": {key: field}, "required": required}):
        return
    choices = _choices(field)
    if choices and isinstance(value, str):
        raise unknown(key, value, choices)
    words = [_words(kind) for kind in _kinds(field) if kind.get("type") not in (None, "null")]
    raise UsageError(f"-p {key}={typed}: expected {' or '.join(words) or 'another value'}")


def _words(kind: Mapping[str, Any]) -> str:
    choices = ", ".join(_choices(kind))
    if choices:
        return f"a list of {choices}" if kind["type"] == "array" else f"one of {choices}"
    least = f" of at least {kind['minimum']}" if "minimum" in kind else ""
    return WORDS.get(kind["type"], "text") + least


def _kinds(field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the field's schema, or those of a union."""
    yield from field.get("anyOf", [field])


def _forms(field: Mapping[str, Any]) -> set[str | None]:
    """Return the formats that the schemas of a field, or of its items, name."""
    return {kind.get("items", kind).get("format") for kind in _kinds(field)}


def _choices(field: Mapping[str, Any]) -> list[str]:
    """Return the allowed words of the field, or of its items; an empty list where all are allowed."""
    words: list[str] = []
    for kind in _kinds(field):
        item = kind.get("items", kind)
        words += [choice for choice in [*item.get("enum", []), item.get("const")] if isinstance(choice, str)]
    return list(dict.fromkeys(words))

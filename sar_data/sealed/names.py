"""Types of the names that become files, folders and keys, checked whenever a document is read.

A build may come from an unknown source, and the names in its documents become parts of paths. So a name must be one
plain part of a path, and a path must stay below its folder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import pydantic
from pydantic import AfterValidator, Field, StringConstraints

from sar_data import formats
from sar_data.dtypes import STORED
from sar_data.errors import UsageError
from sar_data.formats import FORMATS
from sar_data.spec import DatasetSpec
from sar_data.split.policy import SPLITS
from sar_data.system.paths import CONTROL, flaw
from sar_data.text import UNPRINTABLE

SPLIT = "|".join(SPLITS)


def name_flaw(name: str) -> str | None:
    """Return why a string cannot be the name of one file or folder, None where it can."""
    if "/" in name and not flaw(name):
        return "expected a plain name, found a path"
    if name.startswith(".") and not flaw(name):
        return "expected a name that is seen, found a hidden one"
    if UNPRINTABLE.search(name) and not flaw(name):
        return "expected a name on one line, found a control character"
    return flaw(name)


def key_flaw(key: str) -> str | None:
    """Return why a sample cannot have this key, None where it can."""
    if key in ("", ".", "..") or "/" in key or CONTROL.search(key):
        return "expected a key without slashes and control characters, and not a dot or two"
    return None


def label_flaw(label: str) -> str | None:
    """Return why a class cannot have this name, None where it can; a class name is never part of a path."""
    return "expected a name on one line" if not label or UNPRINTABLE.search(label) else None


def format_flaw(name: str) -> str | None:
    """Return why a build cannot be of this container, None where it can."""
    return None if formats.module(name) else f"expected {', '.join(formats.names())}"


def dtype_flaw(name: str) -> str | None:
    """Return why pixels cannot be stored in this type, None where they can."""
    return None if name in STORED else f"expected {', '.join(STORED)}"


def _validator(flaw_of: Callable[[str], str | None]) -> AfterValidator:
    def check(value: str) -> str:
        if reason := flaw_of(value):
            raise ValueError(f"{reason}: {value[:200]!r}")
        return value

    return AfterValidator(check)


_NAME_SCHEMA = {
    "pattern": r"^[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029.][^/\\\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
    "maxLength": 255,
}
_PATH_SCHEMA = {"pattern": r"^[^/\\\x00-\x1f\x7f]+(/[^/\\\x00-\x1f\x7f]+)*$"}

Name = Annotated[str, _validator(name_flaw), Field(json_schema_extra=_NAME_SCHEMA)]
"""A dataset, a version, a variant, a band, a task, a downloaded file: one part of a path."""
Optional = Annotated[str, _validator(lambda name: name_flaw(name) if name else None)]
"""A name, or an empty string where there is none."""
RelativePath = Annotated[str, _validator(flaw), Field(json_schema_extra=_PATH_SCHEMA)]
"""A file below the folder of the document that names it."""
Label = Annotated[str, _validator(label_flaw), Field(json_schema_extra={"minLength": 1})]
"""A class."""
Split = Annotated[str, StringConstraints(pattern=f"^({SPLIT})$")]
ShardName = Annotated[str, StringConstraints(pattern=f"^({SPLIT})/[0-9]{{6,9}}$")]
Container = Annotated[str, _validator(format_flaw), Field(json_schema_extra={"enum": list(FORMATS)})]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Checksum = Annotated[str, StringConstraints(pattern="^(md5|sha1|sha256|sha512):[0-9a-f]{32,128}$")]
Dtype = Annotated[str, _validator(dtype_flaw), Field(json_schema_extra={"enum": list(STORED)})]
# Readers of JSON in any language keep these numbers exactly, and the sum of two fits a column of int64.
Count = Annotated[int, Field(ge=0, le=(1 << 53) - 1)]
# Slots of a shard; a position is an int32.
Slots = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]
# Bounded, so that the bytes of an image can be counted.
Side = Annotated[int, Field(ge=1, le=1 << 20)]
Frames = Annotated[int, Field(ge=1, le=1 << 10)]


def first_flaw(error: pydantic.ValidationError) -> str:
    """Return the field that is wrong first, what was expected, and how many others are wrong."""
    flaws = error.errors(include_url=False)
    field = ".".join(map(str, flaws[0]["loc"]))[:200]  # none where whole sections contradict each other
    message = flaws[0]["msg"].removeprefix("Value error, ")[:300]
    others = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
    value = flaws[0]["input"]
    shown = f", found {value!r}" if isinstance(value, str | int | float) and repr(value) not in message else ""
    return f"{field}{': ' if field else ''}{message}{shown[:200]}{others}"


def check_spec(spec: DatasetSpec) -> None:
    """Raise UsageError where a declaration has a name with which a build could not be opened again."""
    names = [("dataset", spec.name), ("version", spec.version), *[("variant", spec.variant)] * bool(spec.variant)]
    names += [("band", band.name) for band in spec.bands] + [("task", task.name) for task in spec.tasks]
    flaws = [(what, name, name_flaw(name)) for what, name in names]
    flaws += [("class", label, label_flaw(label)) for task in spec.tasks for label in task.classes]
    for what, name, reason in flaws:
        if reason:
            raise UsageError(f"{spec.name}: {what} {name!r}: {reason}")

"""The declaration of a user's dataset: all fields of dataset.toml, in one model that checks itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from sar_data.errors import BadRecord, SarDataError, SourceError, UsageError
from sar_data.naming import few, fold, suggest
from sar_data.own.fields import FIELDS
from sar_data.spec import UNCITED, Tree, Unit
from sar_data.system import strict_json, strict_toml

NAME, FORMER = "dataset.toml", "dataset.json"
UNIQUE = ("bands", "classes", "band_suffixes", "frame_suffixes", "frame_folders", "label_columns")
MAX_FRAMES = MAX_BANDS = 1 << 10
MAX_FILES = 1 << 14  # of a sample
MAX_BYTES = 1 << 24  # of a document
TaskName = Literal["classification", "multilabel", "segmentation", "change", "detection", "none"]
Labels = Literal["folders", "lists", "table"]
Boxes = Literal["coco", "voc", "yolo", "dota"]
Calibration = Literal["sigma0", "gamma0", "beta0", "DN", "stretched", "unknown"]
CALIBRATIONS = {fold(name): name for name in get_args(Calibration)}
UNITS = {fold(unit): unit for unit in get_args(Unit)}


def _unit(value: object) -> object:
    """Return a unit in the spelling of the manifest: "db" is "dB"."""
    return UNITS.get(fold(value), value) if isinstance(value, str) else value


def _calibration(value: object) -> object:
    """Return a calibration in the spelling of the manifest: "Sigma0" is "sigma0"."""
    return CALIBRATIONS.get(fold(value), value) if isinstance(value, str) else value


def _as_list(value: object) -> object:
    """Return a list also for a single word."""
    return [value] if isinstance(value, str) else value


def _numbers(value: object) -> object:
    """Return a list also for a single number."""
    return [value] if isinstance(value, (str, int, float)) else value


Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
ONE_OR_MORE = BeforeValidator(_as_list, json_schema_input_type=str | list[str])
Texts = Annotated[tuple[Text, ...], ONE_OR_MORE]
Units = Annotated[tuple[Annotated[Unit, BeforeValidator(_unit)], ...], ONE_OR_MORE]
Numbers = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...],
    BeforeValidator(_numbers, json_schema_input_type=float | list[float]),
]
Metres = Annotated[float, Field(gt=0, lt=1e6, allow_inf_nan=False)]
Code = Annotated[str, Field(pattern=r"^EPSG:\d{1,6}$")]
Polarizations = Annotated[tuple[Literal["VV", "VH", "HH", "HV", ""], ...], ONE_OR_MORE]


def _field(name: str, default: object = None) -> Any:
    """Return a field with the description that all interfaces show."""
    return Field(default, description=FIELDS[name])


class Declaration(pydantic.BaseModel):
    """All that a build needs to know about a user's folder; missing fields are guessed and reported, or asked for.

    Paths are relative to the folder and use forward slashes. Raises pydantic's ValidationError, which `declared` turns
    into a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text | None = _field("name")
    version: Text = _field("version", "1.0")
    title: Text | None = _field("title")
    licence: Text = _field("licence", "your own")
    citation: Text = _field("citation", UNCITED)

    images: Text | None = _field("images")
    bands: Texts = _field("bands", ())
    band_suffixes: Texts = _field("band_suffixes", ())
    frame_suffixes: Texts = _field("frame_suffixes", ())
    frame_folders: Texts = _field("frame_folders", ())
    polarizations: Polarizations | None = _field("polarizations")
    unit: Units | None = _field("unit")
    scale: Numbers = _field("scale", ())
    offset: Numbers = _field("offset", ())
    calibration: Annotated[Calibration, BeforeValidator(_calibration)] | None = _field("calibration")
    terrain_corrected: bool | None = _field("terrain_corrected")
    nodata: Annotated[float, Field(allow_inf_nan=False)] | None = _field("nodata")
    pixel_size_m: Metres | None = _field("pixel_size_m")

    task: TaskName | None = _field("task")
    labels: Labels | None = _field("labels")
    classes: Texts = _field("classes", ())
    table: Text | None = _field("table")
    image_column: Text | None = _field("image_column")
    label_column: Text | None = _field("label_column")
    label_columns: Texts = _field("label_columns", ())
    split_column: Text | None = _field("split_column")
    group_column: Text | None = _field("group_column")
    date_column: Text | None = _field("date_column")
    x_column: Text | None = _field("x_column")
    y_column: Text | None = _field("y_column")
    crs: Code | None = _field("crs")
    group: Literal["folder"] | None = _field("group")
    masks: Text | None = _field("masks")
    mask_suffix: Text | None = _field("mask_suffix")
    mask_values: tuple[Annotated[int, Field(ge=0, le=65_535)], ...] = _field("mask_values", ())
    boxes: Boxes | None = _field("boxes")
    split: Text | None = _field("split")

    @property
    def frames(self) -> tuple[str, ...]:
        """The suffixes or folders of the dates of a sample, in their order; () of single images."""
        return self.frame_folders or self.frame_suffixes

    @model_validator(mode="after")
    def _check_consistency(self) -> Declaration:
        for field in (*UNIQUE, "mask_values"):
            values = getattr(self, field)
            if len(set(values)) < len(values):
                raise ValueError(f"{field}: expected every one once, found {few(values)}")
        if 0 in self.scale:
            raise ValueError("scale: expected numbers other than 0, found 0")
        several = {name: getattr(self, name) for name in ("unit", "scale", "offset")}
        per_band = {name: getattr(self, name) for name in ("band_suffixes", "polarizations")}
        per_band |= {
            name: field_values for name, field_values in several.items() if field_values and len(field_values) > 1
        }
        for field, field_values in per_band.items():
            if self.bands and field_values and len(field_values) != len(self.bands):
                raise ValueError(f"{field}: expected one for each band of {few(self.bands)}, found {few(field_values)}")
        if self.frame_suffixes and self.frame_folders:
            raise ValueError("frame_folders: expected them or frame_suffixes, found both")
        if len(self.frames) == 1 or len(self.frames) > MAX_FRAMES:
            field = "frame_folders" if self.frame_folders else "frame_suffixes"
            raise ValueError(f"{field}: expected 2 to {MAX_FRAMES}, found {len(self.frames)}")
        if any("/" in name for name in self.frame_folders):
            raise ValueError(f"frame_folders: expected names of folders, found {few(self.frame_folders)}")
        if len(self.band_suffixes or self.bands) > MAX_BANDS:
            raise ValueError(f"bands: expected at most {MAX_BANDS}, found {len(self.band_suffixes or self.bands)}")
        if len(self.band_suffixes) * len(self.frames) > MAX_FILES:
            raise ValueError(f"band_suffixes: expected at most {MAX_FILES} files a sample, found more with all frames")
        if self.classes and self.mask_values and len(self.classes) != len(self.mask_values):
            raise ValueError(f"mask_values: expected one a class of {len(self.classes)}, found {len(self.mask_values)}")
        if self.classes and self.label_columns and len(self.classes) != len(self.label_columns):
            raise ValueError(
                f"label_columns: expected one a class of {len(self.classes)}, found {len(self.label_columns)}"
            )
        if self.label_column and self.label_columns:
            raise ValueError("label_columns: expected them or label_column, found both")
        if self.mask_values and len(self.mask_values) > 255:
            raise ValueError(f"mask_values: expected at most 255, found {len(self.mask_values)}")
        if (self.x_column is None) != (self.y_column is None):
            raise ValueError("x_column and y_column: expected both or neither, found one")
        if self.crs and not self.x_column:
            raise ValueError("crs: expected x_column and y_column, which it is of, found none")
        for field in ("images", "table", "masks"):
            if (path := getattr(self, field)) and (path.startswith("/") or ".." in path.split("/")):
                raise ValueError(f"{field}: expected a path below the folder, found {path!r:.120}")
        return self


def read_declaration(tree: Tree | None, fields: Mapping[str, object] | None = None) -> tuple[Declaration, str | None]:
    """Return the declaration in a folder's dataset.toml, overridden by `fields`, and the document's name or None.

    Without a tree only `fields` count. dataset.json, the document of earlier versions, has the same fields. Raises
    SourceError for an invalid document, UsageError for an invalid field of `fields`.
    """
    files = set() if tree is None else set(tree.files())
    where = next((name for name in (NAME, FORMER) if name in files), None)
    document = {} if tree is None or where is None else _read_document(where, tree)
    given_fields = {name: value for name, value in (fields or {}).items() if value is not None}
    try:
        return Declaration.model_validate({**document, **given_fields}), where
    except pydantic.ValidationError as error:
        raise _error_of(error, where or NAME, given_fields) from None


def _read_document(name: str, tree: Tree) -> dict[str, Any]:
    try:
        if tree.size(name) > MAX_BYTES:
            raise SourceError(f"{name}: expected a declaration of at most {MAX_BYTES:,} bytes, found a longer one")
        document = (strict_toml if name == NAME else strict_json).loads(tree.read(name))
    except (BadRecord, SourceError):
        raise
    except ValueError as error:  # errors of TOML, JSON and UTF-8
        raise SourceError(
            f"{name}: expected a declaration, found a document that cannot be read: {error}"[:400]
            + (', where text stands in quotes: unit = "power"' if "Invalid value" in str(error) else "")
        ) from None
    if not isinstance(document, dict):
        raise SourceError(f"{name}: expected fields such as bands and unit, found {type(document).__name__}")
    return document


KINDS = {
    "string_type": "text in quotes",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_too_short": "text",
    "string_too_long": "text of at most 1,000 characters",
    "finite_number": "a number",
}
PATTERNS = {"crs": "a code such as EPSG:4326"}


def _error_of(error: pydantic.ValidationError, where: str, given_fields: Mapping[str, object]) -> SarDataError:
    """Return the first error as a sentence: of a document, or of the given fields."""
    flaw = error.errors(include_url=False)[0]
    path, kind, value = flaw["loc"], flaw["type"], flaw["input"]
    field = str(path[0]) if path else flaw["msg"].removeprefix("Value error, ").partition(":")[0]
    if kind == "extra_forbidden":
        hint = suggest(field, FIELDS)
        suggestion = f"Did you mean {hint!r}?" if hint else f"There are {few(list(FIELDS), 99)}"
        message = f"unknown field {field!r:.80}. {suggestion}"
    elif kind == "value_error":
        message = flaw["msg"].removeprefix("Value error, ")
    else:
        expected = KINDS.get(kind) or flaw.get("ctx", {}).get("expected") or PATTERNS.get(field, "text on one line")
        if kind in ("greater_than", "less_than", "greater_than_equal", "less_than_equal"):
            expected = flaw["msg"].removeprefix("Input should be ")
        message = f"{field}: expected {expected}, found {value!r:.120}"
        if kind == "literal_error" and (near := suggest(str(value), re.findall("'([^']*)'", expected))):
            message += f". Did you mean {near!r}?"
    if field in given_fields:
        return UsageError(f"`{field}={_format_value(given_fields[field])}`: {message.removeprefix(f'{field}: ')}")
    return SourceError(f"{where}: {message}")


def _format_value(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text.replace("`", "'")[:80]

"""Conversion of documents of schema 2 to schema 3, so that builds of the first releases still open."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

OF_BANDS = ("calibration", "terrain_corrected")  # of the whole build in schema 2, of a band in schema 3
ADDED = ("place", "dates", "reference_frame", "dropped")  # columns of the index that schema 2 does not have
RENAMED = {"normalisation": "normalization", "polarisation": "polarization"}


def current_manifest(document: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest of schema 2 in the fields of schema 3; raise KeyError or TypeError where it is not one."""
    current = {RENAMED.get(name, name): value for name, value in document.items() if name not in OF_BANDS}
    radiometry = {name: document[name] for name in OF_BANDS}
    bands = [{RENAMED.get(name, name): value for name, value in band.items()} for band in document["bands"]]
    policy = dict(document["split_policy"])
    share = policy.pop("leakage")
    touching = {
        "value": None if share == "unknown" else share,
        "of": document["splits"]["test"]["count"],
        "reason": "not known" if share == "unknown" else "",
    }
    return {
        **current,
        "evidence": "documents-only" if document["evidence"] == "dossier" else document["evidence"],
        "schema_version": 3,
        "bands": [{**band, **radiometry} for band in bands],
        "split_policy": policy,
        "leakage": {"touching": touching},
    }


def current_index(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return columns of an index as `schema` has them: the maps of schema 2 become lists of named values.

    Raises pyarrow's exceptions, TypeError or LookupError where they are no such columns.
    """
    for number, field in enumerate(table.schema):
        if "map<" in str(field.type):
            current = schema.field(field.name)
            column = _without_maps(table[number].combine_chunks(), current.type)
            table = table.set_column(number, current, column)
    return table


def _without_maps(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array of `kind`, whose lists of named values may be maps in `column`."""
    if pa.types.is_map(column.type):
        values = pa.StructArray.from_arrays(
            [column.keys, _without_maps(column.items, kind.value_type.field(1).type)], fields=list(kind.value_type)
        )
        return pa.ListArray.from_arrays(column.offsets, values, type=kind, mask=column.is_null())
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        values = column.values
        fields = [_without_maps(values.field(f.name), f.type) for f in kind.value_type]
        struct = pa.StructArray.from_arrays(fields, fields=list(kind.value_type))
        return pa.ListArray.from_arrays(column.offsets, struct, type=kind, mask=column.is_null())
    return column.cast(kind)

"""Converts rows into the format of the Data API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

_LONGS = {"int2", "int4", "int8", "oid"}
_DOUBLES = {"float4", "float8"}
_REDSHIFT_NAMES = {"text": "varchar", "name": "varchar", "unknown": "varchar", "jsonb": "super"}


@dataclass(frozen=True)
class Result:
    """The rows of a statement (then `metadata` is not None), or the number of changed rows."""

    count: int
    metadata: list[dict[str, Any]] | None = None
    records: list[list[dict[str, Any]]] | None = None
    size: int = 0


def read_result(cursor: psycopg.Cursor) -> Result:
    """Returns the result of the cursor's last statement.

    Reads values as PostgreSQL's text: the Data API returns all types as strings except integers,
    floats and booleans, and a numeric must not become a float.
    """
    raw = cursor.pgresult
    if raw is None or raw.status != ExecStatus.TUPLES_OK:
        return Result(max(cursor.rowcount, 0))
    types = [_type_name(cursor, raw.ftype(column)) for column in range(raw.nfields)]
    rows = [
        [raw.get_value(row, column) for column in range(raw.nfields)] for row in range(raw.ntuples)
    ]
    return Result(
        count=raw.ntuples,
        metadata=[
            _metadata(column, name)
            for column, name in zip(cursor.description or (), types, strict=True)
        ],
        records=[
            [_field(value, name) for value, name in zip(row, types, strict=True)] for row in rows
        ],
        size=sum(len(value or b"") for row in rows for value in row),
    )


def _type_name(cursor: psycopg.Cursor, oid: int) -> str:
    known = cursor.connection.adapters.types.get(oid)
    return known.name if known else "text"


def _field(value: bytes | None, type_name: str) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    text = value.decode()
    if type_name in _LONGS:
        return {"longValue": int(text)}
    if type_name in _DOUBLES:
        return {"doubleValue": float(text)}
    if type_name == "bool":
        return {"booleanValue": text == "t"}
    return {"stringValue": text}


def _metadata(column: psycopg.Column, type_name: str) -> dict[str, Any]:
    return {
        "name": column.name,
        "label": column.name,
        "typeName": _REDSHIFT_NAMES.get(type_name, type_name),
        "length": column.internal_size or column.display_size or 0,
        "precision": column.precision or 0,
        "scale": column.scale or 0,
        "nullable": 1,
        "isSigned": type_name in _LONGS | _DOUBLES | {"numeric"},
        "isCaseSensitive": type_name in ("text", "varchar", "bpchar"),
        "isCurrency": False,
        "schemaName": "",
        "tableName": "",
    }

"""Rows in the shape of the Data API."""

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
    """What a statement returned: rows (`metadata` is then not None) or the number of rows that it
    changed.
    """

    count: int
    metadata: list[dict[str, Any]] | None = None
    records: list[list[dict[str, Any]]] | None = None
    size: int = 0


def read_result(cursor: psycopg.Cursor) -> Result:
    """From the cursor that has just executed a statement.

    Values are taken as PostgreSQL's text: the Data API, too, gives every type as a string that is
    not a number or a boolean, and numeric must not become a float on the way.
    """
    raw = cursor.pgresult
    if raw is None or raw.status != ExecStatus.TUPLES_OK:
        return Result(max(cursor.rowcount, 0))
    types = [_type_name(cursor, column) for column in range(raw.nfields)]
    rows = [
        [raw.get_value(row, column) for column in range(raw.nfields)] for row in range(raw.ntuples)
    ]
    return Result(
        count=raw.ntuples,
        metadata=[_metadata(column, name) for column, name in zip(cursor.description or (), types)],
        records=[[_field(value, name) for value, name in zip(row, types)] for row in rows],
        size=sum(len(value or b"") for row in rows for value in row),
    )


def _type_name(cursor: psycopg.Cursor, column: int) -> str:
    known = cursor.connection.adapters.types.get(cursor.pgresult.ftype(column))
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

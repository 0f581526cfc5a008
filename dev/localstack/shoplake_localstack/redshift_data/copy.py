"""Reads `COPY ... FROM 's3://...' FORMAT PARQUET` and loads its files into PostgreSQL.

As in Redshift, columns match by position, not by name, and a file whose column types differ is an
error, not a cast. The error messages are those of Redshift Spectrum, shortened.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import psycopg
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from sqlglot.tokens import Token, TokenType


class CopyError(ValueError):
    """A COPY that Redshift rejects."""


class Objects(Protocol):
    """The objects in S3."""

    def read(self, bucket: str, prefix: str) -> Iterable[tuple[str, bytes]]:
        """Yields URL and content of every object whose key starts with `prefix`. Raises CopyError
        if the bucket does not exist.
        """


@dataclass(frozen=True)
class Copy:
    """A parsed COPY. `table` and `columns` keep their quotes."""

    table: str
    columns: tuple[str, ...]
    bucket: str
    prefix: str


@dataclass(frozen=True)
class _Column:
    name: str
    type_name: str
    declared: str
    precision: int | None
    scale: int | None


def parse_copy(sql: str, tokens: list[Token]) -> Copy:
    """Parses the statement. Raises CopyError for unsupported options."""
    texts = [sql[token.start : token.end + 1] for token in tokens]
    words = [text.lower() for text in texts]
    if "from" not in words:
        raise CopyError("COPY: expected FROM")
    source = words.index("from") + 1
    target = texts[1 : source - 1]
    parenthesis = target.index("(") if "(" in target else len(target)
    if (
        source >= len(tokens)
        or tokens[source].token_type is not TokenType.STRING
        or not tokens[source].text.startswith("s3://")
    ):
        raise CopyError("COPY: expected FROM 's3://<bucket>/<prefix>' as a literal")
    _check_options(tokens[source + 1 :])
    bucket, _, prefix = tokens[source].text.removeprefix("s3://").partition("/")
    return Copy(
        table="".join(target[:parenthesis]),
        columns=tuple(text for text in target[parenthesis + 1 : -1] if text != ","),
        bucket=bucket,
        prefix=prefix,
    )


def _check_options(tokens: list[Token]) -> None:
    options = [token.text.lower() for token in tokens]
    parquet = authorised = False
    while options:
        match options:
            case (
                ["format", "as", "parquet", *rest]
                | ["format", "parquet", *rest]
                | ["parquet", *rest]
            ):
                parquet, options = True, rest
            case ["iam_role" | "region", _, *rest]:
                authorised, options = authorised or options[0] == "iam_role", rest
            case ["statupdate" | "compupdate", "on" | "off" | "true" | "false" | "preset", *rest]:
                options = rest
            case [unknown, *_]:
                raise CopyError(
                    f"COPY: the option {unknown.upper()} is not available in the local cloud"
                )
    if not parquet:
        raise CopyError("COPY: expected FORMAT AS PARQUET; the local cloud reads nothing else")
    if not authorised:
        raise CopyError(
            "COPY: expected IAM_ROLE, as Redshift needs to be allowed to read the bucket"
        )


def run_copy(cursor: psycopg.Cursor, copy: Copy, objects: Objects) -> int:
    """Loads every object under the prefix in the cursor's transaction; returns the rows."""
    columns = _columns(cursor, copy)
    rows = files = 0
    for name, content in objects.read(copy.bucket, copy.prefix):
        files += 1
        try:
            table = pyarrow.parquet.ParquetFile(io.BytesIO(content)).read()
        except pyarrow.ArrowInvalid as error:
            raise CopyError(
                f"Spectrum Scan Error. File '{name}' is not a Parquet file: {error}"
            ) from error
        rows += _load(cursor, copy.table, columns, table, name)
    if not files:
        raise CopyError(f"The specified S3 prefix '{copy.prefix}' does not exist")
    return rows


def _columns(cursor: psycopg.Cursor, copy: Copy) -> list[_Column]:
    """Returns the columns that the file must have, in their order."""
    cursor.execute(
        """
        select
            quote_ident(attname), typname, format_type(atttypid, atttypmod),
            case when typname = 'numeric' and atttypmod > 0
                then ((atttypmod - 4) >> 16) & 65535 end,
            case when typname = 'numeric' and atttypmod > 0
                then (atttypmod - 4) & 65535 end
        from pg_attribute
        join pg_type on pg_type.oid = atttypid
        where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
        order by attnum
        """,
        [copy.table],
    )
    columns = [_Column(*row) for row in cursor.fetchall()]
    if not columns:
        raise CopyError(f"Cannot COPY into nonexistent table {copy.table}")
    if not copy.columns:
        return columns
    by_name = {column.name.strip('"'): column for column in columns}
    try:
        return [
            by_name[name.strip('"') if name.startswith('"') else name.lower()]
            for name in copy.columns
        ]
    except KeyError as error:
        raise CopyError(f"column {error} of relation {copy.table} does not exist") from error


def _load(
    cursor: psycopg.Cursor, target: str, columns: list[_Column], table: pyarrow.Table, name: str
) -> int:
    if table.num_columns != len(columns):
        raise CopyError(
            "Spectrum Scan Error. Unmatched number of columns between table and file. "
            f"Table columns: {len(columns)}, Data columns: {table.num_columns}, File name: {name}"
        )
    for column, found in zip(columns, table.schema, strict=True):
        if not _fits(column, found.type):
            raise CopyError(
                f"Spectrum Scan Error. File '{name}' has an incompatible Parquet schema for column"
                f" '{column.name}'. Column type: {column.declared.upper()},"
                f" Parquet schema: {found.name} {found.type}"
            )
    text = io.BytesIO()
    pyarrow.csv.write_csv(_as_text(table), text, pyarrow.csv.WriteOptions(include_header=False))
    names = ", ".join(column.name for column in columns)
    with cursor.copy(f"copy {target} ({names}) from stdin with (format csv)") as sink:
        sink.write(text.getbuffer())
    return table.num_rows


def _fits(column: _Column, found: pyarrow.DataType) -> bool:
    """Returns whether Redshift loads this Parquet type into the column; it widens no types."""
    is_string = pyarrow.types.is_string(found) or pyarrow.types.is_large_string(found)
    match column.type_name:
        case "int2":
            return found in (pyarrow.int16(), pyarrow.int32())  # Parquet stores both as int32
        case "int4":
            return found == pyarrow.int32()
        case "int8":
            return found == pyarrow.int64()
        case "float4":
            return found == pyarrow.float32()
        case "float8":
            return found == pyarrow.float64()
        case "bool":
            return found == pyarrow.bool_()
        case "date":
            return found == pyarrow.date32()
        case "timestamp" | "timestamptz":
            return pyarrow.types.is_timestamp(found)
        case "text" | "varchar" | "bpchar" | "jsonb":
            return is_string or (
                pyarrow.types.is_dictionary(found) and pyarrow.types.is_string(found.value_type)
            )
        case "numeric":
            if not pyarrow.types.is_decimal(found):
                return False
            return column.scale is None or (
                found.scale == column.scale and found.precision <= column.precision
            )
    return False


def _as_text(table: pyarrow.Table) -> pyarrow.Table:
    """Converts decimals and types that the CSV writer does not support, without loss."""
    for index, field in enumerate(table.schema):
        if pyarrow.types.is_decimal(field.type) or pyarrow.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pyarrow.string()))
        elif pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            microseconds = pyarrow.timestamp("us", field.type.tz)
            table = table.set_column(
                index, field.name, table.column(index).cast(microseconds, safe=False)
            )
    return table

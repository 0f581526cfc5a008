"""The saved queries of Athena (infra/queries), against the tables that the catalog describes:
Athena's grammar, known tables and columns, functions with types that fit, and a condition on the
partition column where that is a day, without which a query reads the whole lake. The query of
orders also runs, on DuckDB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import duckdb
import pytest
from sqlglot import exp, parse_one
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

INFRA = Path(__file__).resolve().parents[2] / "infra"
DATABASES = {
    database: f"shoplake_test_{database}" for database in ("bronze", "silver", "gold", "quarantine")
}
QUERIES = sorted((INFRA / "queries").glob("*.sql"))


Table = dict[str, Any]
Catalog = dict[str, dict[str, Table]]


def columns(table: Table) -> dict[str, str]:
    """Returns all columns of a table with their Athena types."""
    found = [*table["columns"], *table["partition_keys"]]
    return {
        column["name"]: exp.DataType.build(column["type"], dialect="hive").sql("athena")
        for column in found
    }


@pytest.fixture(scope="module")
def catalog(packages: Path) -> Catalog:
    """The tables and views of the repository's definitions, by database and name."""
    described = json.loads((packages / "catalog.json").read_text("utf-8"))
    databases, views = described["databases"], described["views"]
    databases["gold"] |= {name: view | {"partition_keys": []} for name, view in views.items()}
    return databases


@pytest.fixture(scope="module")
def schema(catalog: Catalog) -> MappingSchema:
    """The same for the parser of queries."""
    return MappingSchema(
        {
            DATABASES[database]: {name: columns(table) for name, table in tables.items()}
            for database, tables in catalog.items()
        },
        dialect="athena",
    )


def read(path: Path) -> exp.Expression:
    """Returns the query with database names, as Terraform renders it."""
    return parse_one(
        Template(path.read_text("utf-8").replace("'$'", "'$$'")).substitute(DATABASES),
        dialect="athena",
    )


def tables(query: exp.Expression) -> Iterator[tuple[exp.Select, exp.Table]]:
    """Yields each catalog table of the query with its select."""
    for scope in traverse_scope(query):
        if isinstance(scope.expression, exp.Select):  # and not what is unnested beside the tables
            for source in scope.sources.values():
                if isinstance(source, exp.Table):
                    yield scope.expression, source


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_uses_existing_tables_and_columns(path: Path, schema: MappingSchema) -> None:
    query = qualify(read(path), schema=schema, dialect="athena", validate_qualify_columns=True)
    for _, table in tables(query):
        assert schema.column_names(table), f"unknown table {table.sql('athena')}"
    unknown = [
        column.sql("athena")
        for column in annotate_types(query, schema, dialect="athena").selects
        if column.type is None
    ]
    assert not unknown


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_reads_only_the_needed_days(path: Path, catalog: Catalog) -> None:
    for select, table in tables(read(path)):
        keys = {
            key["name"]
            for key in catalog[table.db.removeprefix("shoplake_test_")][table.name][
                "partition_keys"
            ]
            if key["type"] == "date"
        }
        where = select.args.get("where")
        assert not keys or (
            where and keys & {column.name for column in where.find_all(exp.Column)}
        ), f"{table.sql()} is read as a whole, expected a condition on {keys}"


def test_unknown_column_is_detected(schema: MappingSchema) -> None:
    query = parse_one(
        "select no_such_column from shoplake_test_gold.revenue_by_region", dialect="athena"
    )
    with pytest.raises(Exception, match="no_such_column"):
        qualify(query, schema=schema, dialect="athena")


def test_items_that_an_order_no_longer_has_do_not_count() -> None:
    """The second extract of order o1 has lost item i2; that of o2 has no item any more."""
    now, days = datetime.now(UTC), timedelta(days=1)
    placed, first, second = now - 3 * days, now - 2 * days, now - days
    silver = DATABASES["silver"]
    with duckdb.connect() as connection:
        connection.execute(f"""
            create schema {silver};
            create table {silver}.oltp_orders (
                shop_id text, order_id text, customer_id text, status text,
                order_date timestamptz, extracted_at timestamptz
            );
            create table {silver}.oltp_customers (
                shop_id text, customer_id text, state text, extracted_at timestamptz
            );
            create table {silver}.oltp_order_items (
                shop_id text, order_id text, order_item_id text, currency text, quantity bigint,
                subtotal decimal(18, 4), order_date timestamptz, extracted_at timestamptz
            );
            insert into {silver}.oltp_customers values ('acme', 'c1', 'BY', '{first}')
        """)
        for order, at in [("o1", first), ("o2", first), ("o1", second), ("o2", second)]:
            connection.execute(
                f"insert into {silver}.oltp_orders values ('acme', ?, 'c1', 'paid', ?, ?)",
                [order, placed, at],
            )
        for order, item, quantity, at in [
            ("o1", "i1", 1, first),
            ("o1", "i2", 10, first),
            ("o2", "i3", 100, first),
            ("o1", "i1", 2, second),
        ]:
            connection.execute(
                f"insert into {silver}.oltp_order_items values ('acme', ?, ?, 'EUR', ?, ?, ?, ?)",
                [order, item, quantity, 5 * quantity, placed, at],
            )
        query = read(INFRA / "queries" / "oltp_sales_by_state.sql").sql("duckdb")
        rows = connection.execute(query).fetchall()
    assert rows == [("acme", "BY", "paid", "EUR", 1, 2, 10)]

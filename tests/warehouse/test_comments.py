"""Comments on a database: a table and its new columns have them, and changed texts replace them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from .database import Statement, execute, rendered

CREATION, ADDITION, CHANGES = (
    rendered(name)
    for name in (
        "a_table_is_created_with_its_comments",
        "a_column_is_added_with_its_comment",
        "missing_and_changed_comments_are_set",
    )
)
[QUERY] = rendered("the_existing_comments_are_one_query")

GRAIN = "One row per shop and business date."
DAY = 'The shop\'s "business day"; :day, 24 h.'
CREATED = [("shop_id", "The shop."), ("business_date", DAY)]


@pytest.fixture
def connection(server: str) -> Iterator[psycopg.Connection]:
    """A connection to a warehouse without the table; rolled back afterwards."""
    with psycopg.connect(server) as connection:
        yield connection
        connection.rollback()


def run(connection: psycopg.Connection, statements: list[Statement]) -> None:
    """Runs statements in the transaction of the test."""
    for sql, parameters in statements:
        execute(connection, sql, parameters)


def comments(connection: psycopg.Connection) -> tuple[str | None, list[tuple]]:
    """Returns the comment on the table, and its columns with theirs, from PostgreSQL's catalog."""
    table = "'sales.total_sales'::regclass"
    [(grain,)] = connection.execute(f"select obj_description({table}, 'pg_class')").fetchall()
    columns = connection.execute(
        f"select attname, col_description({table}, attnum) from pg_attribute"
        f" where attrelid = {table} and attnum > 0 and not attisdropped order by attnum"
    )
    return grain, columns.fetchall()


def test_a_created_table_has_its_comments(connection: psycopg.Connection) -> None:
    run(connection, CREATION)
    assert comments(connection) == (GRAIN, CREATED)


def test_an_added_column_has_its_comment(connection: psycopg.Connection) -> None:
    run(connection, CREATION + ADDITION)
    assert comments(connection) == (GRAIN, [*CREATED, ("net", "Sales minus returns.")])


def test_changed_texts_replace_the_comments(connection: psycopg.Connection) -> None:
    run(connection, CREATION + ADDITION)
    for place, text in [
        ("table sales.total_sales", "'One row per shop.'"),
        ("column sales.total_sales.business_date", "null"),
        ("column sales.total_sales.net", "'Sales.'"),
    ]:
        connection.execute(f"comment on {place} is {text}")
    for _ in range(2):
        run(connection, CHANGES)
        assert comments(connection) == (GRAIN, [*CREATED, ("net", "Sales minus returns.")])


def test_the_query_finds_all_comments(connection: psycopg.Connection) -> None:
    assert execute(connection, *QUERY) == [], "the table does not exist"
    run(connection, CREATION + ADDITION)
    connection.execute("alter table sales.total_sales add column spare bigint")
    connection.execute("alter table sales.total_sales drop column net")
    columns = [*CREATED, ("spare", None)]
    assert execute(connection, *QUERY) == [(GRAIN, *column) for column in columns]
    assert comments(connection) == (GRAIN, columns)


def test_system_views_show_the_comments(connection: psycopg.Connection) -> None:
    run(connection, CREATION)
    remarks = connection.execute(
        "select column_name, remarks from svv_columns"
        " where table_schema = 'sales' and table_name = 'total_sales' order by ordinal_position"
    )
    assert remarks.fetchall() == CREATED

"""Views on a database: they exist before the tables that they read, and outlast their changes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest

from .database import execute, rendered

CREATION, REPLACEMENT, DROP = (
    rendered(name)
    for name in ("a_view_is_created", "a_changed_view_replaces", "a_removed_view_is_dropped")
)
WIDENING = rendered("wider_number")


@pytest.fixture
def connection(server: str) -> Iterator[psycopg.Connection]:
    """A connection to a warehouse without tables of models; rolled back afterwards."""
    with psycopg.connect(server) as connection:
        yield connection
        connection.rollback()


def run(connection: psycopg.Connection, *transactions: list) -> None:
    """Runs statements in the transaction of the test."""
    for statements in transactions:
        for sql, parameters in statements:
            execute(connection, sql, parameters)


def load(connection: psycopg.Connection) -> None:
    """Creates the table of an older model, with a row."""
    columns = "shop_id varchar(65535), net decimal(18,4)"
    connection.execute(f"create table sales.total_sales ({columns})")
    connection.execute("insert into sales.total_sales values ('acme', 12.5)")


def shown(connection: psycopg.Connection) -> tuple[list[str], list[tuple]]:
    """Returns the columns and the rows of the view."""
    found = connection.execute("select * from finance.revenue")
    return [column.name for column in found.description or ()], found.fetchall()


def recorded(connection: psycopg.Connection) -> list[tuple]:
    """Returns what is recorded of views."""
    return connection.execute("select name, length(checksum) from shoplake.views").fetchall()


NET = Decimal("12.5000")


def test_a_view_shows_a_table_that_is_created_later(connection: psycopg.Connection) -> None:
    run(connection, CREATION)
    load(connection)
    assert shown(connection) == (["shop_id", "net"], [("acme", NET)])
    assert recorded(connection) == [("finance.revenue", 64)]


def test_a_changed_view_has_other_columns(connection: psycopg.Connection) -> None:
    load(connection)
    run(connection, CREATION, REPLACEMENT, REPLACEMENT)
    assert shown(connection) == (["shop_id", "total"], [("acme", NET)])
    assert recorded(connection) == [("finance.revenue", 64)]


def test_a_view_keeps_no_column_from_being_widened(connection: psycopg.Connection) -> None:
    load(connection)
    run(connection, CREATION, WIDENING)
    assert shown(connection) == (["shop_id", "net"], [("acme", NET)])
    connection.execute(f"insert into sales.total_sales values ('rich', {'9' * 30})")
    assert len(shown(connection)[1]) == 2


def test_a_removed_view_is_dropped(connection: psycopg.Connection) -> None:
    load(connection)
    run(connection, CREATION, DROP, DROP)
    assert recorded(connection) == []
    assert connection.execute("select to_regclass('finance.revenue')").fetchone() == (None,)

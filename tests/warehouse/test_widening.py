"""Widening a column of exact numbers on a database: old values stay, wider ones fit."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest

from .database import execute, rendered

WIDENING = rendered("wider_number")
WIDE = "12345678901234567890123456789012.3456"


@pytest.fixture
def connection(server: str) -> psycopg.Connection:
    """A connection with the table of an older model; rolled back afterwards."""
    with psycopg.connect(server) as connection:
        columns = "shop_id varchar(65535), net decimal(18,4)"
        connection.execute(f"create table sales.total_sales ({columns})")
        connection.execute("insert into sales.total_sales values ('acme', 12.5), ('other', null)")
        yield connection
        connection.rollback()


def test_a_wider_column_keeps_its_values_and_takes_wider_ones(
    connection: psycopg.Connection,
) -> None:
    for sql, parameters in WIDENING:
        execute(connection, sql, parameters)
    connection.execute(f"insert into sales.total_sales (shop_id, net) values ('rich', {WIDE})")
    rows = connection.execute("select shop_id, net from sales.total_sales order by 1")
    assert rows.fetchall() == [
        ("acme", Decimal("12.5000")),
        ("other", None),
        ("rich", Decimal(WIDE)),
    ]


def test_widening_again_changes_nothing(connection: psycopg.Connection) -> None:
    """As a concurrent loader does that has read the columns before the first one committed."""
    for sql, parameters in [*WIDENING, *WIDENING]:
        execute(connection, sql, parameters)
    columns = connection.execute(
        "select column_name, numeric_precision from information_schema.columns "
        "where table_name = 'total_sales' order by 1"
    )
    assert columns.fetchall() == [("net", 38), ("shop_id", None)]


def test_a_view_on_the_column_is_named_and_nothing_changes(connection: psycopg.Connection) -> None:
    connection.execute("create view sales.report as select net from sales.total_sales")
    refused = pytest.raises(psycopg.errors.DependentObjectsStillExist, match=r"sales\.report")
    with refused, connection.transaction():
        for sql, parameters in WIDENING:
            execute(connection, sql, parameters)
    assert connection.execute("select count(net) from sales.report").fetchone() == (1,)

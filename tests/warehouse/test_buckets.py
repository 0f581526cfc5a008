"""Loads of a bucket: its rows are replaced, deleted ones included, and those of no other bucket."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest
from psycopg import IsolationLevel

from .database import rendered, transaction

COPY = rendered("a_bucket_is_replaced")
REGISTRATION = rendered("copy__tests__a_registration")


@pytest.fixture(autouse=True)
def mart(server: str) -> Iterator[None]:
    """A table of the model with a row of another bucket."""
    with psycopg.connect(server) as connection:
        columns = "shop_id varchar(65535), bucket bigint, net decimal(18,4)"
        connection.execute(f"create table sales.total_sales ({columns})")
        connection.execute("insert into sales.total_sales values ('other', 8, 1)")
    yield
    with psycopg.connect(server) as connection:
        connection.execute("drop table sales.total_sales")


def load(server: str, isolation: IsolationLevel, version: int, rows: dict[str, str]) -> None:
    """Loads bucket 7 with the amounts of these shops, as `Loader::load` does."""
    staged = [
        (f"""insert into "load_stage" values ('{shop}', 7, {net})""", {})
        for shop, net in rows.items()
    ]
    statements = [
        each
        for sql, parameters in COPY
        for each in (staged if sql.startswith("copy ") else [(sql, parameters)])
    ]
    named = [
        (sql, parameters | ({"partition_value": "0007"} if parameters else {}))
        for sql, parameters in REGISTRATION
    ]
    transaction(server, isolation, named, {})
    transaction(server, isolation, statements, {"version": str(version)})


def shown(server: str) -> list[tuple]:
    """Returns the rows of the mart."""
    with psycopg.connect(server) as connection:
        return connection.execute("select * from sales.total_sales order by 2, 1").fetchall()


def test_a_load_replaces_exactly_the_rows_of_its_bucket(
    server: str, isolation: IsolationLevel
) -> None:
    other = ("other", 8, Decimal(1))
    load(server, isolation, 1, {"acme": "12.5", "zeta": "3"})
    assert shown(server) == [("acme", 7, Decimal("12.5")), ("zeta", 7, Decimal(3)), other]
    load(server, isolation, 2, {"acme": "13"})
    assert shown(server) == [("acme", 7, Decimal(13)), other]
    load(server, isolation, 1, {"acme": "12.5", "zeta": "3"})
    assert shown(server) == [("acme", 7, Decimal(13)), other], "an older commit changes nothing"
    load(server, isolation, 3, {})
    assert shown(server) == [other]
    with psycopg.connect(server) as connection:
        loads = connection.execute("select partition_value, version, row_count from shoplake.loads")
        assert loads.fetchall() == [("0007", 3, 0)]

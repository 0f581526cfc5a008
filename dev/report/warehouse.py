"""The warehouse as the report reads it: SQL over one connection, one tenant at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from .model import SO_FAR

DAYS = 30
"""How far the report looks back from the newest whole day of a table."""


class Warehouse:
    """Runs queries on the marts that are there; a mart's table is created by its first load."""

    def __init__(self, connection: psycopg.Connection, today: date) -> None:
        self._connection = connection
        self.today = today
        found = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
        self._tables = {name for (name,) in found}

    def has(self, table: str) -> bool:
        """Whether a table, given as `schema.table`, exists."""
        return table in self._tables

    def select(self, sql: str, tables: Sequence[str], **parameters: Any) -> list[Any]:
        """The rows of a query, with their columns as attributes; none where one of its tables is
        not there yet.
        """
        if not all(self.has(table) for table in tables):
            return []
        with self._connection.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def shops(self, marts: dict[str, str]) -> list[str]:
        """Every tenant that any of the marts knows."""
        found = [f"select shop_id from {table}" for table in marts if self.has(table)]
        return (
            [
                row.shop_id
                for row in self.select(
                    f"select distinct shop_id from ({' union '.join(found)}) s order by 1", ()
                )
            ]
            if found
            else []
        )


class Mart:
    """One table and its day column, for one tenant: the newest whole day and the days up to it.

    The numbers of a day that is not over say nothing about the day, so `newest` is the last whole
    day: today only where there is no other.
    """

    def __init__(self, warehouse: Warehouse, table: str, day: str, shop: str) -> None:
        self._warehouse, self._table, self._day, self._shop = warehouse, table, day, shop
        newest = warehouse.select(
            f"""select coalesce(max(case when {day} < %(today)s then {day} end), max({day})) as day
            from {table} where shop_id = %(shop)s""",
            [table],
            shop=shop,
            today=warehouse.today,
        )
        self.newest = newest[0].day if newest else None

    @property
    def day(self) -> str:
        """The newest whole day in words; empty where there is no row."""
        return self.say(self.newest) if self.newest else ""

    def say(self, day: date) -> str:
        """A day in words, which say of today that it is not over."""
        return f"{day} {SO_FAR}" if day >= self._warehouse.today else str(day)

    def whole(self, rows: list[Any]) -> list[Any]:
        """The rows of whole days; all rows where each is of a day that is not over."""
        return [row for row in rows if row.day < self._warehouse.today] or rows

    def daily(self, columns: str, keys: str = "") -> list[Any]:
        """Aggregates per day, oldest first, over the report's days and the day that is not over."""
        names = f", {keys}" if keys else ""
        group = f"{self._day}{names}"
        return self._select(
            f"select {self._day} as day{names}, {columns} {self._recent}"
            f" group by {group} order by {group}"
        )

    def total(self, columns: str, keys: str, order: str) -> list[Any]:
        """Aggregates over the report's whole days by `keys`."""
        return self._select(
            f"select {keys}, {columns} {self._recent} and {self._day} <= %(newest)s"
            f" group by {keys} order by {order}"
        )

    def on_newest(
        self, columns: str, where: str = "true", order: str = "1", limit: int = 1
    ) -> list[Any]:
        """Rows of the newest day; one, such as an aggregate, unless more are asked for."""
        rows = (
            f"from {self._table} where shop_id = %(shop)s and {self._day} = %(newest)s and {where}"
        )
        return self._select(f"select {columns} {rows} order by {order} limit {limit}")

    @property
    def _recent(self) -> str:
        return f"from {self._table} where shop_id = %(shop)s and {self._day} > %(newest)s - {DAYS}"

    def _select(self, sql: str) -> list[Any]:
        return (
            self._warehouse.select(sql, [self._table], shop=self._shop, newest=self.newest)
            if self.newest
            else []
        )


def first(rows: Sequence[Any], **otherwise: Any) -> Any:
    """The only row, or a stand-in."""
    return rows[0] if rows else SimpleNamespace(**otherwise)

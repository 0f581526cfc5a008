"""Computes KPI tables from the data of the sources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

HERE = Path(__file__).resolve().parent

TABLES: tuple[str, ...] = tuple(sorted(file.stem for file in HERE.glob("*.*.sql")))
"""The warehouse tables as `schema.table`, each with a file `<schema>.<table>.sql`."""

DATASETS: frozenset[str] = frozenset(
    re.findall(r"create or replace view valid_(\w+) as", (HERE / "inputs.sql").read_text())
)
"""The datasets that `inputs.sql` reads."""


@dataclass(frozen=True)
class Table:
    """Rows and names of columns, of which the first `keys` identify a row."""

    columns: list[str]
    keys: int
    rows: list[tuple[Any, ...]]


class Expected:
    """The raw inputs of some shops, and the tables computed from them."""

    def __init__(self) -> None:
        self._db = duckdb.connect()
        self._db.execute("set timezone = 'UTC'")
        self._db.execute(
            "create table raw"
            " (dataset varchar, shop_id varchar, data json, batch varchar, run varchar)"
        )
        self._db.execute(
            "create table control_totals (dataset varchar, shop_id varchar, batch varchar,"
            " run varchar, row_count bigint, quantity_sum bigint)"
        )
        self._tables: dict[str, Table] = {}
        self._has_inputs = False

    def add_events(self, dataset: str, shop_id: str, files: Iterable[Path]) -> None:
        """Adds NDJSON files with one row of the dataset per line."""
        self._db.execute(
            "insert into raw (dataset, shop_id, data) select ?, ?, json"
            " from read_ndjson_objects(?, maximum_object_size = 1048576)",
            [dataset, shop_id, [str(file) for file in files]],
        )
        self._forget()

    def add_rows(self, dataset: str, shop_id: str, rows: Iterable[str]) -> None:
        """Adds rows, each as JSON."""
        self._db.executemany(
            "insert into raw (dataset, shop_id, data) values (?, ?, ?)",
            [(dataset, shop_id, row) for row in rows],
        )
        self._forget()

    def add_delivery(
        self, dataset: str, shop_id: str, batch: str, run: str, rows: Iterable[str]
    ) -> None:
        """Adds the rows of one delivery of a batch, each as JSON. They count once the delivery is
        complete by its control total.
        """
        for row in rows:
            self._db.execute(
                "insert into raw values (?, ?, ?, ?, ?)", [dataset, shop_id, row, batch, run]
            )
        self._forget()

    def add_control_total(
        self,
        dataset: str,
        shop_id: str,
        batch: str,
        run: str,
        row_count: int,
        quantity_sum: int,
    ) -> None:
        """Adds what a connector says that it sent in a delivery."""
        self._db.execute(
            "insert into control_totals values (?, ?, ?, ?, ?, ?)",
            [dataset, shop_id, batch, run, row_count, quantity_sum],
        )
        self._forget()

    def add_online_retail(self, shop_id: str, files: Iterable[Path]) -> None:
        """Adds days of sales in the layout of UCI's "Online Retail"."""
        self._db.execute("set variable files = ?", [[str(file) for file in files]])
        self._db.execute("set variable shop_id = ?", [shop_id])
        self._db.execute((HERE / "online_retail.sql").read_text())
        self._forget()

    def table(self, name: str) -> Table:
        """Returns the expected rows of a KPI table."""
        self._define()
        if name not in self._tables:
            sql = (HERE / f"{name}.sql").read_text()
            keys = len(re.findall(r"\w+", sql.splitlines()[0].removeprefix("-- key:")))
            answer = self._db.sql(sql)
            self._tables[name] = Table(answer.columns, keys, answer.fetchall())
        return self._tables[name]

    def count(self, dataset: str) -> tuple[int, int]:
        """Returns the number of rows of a dataset, and of those that are valid and not repeated."""
        self._define()
        [(raw,)] = self._db.execute(
            "select count(*) from raw where dataset = ?", [dataset]
        ).fetchall()
        [(valid,)] = self._db.execute(f"select count(*) from {dataset}").fetchall()
        return raw, valid

    def valid_rows(self, dataset: str) -> list[dict[str, Any]]:
        """Returns the valid rows of a dataset unchanged, repetitions included."""
        self._define()
        return [
            json.loads(row)
            for (row,) in self._db.execute(f"select data from valid_{dataset}").fetchall()
        ]

    def tables_with_inputs(self) -> list[str]:
        """Returns the tables whose datasets all have rows. A dataset that no source of a test sends
        leaves the tables that read it empty.
        """
        sent = {
            dataset
            for (dataset,) in self._db.execute("select distinct dataset from raw").fetchall()
        }
        return [table for table in TABLES if datasets_of(table) <= sent]

    def shops(self) -> list[str]:
        """Returns the shops with inputs."""
        return [
            shop
            for (shop,) in self._db.execute(
                "select distinct shop_id from raw order by 1"
            ).fetchall()
        ]

    def _define(self) -> None:
        if not self._has_inputs:
            self._db.execute((HERE / "inputs.sql").read_text())
            self._has_inputs = True

    def _forget(self) -> None:
        self._has_inputs = False
        self._tables.clear()


def datasets_of(table: str) -> set[str]:
    """Returns the datasets that a table's query reads."""
    return set(re.findall(r"\w+", (HERE / f"{table}.sql").read_text())) & DATASETS

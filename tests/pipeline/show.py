"""Shows tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from .pipeline import Pipeline
from .reconcile import Balance


def print_table(pipeline: Pipeline, title: str, sql: str) -> None:
    """The rows of a query to the warehouse."""
    with psycopg.connect(pipeline.cloud.warehouse_url) as connection:
        cursor = connection.execute(sql)
        header = [column.name for column in cursor.description or ()]
        _print(title, header, cursor.fetchall())


def print_balances(balances: Iterable[Balance]) -> None:
    """What became of every event."""
    rows = [
        (b.dataset, b.received, b.silver, b.quarantined, b.duplicates, "yes" if b.holds else "NO") for b in balances
    ]
    header = ("dataset", "received", "silver", "quarantined", "duplicates", "received = silver + quarantined + duplicates")
    _print("reconciliation", header, rows)


def _print(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [header, *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for index, row in enumerate(cells):
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
        if index == 0:
            print("  " + "  ".join("-" * width for width in widths))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)

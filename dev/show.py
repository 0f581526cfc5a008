"""Shows tables in a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import psycopg

from .pipeline import Pipeline
from .reconcile import Balance


def print_table(pipeline: Pipeline, title: str, sql: str, *parameters: Any) -> None:
    """The rows of a query to the warehouse."""
    with psycopg.connect(pipeline.cloud.warehouse_url) as connection:
        cursor = connection.execute(sql, parameters or None)
        header = [column.name for column in cursor.description or ()]
        _print(title, header, cursor.fetchall())


def print_balances(balances: Iterable[Balance]) -> None:
    """What became of every event."""
    rows = [
        (b.dataset, b.received, b.silver, b.quarantined, b.duplicates, "yes" if b.holds else "NO")
        for b in balances
    ]
    header = (
        "dataset",
        "received",
        "silver",
        "quarantined",
        "duplicates",
        "received = silver + quarantined + duplicates",
    )
    _print("reconciliation", header, rows)


def clean(text: str) -> str:
    """Text that only shows: data must not move the cursor or change the terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def width(text: str) -> int:
    """Columns that a text takes in a terminal: ideographs take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def pad(text: str, to: int, *, right: bool = False) -> str:
    """Filled up with spaces, on the left for numbers (`right` aligned)."""
    spaces = " " * max(0, to - width(text))
    return spaces + text if right else text + spaces


def _print(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [[clean(name) for name in header], *([_text(value) for value in row] for row in rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(header))]
    numbers = [
        all(isinstance(row[column], int | float | Decimal | None) for row in rows)
        for column in range(len(header))
    ]
    print(f"\n{clean(title)}")
    for index, row in enumerate(cells):
        print(
            "  "
            + "  ".join(
                pad(*cell, right=right) for *cell, right in zip(row, widths, numbers, strict=True)
            ).rstrip()
        )
        if index == 0:
            print("  " + "  ".join("-" * columns for columns in widths))


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else clean(str(value))

"""Compares the warehouse's KPI tables with the oracle: every row, in both directions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from dev.pipeline import Pipeline

from .oracle import TABLES, Expected, differences


def read(
    pipeline: Pipeline, table: str, columns: Sequence[str], shops: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Returns the warehouse's rows of some shops."""
    if not pipeline.has_table(table):
        return []
    return pipeline.query(
        f"select {', '.join(columns)} from {table} where shop_id = any(%s)", list(shops)
    )


def has_all_rows(pipeline: Pipeline, expected: Expected, table: str) -> bool:
    """Returns whether a table has the expected number of rows, which is quick to compare. The
    first load creates the table.
    """
    if not pipeline.has_table(table):
        return not expected.table(table).rows
    [(rows,)] = pipeline.query(
        f"select count(*) from {table} where shop_id = any(%s)", expected.shops()
    )
    return rows == len(expected.table(table).rows)


def wrong(pipeline: Pipeline, expected: Expected, table: str) -> str:
    """Describes the differences of a table; empty if there are none."""
    want = expected.table(table)
    got = read(pipeline, table, want.columns, expected.shops())
    return differences(want.columns, want.keys, got, want.rows)


def wait_until_right(
    pipeline: Pipeline, expected: Expected, tables: Iterable[str] = TABLES, seconds: float = 480
) -> None:
    """Waits until every table is right for the expected shops, and still is when the pipeline is
    idle.
    """
    pending = list(tables)
    deadline = time.monotonic() + seconds
    while pending:
        if has_all_rows(pipeline, expected, pending[0]) and not wrong(
            pipeline, expected, pending[0]
        ):
            del pending[0]
        elif time.monotonic() < deadline:
            time.sleep(1)
        else:
            raise AssertionError(report(pipeline, expected, pending))
    pipeline.wait_until_idle(max(60, deadline - time.monotonic()))
    assert not (text := report(pipeline, expected, tables)), text


def report(pipeline: Pipeline, expected: Expected, tables: Iterable[str]) -> str:
    """Describes the differences by table."""
    found = {table: wrong(pipeline, expected, table) for table in tables}
    return "\n".join(
        f"\n{table} differs from the oracle:\n{text}" for table, text in found.items() if text
    )

"""Compares two tables row for row, in both directions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

REL = 1e-9
"""The relative tolerance of doubles; all other values must be equal."""

SHOWN = 5
"""Rows that the report shows of each kind of difference."""


def differences(
    columns: Sequence[str],
    keys: int,
    got: Iterable[tuple[Any, ...]],
    want: Iterable[tuple[Any, ...]],
) -> str:
    """Describes the differences of two tables; empty if they are equal. The first `keys` columns
    identify a row.
    """
    problems: list[str] = []
    ours = _by_key("got", keys, got, problems)
    theirs = _by_key("wanted", keys, want, problems)
    _report(problems, "missing", [theirs[key] for key in theirs.keys() - ours.keys()], columns)
    _report(
        problems,
        "unexpected",
        [ours[key] for key in ours.keys() - theirs.keys()],
        columns,
    )
    wrong = []
    for key in ours.keys() & theirs.keys():
        cells = [
            f"{column}: got {mine!r}, expected {other!r}"
            for column, mine, other in zip(
                columns[keys:], ours[key][keys:], theirs[key][keys:], strict=True
            )
            if not _same(mine, other)
        ]
        if cells:
            wrong.append((key, "; ".join(cells)))
    if wrong:
        wrong.sort(key=lambda row: _sortable(row[0]))
        problems.append(f"{len(wrong)} of {len(theirs)} rows are wrong:")
        problems += [f"  {_text(columns, key)}  {cells}" for key, cells in wrong[:SHOWN]]
    return "\n".join(problems)


def _by_key(
    whose: str, keys: int, rows: Iterable[tuple[Any, ...]], problems: list[str]
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    table: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    repeated = 0
    for row in rows:
        row = tuple(_plain(value) for value in row)
        repeated += row[:keys] in table
        table[row[:keys]] = row
    if repeated:
        problems.append(f"{repeated} rows {whose} repeat the key of another")
    return table


def _plain(value: Any) -> Any:
    """Converts a time with a zone to UTC without one, so that both forms are equal."""
    is_zoned = isinstance(value, datetime) and value.tzinfo
    return value.astimezone(UTC).replace(tzinfo=None) if is_zoned else value


def _same(got: Any, want: Any) -> bool:
    if isinstance(got, float) and isinstance(want, float):
        return math.isclose(got, want, rel_tol=REL)
    # A double in place of a count or an amount is wrong, even if the values are equal.
    return isinstance(got, float) == isinstance(want, float) and got == want


def _report(
    problems: list[str], what: str, rows: list[tuple[Any, ...]], columns: Sequence[str]
) -> None:
    if rows:
        problems.append(f"{len(rows)} rows {what}:")
        problems += [f"  {_text(columns, row)}" for row in sorted(rows, key=_sortable)[:SHOWN]]


def _text(columns: Sequence[str], row: tuple[Any, ...]) -> str:
    return ", ".join(f"{column}={value}" for column, value in zip(columns, row, strict=False))


def _sortable(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(map(str, row))

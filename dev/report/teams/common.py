"""What the teams' sections are put together from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..model import Chart, Headline, Section, Table, money
from ..series import daily_chart
from ..warehouse import Mart

TOP = 10
# Mean over rows with weights, of doubles that PostgreSQL and Redshift both have; null where there
# is nothing to weigh.
WEIGHTED = "sum({0} * {1}) / nullif(sum(case when {0} is not null then {1} end), 0)"


def section(
    team: str, headlines: list[Headline], charts: list[Chart | None], tables: list[Table]
) -> Section:
    """A team's section; its tables are left out while it has no KPI at all."""
    return Section(
        team, headlines, [chart for chart in charts if chart], tables if headlines else []
    )


def currencies(rows: Iterable[Any]) -> list[str]:
    """The currencies that occur, in order."""
    return sorted({row.currency for row in rows})


def amount(
    key: str, label: str, currency: str, rows: list[Any], column: str, mart: Mart
) -> Headline:
    """An amount of the newest whole day, and in its note that of all whole days."""
    rows = mart.whole(rows)
    total = sum(getattr(row, column) for row in rows)
    note = f"on {mart.say(rows[-1].day)}; {plain(total)} {currency} since {rows[0].day}"
    return Headline(key, f"{label}, {currency}", getattr(rows[-1], column), money(currency), note)


def plain(amount: Any) -> str:
    """An amount in the words of a note."""
    return f"{amount:,.2f}".replace("-", "−")


def days(key: str, title: str, kind: str, unit: Any, rows: list[Any], column: str) -> Chart | None:
    """A chart of one column, one value a day; its series is named as its title begins."""
    name = title.split(" per day")[0].split(",")[0]
    return daily_chart(
        key, title, kind, unit, [(row.day, name, getattr(row, column)) for row in rows]
    )


def span(mart: Mart) -> str:
    """The days that a mart's totals are over."""
    return f"30 days to {mart.day}" if mart.newest else ""


def table(
    key: str, title: str, columns: tuple, rows: list[Any], empty: str = "Nothing yet."
) -> Table:
    """A table of query rows."""
    return Table(key, title.rstrip(", "), columns, [tuple(row) for row in rows], empty)

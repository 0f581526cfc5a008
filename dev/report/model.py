"""What a report is made of, before anybody decides how it looks: sections of headline numbers,
charts and tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

Number = int | float | Decimal
Value = Number | str | date | datetime | None


@dataclass(frozen=True)
class Unit:
    """How a value is written. Money carries its currency, so that amounts cannot be shown, or
    added, without it.
    """

    kind: str
    currency: str = ""


TEXT, COUNT, PERCENT, SCORE, RATIO = (
    Unit("text"),
    Unit("count"),
    Unit("percent"),
    Unit("score"),
    Unit("ratio"),
)
SECONDS, HOURS, DAYS, RATING = Unit("seconds"), Unit("hours"), Unit("days"), Unit("rating")
DAY, MOMENT = Unit("day"), Unit("moment")
AMOUNT = Unit("amount")
"""Money in a table whose rows name the currency in a column of its own."""


SO_FAR = "so far"
"""Marks numbers of a day that is not over."""


def money(currency: str) -> Unit:
    """Amounts of one currency."""
    return Unit("money", currency)


@dataclass(frozen=True)
class Headline:
    """One KPI as a number to remember, and what it is a number of."""

    key: str
    label: str
    value: Value
    unit: Unit
    note: str = ""


@dataclass(frozen=True)
class Series:
    """One line, or one colour of the bars: a value, or none, per label of its chart."""

    name: str
    values: tuple[Number | None, ...]


@dataclass(frozen=True)
class Chart:
    """Values by day, or by another label, to be drawn as `bars` (stacked where there are several
    series) or as `lines`.
    """

    key: str
    title: str
    kind: str
    unit: Unit
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    partial: tuple[str, ...] = ()
    """The labels that are days which are not over."""


@dataclass(frozen=True)
class Table:
    """Rows with their columns' names and units; `empty` is what is said where there is no row."""

    key: str
    title: str
    columns: tuple[tuple[str, Unit], ...]
    rows: Sequence[Sequence[Value]]
    empty: str = "None."


@dataclass(frozen=True)
class Section:
    """What one team of one shop wants to know."""

    team: str
    headlines: Sequence[Headline] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has reached this team's marts yet."""
        return not self.headlines


@dataclass(frozen=True)
class ShopReport:
    """One tenant."""

    shop_id: str
    sections: Sequence[Section]

    @property
    def partial(self) -> str | None:
        """What a reader must know of the day that is not over; None where it has no data."""
        days = {
            day for section in self.sections for chart in section.charts for day in chart.partial
        }
        if not days:
            return None
        said = "charts show it so far, headline numbers are of the last whole day."
        return f"{min(days)} is not over: {said}"


@dataclass(frozen=True)
class Report:
    """Everything, as it was at one moment."""

    made_at: datetime
    shops: Sequence[ShopReport]
    failed_checks: Table
    checks: Table
    freshness: Table
    health: Sequence[Headline] = field(default_factory=tuple)

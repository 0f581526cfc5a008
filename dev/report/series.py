"""From rows to the series of a chart: a value for every day, and not more colours than people can
tell apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

from .charts import SERIES_AT_MOST
from .model import Chart, Number, Series, Unit

Point = tuple[date, str, Number | None]
OTHER = "all others"


def daily_chart(
    key: str, title: str, kind: str, unit: Unit, points: Iterable[Point], order: Iterable[str] = ()
) -> Chart | None:
    """A chart of (day, series, value): every day from the first to the last, days without a value
    left open.
    """
    values = {(day, name): value for day, name, value in points}
    if not values:
        return None
    days = [day for day, _ in values]
    span = [
        min(days) + timedelta(days=number) for number in range((max(days) - min(days)).days + 1)
    ]
    names = [name for name in order if any(name == known for _, known in values)] or list(
        dict.fromkeys(name for _, name in values)
    )
    series = [Series(name, tuple(values.get((day, name)) for day in span)) for name in names]
    return Chart(key, title, kind, unit, tuple(map(str, span)), tuple(series))


def largest(points: Iterable[Point], at_most: int = SERIES_AT_MOST) -> list[Point]:
    """The largest series by their total, and one that is the sum of all others. Only for amounts
    that may be added.
    """
    points = list(points)
    totals: defaultdict[str, Number] = defaultdict(int)
    for _, name, value in points:
        totals[name] += value or 0
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    kept = ranked if len(ranked) <= at_most else ranked[: at_most - 1]
    own = {(day, name): value for day, name, value in points if name in kept}
    rest: defaultdict[date, Number] = defaultdict(int)
    for day, name, value in points:
        if name not in kept:
            rest[day] += value or 0
    ordered = [(day, name, own[day, name]) for name in kept for day, known in own if known == name]
    return ordered + [(day, OTHER, value) for day, value in sorted(rest.items())]

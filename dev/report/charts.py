"""Charts as SVG: pure functions from numbers to markup. Colours are classes (s0, s1, ...), so that
the page decides on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .markup import Markup, element
from .model import SO_FAR, Chart, Number, Series
from .numbers import brief, show

WIDTH, HEIGHT = 440, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 10, 24
SERIES_AT_MOST = 6
"""More colours than these nobody can tell apart; whoever makes a chart folds the rest into one."""


def draw(chart: Chart) -> Markup:
    """The chart, with a title and a description for those who cannot see it."""
    low, high = _extent(chart)
    ticks = nice_ticks(low, high)
    scale = _Scale(min(low, ticks[0]), max(high, ticks[-1]), len(chart.labels))
    marks = _bars(chart, scale) if chart.kind == "bars" else _lines(chart, scale)
    return element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "class": f"chart {chart.kind}",
            "data-chart": chart.key,
            "aria-labelledby": f"{chart.key}-title {chart.key}-description",
        },
        element("title", {"id": f"{chart.key}-title"}, chart.title),
        element("desc", {"id": f"{chart.key}-description"}, describe(chart)),
        _axes(chart, scale, ticks),
        marks,
    )


def describe(chart: Chart) -> str:
    """What the eye takes from the chart, in words."""
    if not chart.labels:
        return "No values."
    parts = [f"{len(chart.labels)} values from {chart.labels[0]} to {chart.labels[-1]}."]
    for series in chart.series:
        known = [
            (value, label)
            for value, label in zip(series.values, chart.labels, strict=True)
            if value is not None
        ]
        if known:
            (lowest, at_low), (highest, at_high), (last, at_last) = (
                min(known),
                max(known),
                known[-1],
            )
            parts.append(
                f"{series.name}: lowest {show(lowest, chart.unit)} ({at_low}), highest {show(highest, chart.unit)} ({at_high}),"
                f" last {show(last, chart.unit)} ({at_last})."
            )
    parts += [f"{day} is not over." for day in chart.partial]
    return " ".join(parts)


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that cover the range."""
    span = (high - low) or 1.0
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


class _Scale:
    """From values and positions to pixels."""

    def __init__(self, low: float, high: float, count: int) -> None:
        self.low, self.high = low, high
        self.slot = (WIDTH - LEFT - RIGHT) / max(count, 1)

    def x(self, index: int) -> float:
        return LEFT + self.slot * (index + 0.5)

    def y(self, value: Number) -> float:
        return TOP + (self.high - float(value)) / ((self.high - self.low) or 1) * (
            HEIGHT - TOP - BOTTOM
        )


def _extent(chart: Chart) -> tuple[float, float]:
    """The range of the values, always with zero in it: a bar's length and a line's height then mean
    something.
    """
    if chart.kind == "bars":
        columns = list(zip(*(series.values for series in chart.series), strict=True))
        tops = [
            sum(float(value) for value in column if value is not None and value > 0)
            for column in columns
        ]
        bottoms = [
            sum(float(value) for value in column if value is not None and value < 0)
            for column in columns
        ]
        return min([0.0, *bottoms]), max([0.0, *tops])
    known = [
        float(value) for series in chart.series for value in series.values if value is not None
    ]
    return min([0.0, *known]), max([0.0, *known])


def _axes(chart: Chart, scale: _Scale, ticks: Sequence[float]) -> list[Markup]:
    parts = []
    for tick in ticks:
        y = f"{scale.y(tick):.1f}"
        parts.append(
            element(
                "line",
                {
                    "x1": LEFT,
                    "x2": WIDTH - RIGHT,
                    "y1": y,
                    "y2": y,
                    "class": "zero" if tick == 0 else "grid",
                },
            )
        )
        parts.append(
            element(
                "text",
                {"x": LEFT - 6, "y": f"{scale.y(tick) + 3.5:.1f}", "class": "end"},
                brief(tick, chart.unit),
            )
        )
    widest = max((len(_short(label)) for label in chart.labels), default=1)
    every = max(1, math.ceil((widest * 6.5 + 14) / scale.slot))
    # Counted from the newest, which has to have its label.
    for index in range(len(chart.labels) - 1, -1, -every):
        x = min(scale.x(index), WIDTH - RIGHT - len(_short(chart.labels[index])) * 3)
        parts.append(
            element(
                "text",
                {"x": f"{x:.1f}", "y": HEIGHT - 7, "class": "middle"},
                _short(chart.labels[index]),
            )
        )
    return parts


def _short(label: str) -> str:
    """2026-11-20 as 11-20: the year is said in the caption."""
    is_day = len(label) == 10 and label[4] == label[7] == "-"
    return label[5:] if is_day else label


def _bars(chart: Chart, scale: _Scale) -> list[Markup]:
    width = min(scale.slot * 0.72, 44)
    parts = []
    for index, label in enumerate(chart.labels):
        above = below = 0.0
        for number, series in enumerate(chart.series):
            value = series.values[index]
            if value is None or value == 0:
                continue
            start = above if value > 0 else below
            end = start + float(value)
            above, below = (end, below) if value > 0 else (above, end)
            top, bottom = scale.y(max(start, end)), scale.y(min(start, end))
            place = {
                "x": f"{scale.x(index) - width / 2:.2f}",
                "y": f"{top:.3f}",
                "width": f"{width:.2f}",
                "height": f"{bottom - top:.3f}",
            }
            parts.append(_mark("rect", chart, series, number, label, value, place | {"rx": 1.5}))
    return parts


def _lines(chart: Chart, scale: _Scale) -> list[Markup]:
    parts = []
    for number, series in enumerate(chart.series):
        for run in _runs(series):
            points = " L ".join(
                f"{scale.x(index):.2f} {scale.y(series.values[index]):.3f}" for index in run
            )
            parts.append(element("path", {"d": f"M {points}", "class": f"line s{number}"}))
        radius = 2.4 if len(chart.labels) > 12 else 3.2
        for index, (label, value) in enumerate(zip(chart.labels, series.values, strict=True)):
            if value is not None:
                place = {"cx": f"{scale.x(index):.2f}", "cy": f"{scale.y(value):.3f}", "r": radius}
                parts.append(_mark("circle", chart, series, number, label, value, place))
    return parts


def _runs(series: Series) -> list[list[int]]:
    """Stretches of known values: a line does not lead over days that nothing is known of."""
    runs: list[list[int]] = [[]]
    for index, value in enumerate(series.values):
        if value is not None:
            runs[-1].append(index)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _mark(
    tag: str,
    chart: Chart,
    series: Series,
    number: int,
    label: str,
    value: Number,
    place: dict[str, object],
) -> Markup:
    said = f"{label}, {series.name}: {show(value, chart.unit)}"
    said += f" {SO_FAR}" if label in chart.partial else ""
    kind = f"mark s{number}" + (" partial" if label in chart.partial else "")
    names = {"class": kind, "data-series": series.name, "data-label": label, "data-value": value}
    return element(tag, {**place, **names}, element("title", None, said))

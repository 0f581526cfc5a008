"""The report's parts without a browser: how values are written, what a chart draws, what is
escaped.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from dev.report import read, report
from dev.report.charts import describe, draw, nice_ticks
from dev.report.markup import Markup, element
from dev.report.model import (
    AMOUNT,
    COUNT,
    HOURS,
    MOMENT,
    PERCENT,
    RATIO,
    TEXT,
    Chart,
    Series,
    Unit,
    Value,
    money,
)
from dev.report.numbers import brief, show
from dev.report.series import OTHER, daily_chart, largest
from dev.report.terminal import summary
from dev.show import clean, pad, width
from tests.report.world import DAYS, LAST, TODAY


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, money("EUR"), "–"),
        (0, COUNT, "0"),
        (Decimal("1234567.8950"), money("EUR"), "1,234,567.90 EUR"),
        (Decimal("-0.0049"), money("EUR"), "0.00 EUR"),  # rounds to zero, which has no sign
        (Decimal("-1234.5"), AMOUNT, "−1,234.50"),
        (
            Decimal("0.125"),
            money("GBP"),
            "0.13 GBP",
        ),  # half a cent goes up, not to the even cent (0.12)
        (0.12345, PERCENT, "12.3 %"),
        (7.25, HOURS, "7.3 h"),
        (
            1.005,
            RATIO,
            "1.01 ×",
        ),  # as it is written, not as the nearest double (1.00499...) would round
        (1234, COUNT, "1,234"),
        ("<b>", TEXT, "<b>"),
        (datetime(2026, 11, 20, 9, 5), MOMENT, "2026-11-20 09:05"),
    ],
)
def test_values_are_written_with_their_unit(value: Value, unit: Unit, text: str) -> None:
    assert show(value, unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1500, COUNT, "1.5k"),
        (2e6, COUNT, "2m"),
        (0.5, PERCENT, "50 %"),
        (-20, COUNT, "−20"),
        (0, COUNT, "0"),
    ],
)
def test_ticks_are_brief(value: float, unit: Unit, text: str) -> None:
    assert brief(value, unit) == text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 9, [0, 5, 10]),  # 9 / 4 = 2.25 between ticks at least, so 5
        (0, 100, [0, 50, 100]),
        (-3, 7, [-5, 0, 5, 10]),
        (0, 0, [0]),
        (0, 0.8, [0, 0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_ticks_are_round_and_cover_the_values(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


def chart(
    kind: str, *series: Series, labels: tuple[str, ...] = ("2026-11-19", "2026-11-20")
) -> Chart:
    return Chart("key", "A <title>", kind, money("EUR"), labels, series)


def numbers(svg: str, tag: str, *names: str) -> list[tuple[float, ...]]:
    """The attributes of the marks."""
    marks = re.findall(rf"<{tag} [^>]*class=\"mark[^>]*>", svg)
    return [
        tuple(float(re.search(rf' {name}="([^"]+)"', mark)[1]) for name in names) for mark in marks
    ]


def test_bars_are_as_long_as_their_values() -> None:
    svg = draw(chart("bars", Series("net", (Decimal(100), Decimal(50)))))
    # From 10 (top) to 176 (200 - 24) there are 166 pixels for 0 to 100.
    assert numbers(svg, "rect", "y", "height") == [(10.0, 166.0), (93.0, 83.0)]


def test_stacked_bars_begin_where_the_last_one_ended_and_losses_hang_below_zero() -> None:
    svg = draw(chart("bars", Series("a", (30, -50)), Series("b", (70, -50)), labels=("x", "y")))
    # The scale is -100 to 100, so 0.83 pixels per unit and zero at 93.
    assert numbers(svg, "rect", "y", "height") == [
        pytest.approx((68.1, 24.9)),
        pytest.approx((10.0, 58.1)),
        pytest.approx((93.0, 41.5)),
        pytest.approx((134.5, 41.5)),
    ]


def test_a_line_has_a_gap_where_nothing_is_known() -> None:
    labels = tuple("abcde")
    svg = draw(chart("lines", Series("rate", (1, 2, None, 3, 4)), labels=labels))
    assert svg.count('class="line s0"') == 2
    assert len(numbers(svg, "circle", "cy")) == 4


def test_a_chart_says_in_words_what_it_shows() -> None:
    words = describe(
        chart("lines", Series("net", (Decimal(7), None)), Series("none", (None, None)))
    )
    assert words == (
        "2 values from 2026-11-19 to 2026-11-20."
        " net: lowest 7.00 EUR (2026-11-19), highest 7.00 EUR (2026-11-19), last 7.00 EUR (2026-11-19)."
    )


def test_names_in_charts_are_escaped() -> None:
    svg = draw(chart("bars", Series('"><script>', (1, 2))))
    assert (
        "<script" not in svg
        and 'data-series="&quot;&gt;&lt;script&gt;"' in svg
        and "A &lt;title&gt;" in svg
    )


def test_text_is_escaped_and_markup_is_not() -> None:
    made = element(
        "p",
        {"title": 'a"b', "hidden": True, "id": None},
        "<&>",
        element("b", None, "x"),
        None,
        ["\x00", Markup("<i></i>")],
    )
    assert (
        made
        == '<p title="a&quot;b" hidden>&lt;&amp;&gt;<b>x</b>\N{REPLACEMENT CHARACTER}<i></i></p>'
    )


def test_days_without_a_value_are_days_all_the_same() -> None:
    made = daily_chart(
        "key",
        "title",
        "lines",
        COUNT,
        [(date(2026, 2, 27), "a", 1), (date(2026, 3, 1), "a", 3), (date(2026, 3, 1), "b", 4)],
    )
    assert made is not None
    assert made.labels == ("2026-02-27", "2026-02-28", "2026-03-01")
    assert made.series == (Series("a", (1, None, 3)), Series("b", (None, None, 4)))


def test_small_series_become_one_that_keeps_the_sum() -> None:
    day, other_day = date(2026, 1, 1), date(2026, 1, 2)
    points = [
        (day, name, Decimal(amount))
        for name, amount in zip("abcdefg", (7, 6, 5, 4, 3, 2, 1), strict=True)
    ] + [(other_day, "g", Decimal(1))]
    folded = largest(points)
    assert [name for _, name, _ in folded] == ["a", "b", "c", "d", "e", OTHER, OTHER]
    assert folded[-2:] == [
        (day, OTHER, 3),
        (other_day, OTHER, 1),
    ]  # f and g: 2 + 1, then g alone: 1
    assert sum(value for *_, value in folded) == sum(value for *_, value in points)


def test_a_terminal_is_not_driven_by_data() -> None:
    assert clean("a\x1b[2Jb\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}"
    assert (width("茶碗"), width("é"), width("e\u0301")) == (4, 1, 1)
    assert pad("茶", 4) == "茶  " and pad("7", 3, right=True) == "  7"


def test_headlines_are_of_the_last_whole_day(warehouse: str) -> None:
    """Loyalty of a whole day, whatever the first minutes of today brought."""
    with psycopg.connect(warehouse) as connection:
        day_before = LAST - timedelta(days=1)
        query = """select loyalty_activity_rate from marketing.loyalty_activity_rate
            where shop_id = 'acme' and activity_date = %s"""
        [(rate,)] = connection.execute(query, [day_before]).fetchall()
    made = read(warehouse, LAST)
    shop = next(shop for shop in made.shops if shop.shop_id == "acme")
    headlines = {
        headline.key: headline for section in shop.sections for headline in section.headlines
    }
    assert headlines["shop0-marketing-loyalty"].value == rate
    assert headlines["shop0-marketing-loyalty"].note.endswith(f"on {day_before}")
    assert str(LAST) not in " ".join(headline.note for headline in headlines.values())
    assert shop.partial is not None and shop.partial.startswith(f"{LAST} is not over")
    lines = summary(made).splitlines()
    assert lines[lines.index("acme") + 1] == f"  {shop.partial}"


def test_a_shop_that_began_today_is_marked_as_partial(warehouse: str) -> None:
    made = read(warehouse, min(DAYS))
    notes = [
        headline.note
        for shop in made.shops
        for section in shop.sections
        for headline in section.headlines
    ]
    assert sum(" so far" in note for note in notes) > len(notes) / 2


def test_a_whole_day_is_not_marked(warehouse: str) -> None:
    made = read(warehouse, TODAY)
    assert [shop.partial for shop in made.shops] == [None, None]
    assert "so far" not in summary(made)


def test_the_terminal_shows_every_team_of_every_shop_aligned(
    warehouse: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(warehouse, tmp_path / "report.html")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in ("acme", "nord-süd")] == ["acme", "nord-süd"]
    for team in ("Sales", "Marketing", "Operations", "Support", "Finance"):
        assert lines.count(f"  {team}") == 2
    first_shop = lines[lines.index("acme") : lines.index("nord-süd")]
    ends = {
        re.match(r"    .*?\S {2,}\S.*?(?=  )", line).end()
        for line in first_shop
        if line.startswith("    ")
    }
    assert len(ends) == 1, "values end in one column"
    assert any(
        "warn: total_sales_add_up on total_sales_by_region_product 2026-11-20: 7 wrong rows" in line
        for line in lines
    )
    assert (tmp_path / "report.html").stat().st_size > 10_000

"""Checks of every report, independent of its warehouse; the browser shows what a reader sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.browser.chromium import Browser, Page
from tests.report import expected

TEAMS = ["Sales", "Marketing", "Operations", "Support", "Finance"]
PHONE, DESKTOP = (390, 844), (1280, 900)
PIXEL = 0.75
FAILED_AT_MOST = 100

# All that the page says of the visible shop, and where it stands.
READ = """(() => {
    const box = (e) => {
        const r = e.getBoundingClientRect();
        return [r.left, r.top, r.width, r.height];
    };
    const shop = [...document.querySelectorAll("article.shop")].find((s) => s.checkVisibility());
    const all = (name) => [...shop.querySelectorAll(name)];
    return {
        name: shop.dataset.shop,
        title: shop.querySelector("h2").innerText,
        sections: all("section.team").map((e) => [e.dataset.team, e.checkVisibility(), box(e)]),
        headlines: all("[data-headline]").map((e) => {
            const value = e.querySelector(".value");
            return [e.dataset.headline, value.firstChild.value, value.innerText, box(e)];
        }),
        charts: all("svg.chart").map((e) => ({
            key: e.dataset.chart, kind: e.classList[1], visible: e.checkVisibility(),
            box: box(e), zero: box(e.querySelector(".zero"))[1],
            title: e.querySelector(":scope > title").textContent,
            description: e.querySelector(":scope > desc").textContent,
            partial: [...e.querySelectorAll(".mark")].map(
                (m) => [m.dataset.label, m.classList.contains("partial")]),
            marks: [...e.querySelectorAll(".mark")].map(
                (m) => [m.dataset.label, m.dataset.series, m.dataset.value, box(m),
                    getComputedStyle(m).fill]),
        })),
        tables: Object.fromEntries(all("table").map((t) => [t.dataset.table, {
            head: [...t.tHead.rows[0].cells].map((c) => c.innerText || c.textContent),
            rows: [...t.tBodies[0].rows].map((r) => [...r.cells].map(
                (c) => c.querySelector("data")?.value ?? c.textContent)),
        }])),
    };
})()"""
CHOOSE = """(() => {
    const s = document.querySelector('#shop');
    s.selectedIndex = %d;
    s.dispatchEvent(new Event('change'));
})()"""


def check_report(
    browser: Browser, file: Path, warehouse_url: str, today: date | None = None
) -> int:
    """Compares the whole page with the warehouse and looks at it in all sizes; returns how many
    values were compared.
    """
    compared = 0
    today = today or datetime.now(UTC).date()
    with psycopg.connect(warehouse_url) as connection, opened(browser, file, DESKTOP) as page:
        shops = expected.shops(connection)
        assert (
            page.evaluate("[...document.querySelector('#shop').options].map((o) => o.text)")
            == shops
        )
        for number, shop in enumerate(shops):
            page.evaluate(CHOOSE % number)
            seen = page.evaluate(READ)
            assert (seen["name"], seen["title"]) == (shop, shop)
            assert [(team, visible) for team, visible, _ in seen["sections"]] == [
                (team, True) for team in TEAMS
            ]
            check_places(seen)
            compared += check_headlines(
                seen, f"shop{number}-", expected.headlines(connection, shop, today)
            )
            compared += check_charts(
                seen, f"shop{number}-", expected.charts(connection, shop, today), today
            )
            compared += check_tables(
                seen, f"shop{number}-", expected.tables(connection, shop, today)
            )
        compared += check_data_quality(page, connection)
    for size in (PHONE, DESKTOP):
        for dark in (False, True):
            with opened(browser, file, size, dark=dark) as page:
                check_layout(page, size)
                check_colours(page, dark=dark)
    return compared


@contextmanager
def opened(
    browser: Browser, file: Path, size: tuple[int, int], *, dark: bool = False, scripts: bool = True
) -> Iterator[Page]:
    """Opens the page. It must request only itself, and the console must stay empty."""
    with browser.page(file.as_uri(), *size, dark=dark, scripts=scripts) as page:
        yield page
        assert page.requests() == [file.as_uri()]
        assert page.problems() == []


def check_places(seen: dict[str, Any]) -> None:
    """Everything has a size, and everything that a chart draws is inside of it."""
    for _, _, (_, _, width, height) in seen["sections"]:
        assert width > 0 < height
    for key, _, _, (_, _, width, height) in seen["headlines"]:
        assert width > 100 and height > 40, key
    for chart in seen["charts"]:
        left, top, width, height = chart["box"]
        assert chart["visible"] and width > 200 and height > 80, chart["key"]
        assert chart["title"] and chart["description"], chart["key"]
        for _, _, _, (x, y, w, h), _ in chart["marks"]:
            assert w > 0 < h, chart["key"]
            assert (
                left - PIXEL <= x
                and x + w <= left + width + PIXEL
                and top - PIXEL <= y
                and y + h <= top + height + PIXEL
            ), chart["key"]


def check_headlines(seen: dict[str, Any], prefix: str, want: dict[str, Any]) -> int:
    """The same headlines, exact where they are exact, and written with their currency."""
    got = {key.removeprefix(prefix): (value, said) for key, value, said, _ in seen["headlines"]}
    assert got.keys() == want.keys()
    for key, value in want.items():
        number, said = got[key]
        assert same(number, value), f"{key}: {number} is not {value}"
        assert (said == "–") == (value is None), f"{key}: {said}"
        if key.startswith(("sales-net-", "finance-revenue-", "finance-margin-")):
            assert said == f"{value:,.2f} {key.rpartition('-')[2]}".replace("-", "−"), key
    return len(want)


def check_charts(
    seen: dict[str, Any], prefix: str, want: dict[str, dict[tuple[str, str], Any]], today: date
) -> int:
    """The same charts; in each the marks, the table behind it and the query say the same, and
    lengths are as the values are.
    """
    got = {chart["key"].removeprefix(prefix): chart for chart in seen["charts"]}
    assert got.keys() == want.keys()
    for key, values in want.items():
        chart = got[key]
        drawn = {
            point: value
            for point, value in values.items()
            if value is not None and (value != 0 or chart["kind"] == "lines")
        }
        marks = {(label, series): value for label, series, value, _, _ in chart["marks"]}
        assert len(marks) == len(chart["marks"]), f"{key}: a value is drawn twice"
        assert marks.keys() == drawn.keys(), key
        assert all(same(marks[point], value) for point, value in drawn.items()), key
        table = seen["tables"][prefix + key]
        for label, *_ in table["rows"]:
            assert label.endswith(" so far") == (is_day(label[:10]) and label[:10] >= str(today)), (
                f"{key}: {label}"
            )
        cells = {
            (row[0].removesuffix(" so far"), name): cell
            for row in table["rows"]
            for name, cell in zip(table["head"][1:], row[1:], strict=True)
        }
        assert all(
            is_partial == (is_day(label) and label >= str(today))
            for label, is_partial in chart["partial"]
        ), key
        assert values.keys() <= cells.keys(), key
        assert all(same(cell, values.get(point)) for point, cell in cells.items()), key
        check_lengths(chart)
    return sum(map(len, want.values()))


def is_day(text: str) -> bool:
    """Whether a label is a day."""
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def check_tables(seen: dict[str, Any], prefix: str, want: dict[str, list[tuple[str, ...]]]) -> int:
    """The same rows in the same order; names that hold control characters show a mark in their
    place.
    """
    for key, rows in want.items():
        got = seen["tables"][prefix + key]["rows"]
        assert len(got) == len(rows), key
        for cells, wanted in zip(got, rows, strict=True):
            shown = tuple(
                "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cell)
                for cell in wanted
            )
            assert all(map(alike, cells, shown)), f"{key}: {cells} is not {shown}"
    return sum(map(len, want.values()))


def check_lengths(chart: dict[str, Any]) -> None:
    """Pixels per unit are the same for all marks: bars by their height, points by their distance
    from zero.
    """
    is_bars = chart["kind"] == "bars"
    lengths = [
        (float(value), box[3] if is_bars else chart["zero"] - (box[1] + box[3] / 2))
        for _, _, value, box, _ in chart["marks"]
    ]
    lengths = [(abs(value) if is_bars else value, pixels) for value, pixels in lengths]
    if lengths:
        value, pixels = max(lengths, key=lambda length: abs(length[0]))
        assert pixels or not value, chart["key"]
        for other, length in lengths:
            assert length == pytest.approx(other * pixels / value if value else 0, abs=PIXEL), (
                chart["key"]
            )
        colours = {series: colour for _, series, _, _, colour in chart["marks"]}
        assert len(set(colours.values())) == len(colours), (
            f"{chart['key']}: two series have one colour"
        )


def check_data_quality(page: Page, connection: psycopg.Connection) -> int:
    """Checks and freshness as the pipeline's own tables have them."""
    tables = page.evaluate("""Object.fromEntries([...document.querySelectorAll("#data table")].map(
        (t) => [t.dataset.table, [...t.tBodies[0].rows].map((r) => [...r.cells].map(
            (c) => c.querySelector("data")?.value ?? c.textContent))]))""")
    loads = """select model,
        coalesce(max(partition_value) filter (where partition_value !~ '^[0-9]{4}$'), '–'),
        count(*)::text,
        coalesce(sum(row_count)::text, ''),
        coalesce(to_char(max(loaded_at), 'YYYY-MM-DD HH24:MI'), '–')
        from shoplake.loads group by model"""
    failed = """select check_name, model, partition_value, severity, failed_rows::text
        from shoplake.check_results where status = 'failed'"""
    wanted_loads = {tuple(row) for row in connection.execute(loads)}
    assert {tuple(row) for row in tables.get("data-loads-table", [])} == wanted_loads
    wanted_failed = {tuple(row) for row in connection.execute(failed)}
    shown_failed = {tuple(row[:5]) for row in tables.get("data-failed-table", [])}
    assert shown_failed <= wanted_failed and len(shown_failed) == min(
        len(wanted_failed), FAILED_AT_MOST
    )
    results, bad = connection.execute(
        "select count(*), count(*) filter (where status = 'failed') from shoplake.check_results"
    ).fetchone()
    said = page.evaluate(
        "[...document.querySelectorAll('#data [data-headline] data')].map((d) => Number(d.value))"
    )
    assert said == [results, bad]
    return len(wanted_loads) + len(wanted_failed)


def check_layout(page: Page, size: tuple[int, int]) -> None:
    """No sideways scrolling of the page, and nothing reaches out of it that does not scroll within
    itself.
    """
    assert page.evaluate("innerWidth") == size[0]
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    out = """[...document.body.querySelectorAll("*")]
        .filter((e) => !e.closest(".scroll, svg") && e.checkVisibility())
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1
            || e.getBoundingClientRect().left < -1)
        .map((e) => e.outerHTML.slice(0, 100))"""
    assert page.evaluate(out) == []


def check_colours(page: Page, *, dark: bool) -> None:
    """Text stands out from what it is written on (WCAG AA: 4.5 to 1), and the ground is as dark as
    was asked for.
    """
    pairs = [
        ("body", "body"),
        (".made", "body"),
        (".headline dt", ".headline"),
        (".headline .value", ".headline"),
        (".note", ".headline"),
        ("th", ".card"),
    ]
    ask = (
        "[getComputedStyle(document.querySelector(%r)).color,"
        " getComputedStyle(document.querySelector(%r)).backgroundColor]"
    )
    assert (luminance(page.evaluate(ask % ("body", "body"))[1]) < 0.2) == dark
    for text, ground in pairs:
        if page.evaluate(f"!!document.querySelector({text!r})"):
            light, deep = sorted(map(luminance, page.evaluate(ask % (text, ground))), reverse=True)
            assert (light + 0.05) / (deep + 0.05) >= 4.5, text


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, by WCAG's formula."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def alike(cell: str, wanted: str) -> bool:
    """Whether two texts are the same, or the same number: 40.0 of one language is 40 in another."""
    try:
        return cell == wanted or Decimal(cell) == Decimal(wanted)
    except InvalidOperation:
        return False


def same(text: str, value: Any) -> bool:
    """Whether a number on the page is the one that was asked for: decimals and counts to the digit,
    doubles to nine.
    """
    if value is None or text == "":
        return value is None and text == ""
    if (
        isinstance(value, float)
        or "e" in text
        or (isinstance(value, Decimal) and -value.as_tuple().exponent > 4)
    ):
        return float(text) == pytest.approx(float(value), rel=1e-9)
    return Decimal(text) == value

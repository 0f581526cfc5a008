"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from .charts import draw
from .markup import Markup, element
from .model import SO_FAR, Chart, Headline, Report, Section, ShopReport, Table, Unit, Value
from .numbers import exact, is_number, show

HERE = Path(__file__).resolve().parent


def page(report: Report) -> str:
    """The whole document. Its content security policy lets nothing be fetched and no other script
    run.
    """
    style, script = Markup((HERE / "page.css").read_text()), Markup((HERE / "page.js").read_text())
    sources = f"style-src {_hash(style)}; script-src {_hash(script)}; img-src data:"
    policy = f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", None, "Shoplake report"),
        element("link", {"rel": "icon", "href": "data:,"}),
        element("style", None, style),
    )
    body = element(
        "body",
        None,
        _header(report),
        element(
            "main",
            None,
            [_shop(shop, number) for number, shop in enumerate(report.shops)]
            or [element("p", {"class": "empty"}, "No KPI has been loaded yet.")],
            _data(report),
        ),
        element(
            "footer",
            None,
            "Times and days are UTC. Amounts of different currencies are never added."
            " A dash means: not known.",
        ),
        element("script", None, script),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, body) + "\n"


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _header(report: Report) -> Markup:
    options = [
        element("option", {"value": f"shop{number}"}, shop.shop_id)
        for number, shop in enumerate(report.shops)
    ]
    # Without scripts all shops are shown, one after the other, and there is nothing to select.
    choice = element(
        "label",
        {"class": "choice", "hidden": True},
        element("span", None, "Shop"),
        element("select", {"id": "shop"}, options),
    )
    return element(
        "header",
        {"class": "top"},
        element("h1", None, "Shoplake"),
        element("p", {"class": "made"}, f"As of {report.made_at:%Y-%m-%d %H:%M} UTC"),
        choice,
    )


def _shop(shop: ShopReport, number: int) -> Markup:
    prefix = f"shop{number}"
    links = [
        element("a", {"href": f"#{prefix}-{section.team.lower()}"}, section.team)
        for section in shop.sections
    ]
    return element(
        "article",
        {"class": "shop", "id": prefix, "data-shop": shop.shop_id},
        element("h2", {"class": "shop-name"}, shop.shop_id),
        element("p", {"class": "so-far"}, shop.partial) if shop.partial else None,
        element(
            "nav",
            {"aria-label": f"Teams of {shop.shop_id}"},
            links,
            element("a", {"href": "#data"}, "Data quality"),
        ),
        [_section(section, f"{prefix}-{section.team.lower()}") for section in shop.sections],
    )


def _section(section: Section, key: str) -> Markup:
    content: list[Markup] = [
        element("p", {"class": "empty"}, "Nothing has reached these marts yet.")
    ]
    if not section.is_empty:
        content = [
            _headlines(section.headlines),
            element("div", {"class": "charts"}, [_chart(chart) for chart in section.charts]),
            element("div", {"class": "tables"}, [_table(table) for table in section.tables]),
        ]
    return element(
        "section",
        {
            "id": key,
            "class": f"team {section.team.lower()}",
            "data-team": section.team,
            "aria-labelledby": f"{key}-title",
        },
        element("h3", {"id": f"{key}-title"}, section.team),
        content,
    )


def _headlines(headlines: list[Headline] | tuple[Headline, ...]) -> Markup:
    cards = [
        element(
            "div",
            {"class": "headline", "data-headline": headline.key},
            element("dt", None, headline.label),
            element("dd", {"class": "value"}, _value(headline.value, headline.unit)),
            element("dd", {"class": "note"}, headline.note),
        )
        for headline in headlines
    ]
    return element("dl", {"class": "headlines"}, cards)


def _chart(chart: Chart) -> Markup:
    legend = None
    if len(chart.series) > 1:
        names = [
            element("li", None, element("span", {"class": f"key s{number}"}), series.name)
            for number, series in enumerate(chart.series)
        ]
        legend = element("ul", {"class": "legend"}, names)
    columns = (("", Unit("text")), *((series.name, chart.unit) for series in chart.series))
    said = [f"{label} {SO_FAR}" if label in chart.partial else label for label in chart.labels]
    rows = [
        (said[index], *(series.values[index] for series in chart.series))
        for index in range(len(said))
    ]
    return element(
        "figure",
        {"class": "card"},
        element("figcaption", None, chart.title),
        [element("p", {"class": "so-far"}, f"Lighter: {day} {SO_FAR}") for day in chart.partial],
        draw(chart),
        legend,
        element(
            "details",
            None,
            element("summary", None, "Numbers"),
            _grid(columns, rows[::-1], chart.title, chart.key),
        ),
    )


def _table(table: Table) -> Markup:
    content = (
        _grid(table.columns, table.rows, table.title, table.key)
        if table.rows
        else element("p", {"class": "empty"}, table.empty)
    )
    wide = " wide" if len(table.columns) > 6 else ""
    return element(
        "div", {"class": f"card{wide}", "id": table.key}, element("h4", None, table.title), content
    )


def _grid(columns: tuple[tuple[str, Unit], ...], rows: object, title: str, key: str) -> Markup:
    """A table that scrolls in its own frame where it is too wide, by keyboard too."""
    head = [element("th", {"scope": "col", "class": _class(unit)}, name) for name, unit in columns]
    body = [
        element(
            "tr",
            None,
            [
                element("td", {"class": _class(unit)}, _value(value, unit))
                for value, (_, unit) in zip(row, columns, strict=True)
            ],
        )
        for row in rows
    ]
    table = element(
        "table",
        {"data-table": key},
        element("thead", None, element("tr", None, head)),
        element("tbody", None, body),
    )
    return element(
        "div", {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": title}, table
    )


def _value(value: Value, unit: Unit) -> Markup:
    """What people read, and beside it, for machines, all digits."""
    if is_number(unit):
        return element("data", {"value": exact(value)}, show(value, unit))
    # Names with underscores may break after one, rather than anywhere.
    parts = show(value, unit).split("_")
    return element(
        "bdi",
        None,
        [
            [element("wbr"), part] if number else part
            for number, part in enumerate([part + "_" for part in parts[:-1]] + parts[-1:])
        ],
    )


def _class(unit: Unit) -> str | None:
    if unit.kind in ("day", "moment"):
        return "time"
    return "number" if is_number(unit) else None


def _data(report: Report) -> Markup:
    tables = [_table(table) for table in (report.failed_checks, report.freshness, report.checks)]
    return element(
        "section",
        {
            "id": "data",
            "class": "team data",
            "data-team": "Data quality",
            "aria-labelledby": "data-title",
        },
        element("h3", {"id": "data-title"}, "Data quality"),
        _headlines(report.health),
        element("div", {"class": "tables stacked"}, tables),
    )

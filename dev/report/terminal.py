"""The report as text: every team's KPIs, one line each, aligned over the whole shop."""

from __future__ import annotations

from collections.abc import Iterator

from ..show import clean, pad
from .model import Report, Section, ShopReport
from .numbers import show


def summary(report: Report) -> str:
    """The text, ready to be printed."""
    lines = [line for shop in report.shops for line in _shop(shop)] or [
        "",
        "No KPI has been loaded yet.",
    ]
    return "\n".join([*lines, "", *_data(report)])


def _shop(shop: ShopReport) -> Iterator[str]:
    headlines = [headline for section in shop.sections for headline in section.headlines]
    label = max((len(clean(headline.label)) for headline in headlines), default=0)
    value = max((len(show(headline.value, headline.unit)) for headline in headlines), default=0)
    yield f"\n{clean(shop.shop_id)}"
    if shop.partial:
        yield f"  {shop.partial}"
    for section in shop.sections:
        yield f"  {section.team}"
        yield from _section(section, label, value)


def _section(section: Section, label: int, value: int) -> Iterator[str]:
    if section.is_empty:
        yield "    nothing has reached these marts yet"
    for headline in section.headlines:
        shown = show(headline.value, headline.unit)
        yield f"    {pad(clean(headline.label), label)}  {shown.rjust(value)}  {clean(headline.note)}".rstrip()


def _data(report: Report) -> Iterator[str]:
    checks, failed, loaded = report.health
    yield "Data quality"
    results = (
        f"{show(checks.value, checks.unit)} check results, {show(failed.value, failed.unit)} failed"
    )
    yield f"  {results}; newest load {show(loaded.value, loaded.unit)} UTC"
    for check, model, partition, severity, rows, *_ in report.failed_checks.rows:
        yield clean(f"  {severity}: {check} on {model} {partition}: {rows:,} wrong rows")

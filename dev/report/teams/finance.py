"""Revenue and margin."""

from __future__ import annotations

from ..model import AMOUNT, PERCENT, TEXT, Headline, Section, money
from ..series import daily_chart, largest
from ..warehouse import Mart
from .common import amount, currencies, days, section, span, table


def finance(revenue: Mart, key: str) -> Section:
    """The section of the finance team."""
    headlines, charts, tables = [], [], []
    columns = (
        "gross_sales",
        "returns",
        "discounts",
        "net_revenue",
        "cost_of_goods",
        "gross_margin",
        "units_without_cost",
    )
    sums = ", ".join(f"sum({column}) as {column}" for column in columns)
    daily = revenue.daily(sums, "currency")
    by_region = revenue.daily("sum(net_revenue) as net_revenue", "currency, region")
    for currency in currencies(daily):
        own = [row for row in daily if row.currency == currency]
        headlines.append(
            amount(
                f"{key}-revenue-{currency}", "Net revenue", currency, own, "net_revenue", revenue
            )
        )
        headlines.append(
            amount(
                f"{key}-margin-{currency}", "Gross margin", currency, own, "gross_margin", revenue
            )
        )
        last = revenue.whole(own)[-1]
        share = last.gross_margin / last.net_revenue if last.net_revenue > 0 else None
        note = f"on {revenue.say(last.day)}" + (
            f", {last.units_without_cost:,} units without a known cost"
            if last.units_without_cost
            else ""
        )
        headlines.append(
            Headline(
                f"{key}-share-{currency}", f"Margin of revenue, {currency}", share, PERCENT, note
            )
        )
        points = [
            (row.day, row.region, row.net_revenue) for row in by_region if row.currency == currency
        ]
        charts.append(
            daily_chart(
                f"{key}-revenue-chart-{currency}",
                f"Net revenue per day by region, {currency}",
                "bars",
                money(currency),
                largest(points),
            )
        )
        charts.append(
            days(
                f"{key}-margin-chart-{currency}",
                f"Gross margin per day, {currency}",
                "lines",
                money(currency),
                own,
                "gross_margin",
            )
        )
    tables.append(
        table(
            f"{key}-regions",
            f"Revenue by region, {span(revenue)}",
            (
                ("Region", TEXT),
                ("Currency", TEXT),
                ("Gross sales", AMOUNT),
                ("Returns", AMOUNT),
                ("Discounts", AMOUNT),
                ("Net revenue", AMOUNT),
                ("Cost of goods", AMOUNT),
                ("Gross margin", AMOUNT),
            ),
            revenue.total(
                ", ".join(f"sum({column}) as {column}" for column in columns[:-1]),
                "region, currency",
                "currency, net_revenue desc, region",
            ),
        )
    )
    return section("Finance", headlines, charts, tables)

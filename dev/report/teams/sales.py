"""What was sold, what could be, and how fast it turns."""

from __future__ import annotations

from ..model import COUNT, PERCENT, RATIO, SCORE, TEXT, Headline, Section, money
from ..warehouse import Mart, first
from .common import TOP, WEIGHTED, amount, currencies, days, section, span, table


def sales(totals: Mart, stock: Mart, turnover: Mart, key: str) -> Section:
    """The section of the sales team."""
    headlines, charts, tables = [], [], []
    daily = totals.daily("sum(net_sales) as net_sales, sum(units_sold) as units_sold", "currency")
    for currency in currencies(daily):
        own = [row for row in daily if row.currency == currency]
        headlines.append(
            amount(f"{key}-net-{currency}", "Net sales", currency, own, "net_sales", totals)
        )
        charts.append(
            days(
                f"{key}-net-chart-{currency}",
                f"Net sales per day, {currency}",
                "bars",
                money(currency),
                own,
                "net_sales",
            )
        )
    if daily:
        sold = first(totals.on_newest("sum(units_sold) as sold, sum(units_returned) as returned"))
        headlines.append(
            Headline(
                f"{key}-units",
                "Units sold",
                sold.sold,
                COUNT,
                f"on {totals.day}, {sold.returned:,} returned",
            )
        )
    if stock.newest:
        now = first(
            stock.on_newest(
                "count(*) as items, sum(case when available > 0 then 1 else 0 end) as available"
            )
        )
        rate = first(
            stock.on_newest(f"{WEIGHTED.format('availability_rate', 'snapshots')} as rate")
        ).rate
        headlines.append(
            Headline(
                f"{key}-availability",
                "Stock availability",
                rate,
                PERCENT,
                f"of snapshots on {stock.day}; {now.available:,} of {now.items:,} items available"
                " at the last one",
            )
        )
        rates = stock.daily(f"{WEIGHTED.format('availability_rate', 'snapshots')} as rate")
        charts.append(
            days(
                f"{key}-availability-chart",
                "Stock availability per day",
                "lines",
                PERCENT,
                rates,
                "rate",
            )
        )
    if turnover.newest:
        both = "turnover_rate is not null"
        whole = first(
            turnover.on_newest(
                "sum(units_sold_30d) / nullif(sum(average_on_hand_30d), 0) as rate,"
                " count(*) as products",
                both,
            )
        )
        headlines.append(
            Headline(
                f"{key}-turnover",
                "Product turnover",
                whole.rate,
                RATIO,
                f"units sold in 30 days to {turnover.day} per unit on hand,"
                f" {whole.products:,} products",
            )
        )
    sold = totals.total(
        "sum(net_sales) as net_sales, sum(units_sold) as units_sold, sum(units_returned) as units_returned",
        "currency, product_id",
        "currency, net_sales desc, product_id",
    )
    for currency in currencies(sold):
        tables.append(
            table(
                f"{key}-products-{currency}",
                f"Best-selling products, {currency}, {span(totals)}",
                (
                    ("Product", TEXT),
                    ("Net sales", money(currency)),
                    ("Units sold", COUNT),
                    ("Returned", COUNT),
                ),
                [row[1:] for row in sold if row.currency == currency][:TOP],
            )
        )
    scarce = stock.on_newest(
        "product_id, location_id, available, on_hand, reserved, availability_rate",
        order="availability_rate, available, product_id, location_id",
        limit=TOP,
    )
    tables.append(
        table(
            f"{key}-scarce",
            f"Least available items, {stock.day}",
            (
                ("Product", TEXT),
                ("Location", TEXT),
                ("Available", COUNT),
                ("On hand", COUNT),
                ("Reserved", COUNT),
                ("Availability", PERCENT),
            ),
            scarce,
        )
    )
    fast = turnover.on_newest(
        "product_id, units_sold_30d, average_on_hand_30d, turnover_rate",
        "turnover_rate is not null",
        order="turnover_rate desc, product_id",
        limit=TOP,
    )
    tables.append(
        table(
            f"{key}-fast",
            f"Fastest-turning products, 30 days to {turnover.day}",
            (
                ("Product", TEXT),
                ("Units sold", COUNT),
                ("Average on hand", SCORE),
                ("Turnover", RATIO),
            ),
            fast,
        )
    )
    return section("Sales", headlines, charts, tables)

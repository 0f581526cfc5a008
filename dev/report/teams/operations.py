"""Stock that runs out, turns and is refilled."""

from __future__ import annotations

from typing import Any

from ..model import COUNT, DAYS, MOMENT, RATIO, TEXT, Headline, Section
from ..series import daily_chart
from ..warehouse import Mart, Warehouse, first
from .common import TOP, WEIGHTED, currencies, days, plain, section, table


def operations(
    turnover: Mart, restocks: Mart, alerts: Mart, open_alerts: list[Any], key: str
) -> Section:
    """The section of the operations team."""
    headlines, charts, tables = [], [], []
    if alerts.newest:
        for state in ("out", "low"):
            count = sum(alert.state == state for alert in open_alerts)
            label = "Out of stock" if state == "out" else "Low on stock"
            headlines.append(
                Headline(f"{key}-{state}", label, count, COUNT, "items with an open alert")
            )
        daily = alerts.daily("count(*) as alerts", "state")
        points = [(row.day, row.state, row.alerts) for row in daily]
        charts.append(
            daily_chart(
                f"{key}-alerts-chart",
                "Stock alerts that began per day",
                "bars",
                COUNT,
                points,
                ("out", "low"),
            )
        )
    daily = turnover.daily(
        "max(turnover) as turnover, max(cost_of_goods_sold_30d) as cost", "currency"
    )
    for currency in currencies(daily):
        own = [row for row in daily if row.currency == currency]
        last = turnover.whole(own)[-1]
        days_to = turnover.say(last.day)
        note = f"cost of goods sold, 30 days to {days_to}: {plain(last.cost)} {currency}"
        headlines.append(
            Headline(
                f"{key}-turnover-{currency}",
                f"Inventory turnover, {currency}",
                last.turnover,
                RATIO,
                note,
            )
        )
        charts.append(
            days(
                f"{key}-turnover-chart-{currency}",
                f"Inventory turnover, trailing 30 days, {currency}",
                "lines",
                RATIO,
                own,
                "turnover",
            )
        )
    if restocks.newest:
        now = first(
            restocks.on_newest(
                "sum(restocks_30d) as restocks, sum(restocked_quantity_30d) as quantity"
            )
        )
        between = first(
            restocks.on_newest(
                f"{WEIGHTED.format('mean_days_between', '(restocks_30d - 1)')} as days",
                "restocks_30d > 1",
            )
        ).days
        headlines += [
            Headline(
                f"{key}-restocks",
                "Restocks",
                now.restocks,
                COUNT,
                f"{now.quantity:,} units in 30 days to {restocks.day}",
            ),
            Headline(
                f"{key}-between",
                "Between restocks",
                between,
                DAYS,
                "mean of all items restocked twice or more",
            ),
        ]
        daily = restocks.daily("sum(restocks_30d) as restocks")
        charts.append(
            days(
                f"{key}-restocks-chart",
                "Restocks, trailing 30 days",
                "lines",
                COUNT,
                daily,
                "restocks",
            )
        )
    tables.append(
        table(
            f"{key}-open",
            "Open stock-outs and low stock",
            (
                ("Product", TEXT),
                ("Location", TEXT),
                ("State", TEXT),
                ("Since (UTC)", MOMENT),
                ("Available then", COUNT),
                ("Available now", COUNT),
                ("Reorder point", COUNT),
            ),
            [
                (
                    a.product_id,
                    a.location_id,
                    a.state,
                    a.started_at,
                    a.available,
                    a.available_now,
                    a.reorder_point,
                )
                for a in open_alerts
            ],
            "No item is out of stock or low.",
        )
    )
    stale = restocks.on_newest(
        "product_id, location_id, restocks_30d, mean_days_between, days_since_last",
        "days_since_last is not null",
        order="days_since_last desc, product_id, location_id",
        limit=TOP,
    )
    tables.append(
        table(
            f"{key}-stale",
            f"Longest without a restock, {restocks.day}",
            (
                ("Product", TEXT),
                ("Location", TEXT),
                ("Restocks, 30 days", COUNT),
                ("Between", DAYS),
                ("Since the last", DAYS),
            ),
            stale,
        )
    )
    return section("Operations", headlines, charts, tables)


def open_alerts_of(warehouse: Warehouse, shop: str) -> list[Any]:
    """The newest alert of each item where it has no end, with what is available now."""
    tables = ["operations.stockout_alerts"]
    now, join = "null::bigint", ""
    if warehouse.has("sales.stock_availability"):
        now = "stock.available"
        join = """left join (
            select location_id, product_id, available,
                row_number() over (partition by location_id, product_id order by stock_date desc) as age
            from sales.stock_availability where shop_id = %(shop)s
        ) stock on stock.location_id = alerts.location_id and stock.product_id = alerts.product_id and stock.age = 1"""
    return warehouse.select(
        f"""select alerts.product_id, alerts.location_id, alerts.state, alerts.started_at, alerts.available,
            {now} as available_now, alerts.reorder_point
        from (
            select *, row_number() over (partition by location_id, product_id order by started_at desc, state desc) as age
            from operations.stockout_alerts where shop_id = %(shop)s
        ) alerts {join}
        where alerts.age = 1 and alerts.ended_at is null
        order by case alerts.state when 'out' then 0 else 1 end, alerts.started_at, alerts.product_id, alerts.location_id""",
        tables,
        shop=shop,
    )

"""Marts of two tenants, one of them with hostile names; the same seed makes the same marts."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
MIGRATIONS = HERE.parents[1] / "glue-sql" / "warehouse"
LAST = date(2026, 11, 20)
TODAY = LAST + timedelta(days=1)
DAYS = [LAST - timedelta(days=age) for age in range(39, -1, -1)]
NASTY = '<script>alert("sold")</script>'
SHOPS = {
    "acme": (["EUR", "GBP"], ["mug-01", "lamp-02", "茶碗-03", "chair-04", NASTY, "rug & 'co'"]),
    "nord-süd": (["SEK"], ["ski-1", "\x1b[31mred", "a" * 120]),
}
REGIONS = ["north", "south", "east", "west", "islands", "online", "abroad", "“fair” <b>"]
CHANNELS = ["email", "phone", "chat", "social", "in_store"]


def fill(connection: psycopg.Connection, seed: int = 11) -> None:
    """Migrates the warehouse, creates the marts and fills them."""
    for migration in sorted(MIGRATIONS.glob("*.sql")):
        connection.execute(migration.read_text())
    connection.execute((HERE / "marts.sql").read_text())
    random_ = random.Random(seed)
    for shop, (currencies, products) in SHOPS.items():
        for day in DAYS:
            _sales(connection, random_, shop, day, currencies, products)
            _stock(connection, random_, shop, day, currencies, products)
            if day != DAYS[-4]:  # a day without visits: a gap in the charts
                _customers(connection, random_, shop, day)
    _operation(connection)


def _insert(connection: psycopg.Connection, table: str, *rows: tuple) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"insert into {table} values ({', '.join(['%s'] * len(rows[0]))})", rows
            )


def _money(random_: random.Random, low: float, high: float) -> Decimal:
    return Decimal(random_.randint(int(low * 100), int(high * 100))) / 100


def _sales(connection, random_, shop, day, currencies, products) -> None:
    for number, currency in enumerate(currencies):
        for region in REGIONS if number == 0 else REGIONS[:2]:
            lines = []
            for product in random_.sample(products, 2):
                gross, discount, sold = (
                    _money(random_, 80, 900),
                    _money(random_, 0, 40),
                    random_.randint(1, 40),
                )
                lines.append(
                    (
                        shop,
                        day,
                        region,
                        product,
                        currency,
                        gross,
                        discount,
                        gross - discount,
                        sold,
                        random_.randint(0, 3),
                        random_.randint(1, sold),
                    )
                )
            _insert(connection, "sales.total_sales_by_region_product", *lines)
            gross, discounts = sum(line[5] for line in lines), sum(line[6] for line in lines)
            returns, cost = _money(random_, 0, 60), gross * Decimal("0.6")
            if region == "abroad" and day == DAYS[-6]:
                returns = gross + 500  # a day on which more came back than went out
            net = gross - returns - discounts
            _insert(
                connection,
                "finance.revenue_by_region",
                (shop, day, region, currency, gross, returns, discounts, net, cost, net - cost, 2),
            )
        _insert(
            connection,
            "operations.inventory_turnover",
            (shop, day, currency, _money(random_, 5000, 9000), 4321.5, random_.uniform(1.2, 2.1)),
        )


def _stock(connection, random_, shop, day, currencies, products) -> None:
    for product in products:
        sold, on_hand = (
            random_.randint(20, 300),
            random_.choice([None, random_.uniform(30, 90), random_.uniform(30, 90)]),
        )
        _insert(
            connection,
            "sales.product_turnover_rate",
            (shop, day, product, sold, on_hand, sold / on_hand if on_hand else None),
        )
        for location in ("berlin", "leeds"):
            snapshots, has = random_.randint(20, 24), random_.choice([0, 3, 12, 40])
            good = snapshots if has else random_.randint(0, snapshots)
            at = datetime.combine(day, time(23))
            _insert(
                connection,
                "sales.stock_availability",
                (shop, day, location, product, snapshots, has + 2, 2, has, at, good / snapshots),
            )
            restocks = random_.randint(0, 4)
            between, since = (
                (random_.uniform(3, 9) if restocks > 1 else None),
                (random_.uniform(0, 12) if restocks else None),
            )
            _insert(
                connection,
                "operations.restock_frequency",
                (shop, day, location, product, restocks, restocks * 24, between, since),
            )
            if has < 5 and random_.random() < 0.2:
                start = datetime.combine(day, time(9))
                end = (
                    None
                    if day > DAYS[-5] and random_.random() < 0.7
                    else start + timedelta(hours=20)
                )
                _insert(
                    connection,
                    "operations.stockout_alerts",
                    (
                        shop,
                        day,
                        location,
                        product,
                        "out" if has == 0 else "low",
                        start,
                        end,
                        has + 2,
                        2,
                        has,
                        5,
                    ),
                )


def _customers(connection, random_, shop, day) -> None:
    sessions = random_.randint(180, 420)
    bounces = random_.randint(40, 120)
    _insert(
        connection,
        "marketing.session_duration_bounce_rate",
        (shop, day, sessions, 210.25, random_.uniform(80, 200), bounces, bounces / sessions),
    )
    active, loyal = random_.randint(60, 120), random_.randint(3, 30)
    _insert(
        connection, "marketing.loyalty_activity_rate", (shop, day, loyal, active, loyal / active)
    )
    scores = sorted((Decimal(random_.randint(2, 400)) / 2 for _ in range(15)), reverse=True)
    _insert(
        connection,
        "marketing.customer_engagement_score",
        *((shop, day, f"c-{n:03}", n + 3, s, scores.index(s) + 1) for n, s in enumerate(scores)),
    )
    for channel in CHANNELS:
        responses = random_.randint(0, 20)
        satisfied = random_.randint(0, responses)
        if responses:
            row = (
                shop,
                day,
                channel,
                responses,
                random_.randint(responses, responses * 5) / responses,
                satisfied,
                satisfied / responses,
            )
            _insert(connection, "support.feedback_score", row)
        kinds = [
            (shop, day, channel, kind, random_.randint(1, 50), 1)
            for kind in ("inquiry", "complaint", "feedback", "support_ticket")
        ]
        _insert(connection, "support.interaction_volume_by_type", *kinds)
    ages = [random_.randint(0, 15) for _ in range(4)]
    resolved = random_.randint(0, 9)
    hours = (
        (random_.uniform(5, 9), random_.uniform(4, 8), random_.uniform(12, 40))
        if resolved
        else (None, None, None)
    )
    _insert(
        connection,
        "support.time_to_resolution",
        (shop, day, resolved, *hours, random_.randint(0, 2), sum(ages), *ages),
    )


def _operation(connection: psycopg.Connection) -> None:
    """Loads and checks of some models, among them one check that fails with a nasty sample."""
    at = datetime.combine(LAST, time(23, 30))
    for model in (
        "total_sales_by_region_product",
        "session_duration_bounce_rate",
        "stockout_alerts",
    ):
        for day in DAYS:
            _insert(
                connection, "shoplake.loads", (model, str(day), 3, 120, f"gold/{model}/{day}", at)
            )
            row = (
                model,
                str(day),
                f"{model}_is_unique",
                "error",
                "no key occurs twice",
                "passed",
                0,
                None,
                "job-1",
                3,
                at,
            )
            _insert(connection, "shoplake.check_results", row)
    # A bucket is not the newest of its model.
    _insert(connection, "shoplake.loads", ("fact_sales", "0007", 3, 120, "gold/fact_sales/7", at))
    sample = f'[{{"product_id": "{NASTY}"}}]'
    failed = (
        "total_sales_by_region_product",
        str(LAST),
        "sales_reconcile",
        "warn",
        "net = gross - discounts",
        "failed",
        7,
        sample,
        "job-1",
        3,
        at,
    )
    _insert(connection, "shoplake.check_results", failed)

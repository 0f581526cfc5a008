"""Tests of the oracle: few rows per KPI, with answers that the comments compute by hand."""

from __future__ import annotations

import gzip
import json
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dev.paths import SCHEMAS
from dev.pipeline import warehouse_tables

from . import TABLES, Expected, differences
from .expected import DATASETS, HERE, datasets_of

D = Decimal
SHOP = "s"


def rows(dataset: str, inputs: list[dict[str, Any]], table: str) -> list[tuple[Any, ...]]:
    """Returns a table's rows of one shop, without its id, in the order of the key."""
    expected = Expected()
    expected.add_rows(dataset, SHOP, [json.dumps(row) for row in inputs])
    return read(expected, table)


def read(expected: Expected, table: str) -> list[tuple[Any, ...]]:
    """Returns a table without the shop, in the order of the key."""
    answer = expected.table(table)
    assert all(row[0] == SHOP for row in answer.rows)
    return sorted(
        (row[1:] for row in answer.rows), key=lambda row: [str(cell) for cell in row[: answer.keys]]
    )


def web(
    event_id: str, at: str, event_type: str = "page_view", session: str = "v", **fields: Any
) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "session_id": session,
        "visitor_id": "v",
        "event_type": event_type,
        "occurred_at": at,
        "page_url": "https://shop.example/",
        **fields,
    }


def crm(
    number: int,
    at: str,
    kind: str = "inquiry",
    channel: str = "email",
    customer: str = "c1",
    **fields: Any,
) -> dict[str, Any]:
    return {
        "interaction_id": f"i{number}",
        "customer_id": customer,
        "channel": channel,
        "interaction_type": kind,
        "occurred_at": at,
        **fields,
    }


def ticket(number: int, name: str, status: str, at: str) -> dict[str, Any]:
    return crm(number, at, "support_ticket", ticket_id=name, ticket_status=status)


def newsletter(
    event_id: str, at: str, event_type: str = "open", customer: str = "c1", **fields: Any
) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "customer_id": customer,
        "event_type": event_type,
        "occurred_at": at,
        **fields,
    }


def sale(
    receipt: str, line: int, day: str, quantity: int, price: str, **fields: Any
) -> dict[str, Any]:
    return {
        "transaction_id": receipt,
        "line_no": line,
        "store_id": "st",
        "region": "North",
        "product_id": "p1",
        "quantity": quantity,
        "unit_price": price,
        "discount": "0",
        "currency": "GBP",
        "sold_at": f"{day}T10:00:00Z",
        "business_date": day,
        **fields,
    }


def stock(
    at: str, on_hand: int, reserved: int = 0, place: str = "l1", product: str = "p1", **fields: Any
) -> dict[str, Any]:
    return {
        "location_id": place,
        "product_id": product,
        "snapshot_at": at,
        "on_hand": on_hand,
        "reserved": reserved,
        "reorder_point": 3,
        "unit_cost": "2.50",
        "currency": "GBP",
        "restocked_quantity": 0,
        **fields,
    }


def test_every_definition_is_of_a_warehouse_table() -> None:
    assert set(TABLES) <= warehouse_tables()
    for table in TABLES:
        # `Expected` counts the columns of the key in the first line.
        first = (HERE / f"{table}.sql").read_text().splitlines()[0]
        assert re.fullmatch(r"-- key: \w+(, \w+)*", first), f"{table}: {first}"


def test_rows_that_break_their_contract_count_nowhere() -> None:
    good = sale("t", 1, "2026-03-01", 1, "2.50")
    bad = [
        good | {"line_no": 2, "unit_price": "0.00"},
        good | {"line_no": 3, "unit_price": 2.5},
        good | {"line_no": 4, "product_id": None},
        good | {"line_no": 5, "quantity": 0},
        good | {"line_no": 6, "quantity": "many"},
        good | {"line_no": 7, "sold_at": "31/02/2010 25:61"},
        good | {"line_no": 8, "business_date": "2026-02-30"},
        good | {"line_no": 0},
        good | {"line_no": 9, "unit_price": "1.00001"},
        good | {"line_no": 10, "currency": "gbp"},
    ]
    expected = Expected()
    expected.add_rows("pos_sales", SHOP, map(json.dumps, [good, *bad, good]))
    assert expected.count("pos_sales") == (12, 1)


FULL_ROWS = {
    "web_traffic": web(
        "e", "2026-03-01T00:00:00Z", device={"type": "desktop", "os": "Linux"}, utm={"source": "x"}
    ),
    "crm_interactions": crm(
        1, "2026-03-01T00:00:00Z", rating=5, ticket_id="t", ticket_status="opened"
    ),
    "newsletter_events": newsletter("n", "2026-03-01T00:00:00Z", campaign="spring"),
    "pos_sales": sale("t", 1, "2026-03-01", 1, "2.50", unit_cost="1"),
    "inventory_levels": stock("2026-03-01T00:00:00Z", 1, last_restocked_at="2026-03-01T00:00:00Z"),
}
ODD_VALUES = [
    *(None, True, [], {}, 0, 1, -1, 5, 6, 1.5, 86_400_001, 2_000_000_000),
    *("x" * length for length in (0, 1, 65, 129, 513, 1025, 8193)),
    *("0", "0.0000", "0.0001", "1.00001", "01", "-1.5", "1e3", "999999999999999"),
    *("GBP", "GB", "gbp", "card", "https://x", "ftp://x"),
    *(
        "1999-12-31",
        "2026-02-30",
        "2026-03-01",
        "2026-03-01T24:00:01Z",
        "2026-03-01T00:00:00",
        "2026-13-01T00:00:00Z",
    ),
    "2026-03-01T00:00:00.5+01:00",
]


def test_every_dataset_has_a_full_row() -> None:
    assert set(FULL_ROWS) == DATASETS


def test_every_table_reads_a_dataset() -> None:
    assert [table for table in TABLES if not datasets_of(table)] == []


def test_tables_without_an_input_are_known() -> None:
    expected = Expected()
    assert expected.tables_with_inputs() == []
    expected.add_rows("pos_sales", SHOP, [json.dumps(sale("t", 1, "2026-03-01", 1, "2.50"))])
    found = expected.tables_with_inputs()
    assert "finance.revenue_by_region" in found
    assert "sales.product_turnover_rate" not in found, "it reads inventory_levels, too"


@pytest.mark.parametrize("dataset", FULL_ROWS)
def test_validity_equals_that_of_a_json_schema_validator(dataset: str) -> None:
    """Each field in turn is left out, or gets each odd value, and the contract's own schema is
    asked as well.
    """
    contract = json.loads((SCHEMAS / f"{dataset}.json").read_text())
    good = FULL_ROWS[dataset]
    variants = [good]
    for field, schema in contract["properties"].items():
        if field == "shop_id":
            continue
        variants += [{name: value for name, value in good.items() if name != field}]
        variants += [good | {field: value} for value in ODD_VALUES]
        for inner in schema.get("properties", ()):
            variants += [good | {field: {inner: value}} for value in ODD_VALUES]
    expected = Expected()
    expected.add_rows(dataset, SHOP, map(json.dumps, variants))
    validator = Draft202012Validator(contract, format_checker=Draft202012Validator.FORMAT_CHECKER)
    want = {json.dumps(row) for row in variants if validator.is_valid(row)}
    got = {json.dumps(row) for row in expected.valid_rows(dataset)}
    assert len(want) > 10 and len(variants) - len(want) > 100
    assert got == want


def test_total_sales() -> None:
    # Two receipts sell 2 + 1 and return 1 at 2.50, with 0.50 off: gross 2 * 2.50 = 5.00, net 4.50.
    lines = [
        sale("t1", 1, "2026-03-01", 2, "2.50", discount="0.50"),
        sale("t1", 2, "2026-03-01", 1, "2.50"),
        sale("t1", 2, "2026-03-01", 1, "2.50"),
        sale("t2", 1, "2026-03-01", -1, "2.50"),
    ]
    want = [(date(2026, 3, 1), "North", "p1", "GBP", D(5), D("0.5"), D("4.5"), 3, 1, 2)]
    assert rows("pos_sales", lines, "sales.total_sales_by_region_product") == want


DELIVERIES = [
    # The first is complete: 2 + 1 = 3 units. The second is complete, too, and has 5.
    ([(2, 3), (2, 5)], 5),
    # The second lacks a row, has one too many, or other units: the first counts.
    ([(2, 3), (3, 5)], 3),
    ([(2, 3), (1, 5)], 3),
    ([(2, 3), (2, 6)], 3),
    # No delivery is complete: the rows without a delivery count, 7 units.
    ([(2, 4), (2, 6)], 7),
    # Without a control total nothing is known to be complete.
    ([], 7),
]
"""Rows and units of the control totals of two deliveries, and the units that count."""


@pytest.mark.parametrize(("totals", "units"), DELIVERIES)
def test_the_newest_complete_delivery_counts(totals: list[tuple[int, int]], units: int) -> None:
    expected = Expected()
    day = "2026-03-01"
    lines = [[(2, "t1"), (1, "t2")], [(4, "t1"), (1, "t3")]]
    runs = [f"2026-03-0{number}T04:30:00.000000Z" for number in (2, 3)]
    expected.add_rows("pos_sales", SHOP, [json.dumps(sale("t9", 1, day, 7, "1"))])
    for run, delivered in zip(runs, lines, strict=True):
        rows = [json.dumps(sale(receipt, 1, day, count, "1")) for count, receipt in delivered]
        # The first row arrives twice.
        expected.add_delivery("pos_sales", SHOP, day, run, [*rows, rows[0]])
    for run, total in zip(runs, totals, strict=False):
        expected.add_control_total("pos_sales", SHOP, day, run, *total)
    [row] = read(expected, "sales.total_sales_by_region_product")
    assert row[7] == units


def test_a_rejected_row_arrives_and_keeps_its_accepted_version() -> None:
    # The second delivery makes the receipt t2 invalid: its 1 unit of before stays, beside the 4 of
    # t1. The units that t2 has now are not known, so those of the control total are not compared.
    expected = Expected()
    day, runs = "2026-03-01", ["2026-03-02T04:30:00.000000Z", "2026-03-03T04:30:00.000000Z"]
    first = [sale("t1", 1, day, 2, "1"), sale("t2", 1, day, 1, "1")]
    second = [sale("t1", 1, day, 4, "1"), sale("t2", 1, day, 1, "0")]
    for run, rows in zip(runs, (first, second), strict=True):
        expected.add_delivery("pos_sales", SHOP, day, run, map(json.dumps, rows))
    expected.add_control_total("pos_sales", SHOP, day, runs[0], 2, 3)
    expected.add_control_total("pos_sales", SHOP, day, runs[1], 2, 4)
    [row] = read(expected, "sales.total_sales_by_region_product")
    assert row[7] == 5


def test_an_hour_of_stock_is_a_batch() -> None:
    # Ten o'clock is delivered again without l2; eleven o'clock has other units than were sent.
    expected = Expected()
    runs = ["2026-03-01T10:05:00.000000Z", "2026-03-01T11:05:00.000000Z"]
    at = ["2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"]
    deliveries = [
        ("2026-03-01T10", runs[0], [stock(at[0], 3), stock(at[0], 4, place="l2")], 7),
        ("2026-03-01T10", runs[1], [stock(at[0], 5)], 5),
        ("2026-03-01T11", runs[1], [stock(at[1], 9)], 8),
    ]
    for batch, run, levels, total in deliveries:
        rows = [json.dumps(level) for level in levels]
        expected.add_delivery("inventory_levels", SHOP, batch, run, rows)
        expected.add_control_total("inventory_levels", SHOP, batch, run, len(rows), total)
    found = read(expected, "sales.stock_availability")
    assert [(row[1], row[3], row[4]) for row in found] == [("l1", 1, 5)]


def test_revenue_by_region() -> None:
    # Sold 2 * 3.00 + 1 * 4.00 = 10.00; returned 1 * 3.00; discounts 1.00 and -0.25 (given back):
    # 0.75. Net 10 - 3 - 0.75 = 6.25; cost (2 - 1) * 1.20 = 1.20, the line of 4.00 has no cost:
    # margin 5.05, 1 unit without cost.
    lines = [
        sale("t1", 1, "2026-03-01", 2, "3.00", discount="1.00", unit_cost="1.20"),
        sale("t1", 2, "2026-03-01", 1, "4.00"),
        sale("t2", 1, "2026-03-01", -1, "3.00", discount="-0.25", unit_cost="1.20"),
    ]
    want = [
        (
            date(2026, 3, 1),
            "North",
            "GBP",
            D(10),
            D(3),
            D("0.75"),
            D("6.25"),
            D("1.2"),
            D("5.05"),
            1,
        )
    ]
    assert rows("pos_sales", lines, "finance.revenue_by_region") == want


def test_stock_availability() -> None:
    # Available 0, 5 and 2 of three snapshots (one repeated, one out of order): two of three are
    # above 0; the last is 4 - 2.
    counts = {"02": (4, 2), "00": (1, 1), "01": (5, 0)}
    levels = [stock(f"2026-03-01T{hour}:00:00Z", *numbers) for hour, numbers in counts.items()]
    levels.append(levels[-1])
    want = [(date(2026, 3, 1), "l1", "p1", 3, 4, 2, 2, datetime(2026, 3, 1, 2), 2 / 3)]
    assert rows("inventory_levels", levels, "sales.stock_availability") == want


def test_product_turnover_rate() -> None:
    # p1 on 1 March: 3 sold, 1 returned (returns do not count); on hand at l1 10 and 10, at l2 20,
    # counted once: 10 + 20 = 30. p2: sold on 1 March, never in stock: null. On 30 March (29 days
    # later) 1 March still counts, on 31 March it does not: there p1 has the 5 of 30 March and the
    # snapshot of that day, 0 on hand: no rate. p2 is gone.
    expected = Expected()
    lines = [
        sale("t1", 1, "2026-03-01", 3, "1"),
        sale("t1", 2, "2026-03-01", -1, "1"),
        sale("t1", 3, "2026-03-01", 7, "1", product_id="p2"),
        sale("t2", 1, "2026-03-30", 5, "1"),
        sale("t3", 1, "2026-03-31", 1, "1"),
    ]
    levels = [
        stock("2026-03-01T00:00:00Z", 10),
        stock("2026-03-01T00:00:00Z", 20, place="l2"),
        stock("2026-03-01T01:00:00Z", 10),
        stock("2026-03-30T00:00:00Z", 0),
    ]
    expected.add_rows("pos_sales", SHOP, map(json.dumps, lines))
    expected.add_rows("inventory_levels", SHOP, map(json.dumps, levels))
    # 30 March: l1 has (10 + 10 + 0) / 3, l2 still 20: (3 + 5) / 26.666... = 0.3; 31 March: 5 + 1
    # sold, average 0.
    want = [
        (date(2026, 3, 1), "p1", 3, 30.0, 0.1),
        (date(2026, 3, 1), "p2", 7, None, None),
        (date(2026, 3, 30), "p1", 8, 80 / 3, 0.3),
        (date(2026, 3, 30), "p2", 7, None, None),
        (date(2026, 3, 31), "p1", 6, 0.0, None),
    ]
    assert not differences(
        ["day", "product", "units", "average", "rate"],
        2,
        read(expected, "sales.product_turnover_rate"),
        want,
    )


def test_inventory_turnover() -> None:
    # Value: 10 * 2.50 = 25 at l1, twice, and 20 * 2.50 = 50 at l2, once: 25 + 50 = 75. Cost: 4 *
    # 2.50 - 1 * 2.50 = 7.50 and a line of 9 units without a cost: 7.50 / 75 = 0.1. EUR has sales
    # and no stock.
    expected = Expected()
    lines = [
        sale("t1", 1, "2026-03-01", 4, "5", unit_cost="2.50"),
        sale("t1", 2, "2026-03-01", -1, "5", unit_cost="2.50"),
        sale("t1", 3, "2026-03-01", 9, "5"),
        sale("t2", 1, "2026-03-01", 1, "5", unit_cost="1", currency="EUR"),
    ]
    levels = [
        stock("2026-03-01T00:00:00Z", 10),
        stock("2026-03-01T00:00:00Z", 20, place="l2"),
        stock("2026-03-01T01:00:00Z", 10),
        stock("2026-03-31T00:00:00Z", 4),
    ]
    expected.add_rows("pos_sales", SHOP, map(json.dumps, lines))
    expected.add_rows("inventory_levels", SHOP, map(json.dumps, levels))
    # 31 March: 1 March is the 31st day back; only the snapshot of the day is left, 4 * 2.50, and
    # nothing was sold.
    want = [
        (date(2026, 3, 1), "EUR", D(1), None, None, 0),
        (date(2026, 3, 1), "GBP", D("7.5"), 75.0, 0.1, 9),
        (date(2026, 3, 31), "GBP", D(0), 10.0, 0.0, 0),
    ]
    assert read(expected, "operations.inventory_turnover") == want


def test_engagement_score() -> None:
    # c1: page_view 1 + purchase 13 + inquiry 3 + loyalty_earn 5 = 22; c2: checkout 8; c3: search 1
    # + product_view 2 + add_to_cart 5 = 8, and one remove_from_cart for 0; c4: only that: 0. Two
    # share rank 2, so the next is 4. Events without a customer do not count.
    expected = Expected()
    day = "2026-03-01T10:00:00Z"
    events = [
        ("c1", "page_view"),
        ("c1", "purchase"),
        ("c2", "checkout"),
        ("c3", "search"),
        ("c3", "product_view"),
        ("c3", "add_to_cart"),
        ("c3", "remove_from_cart"),
        ("c4", "remove_from_cart"),
        (None, "purchase"),
    ]
    expected.add_rows(
        "web_traffic",
        SHOP,
        [
            json.dumps(web(f"e{n}", day, kind, customer_id=who))
            for n, (who, kind) in enumerate(events)
        ],
    )
    expected.add_rows(
        "crm_interactions",
        SHOP,
        [json.dumps(crm(n, day, kind)) for n, kind in enumerate(["inquiry", "loyalty_earn"])],
    )
    today = date(2026, 3, 1)
    want = [
        (today, "c1", 4, D(22), 1),
        (today, "c2", 1, D(8), 2),
        (today, "c3", 4, D(8), 2),
        (today, "c4", 1, D(0), 4),
    ]
    assert read(expected, "marketing.customer_engagement_score") == want


def test_sessions() -> None:
    # v: 10:00 and 10:30 are one session of 1800 s (30 minutes are not more than 30),
    # 11:00:00.000001 begins another, a bounce. n starts at 23:50 and ends at 0:10: 1200 s, wholly
    # on the first day. b: a search alone is not a bounce. Durations 0, 0, 1200, 1800: average 750,
    # median 600.
    events = [
        web("e1", "2026-03-01T10:00:00Z"),
        web("e2", "2026-03-01T10:30:00Z"),
        web("e2", "2026-03-01T10:30:00Z"),
        web("e3", "2026-03-01T12:00:00.000001+01:00", "product_view"),
        web("e4", "2026-03-01T23:50:00Z", session="n"),
        web("e5", "2026-03-02T00:10:00Z", session="n"),
        web("e6", "2026-03-01T09:00:00Z", "search", session="b"),
    ]
    want = [(date(2026, 3, 1), 4, 750.0, 600.0, 1, 0.25)]
    assert rows("web_traffic", events, "marketing.session_duration_bounce_rate") == want


def test_session_of_more_than_a_day_is_cut() -> None:
    # An event every 25 minutes from 22:00, 120 of them. The first 24 hours are those of numbers 0
    # to 57: 57 * 25 minutes. What is left of 2 March begins with number 58 at 22:10 and ends with
    # 62 at 23:50: 4 * 25. Then 3 March is whole: from number 63 at 0:15 to 119 at 23:35, 56 * 25.
    begin = datetime(2026, 3, 1, 22)
    times = [begin + timedelta(minutes=25 * n) for n in range(120)]
    events = [web(f"e{n:03}", f"{time:%Y-%m-%dT%H:%M:%SZ}") for n, time in enumerate(times)]
    want = [
        (date(2026, 3, 1), 1, 57 * 1500.0, 57 * 1500.0, 0, 0.0),
        (date(2026, 3, 2), 1, 4 * 1500.0, 4 * 1500.0, 0, 0.0),
        (date(2026, 3, 3), 1, 56 * 1500.0, 56 * 1500.0, 0, 0.0),
    ]
    assert rows("web_traffic", events, "marketing.session_duration_bounce_rate") == want


def test_loyalty_activity_rate() -> None:
    # 1 March: c1 by web and loyalty, c2 by phone, c3 by web: 1 of 3. 2 March: only a stranger:
    # null.
    expected = Expected()
    events = [
        web("e1", "2026-03-01T10:00:00Z", customer_id="c1"),
        web("e2", "2026-03-01T10:00:00Z", customer_id="c3"),
        web("e3", "2026-03-02T10:00:00Z"),
    ]
    calls = [
        crm(1, "2026-03-01T11:00:00Z", "loyalty_redeem"),
        crm(2, "2026-03-01T11:00:00Z", customer="c2"),
    ]
    expected.add_rows("web_traffic", SHOP, map(json.dumps, events))
    expected.add_rows("crm_interactions", SHOP, map(json.dumps, calls))
    want = [(date(2026, 3, 1), 1, 3, 1 / 3), (date(2026, 3, 2), 0, 0, None)]
    assert read(expected, "marketing.loyalty_activity_rate") == want


def test_newsletter_by_day() -> None:
    # 1 March: c1 and c2 subscribe, c1 unsubscribes: 2 - 1 = 1. c1 opens twice and c2 once: 3 opens
    # of 2 customers; the second n5 is a copy. 2 March: another event has the id n1; c3
    # unsubscribes: 0 - 1 = -1. The contract does not know the type of n7.
    events = [
        newsletter("n1", "2026-03-01T00:00:00Z", "subscribe"),
        newsletter("n2", "2026-03-01T10:00:00Z", "subscribe", "c2"),
        newsletter("n3", "2026-03-01T11:00:00Z", "unsubscribe"),
        newsletter("n4", "2026-03-01T12:00:00Z", campaign="spring"),
        newsletter("n5", "2026-03-01T14:00:00+01:00"),
        newsletter("n5", "2026-03-01T14:00:00+01:00"),
        newsletter("n6", "2026-03-01T23:59:59.999999Z", customer="c2"),
        newsletter("n1", "2026-03-02T00:00:00Z", "unsubscribe", "c3"),
        newsletter("n7", "2026-03-02T00:00:00Z", "forward"),
    ]
    want = [(date(2026, 3, 1), 2, 1, 1, 3, 2), (date(2026, 3, 2), 0, 1, -1, 0, 0)]
    assert rows("newsletter_events", events, "marketing.newsletter_by_day") == want


def test_restock_frequency() -> None:
    # l1: the first snapshot remembers a restock of 20 February, 12:00. Restocks at 6:00 of the 1st,
    # 3rd and 4th of March: three days lie between the first and the last, so 1.5 between two. The
    # last snapshots of the days are at 18:00: half a day since. l2 was never restocked.
    levels = [
        stock("2026-03-01T00:00:00Z", 1, last_restocked_at="2026-02-20T12:00:00Z"),
        stock(
            "2026-03-01T06:00:00Z",
            9,
            restocked_quantity=8,
            last_restocked_at="2026-03-01T05:30:00Z",
        ),
        stock("2026-03-01T18:00:00Z", 9),
        stock("2026-03-02T18:00:00Z", 9),
        stock("2026-03-03T06:00:00Z", 9, restocked_quantity=5),
        stock("2026-03-04T06:00:00Z", 9, restocked_quantity=5),
        stock("2026-03-04T18:00:00Z", 9),
        stock("2026-02-28T12:00:00Z", 1, last_restocked_at="2026-02-20T12:00:00Z"),
        stock("2026-02-28T12:00:00Z", 1, place="l2"),
        # 31 March looks back to 2 March: two restocks, one day apart; 18:00 is 27.5 days after 4
        # March, 6:00.
        stock("2026-03-31T18:00:00Z", 9),
        # The source's clock is ahead: never negative.
        stock("2026-02-28T12:00:00Z", 1, place="l3", last_restocked_at="2026-02-28T12:10:00Z"),
    ]
    want = [
        (date(2026, 2, 28), "l1", "p1", 0, 0, None, 8.0),
        (date(2026, 2, 28), "l2", "p1", 0, 0, None, None),
        (date(2026, 2, 28), "l3", "p1", 0, 0, None, 0.0),
        (date(2026, 3, 1), "l1", "p1", 1, 8, None, 0.5),
        (date(2026, 3, 2), "l1", "p1", 1, 8, None, 1.5),
        (date(2026, 3, 3), "l1", "p1", 2, 13, 2.0, 0.0),
        (date(2026, 3, 4), "l1", "p1", 3, 18, 1.5, 0.5),
        (date(2026, 3, 31), "l1", "p1", 2, 10, 1.0, 27.5),
    ]
    assert rows("inventory_levels", levels, "operations.restock_frequency") == want


def test_stockout_alerts() -> None:
    # Available per hour, reorder point 3: 9 ok, 3 low, 0 out, 0 out, -1 out, 2 low (again: not the
    # first of the day), 9 ok. On the next day it is low from 0:00, still at 1:00, and stays so.
    hours = [(9, 0), (4, 1), (5, 5), (0, 0), (2, 3), (2, 0), (9, 0)]
    levels = [stock(f"2026-03-01T0{hour}:00:00Z", *numbers) for hour, numbers in enumerate(hours)]
    levels += [
        stock("2026-03-02T00:00:00Z", 3),
        stock("2026-03-02T01:00:00Z", 2),
        stock("2026-03-03T00:00:00Z", 1),
    ]

    def at(day: int, hour: int) -> datetime:
        return datetime(2026, 3, day, hour)

    want = [
        (date(2026, 3, 1), "l1", "p1", "low", at(1, 1), at(1, 2), 4, 1, 3, 3),
        (date(2026, 3, 1), "l1", "p1", "out", at(1, 2), at(1, 5), 5, 5, 0, 3),
        (date(2026, 3, 2), "l1", "p1", "low", at(2, 0), None, 3, 0, 3, 3),
    ]
    assert rows("inventory_levels", levels, "operations.stockout_alerts") == want


def test_customer_features() -> None:
    # c1 on 1 March: a receipt of 2 * 5.00 - 1.00 and 1 * 5.00 GBP = 14.00; another of 3 EUR; one
    # each, so EUR. On 3 March 4 are bought for 20.00 GBP and 1 comes back for 5.00: GBP 14 + 20 - 5
    # = 29 of two purchases; 8 sold of p1 and p2, the last today. Its visits: 10:00, 10:30 and 11:01
    # are two sessions; two openings of one ticket on a day are one. Stars 2 and 5. c2 only calls,
    # 364 days before 3 March: seen then and there, not on 4 March, when c1 was last seen a day ago.
    expected = Expected()
    lines = [
        sale("t1", 1, "2026-03-01", 2, "5.00", customer_id="c1", discount="1.00"),
        sale("t1", 2, "2026-03-01", 1, "5.00", customer_id="c1", product_id="p2"),
        sale("t2", 1, "2026-03-01", 1, "3.00", customer_id="c1", currency="EUR"),
        sale("t3", 1, "2026-03-03", 4, "5.00", customer_id="c1"),
        sale("t4", 1, "2026-03-03", -1, "5.00", customer_id="c1"),
        sale("t5", 1, "2026-03-02", 1, "5.00"),
    ]
    events = [
        web("e1", "2026-03-01T10:00:00Z", customer_id="c1"),
        web("e2", "2026-03-01T10:30:00Z", "purchase", customer_id="c1"),
        web("e3", "2026-03-01T11:01:00Z", customer_id="c1"),
        web("e4", "2026-03-02T11:01:00Z"),
    ]
    calls = [
        crm(1, "2026-03-01T10:00:00Z", "complaint", rating=2),
        ticket(2, "a", "opened", "2026-03-01T10:00:00Z"),
        ticket(3, "a", "opened", "2026-03-01T11:00:00Z"),
        crm(4, "2026-03-03T10:00:00Z", "loyalty_earn", rating=5),
        crm(5, "2025-03-04T10:00:00Z", customer="c2"),
        crm(6, "2026-03-04T10:00:00Z", customer="c3"),
    ]
    expected.add_rows("pos_sales", SHOP, map(json.dumps, lines))
    expected.add_rows("web_traffic", SHOP, map(json.dumps, events))
    expected.add_rows("crm_interactions", SHOP, map(json.dumps, calls))
    nothing = (None, 0, None, None, 0, None, 0, 0, 0)
    one_call = (0, 0, 0, 1, 0, 0, 0, 0, None)
    of_march = (3, 2, 1, 4, 1, 1, 1, 2, 3.5)
    want = [
        (date(2025, 3, 4), "c2", *nothing, 0, 0, *one_call),
        (
            date(2026, 3, 1),
            "c1",
            0,
            2,
            "EUR",
            D(3),
            1,
            3.0,
            4,
            0,
            2,
            0,
            0,
            3,
            2,
            1,
            3,
            1,
            0,
            1,
            1,
            2.0,
        ),
        (date(2026, 3, 1), "c2", *nothing, 362, 362, *one_call),
        (date(2026, 3, 3), "c1", 0, 3, "GBP", D(29), 2, 14.5, 8, 1, 2, 2, 0, *of_march),
        (date(2026, 3, 3), "c2", *nothing, 364, 364, *one_call),
        (date(2026, 3, 4), "c1", 1, 3, "GBP", D(29), 2, 14.5, 8, 1, 2, 3, 1, *of_march),
        (date(2026, 3, 4), "c3", *nothing, 0, 0, *one_call),
    ]
    assert read(expected, "marketing.customer_features") == want


def test_feedback_score() -> None:
    # Ratings 5, 4, 2 by email: 11 / 3, two of three satisfied. The later version of the chat's
    # rating wins: 3, not satisfied. The phone calls have no rating.
    calls = [
        crm(1, "2026-03-01T10:00:00Z", rating=5),
        crm(2, "2026-03-01T10:00:00Z", rating=4),
        crm(3, "2026-03-01T10:00:00Z", rating=2),
        crm(4, "2026-03-01T10:00:00Z"),
        crm(5, "2026-03-01T10:00:00Z", channel="chat", rating=5),
        crm(5, "2026-03-01T11:00:00Z", channel="chat", rating=3),
        crm(6, "2026-03-01T10:00:00Z", rating=6),
        crm(7, "2026-03-01T10:00:00Z", channel="phone"),
    ]
    today = date(2026, 3, 1)
    want = [
        (today, "chat", 1, 3.0, 0, 0.0),
        (today, "email", 3, 11 / 3, 2, 2 / 3),
        (today, "phone", 0, None, 0, None),
    ]
    assert rows("crm_interactions", calls, "support.feedback_score") == want


def test_interaction_volume() -> None:
    calls = [
        crm(1, "2026-03-01T10:00:00Z"),
        crm(2, "2026-03-01T11:00:00Z"),
        crm(2, "2026-03-01T11:00:00Z"),
        crm(3, "2026-03-01T12:00:00Z", customer="c2"),
        crm(4, "2026-03-01T12:00:00Z", kind="complaint"),
    ]
    today = date(2026, 3, 1)
    want = [(today, "email", "complaint", 1, 1), (today, "email", "inquiry", 3, 2)]
    assert rows("crm_interactions", calls, "support.interaction_volume_by_type") == want


def test_time_to_resolution() -> None:
    # a: opened on the 1st at 0:00, resolved on the 3rd at 12:00 and again at 13:00: 60 hours. b:
    # opened on the 2nd at 22:00, resolved on the 3rd at 2:00: 4 hours; that it is opened again
    # changes nothing. c: opened on the 3rd at 10:00, resolved at 12:00: 2 hours; its `resolved` of
    # 9:00 came before it was opened, and counts as such. d: resolved on the 3rd, never opened. e:
    # opened on the 1st, pending. f: opened on 24 February at 0:00. So on the 3rd: 60, 4 and 2:
    # average 22, median 4, p90 = 4 + 0.8 * (60 - 4) = 48.8. Open at the end of the 3rd: e for 3
    # days less an hour (opened at 1:00): 1 to 3; f for exactly 8 days: over 7. Open at the end of
    # the 1st: a (exactly one day: 1 to 3), e (23 hours), f (6 days: 3 to 7). At the end of the 2nd:
    # a 2 days, b 2 hours, e 47 hours, f 7 days: over 7.
    events = [
        ticket(1, "a", "opened", "2026-03-01T00:00:00Z"),
        ticket(2, "a", "resolved", "2026-03-03T12:00:00Z"),
        ticket(3, "a", "resolved", "2026-03-03T13:00:00Z"),
        ticket(4, "b", "resolved", "2026-03-03T02:00:00Z"),
        ticket(5, "b", "opened", "2026-03-02T22:00:00Z"),
        ticket(6, "b", "opened", "2026-03-03T05:00:00Z"),
        ticket(7, "c", "resolved", "2026-03-03T09:00:00Z"),
        ticket(8, "c", "opened", "2026-03-03T10:00:00Z"),
        ticket(9, "c", "resolved", "2026-03-03T12:00:00Z"),
        ticket(10, "d", "resolved", "2026-03-03T12:00:00Z"),
        ticket(11, "e", "opened", "2026-03-01T01:00:00Z"),
        ticket(12, "e", "pending", "2026-03-01T02:00:00Z"),
        ticket(13, "f", "opened", "2026-02-24T00:00:00Z"),
        crm(14, "2026-03-04T00:00:00Z", "support_ticket", ticket_id="g"),
    ]
    want = [
        (date(2026, 2, 24), 0, None, None, None, 0, 1, 0, 1, 0, 0),
        (date(2026, 3, 1), 0, None, None, None, 0, 3, 1, 1, 1, 0),
        (date(2026, 3, 2), 0, None, None, None, 0, 4, 1, 2, 0, 1),
        (date(2026, 3, 3), 3, 22.0, 4.0, 48.8, 2, 2, 0, 1, 0, 1),
    ]
    got = rows("crm_interactions", events, "support.time_to_resolution")
    assert not differences([f"column_{n}" for n in range(11)], 1, got, want)


def test_tickets_are_forgotten_after_ninety_days() -> None:
    # Opened on 1 January; 1 April is 90 days later, 2 April 91, which is outside the window.
    events = [
        ticket(1, "a", "opened", "2026-01-01T00:00:00Z"),
        ticket(2, "b", "opened", "2026-04-01T00:00:00Z"),
        ticket(3, "a", "resolved", "2026-04-02T00:00:00Z"),
    ]
    got = {
        row[0]: (row[1], row[5], row[6])
        for row in rows("crm_interactions", events, "support.time_to_resolution")
    }
    assert got == {
        date(2026, 1, 1): (0, 0, 1),
        date(2026, 4, 1): (0, 0, 2),
        date(2026, 4, 2): (0, 1, 1),
    }


def test_days_of_online_retail(tmp_path: Path) -> None:
    # Receipt 1 has two equal lines, 2 * 6 * 2.55 = 30.60, and the C-receipt takes 2 back; the line
    # without a price is not a sale.
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    lines = [
        "1,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850.0,France\n",
        "2,85123A,,56,2010-12-01 11:52:00,0.0,,France\n",
        "1,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850.0,France\n",
        "C3,85123A,HEART,-2,2010-12-01 08:26:00,2.55,,France\n",
    ]
    file = tmp_path / "2010-12-01.csv.gz"
    file.write_bytes(gzip.compress((header + "".join(lines)).encode()))
    expected = Expected()
    expected.add_online_retail(SHOP, [file])
    want = [(date(2010, 12, 1), "France", "85123A", "GBP", D("25.5"), D(0), D("25.5"), 12, 2, 2)]
    assert read(expected, "sales.total_sales_by_region_product") == want
    assert expected.count("pos_sales") == (4, 3)


def test_differences_are_found_in_both_directions() -> None:
    columns = ["day", "count", "rate"]
    want = [(1, 10, 0.1), (2, 20, 0.2), (3, 30, None)]
    assert differences(columns, 1, [(1, 10, 0.1 + 1e-12), *want[1:]], want) == ""
    text = differences(columns, 1, [(1, 10.0, 0.1 + 1e-9), (2, 20, None), (4, 40, 0.4)], want)
    assert "1 rows missing:\n  day=3, count=30, rate=None" in text
    assert "1 rows unexpected:\n  day=4" in text
    assert "2 of 3 rows are wrong:" in text
    assert (
        "count: got 10.0, expected 10; rate: got" in text
        and "day=2  rate: got None, expected 0.2" in text
    )
    assert "repeat the key" in differences(columns, 1, [*want, want[0]], want)

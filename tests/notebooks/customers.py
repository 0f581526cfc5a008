"""Generates a year of events of customers with known groups, for `simulate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

LAST = date(2026, 3, 1)
"""The day of the last event."""

Event = dict[str, Any]
_numbers = count()


def groups() -> dict[str, dict[str, list[str]]]:
    """Returns the customers by shop and group."""
    return {
        "acme": {
            "champions": _ids("champion", 30),
            "recent, little so far": _ids("newcomer", 30),
            "lapsed": _ids("lapsed", 30),
            "visitors": _ids("visitor", 30),
            "contacts": _ids("contact", 25),
        },
        # Half of each group pays in yen, 150 times as many.
        "globex": {"champions": _ids("regular", 40), "lapsed": _ids("lapsed", 30)},
        "tiny": {"everybody": _ids("customer", 3)},
    }


def write(file: Path) -> None:
    """Writes the events of all shops."""
    file.write_text("".join(f"{json.dumps(event)}\n" for event in [*_acme(), *_globex(), *_tiny()]))


def _ids(kind: str, number: int) -> list[str]:
    # Sorted ids mix the groups, so that their order does not reveal them.
    return [f"c{place:02}-{kind}" for place in range(number)]


def _acme() -> Iterator[Event]:
    shop, kinds = "acme", groups()["acme"]
    for place, customer in enumerate(kinds["champions"]):
        for week in range(8):
            if week != 1 + place % 7:
                yield _sale(
                    shop,
                    customer,
                    7 * week,
                    2 + place % 2,
                    "45.00",
                    product=f"p{(place + week) % 6}",
                )
                yield _visit(shop, customer, 7 * week)
        if place == 0:
            yield _sale(shop, customer, 0, -1, "45.00")
    for place, customer in enumerate(kinds["recent, little so far"]):
        yield _sale(shop, customer, 7, 1, f"{28 + place % 5}.00")
    for place, customer in enumerate(kinds["lapsed"]):
        yield _sale(shop, customer, 280 if place % 2 else 287, 1, f"{11 + place % 3}.00")
    for place, customer in enumerate(kinds["visitors"]):
        for week in range(4 + place % 3):
            yield _visit(shop, customer, 7 * week)
    for place, customer in enumerate(kinds["contacts"]):
        for week in range(4 + place % 3):
            yield _call(shop, customer, 7 * week)


def _globex() -> Iterator[Event]:
    shop, kinds = "globex", groups()["globex"]
    for place, customer in enumerate(kinds["champions"]):
        for week in range(6 + place // 2 % 2):
            yield _sale(shop, customer, 7 * week, 2, *_price(20 + place // 4, place))
    for place, customer in enumerate(kinds["lapsed"]):
        yield _sale(shop, customer, 280, 1, *_price(10 + place // 6, place))


def _tiny() -> Iterator[Event]:
    # Its newest day differs from that of the other shops.
    for customer in groups()["tiny"]["everybody"]:
        yield _sale("tiny", customer, 5, 1, "10.00")


def _price(euros: int, place: int) -> tuple[str, str]:
    return (f"{150 * euros}.00", "JPY") if place % 2 else (f"{euros}.00", "EUR")


def _sale(
    shop: str,
    customer: str,
    age: int,
    quantity: int,
    price: str,
    currency: str = "EUR",
    product: str = "p0",
) -> Event:
    day = str(LAST - timedelta(days=age))
    return _event(
        "pos_sales",
        shop,
        {
            "transaction_id": f"t{next(_numbers)}",
            "line_no": 1,
            "store_id": "s",
            "region": "r",
            "product_id": product,
            "quantity": quantity,
            "unit_price": price,
            "discount": "0",
            "currency": currency,
            "customer_id": customer,
            "sold_at": f"{day}T10:00:00Z",
            "business_date": day,
        },
    )


def _visit(shop: str, customer: str, age: int) -> Event:
    number = next(_numbers)
    return _event(
        "web_traffic",
        shop,
        {
            "event_id": f"e{number}",
            "session_id": f"s{number}",
            "visitor_id": "v",
            "customer_id": customer,
            "event_type": "page_view",
            "occurred_at": f"{LAST - timedelta(days=age)}T10:00:00Z",
            "page_url": "https://shop.example/",
        },
    )


def _call(shop: str, customer: str, age: int) -> Event:
    return _event(
        "crm_interactions",
        shop,
        {
            "interaction_id": f"i{next(_numbers)}",
            "customer_id": customer,
            "channel": "phone",
            "interaction_type": "inquiry",
            "occurred_at": f"{LAST - timedelta(days=age)}T10:00:00Z",
        },
    )


def _event(dataset: str, shop: str, data: dict[str, Any]) -> Event:
    return {"dataset": dataset, "shop_id": shop, "data": data}

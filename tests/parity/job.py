"""A small job document, written by hand: the takings of a shop on a day."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
from job_lake import Json, to_json

from .lake import MemoryLake

DAY = "2026-11-20"
GOLD = f"gold/takings/day={DAY}/data.parquet"
STATE = f"state/partitions/takings/{DAY}.json"
COLUMNS = [
    ("shop_id", "string", False),
    ("line", "bigint", False),
    ("at", "timestamp", False),
    ("day", "date", False),
    ("amount", "decimal(18,4)", False),
    ("note", "string", True),
]
SILVER = pa.schema(
    [
        ("shop_id", pa.string()),
        ("line", pa.int64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("day", pa.date32()),
        ("amount", pa.decimal128(18, 4)),
        ("note", pa.string()),
    ]
)
SQL = """select *
from (
select
    shop_id,
    day,
    count(*) as sales,
    cast(sum(amount) as decimal(18, 4)) as takings,
    min(at) as first_at,
    cast(count(note) as double) / cast(count(*) as double) as noted
from silver__lines
group by
    shop_id,
    day
) as model
where day = cast('2026-11-20' as date)
"""


def lines(*amounts: str, shop: str = "acme", **columns: list) -> pa.Table:
    """Lines of a day, one for each amount; `columns` replaces or removes (with None) some of their
    columns.
    """
    rows = [
        {
            "shop_id": shop,
            "line": number,
            "at": datetime(2026, 11, 20, 23, 59, 59, 123456, tzinfo=UTC),
            "day": date(2026, 11, 20),
            "amount": Decimal(amount),
            "note": None if number % 2 else "é",
        }
        for number, amount in enumerate(amounts)
    ]
    table = pa.Table.from_pylist(rows, SILVER)
    for name, values in columns.items():
        number = table.column_names.index(name)
        table = (
            table.remove_column(number)
            if values is None
            else table.set_column(number, name, values)
        )
    return table


def plan(lake: MemoryLake, **changes: object) -> str:
    """Plans the job over all objects of `silver/lines` as dispatch does: writes its document, and
    gives its key.
    """
    objects = lake.list("silver/lines/")
    current = lake.get(GOLD)
    digest = hashlib.sha256(
        to_json([(key, len(lake.objects[key].body)) for key in objects]).encode()
    ).hexdigest()
    job: Json = {
        "version": 3,
        "model": "takings",
        "partition": {"column": "day", "type": "date", "value": DAY},
        "inputs": [
            {
                "table": "silver__lines__objects",
                "name": "silver.lines",
                "columns": [
                    {"name": name, "type": kind, "nullable": nullable}
                    for name, kind, nullable in COLUMNS
                ],
                "objects": objects,
            }
        ],
        "views": [{"name": "silver__lines", "sql": "select * from silver__lines__objects"}],
        "sql": SQL,
        "key": ["shop_id", "day"],
        "sort": ["shop_id", "day"],
        "checks": [],
        "downstream": [
            {
                "model": "weekly",
                "kind": "day",
                "correspondence": {"days": {"lookback_days": 1, "lookahead_days": 0}},
            }
        ],
        "output": {
            "key": GOLD,
            "expected_etag": current and current.etag,
            "version": int(current.metadata["version"]) + 1 if current else 1,
            "inputs_digest": digest,
        },
        "warehouse": "finance.takings",
        "alert": None,
        **changes,
    }
    job.setdefault("id", hashlib.sha256(to_json(job).encode()).hexdigest())
    key = f"jobs/takings/{DAY}/{job['id']}.json"
    lake.put(key, to_json(job).encode())
    return key


def check(sql: str, severity: str = "error") -> Json:
    """A check of the takings."""
    return {
        "name": "takings_are_fine",
        "severity": severity,
        "description": "takings are fine",
        "sql": sql,
    }

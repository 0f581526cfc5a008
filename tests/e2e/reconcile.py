"""Accounts for every event by the lake's objects: received = silver + quarantined + duplicates.

Kinesis, Firehose and event source mappings may deliver an event more than once. So all counts are
of distinct envelopes, identified by shop, id and time of receipt.

`shoplake reconcile` counts the same. This module shares no code with it and reads Parquet with
another library.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dev.pipeline import IDLE_CHECKS, SCHEMAS, Pipeline, wait_until

UNREADABLE = "_unknown"
ENVELOPE = ["shop_id", "_envelope_id", "_received_at"]


@dataclass(frozen=True)
class Balance:
    """Counts what happened to a dataset's events."""

    dataset: str
    received: int
    """Events in bronze, which Firehose writes without conform."""
    silver: int
    """Keys in silver."""
    quarantined: int
    """Events in quarantine that are not in silver. A redriven event stays in quarantine."""
    duplicates: int
    """Events in silver with the key of another event."""

    @property
    def holds(self) -> bool:
        """Returns whether no event was lost or invented."""
        return self.received == self.silver + self.quarantined + self.duplicates


def reconcile(pipeline: Pipeline, shop_id: str | None = None) -> list[Balance]:
    """Returns the balance of every dataset with events, of all shops or of one."""
    received: defaultdict[str, set[object]] = defaultdict(set)
    for line in pipeline.lines("bronze/"):
        dataset, event = _event(line)
        if _is_of(event, shop_id):
            received[dataset].add(event)
    rejected: defaultdict[str, set[object]] = defaultdict(set)
    for line in pipeline.quarantined():
        dataset, event = _event(line["envelope"].encode())
        if _is_of(event, shop_id):
            rejected[dataset].add(event)
    datasets = sorted(received.keys() | rejected.keys())
    return [
        _balance(pipeline, dataset, len(received[dataset]), rejected[dataset], shop_id)
        for dataset in datasets
    ]


def received(pipeline: Pipeline, shop_id: str | None = None) -> dict[str, int]:
    """Counts the events received so far, by dataset, of all shops or of one."""
    return {balance.dataset: balance.received for balance in reconcile(pipeline, shop_id)}


def arrived(
    pipeline: Pipeline, at_least: Mapping[str, int], shop_id: str | None = None
) -> list[Balance]:
    """Returns the balances, of all shops or of one, if `at_least` so many events have been received
    and each is accounted for; else an empty list.
    """
    found = reconcile(pipeline, shop_id)
    counts = {balance.dataset: balance.received for balance in found}
    has_all = all(counts.get(dataset, 0) >= count for dataset, count in at_least.items())
    return found if has_all and all(balance.holds for balance in found) else []


def wait_until_settled(
    pipeline: Pipeline,
    at_least: Mapping[str, int],
    seconds: float = 480,
    shop_id: str | None = None,
) -> list[Balance]:
    """Waits until `at_least` so many events have been received, of all shops or of one, each is
    accounted for, and the pipeline is idle. Returns the balances.
    """
    balances: list[Balance] = []
    checks = 0

    def settled() -> list[Balance] | None:
        nonlocal balances, checks
        if not pipeline.is_idle():
            balances, checks = [], 0
            return None
        # Counted once, because it is slow and events stay where they are.
        if not balances:
            balances = arrived(pipeline, at_least, shop_id)
        checks = checks + 1 if balances else 0
        return balances if checks > IDLE_CHECKS else None

    return wait_until("everything has arrived in the warehouse", settled, seconds, every=1)


def _is_of(event: object, shop_id: str | None) -> bool:
    """Returns whether an event belongs to the shop; an unreadable line belongs to none."""
    return shop_id is None or (isinstance(event, tuple) and event[0] == shop_id)


def _balance(
    pipeline: Pipeline, dataset: str, received: int, rejected: set[object], shop_id: str | None
) -> Balance:
    schema = SCHEMAS / f"{dataset}.json"
    key = json.loads(schema.read_text())["x-dataset"]["key"] if schema.exists() else ENVELOPE
    columns = list(dict.fromkeys([*key, *ENVELOPE]))
    tables = [
        pq.read_table(io.BytesIO(body), columns=columns)
        for body in pipeline.bodies(pipeline.objects(f"silver/{dataset}/"))
    ]
    if not tables:
        return Balance(dataset, received, 0, len(rejected), 0)
    rows = pa.concat_tables(tables)
    if shop_id is not None:
        rows = rows.filter(pc.equal(rows["shop_id"], shop_id))
    keys, events = (rows.group_by(names).aggregate([]) for names in (key, ENVELOPE))
    redriven = _table(rejected, events.schema).join(events, ENVELOPE, join_type="inner").num_rows
    return Balance(
        dataset, received, keys.num_rows, len(rejected) - redriven, events.num_rows - keys.num_rows
    )


def _table(events: set[object], schema: pa.Schema) -> pa.Table:
    """Returns events as the columns of ENVELOPE, without unreadable lines."""
    readable = [
        (shop, name, time)
        for shop, name, at in (event for event in events if isinstance(event, tuple))
        if (time := _time(at)) is not None
    ]
    columns = zip(*readable, strict=True) if readable else ([] for _ in ENVELOPE)
    types = (schema.field(name).type for name in ENVELOPE)
    return pa.table(
        [pa.array(column, type) for column, type in zip(columns, types, strict=True)], ENVELOPE
    )


def _time(text: str) -> datetime | None:
    """Parses the time of an envelope; None if it is invalid, and so not in silver."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def _event(line: bytes) -> tuple[str, object]:
    """Returns dataset and identity of an envelope. The identity of an unreadable line is itself."""
    try:
        envelope = json.loads(line)
        names = ("dataset", "shopid", "id", "receivedat")
        dataset, *event = (envelope[name] for name in names)
        is_readable = all(isinstance(value, str) for value in (dataset, *event))
        return (dataset, tuple(event)) if is_readable else (UNREADABLE, line)
    except (KeyError, TypeError, ValueError):
        return UNREADABLE, line

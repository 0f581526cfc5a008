"""A shop whose systems send invalid data, and the fate of each item that it sent."""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from .errors import CommandError
from .pipeline import SCHEMAS, Pipeline, Shop

SEED = 7
PERMANENT = {
    "html": "Sign in",
    "null-data": "/v1/sales",
    "number-cursor": "/v1/sales",
    "no-cursor": "/v1/sales",
    "endless": "page",
    "circle": "cursor",
}
"""Answers from which a connector cannot recover, and a word of its error message. The last one
delivers its first page.
"""
ROWS_BEFORE_CIRCLE = 7
GIVE_UP_SECONDS = 90
"""A connector that cannot continue ends at once; this is long enough for a slow machine."""
Key = tuple[str, ...]


@dataclass
class Sent:
    """The items that a hostile shop sent, with their expected fates."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    rows: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """The rows of batches by dataset, without those that a connector skips."""
    problems: list[str] = field(default_factory=list)
    """Unexpected behaviour of connectors."""

    def add(self, dataset: str, rows: Iterable[dict[str, Any]]) -> None:
        """Adds rows that a connector sent."""
        self.rows[dataset] += [row for row in rows if not row["repeated"]]

    def accepted(self) -> Counter[str]:
        """Counts the accepted events by dataset; a repeated request counts again."""
        counts: Counter[str] = Counter()
        for request in self.requests:
            counts[request["dataset"]] += request["events"] if request["status"] == 202 else 0
        return counts

    def received(self) -> dict[str, int]:
        """Counts the events that must have arrived, by dataset."""
        # A repeated request has the ids of the first and another time of receipt.
        return {
            **{dataset: count for dataset, count in self.accepted().items() if count},
            **{dataset: len(rows) for dataset, rows in self.rows.items()},
        }

    def keys(self, dataset: str) -> set[Key]:
        """Returns the keys that must be in silver."""
        posted = (
            r["expected"]["keys"]
            for r in self.requests
            if r["dataset"] == dataset and r["status"] == 202
        )
        keys: set[Key] = {(key,) for keys in posted for key in keys}
        return keys | {
            tuple(row["key"]) for row in self.rows.get(dataset, ()) if row["fate"] == "tables"
        }

    def quarantined(self, dataset: str) -> list[dict[str, Any]]:
        """Returns the rows that must be in quarantine."""
        return [row for row in self.rows.get(dataset, ()) if row["fate"] == "quarantined"]

    def datasets(self) -> list[str]:
        """Returns the datasets that the shop sent to."""
        return sorted(self.received().keys())


@dataclass(frozen=True)
class HostileShop:
    """A hostile shop and its sources."""

    pipeline: Pipeline
    shop: Shop
    today: date
    seed: int = SEED

    def send(self) -> Sent:
        """Sends every item once."""
        sent = Sent()
        sent.requests += self.pipeline.post_hostile_events(self.shop, self.seed)["requests"]
        yesterday, day_before = (self.today - timedelta(days=age) for age in (1, 2))
        for corrected in ((), ("--corrected",)):
            with self._api("pos", "--date", str(yesterday), *corrected) as (api, rows):
                sent.add("pos_sales", rows)
                self.pipeline.run_pos_connector(self.shop.shop_id, api, str(yesterday))
        # Snapshots arrive late: the hours after midnight before the hours of the previous day.
        for day, first, last in ((yesterday, "00", "03"), (day_before, "20", "23")):
            hours = (f"{day}T{first}", f"{day}T{last}")
            with self._api("inventory", "--from", hours[0], "--to", hours[1]) as (api, rows):
                sent.add("inventory_levels", rows)
                self.pipeline.run_inventory_connector(self.shop.shop_id, api, *hours)
        for answer, mention in PERMANENT.items():
            self._fail(sent, answer, mention, day_before)
        self._answer_with_a_bom(sent, self.today - timedelta(days=3))
        return sent

    def _fail(self, sent: Sent, answer: str, mention: str, day: date) -> None:
        with self._api("pos", "--date", str(day), "--answer", answer) as (api, rows):
            code, said = self._run(api, day)
        if code != 2 or mention not in said:
            expected = f"expected 2 and a message with {mention!r}"
            problem = f"answer {answer}: the connector ended with {code}, {expected}"
            sent.problems.append(f"{problem}:\n{said[-1000:]}")
        if answer == "circle":
            sent.add("pos_sales", rows[:ROWS_BEFORE_CIRCLE])

    def _answer_with_a_bom(self, sent: Sent, day: date) -> None:
        """Answers with a byte order mark. The connector may accept the whole day, or nothing."""
        with self._api("pos", "--date", str(day), "--answer", "bom") as (api, rows):
            code, said = self._run(api, day)
        if code == 0:
            sent.add("pos_sales", rows)
        elif code != 2:
            sent.problems.append(
                f"answer bom: the connector ended with {code}, expected 0 or 2:\n{said[-1000:]}"
            )

    def _run(self, api: tuple[str, str], day: date) -> tuple[int, str]:
        connector = self.pipeline.start_pos_connector(self.shop.shop_id, api, str(day))
        try:
            said, _ = connector.communicate(timeout=GIVE_UP_SECONDS)
        except subprocess.TimeoutExpired:
            connector.kill()
            said, _ = connector.communicate()
        return connector.returncode, said

    @contextmanager
    def _api(
        self, source: str, *arguments: str
    ) -> Iterator[tuple[tuple[str, str], list[dict[str, Any]]]]:
        with tempfile.TemporaryDirectory() as folder:
            account = Path(folder, "account.json")
            settings = ("--seed", str(self.seed), "--account", str(account))
            with self.pipeline.hostile_api(source, *settings, *arguments) as api:
                yield api, json.loads(account.read_text())["rows"]


def has_arrived(pipeline: Pipeline, shop: Shop, sent: Sent) -> bool:
    """Returns whether each accepted event of a shop is in silver or in quarantine."""
    reconciled = pipeline.run_shoplake("reconcile", "--shop", shop.shop_id, "--json", capture=True)
    if not reconciled.stdout:
        raise CommandError(f"shoplake reconcile: {reconciled.stderr.strip()}")
    received = {
        balance["dataset"]: balance["received"] for balance in json.loads(reconciled.stdout)
    }
    has_all = all(received.get(dataset, 0) >= count for dataset, count in sent.received().items())
    # The command succeeds if each event is in silver or in quarantine.
    return has_all and reconciled.returncode == 0


def unaccounted(pipeline: Pipeline, shop: Shop, sent: Sent) -> list[str]:
    """Describes the items whose fate is not the expected one."""
    problems = list(sent.problems)
    for request in sent.requests:
        if not request["as_expected"]:
            problems.append(
                f"request {request['name']!r}: expected {request['expected']},"
                f" got {request['status']}: {request['detail']}"
            )
    for dataset in sent.datasets():
        want, got = sent.keys(dataset), silver_keys(pipeline, dataset, shop)
        problems += [f"{dataset} {key} is not in silver" for key in sorted(want - got)]
        problems += [
            f"{dataset} {key} is in silver, and should not be" for key in sorted(got - want)
        ]
        problems += _quarantine_problems(pipeline, dataset, shop, sent.quarantined(dataset))
    return problems


def _quarantine_problems(
    pipeline: Pipeline, dataset: str, shop: Shop, want: list[dict[str, Any]]
) -> list[str]:
    lines = pipeline.quarantined(dataset, shop)
    # Kinesis and Firehose may deliver an event more than once.
    events = {
        (envelope["id"], envelope["receivedat"]): line
        for line in lines
        for envelope in [json.loads(line["envelope"])]
    }
    got = Counter(_reason(line) for line in events.values())
    problems = []
    if len(events) != len(want):
        problems.append(
            f"{dataset}: {len(events)} rows are in quarantine, expected {len(want)};"
            f" their reasons are {dict(got)}"
        )
    certain = Counter((row["code"], row["field"]) for row in want if row["code"] and row["field"])
    for reason, count in certain.items():
        if got[reason] < count:
            problems.append(
                f"{dataset}: {got[reason]} rows are in quarantine for {reason}, expected {count}"
            )
    return problems


def _reason(line: dict[str, Any]) -> tuple[str, str]:
    reasons = line["failure"].get("reasons") or [{}]
    return reasons[0].get("code", ""), reasons[0].get("field", "")


def silver_keys(pipeline: Pipeline, dataset: str, shop: Shop) -> set[Key]:
    """Returns the keys of a shop's rows in silver as text, without the shop."""
    key = json.loads((SCHEMAS / f"{dataset}.json").read_text())["x-dataset"]["key"]
    columns = [column for column in key if column != "shop_id"]
    found: set[Key] = set()
    for body in pipeline.bodies(pipeline.objects(f"silver/{dataset}/")):
        rows = pq.read_table(
            io.BytesIO(body),
            columns=["shop_id", *columns],
            filters=[("shop_id", "=", shop.shop_id)],
        )
        found |= {
            tuple(map(_text, row))
            for row in zip(*(rows[column].to_pylist() for column in columns), strict=True)
        }
    return found


def _text(value: Any) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)

"""Days delivered again, in another order and other batches: the tables do not change, and those of
another shop are equal.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dev.pipeline import Pipeline, Shop

from .kpis import read, wait_until_right
from .oracle import Expected, differences
from .reconcile import received, wait_until_settled
from .sources import ShopSources, expected_from
from .webhook import send

DAYS = [date(2025, 9, 1) + timedelta(days=number) for number in range(2)]
WEB_EVENTS, CRM_INTERACTIONS, POS_LINES, PRODUCTS, LOCATIONS = 400, 100, 100, 8, 2
BACKFILL = "replayed-days"
"""The days are older than the contracts' time window."""
SEED = 71
SETTLE_SECONDS = 300
DATASETS = ("web_traffic", "crm_interactions", "pos_sales", "inventory_levels")


def deliver(sources: ShopSources) -> None:
    """Sends the days from all four sources."""
    for day in DAYS:
        sources.post("web_traffic", day, WEB_EVENTS)
        sources.post("crm_interactions", day, CRM_INTERACTIONS)
        sources.pos([day], POS_LINES, BACKFILL=BACKFILL)
        sources.inventory([day], LOCATIONS, BACKFILL=BACKFILL)


def deliver_shuffled(pipeline: Pipeline, shop: Shop, kept: Path, folder: Path) -> dict[str, int]:
    """Posts a shop's kept events in random order and random batches, and polls its APIs from the
    last day to the first in small pages. Returns the number of rows by dataset.
    """
    order = random.Random(5)
    counts = dict.fromkeys(DATASETS, 0)
    for dataset in ("web_traffic", "crm_interactions"):
        lines = [
            line
            for file in sorted((kept / dataset).glob("*.ndjson"))
            for line in file.read_text().splitlines()
        ]
        counts[dataset] = len(lines)
        order.shuffle(lines)
        while lines:
            size = order.randint(1, 400)
            send(pipeline, shop, dataset, [json.loads(line) for line in lines[:size]])
            del lines[:size]
    sources = ShopSources(pipeline, shop, folder, SEED, PRODUCTS)
    for day in reversed(DAYS):
        counts["inventory_levels"] += sources.inventory(
            [day], LOCATIONS, PAGE_SIZE="7", BACKFILL=BACKFILL
        )
        counts["pos_sales"] += sources.pos([day], POS_LINES, PAGE_SIZE="13", BACKFILL=BACKFILL)
    return counts


def tables(pipeline: Pipeline, shop: Shop, expected: Expected) -> dict[str, list[tuple[Any, ...]]]:
    """Returns a shop's rows of every KPI with inputs, without the shop, by key."""
    found = {}
    for name in expected.tables_with_inputs():
        table = expected.table(name)
        rows = read(pipeline, name, table.columns, [shop.shop_id])
        found[name] = sorted(
            (row[1:] for row in rows), key=lambda row: [str(cell) for cell in row[: table.keys - 1]]
        )
    return found


@dataclass(frozen=True)
class Deliveries:
    """The tables of a shop that got both deliveries, and of one that got only the second."""

    expected: Expected
    first: dict[str, list[tuple[Any, ...]]]
    again: dict[str, list[tuple[Any, ...]]]
    other: dict[str, list[tuple[Any, ...]]]
    versions_before: dict[tuple[str, str], int]
    versions_after: dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def deliveries(
    pipeline: Pipeline, shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> Deliveries:
    """Makes the deliveries and waits until each is in the warehouse."""
    folder = tmp_path_factory.mktemp("deliveries")
    other = pipeline.add_shop("replay-other")
    pipeline.open_backfills([shop.shop_id, other.shop_id], BACKFILL)
    deliver(ShopSources(pipeline, shop, folder, SEED, PRODUCTS))
    expected = expected_from(folder)
    wait_until_right(pipeline, expected)
    first, versions = tables(pipeline, shop, expected), pipeline.gold_versions()

    received_before = received(pipeline)
    counts = deliver_shuffled(pipeline, shop, folder / shop.shop_id, folder / "again")
    wait_until_settled(
        pipeline,
        {dataset: received_before[dataset] + count for dataset, count in counts.items()},
        SETTLE_SECONDS,
    )
    again, versions_after = tables(pipeline, shop, expected), pipeline.gold_versions()

    deliver_shuffled(pipeline, other, folder / shop.shop_id, folder / "other")
    (folder / "posted" / other.shop_id).mkdir(parents=True)
    for dataset in DATASETS:
        (folder / "posted" / other.shop_id / dataset).symlink_to(folder / shop.shop_id / dataset)
    wait_until_right(pipeline, expected_from(folder / "posted"), seconds=SETTLE_SECONDS)
    return Deliveries(
        expected, first, again, tables(pipeline, other, expected), versions, versions_after
    )


def test_the_same_days_again_changes_no_row(deliveries: Deliveries) -> None:
    for name, rows in deliveries.first.items():
        assert rows, f"{name} has no row to compare"
        assert deliveries.again[name] == rows, name


def test_the_same_days_again_writes_no_partition(deliveries: Deliveries) -> None:
    assert deliveries.versions_after == deliveries.versions_before


def test_another_order_and_other_batches_make_the_same_tables(deliveries: Deliveries) -> None:
    for name, rows in deliveries.first.items():
        table = deliveries.expected.table(name)
        text = differences(table.columns[1:], table.keys - 1, deliveries.other[name], rows)
        assert not text, f"{name}:\n{text}"

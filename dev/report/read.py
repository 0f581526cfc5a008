"""Reads the whole report from the warehouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import psycopg

from .model import COUNT, DAY, MOMENT, TEXT, Headline, Report, Section, ShopReport, Table
from .teams import MARTS, sections
from .warehouse import Warehouse

CHECKS, LOADS = "shoplake.check_results", "shoplake.loads"
SAMPLE_CHARACTERS = 2000


def read(warehouse_url: str, today: date | None = None) -> Report:
    """The report as the warehouse is at one moment; `today` (UTC) is the day that is not over."""
    now = datetime.now(UTC)
    today = today or now.date()
    with psycopg.connect(warehouse_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        warehouse = Warehouse(connection, today)
        shops = [
            ShopReport(
                shop,
                [marked(section, today) for section in sections(warehouse, shop, f"shop{number}")],
            )
            for number, shop in enumerate(warehouse.shops(MARTS))
        ]
        failed, checks, freshness = _failed(warehouse), _checks(warehouse), _freshness(warehouse)
    run, bad = sum(row[2] for row in checks.rows), sum(row[3] for row in checks.rows)
    health = (
        Headline("data-checks", "Checks", run, COUNT, "results, the newest of every partition"),
        Headline("data-failed", "Failed", bad, COUNT, "of these"),
        Headline(
            "data-loads",
            "Newest load (UTC)",
            max((row[4] for row in freshness.rows if row[4]), default=None),
            MOMENT,
            f"of {len(freshness.rows)} models",
        ),
    )
    return Report(now, shops, failed, checks, freshness, health)


def marked(section: Section, today: date) -> Section:
    """The section, with the days that are not over marked in its charts."""

    def is_partial(label: str) -> bool:
        try:
            return date.fromisoformat(label) >= today
        except ValueError:  # a label such as an age
            return False

    charts = [
        replace(chart, partial=tuple(filter(is_partial, chart.labels))) for chart in section.charts
    ]
    return replace(section, charts=charts)


def _failed(warehouse: Warehouse) -> Table:
    rows = warehouse.select(
        f"""select check_name, model, partition_value, severity, failed_rows, description, sample, checked_at
        from {CHECKS} where status <> 'passed'
        order by case severity when 'error' then 0 else 1 end, checked_at desc, check_name, model, partition_value limit 100""",
        [CHECKS],
    )
    columns = (
        ("Check", TEXT),
        ("Model", TEXT),
        ("Partition", DAY),
        ("Severity", TEXT),
        ("Wrong rows", COUNT),
        ("What it makes sure of", TEXT),
        ("Some of them", TEXT),
        ("Checked (UTC)", MOMENT),
    )
    cut = [
        (*row[:6], row.sample[:SAMPLE_CHARACTERS] if row.sample else None, row.checked_at)
        for row in rows
    ]
    return Table("data-failed-table", "Failed checks", columns, cut, "No check fails.")


def _checks(warehouse: Warehouse) -> Table:
    rows = warehouse.select(
        f"""select check_name, model, count(*) as results, sum(case when status = 'passed' then 0 else 1 end) as failed,
            max(description) as description, max(checked_at) as checked_at
        from {CHECKS} group by check_name, model order by failed desc, model, check_name""",
        [CHECKS],
    )
    columns = (
        ("Check", TEXT),
        ("Model", TEXT),
        ("Results", COUNT),
        ("Failed", COUNT),
        ("What it makes sure of", TEXT),
        ("Last run (UTC)", MOMENT),
    )
    return Table(
        "data-checks-table",
        "All checks",
        columns,
        [tuple(row) for row in rows],
        "No check has run yet.",
    )


def _freshness(warehouse: Warehouse) -> Table:
    rows = warehouse.select(
        f"""select model, max(partition_value) as newest, count(*) as partitions, sum(row_count) as row_count,
            max(loaded_at) as loaded_at
        from {LOADS} group by model order by model""",
        [LOADS],
    )
    columns = (
        ("Model", TEXT),
        ("Newest partition", DAY),
        ("Partitions", COUNT),
        ("Rows", COUNT),
        ("Last load (UTC)", MOMENT),
    )
    return Table(
        "data-loads-table",
        "Freshness",
        columns,
        [tuple(row) for row in rows],
        "Nothing has been loaded yet.",
    )

"""What `shoplake report` prints, without a browser."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from .conftest import Report
from .world import DAYS, LAST, TODAY


def headlines(printed: str) -> dict[str, dict[str, Any]]:
    """The headline numbers of all shops by their key."""
    return {
        headline["key"]: headline
        for shop in json.loads(printed)["shops"]
        for team in shop["teams"]
        for headline in team["headlines"]
    }


def test_headlines_are_of_the_last_whole_day(
    report: Report, warehouse: str, tmp_path: Path
) -> None:
    """Loyalty of a whole day, whatever the first minutes of today brought."""
    with psycopg.connect(warehouse) as connection:
        day_before = LAST - timedelta(days=1)
        query = """select loyalty_activity_rate from marketing.loyalty_activity_rate
            where shop_id = 'acme' and activity_date = %s"""
        [(rate,)] = connection.execute(query, [day_before]).fetchall()
    printed = report(warehouse, tmp_path / "report.html", "--json", today=LAST)
    found = headlines(printed)
    assert found["shop0-marketing-loyalty"]["value"] == rate
    assert found["shop0-marketing-loyalty"]["note"].endswith(f"on {day_before}")
    assert str(LAST) not in " ".join(headline["note"] for headline in found.values())
    [partial] = [s["partial"] for s in json.loads(printed)["shops"] if s["shop_id"] == "acme"]
    assert partial.startswith(f"{LAST} is not over")
    lines = report(warehouse, tmp_path / "report.html", today=LAST).splitlines()
    assert lines[lines.index("acme") + 1] == f"  {partial}"


def test_a_shop_that_began_today_is_marked_as_partial(
    report: Report, warehouse: str, tmp_path: Path
) -> None:
    printed = report(warehouse, tmp_path / "report.html", "--json", today=min(DAYS))
    notes = [headline["note"] for headline in headlines(printed).values()]
    assert sum(" so far" in note for note in notes) > len(notes) / 2


def test_a_whole_day_is_not_marked(report: Report, warehouse: str, tmp_path: Path) -> None:
    printed = report(warehouse, tmp_path / "report.html", "--json", today=TODAY)
    assert [shop["partial"] for shop in json.loads(printed)["shops"]] == [None, None]
    assert "so far" not in report(warehouse, tmp_path / "report.html", today=TODAY)


def test_the_terminal_shows_every_team_of_every_shop_aligned(
    report: Report, warehouse: str, tmp_path: Path
) -> None:
    lines = report(warehouse, tmp_path / "report.html").splitlines()
    assert [line for line in lines if line in ("acme", "nord-süd")] == ["acme", "nord-süd"]
    for team in ("Sales", "Marketing", "Operations", "Support", "Finance"):
        assert lines.count(f"  {team}") == 2
    first_shop = lines[lines.index("acme") : lines.index("nord-süd")]
    ends = {
        re.match(r"    .*?\S {2,}\S.*?(?=  )", line).end()
        for line in first_shop
        if line.startswith("    ")
    }
    assert len(ends) == 1, "values end in one column"
    assert any(
        "warn: sales_reconcile on total_sales_by_region_product 2026-11-20: 7 wrong rows" in line
        for line in lines
    )
    assert lines[-1] == f"The report with charts: {(tmp_path / 'report.html').as_uri()}"
    assert (tmp_path / "report.html").stat().st_size > 10_000

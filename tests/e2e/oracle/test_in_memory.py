"""A whole month and the real days through the functions' handlers in memory (`simulate`): every row
of every KPI equals the oracle's. The other end-to-end tests cover the cloud around the handlers.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from dev.paths import ROOT, SCHEMAS, SQL, target_dir

from . import TABLES, Expected, differences

FIRST_DAY, LAST_DAY = date(2025, 11, 1), date(2025, 11, 30)
# Web events, CRM interactions and sales lines a day, products, locations: in 30 days 200,000 web
# events, 20,000 CRM interactions and 60,000 sales lines (rounded up to whole days), and 597,600
# levels of stock.
SHOPS = {
    "large": (4_000, 400, 1_200, 200, 4),
    "medium": (1_667, 167, 500, 10, 2),
    "small": (1_000, 100, 300, 5, 2),
}
REAL_DAYS = 40
OF_SALES = (
    "sales.total_sales_by_region_product",
    "sales.product_turnover_rate",
    "operations.inventory_turnover",
    "finance.revenue_by_region",
    "marketing.customer_features",
)


@pytest.fixture(scope="module")
def binaries() -> Path:
    """Builds the sample sources and the lake in memory."""
    subprocess.run(
        ["cargo", "build", "--locked", "--workspace", "--bins"],
        cwd=ROOT,
        env={**os.environ, "CARGO_TARGET_DIR": str(target_dir())},
        check=True,
    )
    return target_dir() / "debug"


def test_a_month_of_three_shops(binaries: Path, tmp_path: Path) -> None:
    expected, events = Expected(), []
    for seed, (shop, size) in enumerate(SHOPS.items(), start=41):
        for dataset, files in hand_over(binaries, tmp_path / shop, seed, *size).items():
            expected.add_events(dataset, shop, files)
            events += [enveloped(dataset, shop, file) for file in files]
    assert differing(binaries, events, expected, TABLES, tmp_path) == ""


def hand_over(
    binaries: Path,
    folder: Path,
    seed: int,
    web: int,
    crm: int,
    lines: int,
    products: int,
    locations: int,
) -> dict[str, list[Path]]:
    """Writes the data of a shop's sources in the month; returns the files by dataset."""
    folder.mkdir()
    days = [FIRST_DAY + timedelta(days=number) for number in range((LAST_DAY - FIRST_DAY).days + 1)]
    world = ("--seed", str(seed), "--products", str(products))
    posted = {"web_traffic": ("web", web), "crm_interactions": ("crm", crm)}
    files = {dataset: [folder / f"{dataset}-{day}.ndjson" for day in days] for dataset in posted}
    for dataset, (source, count) in posted.items():
        for day, file in zip(days, files[dataset], strict=True):
            run(
                binaries / "sample-source",
                source,
                *world,
                "--events",
                count,
                "--date",
                day,
                "--dry-run",
                file,
            )
    month = ("--date", FIRST_DAY, "--to", LAST_DAY)
    polled = {
        "pos_sales": ("pos", "--rows-per-day", lines),
        "inventory_levels": ("inventory", "--locations", locations),
    }
    for dataset, (source, *size) in polled.items():
        files[dataset] = [folder / f"{dataset}.ndjson"]
        run(
            binaries / "sample-source",
            "dump",
            source,
            *world,
            *size,
            *month,
            "--out",
            *files[dataset],
        )
    return files


def enveloped(dataset: str, shop: str, file: Path) -> Path:
    """Adds dataset and shop to the events of a file, for `simulate`."""
    out = file.with_suffix(".events")
    with file.open() as lines, out.open("w") as events:
        events.writelines(
            f'{{"dataset":"{dataset}","shop_id":"{shop}","data":{line.rstrip()}}}\n'
            for line in lines
        )
    return out


def differing(
    binaries: Path, events: Sequence[Path], expected: Expected, tables: Sequence[str], folder: Path
) -> str:
    """Describes the differences by table; empty if there are none."""
    out = folder / "lake"
    definitions = ("--sql", SQL, "--schemas", SCHEMAS)
    run(binaries / "simulate", "--events", *events, "--out", out, *definitions)
    found = {}
    for table in tables:
        want = expected.table(table)
        columns = ", ".join(
            f"{column} at time zone 'UTC'" if column.endswith("_at") else column
            for column in want.columns
        )
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            gold = out / "gold" / table.partition(".")[2]
            files = gold / "*" / "data.parquet"
            # Without an event of its datasets, a model has no folder.
            got = (
                connection.execute(
                    f"select {columns} from read_parquet('{files}', hive_partitioning = false)"
                ).fetchall()
                if gold.exists()
                else []
            )
        found[table] = differences(want.columns, want.keys, got, want.rows)
    return "\n".join(
        f"\n{table} differs from the oracle:\n{text}" for table, text in found.items() if text
    )


def run(*command: object) -> None:
    """Runs a command to its end."""
    subprocess.run(
        [str(word) for word in command],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "RUST_LOG": "warn"},
    )


@pytest.mark.skipif(
    "SHARED_DATA" not in os.environ, reason="SHARED_DATA does not name a folder of real days"
)
def test_real_days_of_sales(binaries: Path, tmp_path: Path) -> None:
    source = Path(os.environ["SHARED_DATA"], "online-retail")
    expected, sales = Expected(), tmp_path / "sales.ndjson"
    files = sorted(source.glob("*.csv.gz"))[:REAL_DAYS]
    expected.add_online_retail("real", files)
    first, last = (file.name.partition(".")[0] for file in (files[0], files[-1]))
    run(
        binaries / "sample-source",
        "dump",
        "pos",
        "--csv",
        source,
        "--date",
        first,
        "--to",
        last,
        "--out",
        sales,
    )
    events = [enveloped("pos_sales", "real", sales)]
    assert differing(binaries, events, expected, OF_SALES, tmp_path) == ""

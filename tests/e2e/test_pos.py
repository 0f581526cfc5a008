"""Days of sales through the POS connector, compared with a DuckDB query of the same files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from dev.pipeline import Pipeline, Shop, wait_until

from .reconcile import Balance, reconcile

DAYS = [f"2010-12-0{day}" for day in range(1, 6)]
TABLE = "sales.total_sales_by_region_product"
# The days are older than the contract's window.
BACKFILL = "online-retail"

# The contract of pos_sales requires a price above zero. A line with another price corrects stock or
# debt and is not a sale. All other lines count, exact repetitions too.
RULE = "UnitPrice > 0"


def read(folder: Path, day: str, *, kept: bool) -> str:
    """Returns a SQL table of the lines of a day that the rule keeps, or of the others."""
    columns = {
        "InvoiceNo": "varchar",
        "StockCode": "varchar",
        "Description": "varchar",
        "Quantity": "bigint",
        "InvoiceDate": "timestamp",
        "UnitPrice": "decimal(18,4)",
        "CustomerID": "varchar",
        "Country": "varchar",
    }
    file = next(folder.glob(f"{day}.csv*"))
    lines = f"select * from read_csv('{file}', header = true, columns = {columns})"
    return f"({lines} where ({RULE}) = {kept})"


def expected(folder: Path, day: str) -> dict[str, Decimal]:
    """Computes net sales by region from the files."""
    if not any(folder.glob(f"{day}.csv*")):
        return {}
    rows = duckdb.sql(
        f"select Country, sum(Quantity * UnitPrice) from {read(folder, day, kept=True)} group by 1"
    ).fetchall()
    return dict(rows)


def count(folder: Path, *, kept: bool) -> int:
    """Counts the lines of all days that the rule keeps, or the others."""
    days = [day for day in DAYS if any(folder.glob(f"{day}.csv*"))]
    return sum(
        duckdb.sql(f"select count(*) from {read(folder, day, kept=kept)}").fetchall()[0][0]
        for day in days
    )


def balance(pipeline: Pipeline) -> Balance:
    """Returns the balance of all lines of sales."""
    return next(
        (b for b in reconcile(pipeline) if b.dataset == "pos_sales"),
        Balance("pos_sales", 0, 0, 0, 0),
    )


def table(pipeline: Pipeline) -> list[tuple]:
    """Returns the whole KPI table."""
    return pipeline.query(f"select * from {TABLE} order by 1, 2, 3, 4, 5")


@pytest.fixture(scope="module")
def delivered(pipeline: Pipeline, shop: Shop, sales_days: Path) -> Shop:
    """Sends five days of a shop through the connector, from an API that sometimes fails and
    throttles.
    """
    with pipeline.pos_api(
        "--csv", str(sales_days), "--fail-every", "7", "--throttle-every", "5", "--retry-after", "0"
    ) as api:
        for day in DAYS:
            pipeline.run_pos_connector(shop.shop_id, api, day, BACKFILL=BACKFILL)
    for day in DAYS:
        want = expected(sales_days, day)
        wait_until(
            f"the sales of {day} equal {want}",
            lambda day=day, want=want: pipeline.totals(day, shop.shop_id) == want,
            180,
        )
    return shop


def test_net_sales_equal_an_independent_query_to_the_cent(
    pipeline: Pipeline, delivered: Shop, sales_days: Path
) -> None:
    for day in DAYS:
        assert pipeline.totals(day, delivered.shop_id) == expected(sales_days, day)


def test_lines_left_out_are_in_quarantine_with_their_reason(
    pipeline: Pipeline, delivered: Shop, sales_days: Path
) -> None:
    lines = pipeline.quarantined("pos_sales", delivered)
    assert len(lines) == count(sales_days, kept=False) > 0
    for line in lines:
        reasons = line["failure"]["reasons"]
        assert [reason["field"] for reason in reasons] == ["unit_price"], reasons
        assert all(reason["expected"] and reason["code"] for reason in reasons)


def test_the_counts_add_up(pipeline: Pipeline, delivered: Shop, sales_days: Path) -> None:
    kept, left_out = count(sales_days, kept=True), count(sales_days, kept=False)
    assert balance(pipeline) == Balance("pos_sales", kept + left_out, kept, left_out, 0)


def test_the_same_day_delivered_twice_changes_no_kpi(
    pipeline: Pipeline, delivered: Shop, sales_days: Path
) -> None:
    before, rows = table(pipeline), balance(pipeline)
    lines = sum(1 for _ in duckdb.sql(f"from {read(sales_days, DAYS[0], kept=True)}").fetchall())
    with pipeline.pos_api("--csv", str(sales_days)) as api:
        pipeline.run_pos_connector(delivered.shop_id, api, DAYS[0], BACKFILL=BACKFILL)
    wait_until(
        "the second delivery is in silver",
        lambda: balance(pipeline).duplicates == rows.duplicates + lines,
        120,
    )
    pipeline.wait_until_idle()
    assert table(pipeline) == before
    assert balance(pipeline).holds


def test_a_connector_killed_in_mid_day_resumes_without_loss(
    pipeline: Pipeline, sales_days: Path
) -> None:
    shop = pipeline.add_shop("killed")
    state = f"state/connectors/pos/{shop.shop_id}/"
    s3 = pipeline.cloud.client("s3")
    with pipeline.pos_api("--csv", str(sales_days)) as api:
        process = pipeline.start_pos_connector(
            shop.shop_id, api, DAYS[0], PAGE_SIZE="2", BACKFILL=BACKFILL
        )
        wait_until(
            "a page was acknowledged",
            lambda: s3.list_objects_v2(Bucket=pipeline.lake_bucket, Prefix=state)["KeyCount"],
            60,
            0.02,
        )
        process.kill()
        process.communicate()
        pipeline.run_pos_connector(shop.shop_id, api, DAYS[0], BACKFILL=BACKFILL)
    want = expected(sales_days, DAYS[0])
    wait_until(
        f"the sales equal {want}", lambda: pipeline.totals(DAYS[0], shop.shop_id) == want, 120
    )

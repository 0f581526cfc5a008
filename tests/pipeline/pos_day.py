"""`make pos-day DATA=<folder of CSV days> DATE=YYYY-MM-DD`: one real day of sales through the running demo."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .demo import SHOP_ID, STATE
from .package import target_dir
from .pipeline import Cloud, Pipeline
from .progress import step
from .reconcile import received, wait_until_settled
from .show import print_balances, print_table


def main() -> int:
    """Polls the day, waits until it is in the warehouse, and shows it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with YYYY-MM-DD.csv or .csv.gz files")
    parser.add_argument("--date", required=True, help="the business date")
    parser.add_argument("--shop", default=SHOP_ID)
    options = parser.parse_args()
    files = [options.data / f"{options.date}.csv{ending}" for ending in ("", ".gz")]
    if not any(file.exists() for file in files):
        raise SystemExit(f"expected {files[0]} or {files[1].name}: no such file; DATA names the folder, DATE the day")
    cloud = Cloud.recorded(STATE)
    if not cloud.is_up():
        raise SystemExit("the demo does not run: start it with `make demo`")
    pipeline = Pipeline(cloud, target_dir() / "debug", Pipeline.terraform(cloud).outputs())

    totals = received(pipeline).get("control_totals", 0)
    with pipeline.pos_api("--csv", str(options.data)) as api, step(f"poll the sales of {options.date}"):
        pipeline.run_pos_connector(options.shop, api, options.date)
    with step("wait until the warehouse has the day"):
        # The connector sends its control total last, so where that is, all rows are.
        balances = wait_until_settled(pipeline, {"control_totals": totals + 1})
    print_table(
        pipeline,
        f"net sales of {options.shop} by region on {options.date}",
        "select region, currency, sum(net_sales) net_sales, sum(units_sold) units_sold, sum(units_returned) units_returned"
        f" from sales.total_sales_by_region_product where business_date = '{options.date}' and shop_id = '{options.shop}'"
        " group by 1, 2 order by 3 desc",
    )
    print_balances(balances)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: the whole pipeline on this machine, fed with a shop's web traffic and two days of its sales."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .package import ROOT
from .pipeline import Cloud, Pipeline, Shop
from .progress import step
from .reconcile import received, wait_until_settled
from .show import print_balances, print_table

STATE = ROOT / ".local" / "demo"
ENVIRONMENT_FILE = ROOT / ".local" / "demo.env"
SHOP_ID = "acme"
WEB_EVENTS = 3000
SEED = 7


def main() -> int:
    """Runs the demo; it stays up afterwards."""
    cloud = Cloud(STATE)
    is_new = not cloud.is_up()
    pipeline = Pipeline.deploy(cloud)
    shop = pipeline.add_shop(SHOP_ID) if is_new else Shop(SHOP_ID, read_environment()["WEBHOOK_SECRET"])
    write_environment(pipeline, shop)

    today = datetime.now(UTC).date()
    before = received(pipeline)
    with step(f"post {WEB_EVENTS} signed web events"):
        sent = pipeline.send_web_events(shop, "--seed", str(SEED), "--events", str(WEB_EVENTS), "--date", str(today))
    days = [str(today - timedelta(days=age)) for age in (2, 1)]
    with pipeline.pos_api("--seed", str(SEED)) as api:
        for day in days:
            with step(f"poll the sales of {day}"):
                pipeline.run_pos_connector(shop.shop_id, api, day)
    with step("wait until the warehouse has the KPIs"):
        # A connector sends its control total last, so where that is, all rows are.
        new = {"web_traffic": sent["accepted"], "control_totals": len(days)}
        balances = wait_until_settled(pipeline, {dataset: before.get(dataset, 0) + count for dataset, count in new.items()})

    print_table(
        pipeline,
        "sales.total_sales_by_region_product",
        "select business_date, region, currency, sum(gross_sales) gross_sales, sum(discounts) discounts, sum(net_sales) net_sales,"
        " sum(units_sold) units_sold, sum(units_returned) units_returned, count(*) products"
        " from sales.total_sales_by_region_product group by 1, 2, 3 order by 1, 2, 3",
    )
    print_table(
        pipeline, "marketing.session_duration_bounce_rate", "select * from marketing.session_duration_bounce_rate order by 1, 2"
    )
    print_balances(balances)
    print_connections(pipeline, shop)
    return 0 if all(balance.holds for balance in balances) else 1


def read_environment(file: Path = ENVIRONMENT_FILE) -> dict[str, str]:
    """What the demo has written for scripts."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def write_environment(pipeline: Pipeline, shop: Shop) -> None:
    """Writes what a script needs to use the running demo."""
    values = {
        "API_URL": pipeline.api_url,
        "SHOP_ID": shop.shop_id,
        "WEBHOOK_SECRET": shop.webhook_secret,
        "WAREHOUSE_URL": pipeline.cloud.warehouse_url,
        "AWS_ENDPOINT_URL": pipeline.cloud.endpoint,
    }
    ENVIRONMENT_FILE.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    ENVIRONMENT_FILE.chmod(0o600)


def print_connections(pipeline: Pipeline, shop: Shop) -> None:
    """Says how to go on from here, in lines that can be pasted."""
    print(f"""
The pipeline is up; `make down` stops it. Written to {ENVIRONMENT_FILE.relative_to(ROOT)}:
  API        {pipeline.api_url}
  warehouse  {pipeline.cloud.warehouse_url}

Send an event of your own (paste into bash):
  set -a; . {ENVIRONMENT_FILE.relative_to(ROOT)}; set +a
  body='{{"event_id":"'$(cat /proc/sys/kernel/random/uuid)'","session_id":"s-1","visitor_id":"v-1","event_type":"page_view","occurred_at":"'$(date -u +%FT%TZ)'","page_url":"https://shop.example/","device":{{"type":"desktop","os":"Linux","browser":"Firefox"}}}}'
  id=msg_$RANDOM$RANDOM; now=$(date +%s); key=$(printf %s "${{WEBHOOK_SECRET#whsec_}}" | base64 -d | od -An -tx1 | tr -d ' \\n')
  signature=v1,$(printf %s "$id.$now.$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary | base64)
  curl -sS "$API_URL/v1/events/web_traffic" -H "content-type: application/json" -H "x-shop-id: $SHOP_ID" -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: $signature" -d "$body"

Ask the warehouse, as a BI tool would:
  psql "{pipeline.cloud.warehouse_url}" -c 'select * from marketing.session_duration_bounce_rate order by 1, 2'
""")


if __name__ == "__main__":
    sys.exit(main())

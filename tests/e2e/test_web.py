"""Web events through the signed webhook, compared with a DuckDB query of the same events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from dev.pipeline import Pipeline, Shop, wait_until

from .reconcile import reconcile
from .webhook import page_view, send

TABLE = "marketing.session_duration_bounce_rate"
TODAY = datetime.now(UTC).date()

# A second definition of the KPI: a session is a session_id, split after more than 30 minutes
# without an event; it belongs to the day of its start; a bounce is a session of one view.
SESSIONS = """
with events as (
    select distinct
        event_id, session_id, event_type,
        cast(occurred_at as timestamptz) at time zone 'UTC' as occurred_at
    from read_json('{file}', columns = {{
        event_id: 'varchar', session_id: 'varchar', event_type: 'varchar', occurred_at: 'varchar'
    }})
),
starts as (
    select
        *, coalesce(occurred_at - lag(occurred_at) over w > interval 30 minutes, true) as is_start
    from events
    window w as (partition by session_id order by occurred_at, event_id)
),
numbered as (
    select
        *,
        count(*) filter (is_start) over (
            partition by session_id order by occurred_at, event_id rows unbounded preceding
        ) as number
    from starts
),
sessions as (
    select
        cast(min(occurred_at) as date) as day,
        epoch_us(max(occurred_at)) - epoch_us(min(occurred_at)) as us,
        count(*) = 1 and bool_and(event_type in ('page_view', 'product_view')) as is_bounce
    from numbered
    group by session_id, number
)
select
    day,
    count(*),
    avg(us) / 1e6,
    quantile_cont(cast(us as double), 0.5) / 1e6,
    count(*) filter (is_bounce),
    count(*) filter (is_bounce) / count(*)
from sessions
group by day
order by day
"""


def kpis(pipeline: Pipeline, shop: Shop) -> list[tuple]:
    """Returns the shop's rows in the warehouse."""
    if not pipeline.has_table(TABLE):
        return []
    return pipeline.query(
        f"""select session_date, sessions, average_duration_seconds, median_duration_seconds,
            bounces, bounce_rate
        from {TABLE} where shop_id = %s order by 1""",
        shop.shop_id,
    )


def equal(got: list[tuple], want: list[tuple]) -> bool:
    """Compares rows, with seconds and rates to nine digits."""
    same_days = [row[0] for row in got] == [row[0] for row in want]
    return same_days and all(
        g[1:] == pytest.approx(w[1:], rel=1e-9) for g, w in zip(got, want, strict=True)
    )


@pytest.fixture(scope="module")
def sent(
    pipeline: Pipeline, shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict]:
    """Sends traffic with sessions past midnight, late and repeated events, and invalid ones."""
    file = tmp_path_factory.mktemp("web") / "accepted.ndjson"
    arguments = (
        "--seed",
        "3",
        "--events",
        "4000",
        "--date",
        str(TODAY - timedelta(days=1)),
        "--out",
        str(file),
    )
    return file, pipeline.send_web_events(shop, *arguments)


def test_session_kpis_equal_an_independent_query(
    pipeline: Pipeline, shop: Shop, sent: tuple[Path, dict]
) -> None:
    want = duckdb.sql(SESSIONS.format(file=sent[0])).fetchall()
    assert len(want) >= 2, "the traffic must cross midnight"
    wait_until(f"the KPIs equal {want}", lambda: equal(kpis(pipeline, shop), want), 180)


def test_only_invalid_events_were_rejected(sent: tuple[Path, dict]) -> None:
    summary = sent[1]
    assert summary["rejected"] > 0
    assert summary["accepted"] == len(sent[0].read_text().splitlines())


def test_every_accepted_event_is_accounted_for(pipeline: Pipeline, sent: tuple[Path, dict]) -> None:
    def balance():
        return next(b for b in reconcile(pipeline) if b.dataset == "web_traffic")

    wait_until(
        "everything has arrived",
        lambda: balance().received >= sent[1]["accepted"] and balance().holds,
    )
    assert balance().duplicates > 0


def test_the_same_batch_sent_twice_changes_no_kpi(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("twice")
    events = [page_view("s-1", f"{TODAY}T00:0{minute}:00Z") for minute in range(5)]
    send(pipeline, shop, "web_traffic", events, webhook_id="msg_twice")
    want = [(TODAY, 1, 240.0, 240.0, 0, 0.0)]
    wait_until("the session is in the warehouse", lambda: kpis(pipeline, shop) == want)
    duplicates = duplicates_of(pipeline)

    assert send(pipeline, shop, "web_traffic", events, webhook_id="msg_twice")["accepted"] == 5

    wait_until("the second copy is in silver", lambda: duplicates_of(pipeline) >= duplicates + 5)
    pipeline.wait_until_idle()
    assert kpis(pipeline, shop) == want


def test_a_late_event_changes_exactly_its_day(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("late")
    days = [TODAY - timedelta(days=age) for age in range(20, 14, -1)]
    for day in days:
        send(pipeline, shop, "web_traffic", page_view(f"s-{day}", f"{day}T12:00:00Z"))
    want = {day: (day, 1, 0.0, 0.0, 1, 1.0) for day in days}
    wait_until("six days are in the warehouse", lambda: kpis(pipeline, shop) == list(want.values()))
    pipeline.wait_until_idle()
    versions = sessions_versions(pipeline)

    late = days[2]
    send(pipeline, shop, "web_traffic", page_view(f"s-{late}", f"{late}T12:10:00Z"))

    want[late] = (late, 1, 600.0, 600.0, 0, 0.0)
    wait_until("the late event counts", lambda: kpis(pipeline, shop) == list(want.values()))
    pipeline.wait_until_idle()
    after = sessions_versions(pipeline)
    assert {day for day in after if after[day] != versions.get(day)} == {str(late)}


def sessions_versions(pipeline: Pipeline) -> dict[str, int]:
    """Returns the gold version of every day of the session KPIs."""
    model = TABLE.partition(".")[2]
    return {
        day: version for (name, day), version in pipeline.gold_versions().items() if name == model
    }


def duplicates_of(pipeline: Pipeline) -> int:
    """Counts web events in silver that repeat a key."""
    return next((b.duplicates for b in reconcile(pipeline) if b.dataset == "web_traffic"), 0)

"""A dataset that is a schema file, a SQL model and a view (`new_dataset/`), and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dev.pipeline import Pipeline, Shop, wait_until

from .webhook import send

DAY = datetime.now(UTC).date() - timedelta(days=9)


def test_a_new_dataset_flows_from_post_to_warehouse(pipeline: Pipeline, shop: Shop) -> None:
    signups = [
        {
            "signup_id": f"n-{n}",
            "list": ("weekly", "offers")[n % 2],
            "signed_up_at": f"{DAY}T10:00:00Z",
            "contact": {"email": f"{n // 2}@example.com"},
        }
        for n in (0, 1, 2, 2)
    ]
    send(pipeline, shop, "newsletter_signups", signups)
    table = "marketing.newsletter_signups_by_list"
    wait_until("its table exists", lambda: pipeline.has_table(table))
    want = [(shop.shop_id, DAY, "offers", 1, 1), (shop.shop_id, DAY, "weekly", 2, 2)]
    rows = wait_until(
        "it has rows",
        lambda: pipeline.query(
            f"select shop_id, day, list, signups, people from {table} order by list"
        ),
    )
    assert rows == want
    view = "marketing.newsletter_signups_by_month"
    monthly = pipeline.query(
        f"select shop_id, month, list, signups, signups_per_day from {view} order by list"
    )
    month = DAY.replace(day=1)
    assert monthly == [
        (shop.shop_id, month, "offers", 1, 1.0),
        (shop.shop_id, month, "weekly", 2, 2.0),
    ]
    remarks = pipeline.query(
        "select remarks from svv_columns"
        " where table_schema || '.' || table_name = %s order by ordinal_position",
        table,
    )
    described = ["The shop.", "The day of the signups (UTC).", "The newsletter."]
    assert [text for (text,) in remarks] == [*described, "Signups.", "Distinct addresses."]

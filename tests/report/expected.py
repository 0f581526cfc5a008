"""What the report has to show, asked of the warehouse in queries of their own.

They are written in PostgreSQL's dialect, apart from the report's, which are Redshift's too."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg

# Each query gives rows of (key, value); keys name a headline within its shop. {day} is the newest
# whole day of the table: today, which is not over, only where there is no other.
HEADLINES = {
    "sales.total_sales_by_region_product": """
        select 'sales-net-' || currency,
            (array_agg(net order by business_date >= %(today)s, business_date desc))[1] from (
            select currency, business_date, sum(net_sales) as net from {table}
            where shop_id = %(shop)s and business_date >= {day} - 29 group by 1, 2) d
        group by currency
        union all select 'sales-units', sum(units_sold) from {table} where shop_id = %(shop)s
            and business_date = {day}
        having count(*) > 0""",
    "sales.stock_availability": """
        select 'sales-availability', sum(availability_rate * snapshots) / sum(snapshots)
            from {table}
        where shop_id = %(shop)s and stock_date = {day} having count(*) > 0""",
    "sales.product_turnover_rate": """
        select 'sales-turnover',
            sum(units_sold_30d) filter (where turnover_rate > -1) / sum(average_on_hand_30d)
                filter (where turnover_rate > -1)
        from {table} where shop_id = %(shop)s and business_date = {day} having count(*) > 0""",
    "marketing.session_duration_bounce_rate": """
        select unnest(array['marketing-sessions', 'marketing-duration', 'marketing-bounce']),
            unnest(array[sessions, median_duration_seconds, bounce_rate])
        from {table} where shop_id = %(shop)s and session_date = {day}""",
    "marketing.loyalty_activity_rate": """
        select 'marketing-loyalty', loyalty_activity_rate from {table} where shop_id = %(shop)s
            and activity_date = {day}""",
    "marketing.customer_engagement_score": """
        select 'marketing-engaged', count(distinct customer_id) from {table}
        where shop_id = %(shop)s and activity_date = {day} having count(*) > 0""",
    "operations.stockout_alerts": """
        select 'operations-' || wanted, (select count(*) from (
                select distinct on (location_id, product_id) state, ended_at from {table}
                    where shop_id = %(shop)s
                order by location_id, product_id, started_at desc) newest where state = wanted
                    and ended_at is null)
        from unnest(array['out', 'low']) wanted where exists (select from {table}
            where shop_id = %(shop)s)""",
    "operations.inventory_turnover": """
        select distinct on (currency) 'operations-turnover-' || currency, turnover from {table}
        where shop_id = %(shop)s and business_date >= {day} - 29
        order by currency, business_date >= %(today)s, business_date desc""",
    "operations.restock_frequency": """
        select 'operations-restocks', sum(restocks_30d) from {table} where shop_id = %(shop)s
            and stock_date = {day}
        having count(*) > 0
        union all select 'operations-between',
            sum(mean_days_between * (restocks_30d - 1)) / sum(restocks_30d - 1)
                filter (where mean_days_between >= 0)
        from {table} where shop_id = %(shop)s and stock_date = {day} having count(*) > 0""",
    "support.feedback_score": """
        select unnest(array['support-csat', 'support-rating']),
            unnest(array[sum(satisfied)::numeric / sum(responses),
                (sum(average_rating * responses) / sum(responses))::numeric])
        from {table} where shop_id = %(shop)s and interaction_date = {day} having count(*) > 0""",
    "support.interaction_volume_by_type": """
        select 'support-interactions', sum(interactions) from {table}
        where shop_id = %(shop)s and interaction_date = {day} having count(*) > 0""",
    "support.time_to_resolution": """
        select unnest(array['support-resolution', 'support-p90', 'support-open']),
            unnest(array[median_hours, p90_hours, open_tickets])
        from {table} where shop_id = %(shop)s and resolution_date = {day}""",
    "finance.revenue_by_region": """
        with last as (
            select distinct on (currency) currency, sum(net_revenue) over w as net,
                sum(gross_margin) over w as margin
            from {table}
            where shop_id = %(shop)s and business_date >= {day} - 29
            window w as (partition by currency, business_date)
            order by currency, business_date >= %(today)s, business_date desc)
        select 'finance-revenue-' || currency, net from last
        union all select 'finance-margin-' || currency, margin from last
        union all select 'finance-share-' || currency, case when net > 0 then margin / net end
            from last""",
}

# Each query gives rows of (chart's key, label, series, value).
CHARTS = {
    "sales.total_sales_by_region_product": """
        select 'sales-net-chart-' || currency, business_date::text, 'Net sales', sum(net_sales)
            from {table}
        where shop_id = %(shop)s and business_date >= {day} - 29 group by currency,
            business_date""",
    "sales.stock_availability": """
        select 'sales-availability-chart', stock_date::text, 'Stock availability',
            sum(availability_rate * snapshots) / sum(snapshots)
        from {table} where shop_id = %(shop)s and stock_date >= {day} - 29 group by stock_date""",
    "marketing.session_duration_bounce_rate": """
        select 'marketing-sessions-chart', session_date::text, 'Sessions', sessions from {table}
        where shop_id = %(shop)s and session_date >= {day} - 29
        union all
        select 'marketing-bounce-chart', session_date::text, 'Bounce rate', bounce_rate from {table}
        where shop_id = %(shop)s and session_date >= {day} - 29""",
    "marketing.loyalty_activity_rate": """
        select 'marketing-loyalty-chart', activity_date::text, 'Loyalty activity',
            loyalty_activity_rate from {table}
        where shop_id = %(shop)s and activity_date >= {day} - 29""",
    "marketing.customer_engagement_score": """
        select 'marketing-score-chart', activity_date::text, 'Engagement score', sum(score)
            from {table}
        where shop_id = %(shop)s and activity_date >= {day} - 29 group by activity_date""",
    "operations.stockout_alerts": """
        select 'operations-alerts-chart', alert_date::text, state, count(*) from {table}
        where shop_id = %(shop)s and alert_date >= {day} - 29 group by alert_date, state""",
    "operations.inventory_turnover": """
        select 'operations-turnover-chart-' || currency, business_date::text, 'Inventory turnover',
            turnover from {table}
        where shop_id = %(shop)s and business_date >= {day} - 29""",
    "operations.restock_frequency": """
        select 'operations-restocks-chart', stock_date::text, 'Restocks', sum(restocks_30d)
            from {table}
        where shop_id = %(shop)s and stock_date >= {day} - 29 group by stock_date""",
    "support.feedback_score": """
        select 'support-csat-chart', interaction_date::text, 'Satisfied customers',
            sum(satisfied)::numeric / sum(responses) from {table}
        where shop_id = %(shop)s and interaction_date >= {day} - 29 group by interaction_date""",
    "support.interaction_volume_by_type": """
        select 'support-interactions-chart', interaction_date::text, channel, sum(interactions)
            from {table}
        where shop_id = %(shop)s and interaction_date >= {day} - 29 group by interaction_date,
            channel""",
    "support.time_to_resolution": """
        select 'support-resolution-chart', resolution_date::text, kind, hours from {table},
            lateral (values ('median', median_hours), ('90th percentile', p90_hours)) as k
                (kind, hours)
        where shop_id = %(shop)s and resolution_date >= {day} - 29
        union all
        select 'support-ages-chart', age, 'open tickets', tickets from {table}, lateral (values
            ('under 1 day', open_under_1_day), ('1 to 3 days', open_1_to_3_days),
            ('3 to 7 days', open_3_to_7_days),
            ('over 7 days', open_over_7_days)) as a (age, tickets)
        where shop_id = %(shop)s and resolution_date = {day}""",
    # Six colours at most: where there are more regions, the five largest and the sum of the others.
    "finance.revenue_by_region": """
        with days as (select * from {table} where shop_id = %(shop)s
            and business_date >= {day} - 29),
        ranks as (
            select currency, region, row_number() over (partition by currency
                order by sum(net_revenue) desc,
            region collate "C") as place,
                count(*) over (partition by currency) as regions
            from days group by currency, region)
        select 'finance-revenue-chart-' || currency, business_date::text,
            case when regions <= 6 or place <= 5 then region else 'all others' end, sum(net_revenue)
        from days join ranks using (currency, region) group by 1, 2, 3
        union all
        select 'finance-margin-chart-' || currency, business_date::text, 'Gross margin',
            sum(gross_margin) from days
        group by currency, business_date""",
}
# Each query gives rows of (table's key, cells as text ...), in the order of the table.
TABLES = {
    "sales.total_sales_by_region_product": """
        select 'sales-products-' || currency, product_id, net::text, sold::text, returned::text
            from (
            select currency, product_id, sum(net_sales) as net, sum(units_sold) as sold,
                sum(units_returned) as returned,
                row_number() over (partition by currency order by sum(net_sales) desc,
                    product_id) as place
            from {table}
            where shop_id = %(shop)s and business_date between {day} - 29 and {day}
            group by currency, product_id) p
        where place <= 10 order by currency, place""",
    "sales.product_turnover_rate": """
        select 'sales-fast', product_id, units_sold_30d::text, average_on_hand_30d::text,
            turnover_rate::text from {table} t
        where shop_id = %(shop)s and business_date = {day} and turnover_rate > -1
        order by t.turnover_rate desc, product_id limit 10""",
    "marketing.customer_engagement_score": """
        select 'marketing-customers', score_rank::text, customer_id, score::text, events::text
            from {table} t
        where shop_id = %(shop)s and activity_date = {day} order by t.score_rank,
            customer_id limit 10""",
    "operations.stockout_alerts": """
        select 'operations-open', product_id, location_id, state, to_char(started_at,
            'YYYY-MM-DD HH24:MI'), available::text
        from (
            select distinct on (location_id, product_id) * from {table} where shop_id = %(shop)s
            order by location_id, product_id, started_at desc) newest
        where ended_at is null order by state desc, started_at, product_id, location_id""",
    "support.interaction_volume_by_type": """
        select 'support-types', interaction_type, channel, sum(interactions)::text from {table}
        where shop_id = %(shop)s and interaction_date between {day} - 29 and {day}
        group by interaction_type, channel
        order by sum(interactions) desc, interaction_type, channel limit 10""",
    "finance.revenue_by_region": """
        select 'finance-regions', region, currency, sum(gross_sales)::text, sum(returns)::text,
            sum(discounts)::text,
            sum(net_revenue)::text, sum(cost_of_goods)::text, sum(gross_margin)::text
        from {table} where shop_id = %(shop)s and business_date between {day} - 29 and {day}
        group by region, currency
        order by currency, sum(net_revenue) desc, region""",
}
DAYS = {
    "sales.stock_availability": "stock_date",
    "marketing.session_duration_bounce_rate": "session_date",
    "marketing.loyalty_activity_rate": "activity_date",
    "marketing.customer_engagement_score": "activity_date",
    "operations.stockout_alerts": "alert_date",
    "operations.restock_frequency": "stock_date",
    "support.feedback_score": "interaction_date",
    "support.interaction_volume_by_type": "interaction_date",
    "support.time_to_resolution": "resolution_date",
}


def shops(connection: psycopg.Connection) -> list[str]:
    """The tenants that have any KPI."""
    found = {
        shop
        for table in HEADLINES
        if _exists(connection, table)
        for (shop,) in connection.execute(f"select shop_id from {table}")
    }
    return sorted(found)


def headlines(connection: psycopg.Connection, shop: str, today: date) -> dict[str, Any]:
    """Every headline number of a shop."""
    return {
        key: value
        for query in HEADLINES.items()
        for key, value in _ask(connection, *query, shop, today)
    }


def charts(
    connection: psycopg.Connection, shop: str, today: date
) -> dict[str, dict[tuple[str, str], Any]]:
    """Every chart of a shop: value by label and series, those that are not known included."""
    found: dict[str, dict[tuple[str, str], Any]] = {}
    for query in CHARTS.items():
        for key, label, series, value in _ask(connection, *query, shop, today):
            found.setdefault(key, {})[label, series] = value
    return found


def tables(
    connection: psycopg.Connection, shop: str, today: date
) -> dict[str, list[tuple[str, ...]]]:
    """The rows of a shop's tables: their first cells, as text."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for query in TABLES.items():
        for key, *cells in _ask(connection, *query, shop, today):
            found.setdefault(key, []).append(tuple(cells))
    return found


def _ask(
    connection: psycopg.Connection, table: str, query: str, shop: str, today: date
) -> list[tuple]:
    if not _exists(connection, table):
        return []
    column = DAYS.get(table, "business_date")
    whole = f"select max({column}) from {table} where shop_id = %(shop)s and {column} < %(today)s"
    day = f"coalesce(({whole}), (select max({column}) from {table} where shop_id = %(shop)s))"
    return connection.execute(
        query.format(table=table, day=day), {"shop": shop, "today": today}
    ).fetchall()


def _exists(connection: psycopg.Connection, table: str) -> bool:
    return connection.execute("select to_regclass(%s) is not null", [table]).fetchone()[0]

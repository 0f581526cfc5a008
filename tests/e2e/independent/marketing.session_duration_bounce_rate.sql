-- key: shop_id, session_date
-- A session is a session_id, split where more than 30 minutes pass without an event; it belongs to the day it started on;
-- a bounce is one view and nothing else.
with starts as (
    select *, coalesce(occurred_at - lag(occurred_at) over moments > interval 30 minutes, true) as is_start
    from web_traffic
    window moments as (partition by shop_id, session_id order by occurred_at, event_id)
),
numbered as (
    select
        *,
        count(*) filter (is_start)
            over (partition by shop_id, session_id order by occurred_at, event_id rows unbounded preceding) as number
    from starts
),
sessions as (
    select
        shop_id,
        cast(min(occurred_at) as date) as session_date,
        epoch_us(max(occurred_at)) - epoch_us(min(occurred_at)) as microseconds,
        count(*) = 1 and bool_and(event_type in ('page_view', 'product_view')) as is_bounce
    from numbered
    group by shop_id, session_id, number
)
select
    shop_id,
    session_date,
    count(*) as sessions,
    sum(microseconds) / count(*) / 1e6 as average_duration_seconds,
    quantile_cont(cast(microseconds as double), 0.5) / 1e6 as median_duration_seconds,
    count(*) filter (is_bounce) as bounces,
    count(*) filter (is_bounce) / count(*) as bounce_rate
from sessions
group by all

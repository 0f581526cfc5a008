-- key: shop_id, session_date
-- A session is a session_id, split after more than 30 minutes without an event, and 24 hours after
-- its start. A session that lasts for a whole UTC day is split at midnights instead. A session
-- belongs to the day of its start. A bounce is a session of one view.
with starts as (
    select
        *,
        coalesce(occurred_at - lag(occurred_at) over moments > interval 30 minutes, true)
            as is_start
    from web_traffic
    window moments as (partition by shop_id, session_id order by occurred_at, event_id)
),
numbered as (
    select
        *,
        count(*) filter (is_start)
            over (
                partition by shop_id, session_id order by occurred_at, event_id
                rows unbounded preceding
            ) as number
    from starts
),
timed as (
    select
        *,
        min(occurred_at) over (partition by shop_id, session_id, number) as began_at
    from numbered
),
parts as (
    select
        *,
        case
            when datediff('day', began_at, occurred_at) > 1
                then strftime(occurred_at, 'on %Y-%m-%d')
            when occurred_at < began_at + interval 24 hours then 'first'
            else 'second'
        end as part
    from timed
),
sessions as (
    select
        shop_id,
        cast(min(occurred_at) as date) as session_date,
        epoch_us(max(occurred_at)) - epoch_us(min(occurred_at)) as microseconds,
        count(*) = 1 and bool_and(event_type in ('page_view', 'product_view')) as is_bounce
    from parts
    group by shop_id, session_id, number, part
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

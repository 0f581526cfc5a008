-- grain = "one row per shop and day on which sessions started"
-- key = ["shop_id", "session_date"]
-- partition = "session_date"
-- inputs = ["silver.web_traffic"]
-- lookback_days = 2    # whether an activity has gone on since the midnight before the day
-- lookahead_days = 1   # a session belongs wholly to the day on which it started, even past midnight
-- every_seconds = 20
-- warehouse = "marketing.session_duration_bounce_rate"

-- A session is a session_id, split after 30 minutes without an event. It ends after 24 hours at the
-- latest, so that a robot or a screen on a wall, which never pauses, has a session a day, and so
-- that no row depends on events of long ago:
--   - an activity (events of a session_id without a pause of more than 30 minutes) is cut 24 hours
--     after its first event;
--   - once it has gone on for a whole UTC day, midnight to midnight, it is cut at each midnight.
-- So an activity of less than 24 hours is one session, also past midnight, and each event is in
-- one. Durations are summed as whole microseconds, so that the order of the sum does not matter.

with events as (
    select
        shop_id,
        session_id,
        event_id,
        event_type,
        occurred_at,
        lag(occurred_at) over (
            partition by shop_id, session_id
            order by occurred_at, event_id
        ) as previous_at
    from silver.web_traffic
),

numbered_events as (
    select
        shop_id,
        session_id,
        event_type,
        occurred_at,
        sum(case when previous_at is null or occurred_at > previous_at + interval '30' minute then 1 else 0 end) over (
            partition by shop_id, session_id
            order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as activity_number
    from events
),

activities as (
    select
        shop_id,
        session_id,
        event_type,
        occurred_at,
        activity_number,
        cast(occurred_at as date) as event_date,
        min(occurred_at) over (partition by shop_id, session_id, activity_number) as activity_start
    from numbered_events
),

-- An activity with an event on the day before yesterday, as far back as a day looks, has gone on
-- for all of yesterday. How much longer than that does not matter.
session_events as (
    select
        shop_id,
        session_id,
        event_type,
        occurred_at,
        activity_number,
        case
            when cast(activity_start as date) < cast(event_date - interval '1' day as date)
                then unix_micros(cast(event_date as timestamp))
            when unix_micros(occurred_at) - unix_micros(activity_start) >= 86400000000
                then unix_micros(activity_start) + 86400000000
            else unix_micros(activity_start)
        end as session_start_us
    from activities
),

sessions as (
    select
        shop_id,
        session_id,
        activity_number,
        session_start_us,
        cast(min(occurred_at) as date) as session_date,
        unix_micros(max(occurred_at)) - unix_micros(min(occurred_at)) as duration_us,
        case
            when count(*) = 1 and min(event_type) in ('page_view', 'product_view') then 1
            else 0
        end as bounce
    from session_events
    group by
        shop_id,
        session_id,
        activity_number,
        session_start_us
),

ranked as (
    select
        shop_id,
        session_date,
        duration_us,
        bounce,
        cast(
            row_number() over (
                partition by shop_id, session_date
                order by duration_us
            ) as bigint
        ) as place,
        count(*) over (partition by shop_id, session_date) as places
    from sessions
),

-- the median is the mean of what stands in the middle, which is one session or two
middles as (
    select
        shop_id,
        session_date,
        duration_us,
        bounce,
        case when 2 * place between places and places + 2 then 1 else 0 end as middle
    from ranked
),

days as (
    select
        shop_id,
        session_date,
        count(*) as sessions,
        sum(duration_us) as total_us,
        sum(middle * duration_us) as middle_us,
        sum(middle) as middles,
        sum(bounce) as bounces
    from middles
    group by
        shop_id,
        session_date
),

final as (
    select
        shop_id,
        session_date,
        sessions,
        cast(total_us as double) / nullif(cast(sessions * 1000000 as double), 0) as average_duration_seconds,
        cast(middle_us as double) / nullif(cast(middles * 1000000 as double), 0) as median_duration_seconds,
        bounces,
        cast(bounces as double) / nullif(cast(sessions as double), 0) as bounce_rate
    from days
)

select
    shop_id,
    session_date,
    sessions,
    average_duration_seconds,
    median_duration_seconds,
    bounces,
    bounce_rate
from final

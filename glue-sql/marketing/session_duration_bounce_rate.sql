-- grain = "one row per shop and day on which sessions started"
-- key = ["shop_id", "session_date"]
-- partition = "session_date"
-- inputs = ["silver.web_traffic"]
-- lookback_days = 2    # whether an activity has lasted since the midnight before the day
-- lookahead_days = 1   # a session past midnight belongs to the day on which it started
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- session_date = "The day on which the sessions started (UTC)."
-- sessions = "Sessions."
-- average_duration_seconds = "The average time from the first to the last event of a session."
-- median_duration_seconds = "The median of these times."
-- bounces = "Sessions with one event, a page or product view."
-- bounce_rate = "Bounces / sessions."
--
-- [checks]
-- not_null = ["sessions", "bounces", "average_duration_seconds", "median_duration_seconds"]
-- bounds = [
--     "sessions >= 1",
--     "bounces between 0 and sessions",
--     "average_duration_seconds >= 0 and average_duration_seconds < 86400",
--     "median_duration_seconds >= 0 and median_duration_seconds < 86400",
-- ]
-- reconciles = { bounce_rate = "cast(bounces as double) / nullif(cast(sessions as double), 0)" }

-- A session is the events of a session_id without a pause of more than 30 minutes, and at most 24
-- hours long. So a robot or a screen that never pauses has a session a day, and a row depends on
-- three days of events:
--   - an activity (events of a session_id without such a pause) is cut 24 hours after its first
--     event;
--   - an activity that has lasted a whole UTC day, midnight to midnight, is cut at each midnight.
-- An activity of less than 24 hours is one session, also past midnight, and each event belongs to
-- one session. Durations are added as whole microseconds, so that their order does not matter.

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
        sum(
            case
                when previous_at is null or occurred_at > previous_at + interval '30' minute then 1
                else 0
            end
        ) over (
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

-- An activity with an event on the day before yesterday has lasted for all of yesterday. How much
-- longer does not matter.
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

-- the median is the mean of the one or two sessions in the middle
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
        cast(total_us as double)
        / nullif(cast(sessions * 1000000 as double), 0) as average_duration_seconds,
        cast(middle_us as double)
        / nullif(cast(middles * 1000000 as double), 0) as median_duration_seconds,
        bounces,
        cast(bounces as double) / nullif(cast(sessions as double), 0) as bounce_rate
    from days
)

select *
from final

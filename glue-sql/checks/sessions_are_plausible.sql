-- model = "session_duration_bounce_rate"
-- severity = "warn"
-- description = "there are sessions, a rate that fits the bounces, and durations below 24 hours"

select
    shop_id,
    session_date,
    sessions,
    average_duration_seconds,
    median_duration_seconds,
    bounces,
    bounce_rate
from gold.session_duration_bounce_rate
where
    sessions is null
    or bounces is null
    or sessions < 1
    or bounces < 0
    or bounces > sessions
    or (bounce_rate is distinct from cast(bounces as double) / nullif(cast(sessions as double), 0))
    or average_duration_seconds is null
    or average_duration_seconds < 0
    or average_duration_seconds >= 86400
    or median_duration_seconds is null
    or median_duration_seconds < 0
    or median_duration_seconds >= 86400

-- grain = "one row per shop and day on which a ticket was opened, pending or resolved"
-- key = ["shop_id", "resolution_date"]
-- partition = "resolution_date"
-- inputs = ["gold.ticket_events"]
-- lookback_days = 90   # a ticket that was opened before is unknown
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- resolution_date = "The day (UTC)."
-- tickets_resolved = "Tickets resolved on the day."
-- average_hours = "The average hours from opening to resolution; null without a resolved ticket."
-- median_hours = "The median of these hours."
-- p90_hours = "The 90th percentile of these hours."
-- tickets_without_opening = "Tickets resolved on the day without an opening in the 90 days before."
-- open_tickets = "Tickets opened and not resolved by the end of the day."
-- open_under_1_day = "Open tickets of less than one day."
-- open_1_to_3_days = "Open tickets of one day or more, but less than three."
-- open_3_to_7_days = "Open tickets of three days or more, but less than seven."
-- open_over_7_days = "Open tickets of seven days or more."
--
-- [checks]
-- not_null = ["tickets_resolved", "tickets_without_opening"]
-- bounds = [
--     "tickets_without_opening >= 0",
--     "open_under_1_day >= 0",
--     "open_1_to_3_days >= 0",
--     "open_3_to_7_days >= 0",
--     "open_over_7_days >= 0",
--     """tickets_resolved > 0
--         or (average_hours is null and median_hours is null and p90_hours is null)""",
--     """tickets_resolved = 0
--         or (average_hours is not null and median_hours is not null and p90_hours is not null)""",
--     "average_hours >= 0",
--     "median_hours >= 0",
--     "p90_hours >= median_hours",
-- ]
--
-- [checks.reconciles]
-- open_tickets = "open_under_1_day + open_1_to_3_days + open_3_to_7_days + open_over_7_days"

-- All numbers are as of the end of the day, from the day and the 90 days before it.
--   - A ticket is opened at its first opening, and resolved at its first resolution at that time or
--     later. So the order of arrival does not matter, and a ticket that is opened again stays
--     resolved.
--   - A resolution without an opening before it resolves nothing, as its duration is unknown.
--   - The age of an open ticket is its age at the midnight after the day. Exactly one day is not
--     under one day.
--   - Percentiles interpolate linearly between the ranks next to q * (n - 1), with ranks from 0.
--     Weights are tenths, so that they are whole numbers: a rank weighs 10 less its distance from
--     that place, and 0 from a distance of 10 on. The weights of the two ranks add up to 10.

with days as (
    select
        shop_id,
        event_date as resolution_date
    from gold.ticket_events
    group by
        shop_id,
        event_date
),

events as (
    select
        days.shop_id,
        days.resolution_date,
        history.ticket_id,
        history.ticket_status,
        history.event_date,
        history.occurred_at,
        min(case when history.ticket_status = 'opened' then history.occurred_at end) over (
            partition by days.shop_id, days.resolution_date, history.ticket_id
        ) as opened_at
    from days
    inner join gold.ticket_events as history
        on
            days.shop_id = history.shop_id
            and history.event_date >= cast(days.resolution_date - interval '90' day as date)
            and history.event_date <= days.resolution_date
),

tickets as (
    select
        shop_id,
        resolution_date,
        ticket_id,
        min(opened_at) as opened_at,
        min(
            case when ticket_status = 'resolved' and occurred_at >= opened_at then occurred_at end
        ) as resolved_at,
        max(
            case
                when
                    ticket_status = 'resolved'
                    and event_date = resolution_date
                    and (opened_at is null or occurred_at < opened_at)
                    then 1
                else 0
            end
        ) as without_opening
    from events
    group by
        shop_id,
        resolution_date,
        ticket_id
),

measured as (
    select
        shop_id,
        resolution_date,
        without_opening,
        case
            when cast(resolved_at as date) = resolution_date
                then unix_micros(resolved_at) - unix_micros(opened_at)
        end as duration_us,
        case
            when opened_at is not null and resolved_at is null
                then
                    unix_micros(cast(cast(resolution_date + interval '1' day as date) as timestamp))
                    - unix_micros(opened_at)
        end as age_us
    from tickets
),

ranked as (
    select
        shop_id,
        resolution_date,
        without_opening,
        duration_us,
        age_us,
        -- ten times the rank; nulls are last, so that the durations have the ranks from 0
        10 * (
            cast(
                row_number() over (
                    partition by shop_id, resolution_date
                    order by duration_us nulls last
                ) as bigint
            ) - 1
        ) as place,
        count(duration_us) over (partition by shop_id, resolution_date) as durations
    from measured
),

weighted as (
    select
        shop_id,
        resolution_date,
        without_opening,
        duration_us,
        age_us,
        case
            when abs(place - 5 * (durations - 1)) < 10 then 10 - abs(place - 5 * (durations - 1))
            else 0
        end as median_weight,
        case
            when abs(place - 9 * (durations - 1)) < 10 then 10 - abs(place - 9 * (durations - 1))
            else 0
        end as p90_weight
    from ranked
),

totals as (
    select
        shop_id,
        resolution_date,
        count(duration_us) as tickets_resolved,
        -- a bigint holds the sum of only a million of the longest durations
        cast(sum(cast(duration_us as decimal(18, 0))) as decimal(38, 0)) as total_us,
        sum(duration_us * median_weight) as median_tenths_us,
        sum(duration_us * p90_weight) as p90_tenths_us,
        sum(without_opening) as tickets_without_opening,
        count(age_us) as open_tickets,
        sum(case when age_us < 86400000000 then 1 else 0 end) as open_under_1_day,
        sum(
            case when age_us >= 86400000000 and age_us < 259200000000 then 1 else 0 end
        ) as open_1_to_3_days,
        sum(
            case when age_us >= 259200000000 and age_us < 604800000000 then 1 else 0 end
        ) as open_3_to_7_days,
        sum(case when age_us >= 604800000000 then 1 else 0 end) as open_over_7_days
    from weighted
    group by
        shop_id,
        resolution_date
),

final as (
    select
        shop_id,
        resolution_date,
        tickets_resolved,
        cast(cast(total_us as string) as double)
        / nullif(cast(tickets_resolved * 3600000000 as double), 0) as average_hours,
        cast(median_tenths_us as double) / cast(36000000000 as double) as median_hours,
        cast(p90_tenths_us as double) / cast(36000000000 as double) as p90_hours,
        tickets_without_opening,
        open_tickets,
        open_under_1_day,
        open_1_to_3_days,
        open_3_to_7_days,
        open_over_7_days
    from totals
)

select *
from final

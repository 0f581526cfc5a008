-- grain = "one row per shop and day on which any ticket was opened, waited or was resolved"
-- key = ["shop_id", "resolution_date"]
-- partition = "resolution_date"
-- inputs = ["silver.ticket_events"]
-- lookback_days = 90   # a ticket that was opened longer ago is not known any more
-- every_seconds = 20
-- warehouse = "support.time_to_resolution"

-- Everything is as seen at the end of the day, from the 90 days before it and the day itself. A
-- ticket is opened when it was first said to be, and resolved when it was first said to be at that
-- time or later; so it does not matter in which order the two arrive, and a ticket that is opened
-- once more stays resolved. It counts on the day of its resolution. A resolution on the day that
-- has no opening at its time or before it is one without opening: it resolves nothing, as nobody
-- knows what it took. Open tickets are those that were opened and not resolved by the end of the
-- day, by their age at the midnight after it: exactly one day old is not under one day. Percentiles
-- interpolate linearly between the ranks next to q * (n - 1), ranks from 0. In tenths, so that they
-- are whole numbers: a rank weighs 10 less its distance from that place, and nothing from 10 on; of
-- the two ranks next to the place, the weights are 10 together.

with days as (
    select
        shop_id,
        event_date as resolution_date
    from silver.ticket_events
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
    inner join silver.ticket_events as history
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
        min(case when ticket_status = 'resolved' and occurred_at >= opened_at then occurred_at end) as resolved_at,
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
            when cast(resolved_at as date) = resolution_date then unix_micros(resolved_at) - unix_micros(opened_at)
        end as duration_us,
        case
            when opened_at is not null and resolved_at is null
                then unix_micros(cast(cast(resolution_date + interval '1' day as date) as timestamp)) - unix_micros(opened_at)
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
        -- ten times the rank; nulls come last, so that the durations have the ranks from 0
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
        -- a bigint holds only a million of the longest durations
        cast(sum(cast(duration_us as decimal(18, 0))) as decimal(38, 0)) as total_us,
        sum(duration_us * median_weight) as median_tenths_us,
        sum(duration_us * p90_weight) as p90_tenths_us,
        sum(without_opening) as tickets_without_opening,
        count(age_us) as open_tickets,
        sum(case when age_us < 86400000000 then 1 else 0 end) as open_under_1_day,
        sum(case when age_us >= 86400000000 and age_us < 259200000000 then 1 else 0 end) as open_1_to_3_days,
        sum(case when age_us >= 259200000000 and age_us < 604800000000 then 1 else 0 end) as open_3_to_7_days,
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

select
    shop_id,
    resolution_date,
    tickets_resolved,
    average_hours,
    median_hours,
    p90_hours,
    tickets_without_opening,
    open_tickets,
    open_under_1_day,
    open_1_to_3_days,
    open_3_to_7_days,
    open_over_7_days
from final

-- key: shop_id, resolution_date
-- Each day is computed from the events of that day and the 90 before it.
with ticket_events as (
    select shop_id, ticket_id, ticket_status as status, occurred_at
    from crm_interactions
    where ticket_id is not null and ticket_status is not null
),
days as (
    select distinct shop_id, cast(occurred_at as date) as day from ticket_events
),
known as (
    select days.day, events.*
    from days
    join ticket_events as events
        on events.shop_id = days.shop_id
        and cast(events.occurred_at as date) between days.day - 90 and days.day
),
opened as (
    select shop_id, day, ticket_id, min(occurred_at) as opened_at
    from known
    where status = 'opened'
    group by all
),
tickets as (
    select opened.*, min(known.occurred_at) as resolved_at
    from opened
    left join known
        on known.shop_id = opened.shop_id
        and known.day = opened.day
        and known.ticket_id = opened.ticket_id
        and known.status = 'resolved'
        and known.occurred_at >= opened.opened_at
    group by all
),
measured as (
    select
        *,
        cast(resolved_at as date) = day as is_resolved_today,
        (epoch_us(resolved_at) - epoch_us(opened_at)) / 3600e6 as hours,
        (epoch_us(cast(day + 1 as timestamp)) - epoch_us(opened_at)) / 86400e6 as age_in_days
    from tickets
),
figures as (
    select
        shop_id,
        day,
        count(*) filter (is_resolved_today) as tickets_resolved,
        avg(hours) filter (is_resolved_today) as average_hours,
        quantile_cont(hours, 0.5) filter (is_resolved_today) as median_hours,
        quantile_cont(hours, 0.9) filter (is_resolved_today) as p90_hours,
        count(*) filter (resolved_at is null) as open_tickets,
        count(*) filter (resolved_at is null and age_in_days < 1) as open_under_1_day,
        count(*) filter (resolved_at is null and age_in_days >= 1 and age_in_days < 3)
            as open_1_to_3_days,
        count(*) filter (resolved_at is null and age_in_days >= 3 and age_in_days < 7)
            as open_3_to_7_days,
        count(*) filter (resolved_at is null and age_in_days >= 7) as open_over_7_days
    from measured
    group by all
),
unexplained as (
    select shop_id, day, count(*) as tickets
    from (
        select shop_id, day, ticket_id, min(occurred_at) as resolved_at
        from known
        where status = 'resolved' and cast(occurred_at as date) = day
        group by all
    ) as resolutions
    where not exists (
        from opened
        where opened.shop_id = resolutions.shop_id
            and opened.day = resolutions.day
            and opened.ticket_id = resolutions.ticket_id
            and opened.opened_at <= resolutions.resolved_at
    )
    group by all
)
select
    shop_id,
    day as resolution_date,
    coalesce(tickets_resolved, 0) as tickets_resolved,
    average_hours,
    median_hours,
    p90_hours,
    coalesce(tickets, 0) as tickets_without_opening,
    coalesce(open_tickets, 0) as open_tickets,
    coalesce(open_under_1_day, 0) as open_under_1_day,
    coalesce(open_1_to_3_days, 0) as open_1_to_3_days,
    coalesce(open_3_to_7_days, 0) as open_3_to_7_days,
    coalesce(open_over_7_days, 0) as open_over_7_days
from days
left join figures using (shop_id, day)
left join unexplained using (shop_id, day)

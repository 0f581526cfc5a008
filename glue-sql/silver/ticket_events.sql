-- grain = "one row per shop, day, ticket, status and time at which the ticket came to have it"
-- key = ["shop_id", "event_date", "ticket_id", "ticket_status", "occurred_at"]
-- partition = "event_date"
-- inputs = ["silver.crm_interactions"]
-- every_seconds = 10

-- The few interactions that move a ticket, so that a quarter of a year of them is little to read.
-- Every time is kept, not only the first and the last of a day: which resolution counts depends on
-- when the ticket was opened, and that may lie between two of them.

with events as (
    select
        shop_id,
        cast(occurred_at as date) as event_date,
        ticket_id,
        ticket_status,
        occurred_at
    from silver.crm_interactions
    where
        ticket_id is not null
        and ticket_status is not null
),

times as (
    select
        shop_id,
        event_date,
        ticket_id,
        ticket_status,
        occurred_at,
        count(*) as interactions
    from events
    group by
        shop_id,
        event_date,
        ticket_id,
        ticket_status,
        occurred_at
)

select
    shop_id,
    event_date,
    ticket_id,
    ticket_status,
    occurred_at,
    interactions
from times

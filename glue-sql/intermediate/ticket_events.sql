-- grain = "one row per shop, day, ticket, status and time of an interaction with the status"
-- key = ["shop_id", "event_date", "ticket_id", "ticket_status", "occurred_at"]
-- partition = "event_date"
-- inputs = ["silver.crm_interactions"]
-- every_seconds = 10
--
-- [columns]
-- shop_id = "The shop."
-- event_date = "The day of the interaction (UTC)."
-- ticket_id = "The ticket."
-- ticket_status = "The status that the ticket got: opened, pending or resolved."
-- occurred_at = "The time of the interaction."
-- interactions = "Interactions that report this status at this time."
--
-- [checks]
-- not_null = ["interactions"]
-- bounds = ["interactions >= 1", "ticket_status in ('opened', 'pending', 'resolved')"]
-- reconciles = { event_date = "cast(occurred_at as date)" }

-- The few interactions that change a ticket, so that 90 days of them are fast to read. All times
-- are kept, not only the first and the last of a day: the resolution that counts is the first one
-- after the opening, which may be between the two.

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

select *
from times

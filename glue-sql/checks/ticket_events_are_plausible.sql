-- model = "ticket_events"
-- severity = "warn"
-- description = "a ticket's event is one of its day, was told by an interaction, and is one that is known"

select
    shop_id,
    event_date,
    ticket_id,
    ticket_status,
    occurred_at,
    interactions
from silver.ticket_events
where
    (cast(occurred_at as date) is distinct from event_date)
    or interactions is null
    or interactions < 1
    or ticket_status not in ('opened', 'pending', 'resolved')

-- grain = "one row per shop and day with a newsletter event"
-- key = ["shop_id", "event_date"]
-- partition = "event_date"
-- inputs = ["silver.newsletter_events"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- event_date = "The day of the events (UTC)."
-- subscriptions = "Subscriptions."
-- unsubscriptions = "Unsubscriptions."
-- net_subscriptions = "Subscriptions - unsubscriptions."
-- opens = "Times that a customer opened a newsletter."
-- opening_customers = "Distinct customers with an open. The numbers of several days do not add up."
--
-- [checks]
-- not_null = ["subscriptions", "unsubscriptions", "opens", "opening_customers"]
-- bounds = [
--     "subscriptions >= 0",
--     "unsubscriptions >= 0",
--     "subscriptions + unsubscriptions + opens >= 1",
--     "opening_customers between 0 and opens",
--     "opening_customers >= 1 or opens = 0",
-- ]
-- reconciles = { net_subscriptions = "subscriptions - unsubscriptions" }

with events as (
    select
        shop_id,
        cast(occurred_at as date) as event_date,
        event_type,
        case when event_type = 'open' then customer_id end as opening_customer
    from silver.newsletter_events
),

days as (
    select
        shop_id,
        event_date,
        sum(case when event_type = 'subscribe' then 1 else 0 end) as subscriptions,
        sum(case when event_type = 'unsubscribe' then 1 else 0 end) as unsubscriptions,
        sum(case when event_type = 'open' then 1 else 0 end) as opens,
        count(distinct opening_customer) as opening_customers
    from events
    group by
        shop_id,
        event_date
),

final as (
    select
        shop_id,
        event_date,
        subscriptions,
        unsubscriptions,
        subscriptions - unsubscriptions as net_subscriptions,
        opens,
        opening_customers
    from days
)

select *
from final

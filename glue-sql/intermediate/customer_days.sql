-- grain = "one row per shop, day and customer with a web event or an interaction"
-- key = ["shop_id", "activity_date", "customer_id"]
-- partition = "activity_date"
-- inputs = ["silver.web_traffic", "silver.crm_interactions"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- activity_date = "The day of the activity (UTC)."
-- customer_id = "The customer."
-- web_events = "Web events of the customer."
-- sessions = "Sessions, counted on each day that they reach."
-- web_purchases = "Web events of type purchase."
-- interactions = "CRM interactions."
-- complaints = "Interactions of type complaint."
-- loyalty_actions = "Interactions of type loyalty_signup, loyalty_earn or loyalty_redeem."
-- tickets = "Distinct tickets that were opened or opened again."
-- ratings = "Interactions with a rating."
-- rating_total = "The sum of the ratings."
--
-- [checks]
-- not_null = [
--     "web_events", "sessions", "web_purchases", "interactions", "complaints", "loyalty_actions",
--     "tickets", "ratings", "rating_total",
-- ]
-- bounds = [
--     "web_events >= 0",
--     "interactions >= 0",
--     "web_events + interactions >= 1",
--     "sessions between 0 and web_events",
--     "sessions >= 1 or web_events = 0",
--     "web_purchases between 0 and web_events",
--     "complaints >= 0",
--     "loyalty_actions >= 0",
--     "complaints + loyalty_actions <= interactions",
--     "tickets between 0 and interactions",
--     "ratings between 0 and interactions",
--     "rating_total between ratings and 5 * ratings",
-- ]

-- The part of a day that customer_features needs, so that it reads customers and not events. All
-- numbers add up over days. Events before a visitor signs in have no customer and do not count. A
-- session ends after 30 minutes without an event of the customer. A session past midnight counts
-- on both days, so that a day reads no other day.

with events as (
    select
        shop_id,
        cast(occurred_at as date) as activity_date,
        customer_id,
        session_id,
        event_id,
        event_type,
        occurred_at
    from silver.web_traffic
    where customer_id is not null
),

compared as (
    select
        shop_id,
        activity_date,
        customer_id,
        event_type,
        occurred_at,
        lag(occurred_at) over (
            partition by shop_id, activity_date, customer_id, session_id
            order by occurred_at, event_id
        ) as previous_at
    from events
),

activities as (
    select
        shop_id,
        activity_date,
        customer_id,
        1 as web_events,
        case
            when previous_at is null or occurred_at > previous_at + interval '30' minute then 1
            else 0
        end as sessions,
        case when event_type = 'purchase' then 1 else 0 end as web_purchases,
        0 as interactions,
        0 as complaints,
        0 as loyalty_actions,
        cast(null as string) as opened_ticket,
        cast(null as bigint) as rating
    from compared
    union all
    select
        shop_id,
        cast(occurred_at as date) as activity_date,
        customer_id,
        0 as web_events,
        0 as sessions,
        0 as web_purchases,
        1 as interactions,
        case when interaction_type = 'complaint' then 1 else 0 end as complaints,
        case
            when interaction_type in ('loyalty_signup', 'loyalty_earn', 'loyalty_redeem')
                then 1
            else 0
        end as loyalty_actions,
        case when ticket_status = 'opened' then ticket_id end as opened_ticket,
        rating
    from silver.crm_interactions
),

days as (
    select
        shop_id,
        activity_date,
        customer_id,
        sum(web_events) as web_events,
        sum(sessions) as sessions,
        sum(web_purchases) as web_purchases,
        sum(interactions) as interactions,
        sum(complaints) as complaints,
        sum(loyalty_actions) as loyalty_actions,
        count(distinct opened_ticket) as tickets,
        count(rating) as ratings,
        coalesce(sum(rating), 0) as rating_total
    from activities
    group by
        shop_id,
        activity_date,
        customer_id
)

select *
from days

-- grain = "one row per shop, day and customer who visited the site or was in touch with the shop on it"
-- key = ["shop_id", "activity_date", "customer_id"]
-- partition = "activity_date"
-- inputs = ["silver.web_traffic", "silver.crm_interactions"]
-- every_seconds = 60

-- What the features of a year need of a day, so that they read customers and not events. All
-- numbers add up over days. What a visitor did before signing in bears no customer, and does not
-- count. A session is split after 30 minutes without an event of the customer, and one that runs
-- past midnight counts on both days: so a day needs no other. A ticket that is opened again counts
-- once a day.

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
        case when previous_at is null or occurred_at > previous_at + interval '30' minute then 1 else 0 end as sessions,
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
        case when interaction_type in ('loyalty_signup', 'loyalty_earn', 'loyalty_redeem') then 1 else 0 end as loyalty_actions,
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

select
    shop_id,
    activity_date,
    customer_id,
    web_events,
    sessions,
    web_purchases,
    interactions,
    complaints,
    loyalty_actions,
    tickets,
    ratings,
    rating_total
from days

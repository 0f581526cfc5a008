-- Yesterday by shop and currency: revenue and margin, with sessions, bounce rate, satisfaction and
-- loyalty of the whole shop.

with revenue as (
    select
        shop_id,
        currency,
        sum(net_revenue) as net_revenue,
        sum(gross_margin) as gross_margin
    from ${gold}.revenue_by_region
    where business_date = current_date - interval '1' day
    group by
        shop_id,
        currency
),

feedback as (
    select
        shop_id,
        sum(responses) as responses,
        cast(sum(satisfied) as double) / nullif(sum(responses), 0) as csat
    from ${gold}.feedback_score
    where interaction_date = current_date - interval '1' day
    group by shop_id
),

web as (
    select
        shop_id,
        sessions,
        average_duration_seconds,
        bounce_rate
    from ${gold}.session_duration_bounce_rate
    where session_date = current_date - interval '1' day
),

loyalty as (
    select
        shop_id,
        active_customers,
        loyalty_activity_rate
    from ${gold}.loyalty_activity_rate
    where activity_date = current_date - interval '1' day
)

select
    coalesce(revenue.shop_id, feedback.shop_id, web.shop_id, loyalty.shop_id) as shop_id,
    revenue.currency,
    revenue.net_revenue,
    revenue.gross_margin,
    web.sessions,
    web.average_duration_seconds,
    web.bounce_rate,
    feedback.responses,
    feedback.csat,
    loyalty.active_customers,
    loyalty.loyalty_activity_rate
from revenue
full join feedback
on feedback.shop_id = revenue.shop_id
full join web
on web.shop_id = coalesce(revenue.shop_id, feedback.shop_id)
full join loyalty
on loyalty.shop_id = coalesce(revenue.shop_id, feedback.shop_id, web.shop_id)
order by
    shop_id,
    currency

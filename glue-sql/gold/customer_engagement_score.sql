-- grain = "one row per shop, day and customer who did something on it"
-- key = ["shop_id", "activity_date", "customer_id"]
-- partition = "activity_date"
-- inputs = ["silver.web_traffic", "silver.crm_interactions", "reference.engagement_weights"]
-- every_seconds = 20
-- warehouse = "marketing.customer_engagement_score"

-- What a customer did counts by the weights in reference/engagement_weights.csv: a web event by its
-- type, an interaction with the CRM as a loyalty_action if it is one of loyalty, else as a
-- crm_interaction. A shop's own weight of an activity counts there instead of the one of all shops
-- (*). An activity without any weight is counted and adds nothing to the score. What a visitor did
-- before signing in bears no customer, and does not count. Customers of the same score share a
-- rank, and the ranks after it are left out: 1, 2, 2, 4.

with activities as (
    select
        shop_id,
        cast(occurred_at as date) as activity_date,
        customer_id,
        event_type as activity
    from silver.web_traffic
    where customer_id is not null
    union all
    select
        shop_id,
        cast(occurred_at as date) as activity_date,
        customer_id,
        case
            when interaction_type in ('loyalty_signup', 'loyalty_earn', 'loyalty_redeem') then 'loyalty_action'
            else 'crm_interaction'
        end as activity
    from silver.crm_interactions
),

counts as (
    select
        shop_id,
        activity_date,
        customer_id,
        activity,
        count(*) as events
    from activities
    group by
        shop_id,
        activity_date,
        customer_id,
        activity
),

weighted as (
    select
        counts.shop_id,
        counts.activity_date,
        counts.customer_id,
        counts.events,
        coalesce(own.weight, everyone.weight, cast(0 as decimal(9, 4))) as weight
    from counts
    left join reference.engagement_weights as own
        on
            counts.shop_id = own.shop_id
            and counts.activity = own.activity
    left join reference.engagement_weights as everyone
        on
            everyone.shop_id = '*'
            and counts.activity = everyone.activity
),

scores as (
    select
        shop_id,
        activity_date,
        customer_id,
        sum(events) as events,
        cast(sum(cast(events as decimal(12, 0)) * weight) as decimal(18, 4)) as score
    from weighted
    group by
        shop_id,
        activity_date,
        customer_id
),

final as (
    select
        shop_id,
        activity_date,
        customer_id,
        events,
        score,
        cast(
            rank() over (
                partition by shop_id, activity_date
                order by score desc
            ) as bigint
        ) as score_rank
    from scores
)

select
    shop_id,
    activity_date,
    customer_id,
    events,
    score,
    score_rank
from final

-- grain = "one row per shop, day and customer with a web event or an interaction"
-- key = ["shop_id", "activity_date", "customer_id"]
-- partition = "activity_date"
-- inputs = ["silver.web_traffic", "silver.crm_interactions", "reference.engagement_weights"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- activity_date = "The day of the activities (UTC)."
-- customer_id = "The customer."
-- events = "Web events and interactions."
-- score = "The sum of the weights of the activities."
-- score_rank = "The rank by score in the shop on the day. Equal scores share a rank: 1, 2, 2, 4."
--
-- [checks]
-- not_null = ["events", "score", "score_rank"]
-- bounds = ["events >= 1"]

-- The weights are in reference/engagement_weights.csv. The activity of a web event is its type. The
-- activity of an interaction is loyalty_action or crm_interaction. A shop's own weight takes
-- precedence over the weight of all shops (*). An activity without a weight is counted and adds
-- nothing to the score. Events before a visitor signs in have no customer and do not count.

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
            when interaction_type in ('loyalty_signup', 'loyalty_earn', 'loyalty_redeem')
                then 'loyalty_action'
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

select *
from final

-- model = "customer_engagement_score"
-- severity = "warn"
-- inputs = ["silver.web_traffic", "silver.crm_interactions", "reference.engagement_weights"]
-- description = "each activity has a weight, of the shop or of all shops; else its score is 0"

with activities as (
    select
        shop_id,
        event_type as activity
    from silver.web_traffic
    where customer_id is not null
    union all
    select
        shop_id,
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
        activity,
        count(*) as events
    from activities
    group by
        shop_id,
        activity
)

select
    counts.shop_id,
    counts.activity,
    counts.events
from counts
left join reference.engagement_weights as own
    on
        counts.shop_id = own.shop_id
        and counts.activity = own.activity
left join reference.engagement_weights as everyone
    on
        everyone.shop_id = '*'
        and counts.activity = everyone.activity
where
    own.weight is null
    and everyone.weight is null

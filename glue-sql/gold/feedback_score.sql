-- grain = "one row per shop, day and channel on which customers were met"
-- key = ["shop_id", "interaction_date", "channel"]
-- partition = "interaction_date"
-- inputs = ["silver.crm_interactions"]
-- every_seconds = 20
-- warehouse = "support.feedback_score"

-- A response is an interaction with a rating, of whatever type. Satisfied are those rated 4 or 5,
-- and CSAT is their share. A channel on which nobody gave a rating has a row without an average and
-- without CSAT: silence is not discontent.

with interactions as (
    select
        shop_id,
        cast(occurred_at as date) as interaction_date,
        channel,
        rating
    from silver.crm_interactions
),

days as (
    select
        shop_id,
        interaction_date,
        channel,
        count(rating) as responses,
        sum(rating) as rating_total,
        sum(case when rating >= 4 then 1 else 0 end) as satisfied
    from interactions
    group by
        shop_id,
        interaction_date,
        channel
),

final as (
    select
        shop_id,
        interaction_date,
        channel,
        responses,
        cast(rating_total as double) / nullif(cast(responses as double), 0) as average_rating,
        satisfied,
        cast(satisfied as double) / nullif(cast(responses as double), 0) as csat
    from days
)

select
    shop_id,
    interaction_date,
    channel,
    responses,
    average_rating,
    satisfied,
    csat
from final

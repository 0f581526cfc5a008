-- grain = "one row per shop, day and channel with an interaction"
-- key = ["shop_id", "interaction_date", "channel"]
-- partition = "interaction_date"
-- inputs = ["silver.crm_interactions"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- interaction_date = "The day of the interactions (UTC)."
-- channel = "The channel of the interactions."
-- responses = "Interactions with a rating, of any type."
-- average_rating = "The average rating from 1 to 5; null without a response."
-- satisfied = "Responses with a rating of 4 or 5."
-- csat = "Satisfied responses / responses; null without a response."
--
-- [checks]
-- not_null = ["responses", "satisfied"]
-- bounds = [
--     "satisfied between 0 and responses",
--     "(responses = 0) = (average_rating is null)",
--     "average_rating between 1 and 5",
-- ]
-- reconciles = { csat = "cast(satisfied as double) / nullif(cast(responses as double), 0)" }

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

select *
from final

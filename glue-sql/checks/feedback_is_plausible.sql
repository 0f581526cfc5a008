-- model = "feedback_score"
-- severity = "warn"
-- description = "ratings are from 1 to 5, satisfied are some of those who responded, and there is a score exactly where somebody did"

select
    shop_id,
    interaction_date,
    channel,
    responses,
    average_rating,
    satisfied,
    csat
from gold.feedback_score
where
    responses is null
    or satisfied is null
    or satisfied < 0
    or satisfied > responses
    or (csat is distinct from cast(satisfied as double) / nullif(cast(responses as double), 0))
    or (responses = 0 and average_rating is not null)
    or (responses > 0 and average_rating is null)
    or average_rating < 1
    or average_rating > 5

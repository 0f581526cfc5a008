-- model = "customer_engagement_score"
-- severity = "warn"
-- description = "a rank is one more than the number of customers with a higher score"

with ranked as (
    select
        shop_id,
        activity_date,
        customer_id,
        events,
        score,
        score_rank,
        row_number() over (
            partition by shop_id, activity_date
            order by score desc, score_rank, customer_id
        ) as place,
        lag(score) over (
            partition by shop_id, activity_date
            order by score desc, score_rank, customer_id
        ) as previous_score,
        lag(score_rank) over (
            partition by shop_id, activity_date
            order by score desc, score_rank, customer_id
        ) as previous_rank
    from gold.customer_engagement_score
)

select
    shop_id,
    activity_date,
    customer_id,
    score,
    score_rank
from ranked
where
    (score = previous_score and score_rank <> previous_rank)
    or ((previous_score is null or score < previous_score) and score_rank <> place)

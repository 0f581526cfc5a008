-- key: shop_id, interaction_date, channel
-- The rate of a channel without ratings on a day is null.
select
    shop_id,
    cast(occurred_at as date) as interaction_date,
    channel,
    count(rating) as responses,
    sum(rating) / nullif(count(rating), 0) as average_rating,
    count(*) filter (rating >= 4) as satisfied,
    count(*) filter (rating >= 4) / nullif(count(rating), 0) as csat
from crm_interactions
group by all

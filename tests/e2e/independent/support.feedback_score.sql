-- key: shop_id, interaction_date, channel
-- A channel that nobody rated on a day has no rate.
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

-- model = "customer_days"
-- severity = "warn"
-- description = "a customer did something, a part of it is no more than all of it, and ratings are from 1 to 5"

select
    shop_id,
    activity_date,
    customer_id,
    web_events,
    sessions,
    web_purchases,
    interactions,
    complaints,
    loyalty_actions,
    tickets,
    ratings,
    rating_total
from silver.customer_days
where
    web_events is null
    or sessions is null
    or web_purchases is null
    or interactions is null
    or complaints is null
    or loyalty_actions is null
    or tickets is null
    or ratings is null
    or rating_total is null
    or web_events < 0
    or interactions < 0
    or web_events + interactions < 1
    or (web_events = 0 and sessions <> 0)
    or (web_events > 0 and sessions < 1)
    or sessions > web_events
    or web_purchases < 0
    or web_purchases > web_events
    or complaints < 0
    or loyalty_actions < 0
    or complaints + loyalty_actions > interactions
    or tickets < 0
    or tickets > interactions
    or ratings < 0
    or ratings > interactions
    or rating_total < ratings
    or rating_total > 5 * ratings

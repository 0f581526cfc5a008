-- model = "customer_features"
-- severity = "warn"
-- description = "customers did something within the year, and have recency, currency and amounts exactly if they bought something"

select
    shop_id,
    as_of_date,
    customer_id,
    recency_days,
    frequency,
    currency,
    monetary,
    currency_purchases,
    average_order_value,
    units_sold,
    units_returned,
    products,
    tenure_days,
    inactive_days,
    web_events,
    interactions,
    ratings,
    average_rating
from gold.customer_features
where
    frequency is null
    or currency_purchases is null
    or units_sold is null
    or units_returned is null
    or products is null
    or tenure_days is null
    or inactive_days is null
    or frequency < 0
    or inactive_days < 0
    or inactive_days > tenure_days
    or tenure_days > 364
    or recency_days < inactive_days
    or recency_days > tenure_days
    or (frequency = 0 and (recency_days is not null or currency is not null or monetary is not null))
    or (frequency > 0 and (recency_days is null or currency is null or monetary is null or average_order_value is null))
    or (frequency = 0 and (currency_purchases <> 0 or units_sold <> 0 or products <> 0))
    or (frequency > 0 and (currency_purchases < 1 or products < 1))
    or currency_purchases > frequency
    or units_sold < frequency
    or units_sold < products
    or units_sold + units_returned + web_events + interactions < 1
    or (ratings = 0 and average_rating is not null)
    or (ratings > 0 and average_rating is null)
    or average_rating < 1
    or average_rating > 5

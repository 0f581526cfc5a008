-- grain = "one row per shop, day and customer with an activity in the 365 days up to the day"
-- key = ["shop_id", "as_of_date", "customer_id"]
-- partition = "as_of_date"
-- inputs = ["gold.customer_days", "gold.customer_purchases"]
-- lookback_days = 364   # the trailing 365 days
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- as_of_date = "The last of the 365 days (UTC)."
-- customer_id = "The customer."
-- recency_days = "Days since the last purchase; null without a purchase."
-- frequency = "Purchases, in all currencies."
-- currency = "The currency of most purchases, among equals the first by code; else null."
-- monetary = "Net sales in that currency; null without a purchase."
-- currency_purchases = "Purchases in that currency."
-- average_order_value = "Net sales per purchase in that currency; null without a purchase."
-- units_sold = "Units bought."
-- units_returned = "Units returned, as a positive number."
-- products = "Distinct products bought."
-- tenure_days = "Days since the first activity of any kind."
-- inactive_days = "Days since the last activity of any kind."
-- web_events = "Web events."
-- sessions = "Sessions on the web site, counted on each day that they reach."
-- web_purchases = "Web events of type purchase, which have no amount here."
-- interactions = "CRM interactions."
-- complaints = "Interactions of type complaint."
-- loyalty_actions = "Interactions about loyalty."
-- tickets = "Tickets opened, counted once a day."
-- ratings = "Interactions with a rating."
-- average_rating = "The average rating from 1 to 5; null without a rating."
--
-- [checks]
-- not_null = [
--     "frequency", "currency_purchases", "units_sold", "units_returned", "products", "tenure_days",
--     "inactive_days",
-- ]
-- bounds = [
--     "frequency >= 0",
--     "inactive_days between 0 and tenure_days",
--     "tenure_days <= 364",
--     "recency_days between inactive_days and tenure_days",
--     """frequency > 0
--         or (
--             recency_days is null
--             and currency is null
--             and monetary is null
--             and currency_purchases = 0
--             and units_sold = 0
--             and products = 0
--         )""",
--     """frequency = 0
--         or (
--             recency_days is not null
--             and currency is not null
--             and monetary is not null
--             and average_order_value is not null
--             and currency_purchases >= 1
--             and products >= 1
--         )""",
--     "currency_purchases <= frequency",
--     "units_sold >= frequency",
--     "units_sold >= products",
--     "units_sold + units_returned + web_events + interactions >= 1",
--     "(ratings = 0) = (average_rating is null)",
--     "average_rating between 1 and 5",
-- ]

-- For segmentation, as in infra/notebooks/customer_segments.ipynb: recency, frequency and monetary
-- value of purchases, and other differences between customers.
--   - A purchase is a receipt with at least one sold unit. A receipt of returns only is not one.
--   - Amounts of different currencies are never added up.
--   - The number of products stands for the number of categories, which no source sends yet.
--   - Only known customers have rows. A shop has rows for a day with any activity of a customer:
--     then for all customers of its 365 days.
--   - A computation reads a year of days. Set every_seconds to 3600 or 43200 to compute less often.

with activity as (
    select
        shop_id,
        activity_date
    from gold.customer_days
    union all
    select
        shop_id,
        business_date as activity_date
    from gold.customer_purchases
),

days as (
    select
        shop_id,
        activity_date as as_of_date
    from activity
    group by
        shop_id,
        activity_date
),

behaviour as (
    select
        days.shop_id,
        days.as_of_date,
        history.customer_id,
        min(history.activity_date) as first_date,
        max(history.activity_date) as last_date,
        sum(history.web_events) as web_events,
        sum(history.sessions) as sessions,
        sum(history.web_purchases) as web_purchases,
        sum(history.interactions) as interactions,
        sum(history.complaints) as complaints,
        sum(history.loyalty_actions) as loyalty_actions,
        sum(history.tickets) as tickets,
        sum(history.ratings) as ratings,
        sum(history.rating_total) as rating_total
    from days
    inner join gold.customer_days as history
        on
            days.shop_id = history.shop_id
            and history.activity_date >= cast(days.as_of_date - interval '364' day as date)
            and history.activity_date <= days.as_of_date
    group by
        days.shop_id,
        days.as_of_date,
        history.customer_id
),

lines as (
    select
        days.shop_id,
        days.as_of_date,
        history.customer_id,
        history.business_date,
        history.transaction_id,
        history.product_id,
        history.currency,
        history.net_sales,
        history.units_sold,
        history.units_returned
    from days
    inner join gold.customer_purchases as history
        on
            days.shop_id = history.shop_id
            and history.business_date >= cast(days.as_of_date - interval '364' day as date)
            and history.business_date <= days.as_of_date
),

products as (
    select
        shop_id,
        as_of_date,
        customer_id,
        count(distinct case when units_sold > 0 then product_id end) as products
    from lines
    group by
        shop_id,
        as_of_date,
        customer_id
),

-- a receipt in two currencies counts in each of them
receipts as (
    select
        shop_id,
        as_of_date,
        customer_id,
        business_date,
        transaction_id,
        currency,
        sum(net_sales) as net_sales,
        sum(units_sold) as units_sold,
        sum(units_returned) as units_returned,
        case when sum(units_sold) > 0 then 1 else 0 end as is_purchase
    from lines
    group by
        shop_id,
        as_of_date,
        customer_id,
        business_date,
        transaction_id,
        currency
),

currencies as (
    select
        shop_id,
        as_of_date,
        customer_id,
        currency,
        cast(sum(net_sales) as decimal(38, 4)) as net_sales,
        sum(is_purchase) as purchases,
        sum(units_sold) as units_sold,
        sum(units_returned) as units_returned,
        min(business_date) as first_date,
        max(business_date) as last_date,
        max(case when is_purchase = 1 then business_date end) as last_purchase_date
    from receipts
    group by
        shop_id,
        as_of_date,
        customer_id,
        currency
),

ranked as (
    select
        shop_id,
        as_of_date,
        customer_id,
        currency,
        net_sales,
        purchases,
        units_sold,
        units_returned,
        first_date,
        last_date,
        last_purchase_date,
        row_number() over (
            partition by shop_id, as_of_date, customer_id
            order by purchases desc, currency
        ) as place
    from currencies
),

-- A union instead of a join: so the condition on the day reaches the inputs of each part.
parts as (
    select
        shop_id,
        as_of_date,
        customer_id,
        first_date,
        last_date,
        web_events,
        sessions,
        web_purchases,
        interactions,
        complaints,
        loyalty_actions,
        tickets,
        ratings,
        rating_total,
        cast(null as date) as last_purchase_date,
        cast(0 as bigint) as purchases,
        cast(null as string) as currency,
        cast(null as decimal(38, 4)) as net_sales,
        cast(0 as bigint) as currency_purchases,
        cast(0 as bigint) as units_sold,
        cast(0 as bigint) as units_returned,
        cast(0 as bigint) as products
    from behaviour
    union all
    select
        shop_id,
        as_of_date,
        customer_id,
        first_date,
        last_date,
        cast(0 as bigint) as web_events,
        cast(0 as bigint) as sessions,
        cast(0 as bigint) as web_purchases,
        cast(0 as bigint) as interactions,
        cast(0 as bigint) as complaints,
        cast(0 as bigint) as loyalty_actions,
        cast(0 as bigint) as tickets,
        cast(0 as bigint) as ratings,
        cast(0 as bigint) as rating_total,
        last_purchase_date,
        purchases,
        case when place = 1 and purchases > 0 then currency end as currency,
        case when place = 1 and purchases > 0 then net_sales end as net_sales,
        case when place = 1 then purchases else cast(0 as bigint) end as currency_purchases,
        units_sold,
        units_returned,
        cast(0 as bigint) as products
    from ranked
    union all
    select
        shop_id,
        as_of_date,
        customer_id,
        cast(null as date) as first_date,
        cast(null as date) as last_date,
        cast(0 as bigint) as web_events,
        cast(0 as bigint) as sessions,
        cast(0 as bigint) as web_purchases,
        cast(0 as bigint) as interactions,
        cast(0 as bigint) as complaints,
        cast(0 as bigint) as loyalty_actions,
        cast(0 as bigint) as tickets,
        cast(0 as bigint) as ratings,
        cast(0 as bigint) as rating_total,
        cast(null as date) as last_purchase_date,
        cast(0 as bigint) as purchases,
        cast(null as string) as currency,
        cast(null as decimal(38, 4)) as net_sales,
        cast(0 as bigint) as currency_purchases,
        cast(0 as bigint) as units_sold,
        cast(0 as bigint) as units_returned,
        products
    from products
),

customers as (
    select
        shop_id,
        as_of_date,
        customer_id,
        unix_micros(cast(as_of_date as timestamp)) as as_of_us,
        unix_micros(cast(min(first_date) as timestamp)) as first_us,
        unix_micros(cast(max(last_date) as timestamp)) as last_us,
        unix_micros(cast(max(last_purchase_date) as timestamp)) as last_purchase_us,
        sum(purchases) as frequency,
        -- at most one part has a currency
        max(currency) as currency,
        max(net_sales) as monetary,
        sum(currency_purchases) as currency_purchases,
        sum(units_sold) as units_sold,
        sum(units_returned) as units_returned,
        sum(products) as products,
        sum(web_events) as web_events,
        sum(sessions) as sessions,
        sum(web_purchases) as web_purchases,
        sum(interactions) as interactions,
        sum(complaints) as complaints,
        sum(loyalty_actions) as loyalty_actions,
        sum(tickets) as tickets,
        sum(ratings) as ratings,
        sum(rating_total) as rating_total
    from parts
    group by
        shop_id,
        as_of_date,
        customer_id
),

-- midnights are whole days apart, so these quotients are whole numbers
final as (
    select
        shop_id,
        as_of_date,
        customer_id,
        cast(
            cast(as_of_us - last_purchase_us as double) / cast(86400000000 as double) as bigint
        ) as recency_days,
        frequency,
        currency,
        monetary,
        currency_purchases,
        -- a decimal is cast to a double through its text, which both engines read alike
        cast(cast(monetary as string) as double)
        / nullif(cast(currency_purchases as double), 0) as average_order_value,
        units_sold,
        units_returned,
        products,
        cast(
            cast(as_of_us - first_us as double) / cast(86400000000 as double) as bigint
        ) as tenure_days,
        cast(
            cast(as_of_us - last_us as double) / cast(86400000000 as double) as bigint
        ) as inactive_days,
        web_events,
        sessions,
        web_purchases,
        interactions,
        complaints,
        loyalty_actions,
        tickets,
        ratings,
        cast(rating_total as double) / nullif(cast(ratings as double), 0) as average_rating
    from customers
)

select *
from final

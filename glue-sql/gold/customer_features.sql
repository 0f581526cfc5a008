-- grain = "one row per shop, day and customer who did something within the 365 days that end with it"
-- key = ["shop_id", "as_of_date", "customer_id"]
-- partition = "as_of_date"
-- inputs = ["silver.customer_days", "silver.customer_purchases"]
-- lookback_days = 364   # the trailing 365 days
-- every_seconds = 60
-- warehouse = "marketing.customer_features"

-- What is known of a customer at the end of a day, from the 365 days that end with it: recency,
-- frequency and monetary value of purchases, and what else tells customers apart. For segmentation,
-- as in infra/notebooks/customer_segments.ipynb. A purchase is a receipt of a till on which
-- something was sold. Recency is in days since the last one, null if there is none; a receipt that
-- only takes something back is none. Amounts of different currencies are never added up: monetary
-- is in the customer's main currency, the one of most purchases and of those the first by its code,
-- and both are null without a purchase. Frequency counts the purchases in all currencies,
-- currency_purchases those in the main one. Products stand for categories, which nobody tells yet:
-- how many different products were bought. What was bought on the web is counted and has no amount
-- here, as a tracker's word is no invoice. Tenure and inactivity are days since the first and since
-- the last activity of any kind. Who is not known by a customer's id is left out. A shop has rows
-- for a day on which any of its customers did anything: then for all customers of its year. Today's
-- features are computed again at most once in every_seconds, over a year of days each time; whoever
-- does not need them that fresh makes it 3600, or 43200 for twice a day.

with activity as (
    select
        shop_id,
        activity_date
    from silver.customer_days
    union all
    select
        shop_id,
        business_date as activity_date
    from silver.customer_purchases
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
    inner join silver.customer_days as history
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
    inner join silver.customer_purchases as history
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

-- should a receipt ever be in two currencies, it is one of each
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

-- put below each other and added up, and not joined: so the day of each reaches its input
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
        -- at most one of the parts has a currency
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
        cast(cast(as_of_us - last_purchase_us as double) / cast(86400000000 as double) as bigint) as recency_days,
        frequency,
        currency,
        monetary,
        currency_purchases,
        -- a decimal becomes a double by way of its text, which both engines read alike
        cast(cast(monetary as string) as double) / nullif(cast(currency_purchases as double), 0) as average_order_value,
        units_sold,
        units_returned,
        products,
        cast(cast(as_of_us - first_us as double) / cast(86400000000 as double) as bigint) as tenure_days,
        cast(cast(as_of_us - last_us as double) / cast(86400000000 as double) as bigint) as inactive_days,
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
    sessions,
    web_purchases,
    interactions,
    complaints,
    loyalty_actions,
    tickets,
    ratings,
    average_rating
from final

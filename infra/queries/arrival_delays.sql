-- Freshness of four datasets in silver, last 2 days: rows, duplicates, newest arrival, and seconds
-- from event to arrival (median, p95).

with arrivals as (
    select
        'web_traffic' as dataset,
        shop_id || '/' || event_id as row_id,
        occurred_at as happened_at,
        _received_at
    from ${silver}.web_traffic
    where dt >= current_date - interval '1' day
    union all
    select
        'crm_interactions' as dataset,
        shop_id || '/' || interaction_id as row_id,
        occurred_at as happened_at,
        _received_at
    from ${silver}.crm_interactions
    where dt >= current_date - interval '1' day
    union all
    select
        'pos_sales' as dataset,
        shop_id || '/' || transaction_id || '/' || cast(line_no as varchar) as row_id,
        sold_at as happened_at,
        _received_at
    from ${silver}.pos_sales
    where dt >= current_date - interval '1' day
    union all
    select
        'inventory_levels' as dataset,
        shop_id || '/' || location_id || '/' || product_id || '/' || cast(snapshot_at as varchar)
            as row_id,
        snapshot_at as happened_at,
        _received_at
    from ${silver}.inventory_levels
    where dt >= current_date - interval '1' day
)

select
    dataset,
    count(distinct row_id) as rows_once,
    count(*) - count(distinct row_id) as repeats,
    max(_received_at) as newest_arrival,
    approx_percentile(date_diff('second', happened_at, _received_at), 0.5) as median_delay_seconds,
    approx_percentile(date_diff('second', happened_at, _received_at), 0.95) as p95_delay_seconds
from arrivals
group by dataset
order by dataset

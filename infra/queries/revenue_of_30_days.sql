-- Net revenue of the last 30 days by shop, region and currency, with the previous 30 days and the
-- change in percent.

with days as (
    select
        shop_id,
        region,
        currency,
        net_revenue,
        business_date >= current_date - interval '30' day as is_recent
    from ${gold}.revenue_by_region
    where business_date between current_date - interval '60' day and current_date - interval '1' day
),

totals as (
    select
        shop_id,
        region,
        currency,
        coalesce(sum(net_revenue) filter (where is_recent), 0) as net_revenue,
        coalesce(sum(net_revenue) filter (where not is_recent), 0) as net_revenue_before
    from days
    group by
        shop_id,
        region,
        currency
)

select
    shop_id,
    region,
    currency,
    net_revenue,
    net_revenue_before,
    round(
        100 * cast(net_revenue - net_revenue_before as double)
        / nullif(cast(net_revenue_before as double), 0),
        1
    ) as change_percent
from totals
order by
    shop_id,
    net_revenue desc

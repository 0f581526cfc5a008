-- model = "daily_stock_value"
-- severity = "stop"
-- description = "stock that has a value was counted"

select
    shop_id,
    stock_date,
    currency,
    value_total,
    snapshot_times
from silver.daily_stock_value
where
    value_total is null
    or snapshot_times is null
    or snapshot_times < 1

-- model = "restock_frequency"
-- severity = "warn"
-- description = "a restock brings a unit or more, there is a distance between two or more of them, and no more than 30 days"

select
    shop_id,
    stock_date,
    location_id,
    product_id,
    restocks_30d,
    restocked_quantity_30d,
    mean_days_between,
    days_since_last
from gold.restock_frequency
where
    restocks_30d is null
    or restocked_quantity_30d is null
    or restocks_30d < 0
    or restocked_quantity_30d < restocks_30d
    or (restocks_30d = 0 and restocked_quantity_30d > 0)
    or (restocks_30d < 2 and mean_days_between is not null)
    or (restocks_30d >= 2 and mean_days_between is null)
    or (restocks_30d > 0 and days_since_last is null)
    or mean_days_between < 0
    or mean_days_between > 30
    or days_since_last < 0

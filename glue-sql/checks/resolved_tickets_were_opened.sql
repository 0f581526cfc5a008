-- model = "time_to_resolution"
-- severity = "warn"
-- description = "a resolved ticket was opened in the 90 days before"

select
    shop_id,
    resolution_date,
    tickets_without_opening
from gold.time_to_resolution
where tickets_without_opening > 0

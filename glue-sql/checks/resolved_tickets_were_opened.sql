-- model = "time_to_resolution"
-- severity = "warn"
-- description = "a ticket that is resolved was opened before, within the 90 days that are looked at"

select
    shop_id,
    resolution_date,
    tickets_without_opening
from gold.time_to_resolution
where tickets_without_opening > 0

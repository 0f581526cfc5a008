-- model = "time_to_resolution"
-- severity = "warn"
-- description = "open tickets are those of all ages together, and there are durations, not negative, exactly where a ticket was resolved"

select
    shop_id,
    resolution_date,
    tickets_resolved,
    average_hours,
    median_hours,
    p90_hours,
    tickets_without_opening,
    open_tickets,
    open_under_1_day,
    open_1_to_3_days,
    open_3_to_7_days,
    open_over_7_days
from gold.time_to_resolution
where
    tickets_resolved is null
    or tickets_without_opening is null
    or tickets_without_opening < 0
    or (open_tickets is distinct from open_under_1_day + open_1_to_3_days + open_3_to_7_days + open_over_7_days)
    or open_under_1_day < 0
    or open_1_to_3_days < 0
    or open_3_to_7_days < 0
    or open_over_7_days < 0
    or (tickets_resolved = 0 and (average_hours is not null or median_hours is not null or p90_hours is not null))
    or (tickets_resolved > 0 and (average_hours is null or median_hours is null or p90_hours is null))
    or average_hours < 0
    or median_hours < 0
    or p90_hours < median_hours

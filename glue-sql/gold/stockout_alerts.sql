-- grain = "one row per shop, day, location, product and state that it came to be in on that day, out or low"
-- key = ["shop_id", "alert_date", "location_id", "product_id", "state"]
-- partition = "alert_date"
-- inputs = ["silver.stock_state_changes"]
-- lookback_days = 31    # the state before, to tell a new alert from one that goes on
-- lookahead_days = 30   # when it ended
-- every_seconds = 60
-- warehouse = "operations.stockout_alerts"
-- notice = { subject = "{product_id} is {state} at {location_id}", started = "started_at", ended = "ended_at" }

-- The first time on a day that an item came to be out or low; if it recovers and comes to be so
-- again on the same day, that is the same alert, which keeps the first start and the first end.
-- Levels are those at the start. A state that goes on is no new alert, neither on the next day nor
-- after a gap in the snapshots. It is one if no change is known of the 31 days before. An item that
-- goes from low to out has an alert of each, the first of which ends where the other starts. An
-- alert ends with the next change to another state, up to 30 days later; until then, and after
-- that, its end is null.

with changes as (
    select
        shop_id,
        change_date,
        location_id,
        product_id,
        changed_at,
        state,
        on_hand,
        reserved,
        available,
        reorder_point,
        lag(change_date) over (
            partition by shop_id, location_id, product_id
            order by changed_at
        ) as previous_date,
        lag(state) over (
            partition by shop_id, location_id, product_id
            order by changed_at
        ) as previous_state
    from silver.stock_state_changes
),

-- a change to the same state is a gap in the snapshots
starts as (
    select
        shop_id,
        change_date,
        location_id,
        product_id,
        changed_at,
        state,
        on_hand,
        reserved,
        available,
        reorder_point,
        lead(change_date) over (
            partition by shop_id, location_id, product_id
            order by changed_at
        ) as next_date,
        lead(changed_at) over (
            partition by shop_id, location_id, product_id
            order by changed_at
        ) as next_at
    from changes
    where
        previous_state is null
        or previous_state <> state
        or previous_date < cast(change_date - interval '31' day as date)
),

numbered as (
    select
        shop_id,
        change_date as alert_date,
        location_id,
        product_id,
        state,
        changed_at as started_at,
        -- beyond the horizon the end is not known, whether or not somebody could see it
        case when next_date <= cast(change_date + interval '30' day as date) then next_at end as ended_at,
        on_hand,
        reserved,
        available,
        reorder_point,
        row_number() over (
            partition by shop_id, change_date, location_id, product_id, state
            order by changed_at
        ) as occurrence
    from starts
    where state in ('out', 'low')
),

final as (
    select
        shop_id,
        alert_date,
        location_id,
        product_id,
        state,
        started_at,
        ended_at,
        on_hand,
        reserved,
        available,
        reorder_point
    from numbered
    where occurrence = 1
)

select
    shop_id,
    alert_date,
    location_id,
    product_id,
    state,
    started_at,
    ended_at,
    on_hand,
    reserved,
    available,
    reorder_point
from final

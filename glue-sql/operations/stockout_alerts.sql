-- grain = "one row per shop, day, location, product and state (out or low) that began on the day"
-- key = ["shop_id", "alert_date", "location_id", "product_id", "state"]
-- partition = "alert_date"
-- inputs = ["gold.stock_state_changes"]
-- lookback_days = 31    # the state before, to tell a new alert from one that continues
-- lookahead_days = 30   # when it ended
-- every_seconds = 60
--
-- [alert]
-- subject = "{product_id} is {state} at {location_id}"
-- started = "started_at"
-- ended = "ended_at"
--
-- [columns]
-- shop_id = "The shop."
-- alert_date = "The day on which the state began (UTC)."
-- location_id = "The store or warehouse."
-- product_id = "The product."
-- state = "out: no unit is available. low: at most the reorder point is."
-- started_at = "The time of the first snapshot with the state."
-- ended_at = "The time of the next snapshot with another state, up to 30 days later; else null."
-- on_hand = "Units on hand at the start."
-- reserved = "Reserved units at the start."
-- available = "Units on hand less reserved units at the start."
-- reorder_point = "The reorder point at the start."
--
-- [checks]
-- not_null = ["on_hand", "reserved", "reorder_point"]
-- bounds = [
--     "ended_at > started_at",
--     "state in ('out', 'low')",
--     "state <> 'out' or available <= 0",
--     "state <> 'low' or (available > 0 and available <= reorder_point)",
-- ]
-- reconciles = { available = "on_hand - reserved", alert_date = "cast(started_at as date)" }

-- An item that recovers and enters the same state again on the same day has one alert, with the
-- first start and the first end. A state that continues is not a new alert, neither on the next day
-- nor after a gap in the snapshots. It is a new alert if there was no change in the 31 days before.
-- An item that goes from low to out has two alerts: the first one ends where the second one starts.

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
    from gold.stock_state_changes
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
        -- an end after the lookahead is null, even if the query can see it
        case
            when next_date <= cast(change_date + interval '30' day as date) then next_at
        end as ended_at,
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

select *
from final

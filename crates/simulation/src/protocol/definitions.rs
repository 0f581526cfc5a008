//! The definitions of a small lake: two datasets and four models. [`engine`](super::engine)
//! computes the models in Rust, and [`oracle`](super::oracle) their rows from the accepted events.
//!
//! The amounts of the visits of a shop and day are different powers of two. So a sum names exactly
//! the visits that are in it, and a visit that is lost, counted twice or of another shop shows.

use std::sync::LazyLock;

use shoplake_contracts::Contracts;
use shoplake_models::Models;

/// The source of visits, which shops post to the webhook.
pub(crate) const WEB: &str = "web";
/// The source of sales, which a connector delivers in batches.
pub(crate) const POS: &str = "pos";

/// Visits of each shop and day.
pub(crate) const VISITS_BY_DAY: &str = "visits_by_day";
/// Sales of each shop and day.
pub(crate) const SALES_BY_DAY: &str = "sales_by_day";
/// Visits and sales of three days. It reads the other two.
pub(crate) const LAST_DAYS: &str = "last_days";
/// The outage of each shop and day. People are notified of each.
pub(crate) const OUTAGES: &str = "outages";

/// How many days before its own a row of [`LAST_DAYS`] counts.
pub(crate) const LOOKBACK_DAYS: u64 = 2;

/// The check of severity error that a visit of the kind `hostile` fails.
pub(crate) const NO_HOSTILE: &str = "no_hostile_visits";

const VISITS: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Visits",
    "description": "What visitors do.",
    "type": "object",
    "x-dataset": {
        "source": "web",
        "delivery": "stream",
        "key": ["shop_id", "event_id"],
        "version": null,
        "event_time": "occurred_at",
        "partition": "day(occurred_at)",
        "copies_within_days": 0,
        "sort": ["shop_id", "occurred_at"],
        "personal": []
    },
    "required": ["event_id", "occurred_at", "kind", "amount", "code"],
    "properties": {
        "shop_id": {"type": "string", "description": "The shop."},
        "event_id": {"type": "string", "maxLength": 64, "description": "The event."},
        "occurred_at": {"type": "string", "format": "date-time", "description": "When."},
        "kind": {
            "type": "string", "enum": ["view", "outage", "hostile"], "description": "What."
        },
        "amount": {
            "type": "integer", "minimum": 1, "maximum": 4611686018427387904,
            "description": "A power of two."
        },
        "code": {"type": "string", "maxLength": 8, "description": "An integer, if it is valid."},
        "note": {"type": ["string", "null"], "maxLength": 16000, "description": "Any text."}
    }
}"#;

const SALES: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Sales",
    "description": "What shops sell.",
    "type": "object",
    "x-dataset": {
        "source": "pos",
        "delivery": "batch",
        "key": ["shop_id", "sale_id", "day"],
        "version": "updated_at",
        "event_time": "updated_at",
        "partition": "day(day)",
        "sort": ["shop_id", "day"],
        "personal": []
    },
    "required": ["sale_id", "day", "updated_at", "quantity"],
    "properties": {
        "shop_id": {"type": "string", "description": "The shop."},
        "sale_id": {"type": "string", "maxLength": 64, "description": "The sale."},
        "day": {"type": "string", "format": "date", "description": "The business date."},
        "updated_at": {"type": "string", "format": "date-time", "description": "The version."},
        "quantity": {
            "type": "integer", "minimum": 0, "maximum": 1000000, "description": "How many."
        }
    }
}"#;

const VISITS_BY_DAY_SQL: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["silver.visits"]
-- every_seconds = 20

select
    shop_id,
    cast(occurred_at as date) as day,
    count(*) as visits,
    cast(sum(amount) as bigint) as amounts,
    cast(sum(cast(code as bigint)) as bigint) as codes,
    cast(sum(case when kind = 'hostile' then 1 else 0 end) as bigint) as hostile
from silver.visits
group by shop_id, cast(occurred_at as date)
"#;

const SALES_BY_DAY_SQL: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["silver.sales"]

select
    shop_id,
    day,
    count(*) as sales,
    cast(sum(quantity) as bigint) as quantity
from silver.sales
group by shop_id, day
"#;

const LAST_DAYS_SQL: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["gold.sales_by_day", "gold.visits_by_day"]
-- lookback_days = 2
-- every_seconds = 10

with all_days as (
    select shop_id, day, visits, cast(0 as bigint) as quantity
    from gold.visits_by_day
    union all
    select shop_id, day, cast(0 as bigint) as visits, quantity
    from gold.sales_by_day
),

own as (
    select shop_id, day
    from all_days
    group by shop_id, day
)

select
    own.shop_id,
    own.day,
    cast(sum(all_days.visits) as bigint) as visits,
    cast(sum(all_days.quantity) as bigint) as quantity
from own
inner join all_days
on own.shop_id = all_days.shop_id
    and all_days.day <= own.day
    and all_days.day >= cast(own.day - interval '2' day as date)
group by own.shop_id, own.day
"#;

const OUTAGES_SQL: &str = r#"-- grain = "one row per shop and day with an outage"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["silver.visits"]
--
-- [alert]
-- subject = "{shop_id} has an outage"
-- started = "started_at"
-- ended = "ended_at"

select
    shop_id,
    cast(occurred_at as date) as day,
    min(occurred_at) as started_at,
    max(occurred_at) as ended_at
from silver.visits
where kind = 'outage'
group by shop_id, cast(occurred_at as date)
"#;

const NO_HOSTILE_SQL: &str = r#"-- model = "visits_by_day"
-- severity = "error"
-- description = "no visit is hostile"

select shop_id
from gold.visits_by_day
where hostile > 0
"#;

/// Returns the contracts and the models.
pub(crate) fn definitions() -> &'static (Contracts, Models) {
    static DEFINITIONS: LazyLock<(Contracts, Models)> = LazyLock::new(|| {
        let contracts = Contracts::from_sources([("visits", VISITS), ("sales", SALES)]);
        let contracts = contracts.expect("the contracts are valid");
        let models = [
            ("web/visits_by_day.sql", VISITS_BY_DAY_SQL),
            ("pos/sales_by_day.sql", SALES_BY_DAY_SQL),
            ("web/last_days.sql", LAST_DAYS_SQL),
            ("intermediate/outages.sql", OUTAGES_SQL),
            ("checks/no_hostile_visits.sql", NO_HOSTILE_SQL),
        ];
        let models = Models::from_sources(&contracts, models).expect("the models are valid");
        (contracts, models)
    });
    &DEFINITIONS
}

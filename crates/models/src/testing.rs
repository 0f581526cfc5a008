//! A small world for the tests: three datasets, and models over them.

use shoplake_contracts::Contracts;
use shoplake_jobs::Partition;

use crate::models::Models;

fn schema(dataset: &str) -> String {
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "test",
        "description": "test",
        "type": "object",
        "x-dataset": serde_json::from_str::<serde_json::Value>(dataset).unwrap(),
        "required": ["id", "day", "at", "amount"],
        "properties": {
            "id": {"type": "string", "description": "id"},
            "day": {"type": "string", "format": "date", "description": "day"},
            "at": {"type": "string", "format": "date-time", "description": "at"},
            "amount": {
                "type": "integer", "minimum": 0, "maximum": 1_000_000, "description": "amount",
            },
            "note": {"type": ["string", "null"], "description": "note"},
        },
    })
    .to_string()
}

/// `sales` by day, `clicks` and `taps` by hour, `orders` by bucket. A click may be corrected to
/// another hour, a tap may not.
pub(crate) fn contracts() -> Contracts {
    let sales = r#"{"source": "pos", "delivery": "batch", "key": ["shop_id", "id", "day"],
        "version": "at", "event_time": "at", "partition": "day(day)",
        "sort": ["shop_id", "at"], "personal": []}"#;
    let clicks = r#"{"delivery": "internal", "key": ["shop_id", "id"], "version": null,
        "event_time": "at", "partition": "hour(at)", "copies_within_days": 0,
        "sort": ["shop_id", "at"], "personal": []}"#;
    let taps = r#"{"delivery": "internal", "key": ["shop_id", "id", "at"], "version": null,
        "event_time": "at", "partition": "hour(at)", "sort": ["shop_id", "at"], "personal": []}"#;
    let orders = r#"{"source": "shop", "delivery": "stream", "key": ["shop_id", "id"],
        "version": null, "event_time": "at", "partition": "bucket(id, 16)",
        "sort": ["shop_id", "at"], "personal": []}"#;
    Contracts::from_sources([
        ("sales", schema(sales)),
        ("clicks", schema(clicks)),
        ("orders", schema(orders)),
        ("taps", schema(taps)),
    ])
    .unwrap()
}

/// A model that reads `inputs`, with more header lines if need be.
pub(crate) fn model(inputs: &[&str], more: &str) -> String {
    let quoted: Vec<_> = inputs.iter().map(|input| format!("\"{input}\"")).collect();
    let tables: Vec<_> =
        inputs.iter().map(|input| format!("select shop_id, day from {input}")).collect();
    format!(
        "-- grain = \"one row per shop and day\"\n-- key = [\"shop_id\", \"day\"]\n\
         -- partition = \"day\"\n\
         -- inputs = [{}]\n{more}\nwith rows as (\n{}\n)\n\n\
         select shop_id, day, count(*) as row_count from rows group by shop_id, day\n",
        quoted.join(", "),
        tables.join("\nunion all\n"),
    )
}

/// A model of the clicks of an hour.
pub(crate) fn hourly() -> String {
    "-- grain = \"one row per shop and hour\"\n-- key = [\"shop_id\", \"at\"]\n\
     -- partition = \"hour(at)\"\n-- inputs = [\"silver.taps\"]\n\
     select shop_id, date_trunc('hour', at) as at, max(day) as day, count(*) as row_count\n\
     from silver.taps group by shop_id, date_trunc('hour', at)\n"
        .to_owned()
}

/// A model by 16 buckets that reads `inputs`, with more header lines if need be.
pub(crate) fn bucketed(inputs: &[&str], more: &str) -> String {
    let quoted: Vec<_> = inputs.iter().map(|input| format!("\"{input}\"")).collect();
    let rows = inputs.iter().map(|input| format!("select shop_id, id, day from {input}"));
    format!(
        "-- grain = \"one row per order\"\n-- key = [\"shop_id\", \"id\"]\n\
         -- partition = \"bucket(id, 16)\"\n-- inputs = [{}]\n{more}\n\
         with rows as (\n{}\n)\n\n\
         select shop_id, id, max(day) as day from rows group by shop_id, id\n",
        quoted.join(", "),
        rows.collect::<Vec<_>>().join("\nunion all\n"),
    )
}

/// Lines of the header of a model that reads sales whole.
pub(crate) const ALL_SALES: &str = "-- all = [\"silver.sales\"]";

/// Lines of the header of a model that reads the orders of its day.
pub(crate) const BY_DAY: &str = "-- by_column = { \"gold.orders_clean\" = \"day\" }";

/// A reference table with one row.
pub(crate) const REFERENCE: &str = "\
# description = \"How much a day counts.\"
# key = [\"shop_id\"]
# columns = { shop_id = \"string\", weight = \"bigint\" }
shop_id,weight
a,1
";

/// A check of `model` that reads `inputs`.
pub(crate) fn check(model: &str, inputs: &[&str]) -> String {
    let quoted: Vec<_> = inputs.iter().map(|input| format!("\"{input}\"")).collect();
    let joined: Vec<_> = inputs.iter().map(|input| format!(" join {input} using (day)")).collect();
    format!(
        "-- model = \"{model}\"\n-- severity = \"warn\"\n-- inputs = [{}]\n\
         -- description = \"nothing is negative\"\n\
         select shop_id, row_count from gold.{model}{} where row_count < 0\n",
        quoted.join(", "),
        joined.concat(),
    )
}

pub(crate) fn models(sources: &[(&str, String)]) -> Models {
    Models::from_sources(&contracts(), sources.iter().map(|(name, text)| (*name, text.as_str())))
        .unwrap()
}

/// `daily` reads sales (and clicks in a check); `weekly` reads `daily`, six days back.
pub(crate) fn world() -> Models {
    models(&[
        ("intermediate/weekly.sql", model(&["gold.daily"], "-- lookback_days = 6")),
        ("sales/daily.sql", model(&["silver.sales"], "-- lookahead_days = 1")),
        ("checks/clicks_match.sql", check("daily", &["silver.clicks"])),
    ])
}

pub(crate) fn day(text: &str) -> Partition {
    text.parse().unwrap()
}

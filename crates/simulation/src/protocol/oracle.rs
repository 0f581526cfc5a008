//! What a run has to end in: computed from the accepted events alone, with maps.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shoplake_aws::topic::Message;
use shoplake_jobs::Partition;
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::state::{PartitionState, Step};
use shoplake_lake::{Object, Store};
use shoplake_models::GoldHead;

use super::definitions::{
    LAST_DAYS, LOOKBACK_DAYS, OUTAGES, SALES_BY_DAY, VISITS_BY_DAY, definitions,
};
use super::functions::{Cloud, NOTIFY_WITHIN_HOURS};
use super::invariants::Place;
use super::reached::BadState;
use super::senders::Accepted;
use super::workload::Kind;
use crate::rows::Row;
use crate::warehouse::{CheckRun, Key};

/// A shop and a day.
type Cell = (String, NaiveDate);

/// When an outage began and ended.
type Interval = (DateTime<Utc>, DateTime<Utc>);

/// The sums of each shop and day, by column.
type Sums = BTreeMap<Cell, BTreeMap<&'static str, i64>>;

/// What the accepted events amount to.
#[derive(Default)]
struct Expected {
    visits: Sums,
    sales: Sums,
    /// The first and the last time of an outage.
    outages: BTreeMap<Cell, (DateTime<Utc>, DateTime<Utc>)>,
    /// The shops and days with a bad visit. They keep rows that depend on the past.
    withheld: BTreeSet<Cell>,
}

impl Expected {
    fn of(accepted: &Accepted) -> Self {
        let mut expected = Self::default();
        for visit in &accepted.visits {
            let cell = (visit.shop.to_owned(), visit.day());
            if visit.is_bad() {
                expected.withheld.insert(cell.clone());
            }
            let sums = expected.visits.entry(cell.clone()).or_default();
            for (column, value) in
                [("visits", 1), ("amounts", visit.amount), ("codes", 1), ("hostile", 0)]
            {
                *sums.entry(column).or_default() += value;
            }
            if visit.kind == Kind::Outage {
                let (first, last) = expected.outages.entry(cell).or_insert((visit.at, visit.at));
                (*first, *last) = (visit.at.min(*first), visit.at.max(*last));
            }
        }
        let mut newest = BTreeMap::new();
        for sale in &accepted.sales {
            let version = newest.entry((sale.shop, &sale.id, sale.day)).or_insert(sale);
            if sale.updated_at > version.updated_at {
                *version = sale;
            }
        }
        for ((shop, _, day), sale) in newest {
            let sums = expected.sales.entry((shop.to_owned(), day)).or_default();
            *sums.entry("sales").or_default() += 1;
            *sums.entry("quantity").or_default() += sale.quantity;
        }
        expected
    }

    /// Returns the sums of visits and sales of the last days of each day with either. Withheld
    /// shops have the visits that are in gold.
    fn last_days(&self, visits: &Sums) -> Sums {
        let of_days = [(visits, "visits"), (&self.sales, "quantity")];
        let cells: BTreeSet<&Cell> = of_days.iter().flat_map(|(sums, _)| sums.keys()).collect();
        let mut last_days = Sums::new();
        for (shop, day) in cells {
            let mut sums = BTreeMap::from([("visits", 0), ("quantity", 0)]);
            for ago in 0..=LOOKBACK_DAYS {
                let cell = (shop.clone(), *day - chrono::Days::new(ago));
                for (days, column) in of_days {
                    let value = days.get(&cell).and_then(|sums| sums.get(column));
                    *sums.entry(column).or_default() += value.copied().unwrap_or_default();
                }
            }
            last_days.insert((shop.clone(), *day), sums);
        }
        last_days
    }
}

/// Checks what a run ended in.
pub(crate) async fn check(cloud: &Cloud, accepted: &Accepted) {
    let expected = Expected::of(accepted);
    let world = &cloud.world;
    let states = cloud.invariants.states();
    let (checked, loaded) = {
        let tables = cloud.warehouse.tables();
        (tables.checked(), tables.commits())
    };
    check_results(cloud, &states, &checked);
    let mut gold: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (key, object) in objects(cloud, keys::GOLD).await {
        let Some(LakeKey::Gold { model, partition }) = keys::parse(&key) else { continue };
        match world.decoded.gold(&object.head.etag, &object.bytes) {
            Ok(table) => {
                gold.entry(model.to_owned()).or_default().extend_from_slice(&table.rows);
            }
            Err(error) => world.violate(format!("{key}: {error}")),
        }
        let state = states.get(&(model.to_owned(), partition));
        let place = (model.to_owned(), partition.to_string());
        let versions = Versions {
            committed: state.map_or(0, |state| state.committed),
            checked: checked.get(&place).map_or(0, |run| run.version),
            loaded: loaded.get(&place).map_or(0, |(_, version)| *version),
        };
        check_versions(cloud, model, &key, &object, versions);
    }
    let rows = |model: &str| gold.get(model).map_or(&[][..], Vec::as_slice);

    let visits = sums(rows(VISITS_BY_DAY), &["visits", "amounts", "codes", "hostile"]);
    let mut known = expected.visits.clone();
    known.retain(|cell, _| !expected.withheld.contains(cell));
    let mut right = visits.clone();
    right.retain(|cell, _| !expected.withheld.contains(cell));
    compare(cloud, VISITS_BY_DAY, &known, &right);
    known.extend(visits.into_iter().filter(|(cell, _)| expected.withheld.contains(cell)));
    compare(
        cloud,
        SALES_BY_DAY,
        &expected.sales,
        &sums(rows(SALES_BY_DAY), &["sales", "quantity"]),
    );
    let last_days = sums(rows(LAST_DAYS), &["visits", "quantity"]);
    compare(cloud, LAST_DAYS, &expected.last_days(&known), &last_days);
    let outages: BTreeMap<_, _> = rows(OUTAGES).iter().filter_map(outage).collect();
    compare(cloud, OUTAGES, &expected.outages, &outages);

    for model in definitions().1.iter() {
        let Some(table) = &model.warehouse else { continue };
        let texts = |rows: &[Row]| -> Vec<String> {
            let mut texts: Vec<_> =
                rows.iter().map(|row| Value::Object(row.clone()).to_string()).collect();
            texts.sort();
            texts
        };
        let (loaded, rows) =
            (texts(&cloud.warehouse.tables().rows(table)), texts(rows(&model.name)));
        world.check(loaded == rows, || {
            format!("{table} has {loaded:?} in the warehouse and {rows:?} in gold")
        });
    }
    for (place, state) in &states {
        world.check(state.failures.is_empty(), || {
            format!("{place:?} has failures and owes nothing: {:?}", state.failures)
        });
    }
    let quarantined = objects(cloud, keys::QUARANTINE).await;
    world.check(quarantined.is_empty(), || {
        format!("valid events are in quarantine: {:?}", quarantined.keys())
    });
    check_slots(cloud).await;
    check_steps(cloud);
    check_checks(cloud, &expected);
    check_outages(cloud, &expected).await;
}

async fn objects(cloud: &Cloud, prefix: &str) -> BTreeMap<String, Object> {
    let mut objects = BTreeMap::new();
    for entry in cloud.objects.list(prefix).await.unwrap_or_default() {
        if let Ok(Some(object)) = cloud.objects.get(&entry.key).await {
            objects.insert(entry.key, object);
        }
    }
    objects
}

fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    cloud: &Cloud,
    name: &str,
    expected: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) {
    let keys: BTreeSet<&K> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let (expected, found) = (expected.get(key), found.get(key));
        cloud.world.check(expected == found, || {
            format!("{name} {key:?}: expected {expected:?}, found {found:?}")
        });
    }
}

fn cell(row: &Row) -> Option<Cell> {
    Some((row["shop_id"].as_str()?.to_owned(), row["day"].as_str()?.parse().ok()?))
}

fn sums(rows: &[Row], columns: &[&'static str]) -> Sums {
    let sums = |row: &Row| {
        let sum = |column: &&'static str| (*column, row[*column].as_i64().unwrap_or_default());
        Some((cell(row)?, columns.iter().map(sum).collect()))
    };
    rows.iter().filter_map(sums).collect()
}

fn outage(row: &Row) -> Option<(Cell, Interval)> {
    let time = |column: &str| {
        let text = row[column].as_str()?.trim_end_matches('Z');
        text.parse::<NaiveDateTime>().ok().map(|time| time.and_utc())
    };
    Some((cell(row)?, (time("started_at")?, time("ended_at")?)))
}

/// The last versions of a partition.
struct Versions {
    /// That its state names as committed.
    committed: u64,
    /// That whose check results the warehouse has.
    checked: u64,
    /// That whose rows the warehouse has.
    loaded: u64,
}

/// Checks that the state and the warehouse know the commit in gold.
fn check_versions(cloud: &Cloud, model: &str, key: &str, object: &Object, versions: Versions) {
    let world = &cloud.world;
    let Versions { committed, checked, loaded } = versions;
    let version = match GoldHead::try_from(&object.head) {
        Ok(head) => head.version,
        Err(error) => return world.violate(format!("{key}: {error}")),
    };
    world.check(committed == version, || {
        format!("{key}: the state has version {committed}, gold has {version}")
    });
    // A run that changed nothing shows its results under the version of the next commit.
    world.check(checked >= version, || {
        format!("{key}: the warehouse has the check results of version {checked} of {version}")
    });
    let model = definitions().1.get(model);
    if model.is_some_and(|model| model.warehouse.is_some()) {
        world.check(loaded == version, || {
            format!("{key}: the warehouse has version {loaded}, gold has {version}")
        });
    }
}

/// Checks that the warehouse has the check results of the last computation, also if it committed
/// nothing. The state does not know the computation of a job that has lost its lease, or that was
/// lost after its commit.
fn check_results(
    cloud: &Cloud,
    states: &BTreeMap<Place, PartitionState>,
    checked: &BTreeMap<Key, CheckRun>,
) {
    let may_be_unknown = [
        BadState::LeaseLost,
        BadState::LeaseTakenOver,
        BadState::LostAfterCommit,
        BadState::StartAnswerLost,
    ];
    if !reached_none(cloud, &may_be_unknown) {
        return;
    }
    for ((model, partition), state) in states {
        let Some(computed) = &state.computed else { continue };
        let job = checked.get(&(model.clone(), partition.to_string())).map(|run| &run.job);
        cloud.world.check(job == Some(&computed.job), || {
            format!(
                "{model} {partition}: the warehouse has the check results of {job:?}: {state:?}"
            )
        });
    }
}

/// Returns whether none of these states was reached.
fn reached_none(cloud: &Cloud, states: &[BadState]) -> bool {
    let reached = cloud.world.reached();
    !states.iter().any(|state| reached.contains_key(state))
}

/// Checks that no run slot is taken. One that a fault has left expires.
async fn check_slots(cloud: &Cloud) {
    let may_leave_slots = [
        BadState::ExecutionLost,
        BadState::FunctionKilled,
        BadState::FunctionTimedOut,
        BadState::FunctionThrottled,
        BadState::StoreFailed,
        BadState::StoreAnswerLost,
        BadState::StartAnswerLost,
        BadState::FailureUnrecorded,
        BadState::LeaseTakenOver,
    ];
    if reached_none(cloud, &may_leave_slots) {
        let slots = objects(cloud, keys::RUNS).await;
        cloud.world.check(slots.is_empty(), || format!("slots are taken: {:?}", slots.keys()));
    }
}

/// Checks that people are alerted once to each turn of a step to failure. A step that succeeds
/// before control has sent its alert needs none.
fn check_steps(cloud: &Cloud) {
    let world = &cloud.world;
    let mut sent: BTreeMap<_, usize> = BTreeMap::new();
    for message in cloud.topic.messages() {
        let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
        let partition = body["partition"].as_str().and_then(|day| day.parse::<Partition>().ok());
        let step = serde_json::from_value::<Step>(body["step"].clone()).ok();
        if let (Some(model), Some(partition), Some(step)) =
            (body["model"].as_str(), partition, step)
        {
            *sent.entry(((model.to_owned(), partition), step)).or_default() += 1;
        }
    }
    let may_repeat = [
        BadState::StoreAnswerLost,
        BadState::StoreFailed,
        BadState::FunctionAnswerLost,
        BadState::FunctionKilled,
        BadState::FunctionTimedOut,
        BadState::AlertUnknown,
    ];
    let is_single = !cloud.invariants.has_control_failed() && reached_none(cloud, &may_repeat);
    for (key, counts) in cloud.invariants.steps() {
        let sent = sent.get(&key).copied().unwrap_or_default();
        world.check(sent >= counts.alerted, || {
            format!("{key:?} was not alerted: {sent} of {counts:?}")
        });
        world.check(!is_single || sent <= counts.owed, || {
            format!("{key:?} was alerted too often: {sent} of {counts:?}")
        });
    }
}

/// Checks that people are alerted to each shop that is withheld.
fn check_checks(cloud: &Cloud, expected: &Expected) {
    let messages = cloud.topic.messages();
    let bodies = messages.iter().filter_map(|message| serde_json::from_str(&message.body).ok());
    let bodies: Vec<Value> = bodies.filter(|body: &Value| body["checks"].is_array()).collect();
    let may_repeat = [
        BadState::ExecutionTwice,
        BadState::StartAnswerLost,
        BadState::StoreAnswerLost,
        BadState::StoreFailed,
        BadState::FunctionAnswerLost,
        BadState::FunctionKilled,
        BadState::FunctionTimedOut,
        BadState::AlertUnknown,
    ];
    let is_single = reached_none(cloud, &may_repeat);
    for (shop, day) in &expected.withheld {
        let mut alerts: BTreeMap<&str, usize> = BTreeMap::new();
        for body in bodies.iter().filter(|body| body["partition"] == day.to_string()) {
            for check in body["checks"].as_array().into_iter().flatten() {
                let shops = check["shops"].as_array();
                if shops.is_some_and(|shops| shops.contains(&Value::from(shop.as_str()))) {
                    *alerts.entry(check["check"].as_str().unwrap_or_default()).or_default() += 1;
                }
            }
        }
        cloud.world.check(!alerts.is_empty(), || {
            format!("people were not alerted that {shop} is withheld on {day}")
        });
        cloud.world.check(!is_single || alerts.values().all(|count| *count == 1), || {
            format!(
                "people were alerted several times that {shop} is withheld on {day}: {alerts:?}"
            )
        });
    }
}

/// Checks that people are notified once of each outage that is not too old.
async fn check_outages(cloud: &Cloud, expected: &Expected) {
    let messages = cloud.topic.messages();
    let is_outage = |message: &&Message| {
        message.attributes.iter().any(|(name, value)| *name == "model" && value == OUTAGES)
    };
    let mut notified: BTreeMap<Cell, usize> = BTreeMap::new();
    for message in messages.iter().filter(is_outage) {
        let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
        let (shop, day) = (body["shop"].as_str(), body["partition"].as_str());
        let day = day.and_then(|day| day.parse().ok());
        if let Some((shop, day)) = shop.zip(day) {
            *notified.entry((shop.to_owned(), day)).or_default() += 1;
        }
    }
    let within = TimeDelta::hours(NOTIFY_WITHIN_HOURS);
    for ((shop, day), (first, last)) in &expected.outages {
        let count = notified.remove(&(shop.clone(), *day)).unwrap_or_default();
        let state = claim(cloud, shop, *day).await.unwrap_or_default();
        let is_new = cloud.world.now() - *first < within;
        let is_old = cloud.world.start() - *last > within;
        let is_right = match state.as_str() {
            "sent" => count == 1 && !is_old,
            // The function ended, or had no answer, between its claim and its record.
            "sending" => count <= 1 && !is_old,
            "expired" => count == 0 && !is_new,
            _ => false,
        };
        cloud.world.check(is_right, || {
            format!("{count} notifications of the outage of {shop} on {day}, claimed as {state:?}")
        });
    }
    cloud.world.check(notified.is_empty(), || {
        format!("notifications of outages that did not happen: {:?}", notified.keys())
    });
}

/// Returns the state of the claim of an outage.
async fn claim(cloud: &Cloud, shop: &str, day: NaiveDate) -> Option<String> {
    let subject = serde_json::json!([shop]).to_string();
    let key = keys::alert(OUTAGES, &hex::encode(&Sha256::digest(subject)[..16]));
    let object = cloud.objects.get(&key).await.ok()??;
    let ledger: Value = serde_json::from_slice(&object.bytes).ok()?;
    let mut episodes = ledger["episodes"].as_array()?.iter();
    let episode = episodes.find(|episode| episode["partition"] == day.to_string())?;
    Some(episode["state"].as_str()?.to_owned())
}

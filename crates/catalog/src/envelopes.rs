//! The tables of bronze and quarantine. Their columns are those of the envelope and of the
//! quarantine record, which are the same for every dataset.

use shoplake_contracts::envelope::UNKNOWN;
use shoplake_lake::keys;

use crate::table::{Format, HiveColumn, PartitionKey, Projection, Table};

/// Returns the table of a source's envelopes, by hour of arrival.
pub(crate) fn bronze(source: &str) -> Table {
    let text = |name: &str, description: &str| HiveColumn::new(name, "string", description);
    Table {
        description: format!(
            "Everything that {source} sent, unchanged: one CloudEvents envelope per row, with the \
             event as JSON text in data."
        ),
        format: Format::Json,
        location: keys::bronze_source(source),
        template: format!("{}dt=${{dt}}/hour=${{hour}}/", keys::bronze_source(source)),
        columns: vec![
            text("specversion", "Version of CloudEvents."),
            text("id", "The idempotency key: an event that is sent twice has the same id."),
            text("source", "/shops/<shop>/<source>"),
            text("type", "<dataset>.received"),
            text("subject", "The batch of the event, if any."),
            text("run", "The delivery of the batch: the time when it began, if it is known."),
            text(
                "time",
                "When the event happened, as the sender says (RFC 3339); null if unknown.",
            ),
            text("shopid", "The shop."),
            text("dataset", "The dataset, which names the contract."),
            text("receivedat", "When the pipeline received the event (RFC 3339, UTC)."),
            text("datacontenttype", "Always application/json."),
            text("backfill", "The named backfill of the event, if any."),
            text(
                "oversizedbytes",
                "The size of an event that is too large for a record; data has its beginning.",
            ),
            text("data", "The event as it was sent, as JSON."),
        ],
        partition_keys: vec![
            day("dt", "The day of arrival (UTC)."),
            hour("The hour of arrival (UTC)."),
        ],
        key: Vec::new(),
        repeats: true,
        personal: vec!["data".to_owned()],
        intermediate: false,
    }
}

/// Returns the table of the lines that did not become rows, with all reasons.
pub(crate) fn quarantine<'a>(datasets: impl Iterator<Item = &'a str>) -> Table {
    let values = datasets.chain([UNKNOWN]).map(str::to_owned).collect();
    Table {
        description: "Lines that did not become rows, with all reasons and their original bytes. \
                      silver.quarantined has the first reason of each."
            .to_owned(),
        format: Format::Json,
        location: keys::QUARANTINE.to_owned(),
        template: format!("{}${{dataset}}/dt=${{dt}}/", keys::QUARANTINE),
        columns: vec![
            HiveColumn::new(
                "failure",
                "struct<kind:string,reasons:array<struct<field:string,expected:string,\
                 actual:string,code:string>>>",
                "The stage that failed, and all reasons.",
            ),
            HiveColumn::new("contract", "string", "The contract that the line breaks."),
            HiveColumn::new("envelope", "string", "The original bytes."),
            HiveColumn::new(
                "envelope_encoding",
                "string",
                "The encoding of envelope: utf-8, or base64 for other bytes.",
            ),
            HiveColumn::new(
                "origin",
                "struct<stream:string,shard:string,sequence:string,bucket:string,key:string,\
                 line:bigint>",
                "The place of the line: a record of a stream, or an object of bronze.",
            ),
            HiveColumn::new(
                "processor",
                "struct<name:string,version:string>",
                "The program that refused the line.",
            ),
        ],
        partition_keys: vec![
            PartitionKey {
                name: "dataset".to_owned(),
                key_type: "string",
                description: format!("The dataset of the line; {UNKNOWN} if it is unreadable."),
                projection: Projection::Enum { values },
            },
            day("dt", "The business day of the batch, else the day of arrival (UTC)."),
        ],
        key: Vec::new(),
        repeats: true,
        personal: vec!["envelope".to_owned()],
        intermediate: false,
    }
}

/// `dt=2010-12-01`
pub(crate) fn day(name: &str, description: &str) -> PartitionKey {
    PartitionKey {
        name: name.to_owned(),
        key_type: "date",
        description: description.to_owned(),
        projection: Projection::Date,
    }
}

/// `hour=09`
pub(crate) fn hour(description: &str) -> PartitionKey {
    PartitionKey {
        name: "hour".to_owned(),
        key_type: "int",
        description: description.to_owned(),
        projection: Projection::Integer { last: 23, digits: 2 },
    }
}

/// `<column>=2010-12-01T09`
pub(crate) fn text_of_hour(column: &str) -> PartitionKey {
    PartitionKey {
        name: format!("{column}_partition"),
        key_type: "string",
        description: format!("The hour of {column}, such as 2010-12-01T09."),
        projection: Projection::Hour,
    }
}

/// `bucket=0007`
pub(crate) fn bucket(
    name: &str,
    key_type: &'static str,
    description: &str,
    buckets: u32,
) -> PartitionKey {
    PartitionKey {
        name: name.to_owned(),
        key_type,
        description: description.to_owned(),
        projection: Projection::Integer { last: buckets - 1, digits: 4 },
    }
}

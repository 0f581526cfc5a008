//! The tables of what is kept as it came: bronze, and quarantine. Their columns are those of the
//! envelope and of the quarantine record, which are the same for every dataset.

use shoplake_contracts::envelope::UNKNOWN;
use shoplake_lake::keys;

use crate::table::{Column, Format, PartitionKey, Projection, Table};

/// The envelopes of a source, by the hour of their arrival.
pub(crate) fn bronze(source: &str) -> Table {
    let text = |name: &str, description: &str| Column::new(name, "string", description);
    Table {
        description: format!(
            "Everything that came from {source}, as it came: one CloudEvents envelope per row, the event itself as JSON text in data."
        ),
        format: Format::Json,
        location: keys::bronze_source(source),
        template: format!("{}dt=${{dt}}/hour=${{hour}}/", keys::bronze_source(source)),
        columns: vec![
            text("specversion", "Version of CloudEvents."),
            text("id", "The idempotency key: the same event sent twice has the same id."),
            text("source", "/shops/<shop>/<source>"),
            text("type", "<dataset>.received"),
            text("subject", "The batch that it belongs to, if it came in one."),
            text("time", "When it happened, if the sender said so (RFC 3339)."),
            text("shopid", "The shop."),
            text("dataset", "Names the contract."),
            text("receivedat", "When the pipeline took it (RFC 3339, UTC)."),
            text("datacontenttype", "Always application/json."),
            text("backfill", "The named backfill that it was sent in, if any."),
            text(
                "oversizedbytes",
                "The row's size if it was too large for a record; data is its beginning.",
            ),
            text("data", "The event as it came, as JSON."),
        ],
        partition_keys: vec![
            day("dt", "The day of its arrival (UTC)."),
            hour("The hour of its arrival (UTC)."),
        ],
        key: Vec::new(),
        repeats: true,
        personal: vec!["data".to_owned()],
    }
}

/// The lines that could not become rows, with all reasons.
pub(crate) fn quarantine<'a>(datasets: impl Iterator<Item = &'a str>) -> Table {
    let values = datasets.chain([UNKNOWN]).map(str::to_owned).collect();
    Table {
        description: "Lines that could not become rows, with all reasons and their original bytes. silver.quarantined has the first reason of each."
            .to_owned(),
        format: Format::Json,
        location: "quarantine/".to_owned(),
        template: "quarantine/${dataset}/dt=${dt}/".to_owned(),
        columns: vec![
            Column::new(
                "failure",
                "struct<kind:string,reasons:array<struct<field:string,expected:string,actual:string,code:string>>>",
                "At which stage it failed, and everything that is wrong with it.",
            ),
            Column::new("contract", "string", "The contract that was not fulfilled."),
            Column::new("envelope", "string", "The original bytes."),
            Column::new("envelope_encoding", "string", "How envelope holds them: utf-8, or base64 where they are none."),
            Column::new(
                "origin",
                "struct<stream:string,shard:string,sequence:string,bucket:string,key:string,line:bigint>",
                "Where the line is: in a stream's record or in an object of bronze.",
            ),
            Column::new("processor", "struct<name:string,version:string>", "Which program judged."),
        ],
        partition_keys: vec![
            PartitionKey {
                name: "dataset".to_owned(),
                key_type: "string",
                description: format!("The dataset that it was sent as; {UNKNOWN} where that could not be read."),
                projection: Projection::Enum { values },
            },
            day("dt", "The business day of its batch, else the day of its arrival (UTC)."),
        ],
        key: Vec::new(),
        repeats: true,
        personal: vec!["envelope".to_owned()],
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

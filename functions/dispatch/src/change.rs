//! What a message on the dirty queue says.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use shoplake_jobs::{Partition, PartitionDirty};
use shoplake_lake::keys::{self, LakeKey};

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Raw envelopes of a batch source have arrived.
    Bronze {
        /// Where.
        bucket: String,
        /// Under which key.
        key: String,
    },
    /// A partition of a dataset has grown.
    Silver {
        /// Which dataset.
        dataset: String,
        /// Which partition.
        partition: Partition,
    },
    /// A bucket of a dataset has grown. Models are computed by day, and none can read a dataset by
    /// bucket.
    SilverBucket,
    /// An operator has edited a reference table.
    Reference {
        /// Which table.
        table: String,
    },
    /// Somebody who knows has said that partitions of a model are out of date.
    Dirty {
        /// Which model.
        model: String,
        /// Which partitions.
        partitions: Vec<Partition>,
    },
}

/// A message that says nothing that can be acted on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// Not the JSON of an event.
    #[error("expected an EventBridge event as JSON: {0}")]
    Malformed(#[from] serde_json::Error),
    /// An event of a kind that no rule should send here.
    #[error(
        "expected the event `Object Created` of aws.s3 or `Partition Dirty` of shoplake, got {detail_type:?} of {source_name:?}"
    )]
    UnknownEvent {
        /// The event's `source`.
        source_name: String,
        /// The event's `detail-type`.
        detail_type: String,
    },
    /// An object that nothing is computed from.
    #[error(
        "expected a key such as bronze/<source>/<arrival>/<name>.gz, silver/<dataset>/dt=<day>/<name>.parquet or reference/<table>.csv, got {0:?}"
    )]
    UnknownKey(String),
    /// A partition that is none.
    #[error("model {model:?} has no such partition: {reason}")]
    UnknownPartition {
        /// The model that was named.
        model: String,
        /// What is wrong with the partition.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Event {
    source: String,
    detail_type: String,
    detail: Value,
}

#[derive(Deserialize)]
struct ObjectCreated {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

impl Change {
    /// Reads the body of a message.
    pub(crate) fn parse(body: &str) -> Result<Self, ChangeError> {
        let event: Event = serde_json::from_str(body)?;
        match (event.source.as_str(), event.detail_type.as_str()) {
            ("aws.s3", "Object Created") => Self::of_object(serde_json::from_value(event.detail)?),
            (PartitionDirty::SOURCE, PartitionDirty::DETAIL_TYPE) => {
                let dirty: PartitionDirty = serde_json::from_value(event.detail)?;
                match days(&dirty) {
                    Ok(partitions) => Ok(Self::Dirty { model: dirty.model, partitions }),
                    Err(reason) => {
                        Err(ChangeError::UnknownPartition { model: dirty.model, reason })
                    }
                }
            }
            _ => Err(ChangeError::UnknownEvent {
                source_name: event.source,
                detail_type: event.detail_type,
            }),
        }
    }

    fn of_object(created: ObjectCreated) -> Result<Self, ChangeError> {
        let ObjectCreated { bucket: Bucket { name: bucket }, object: Object { key } } = created;
        // S3 gives EventBridge keys as they are, LocalStack percent-encodes them. No key of the
        // lake holds a percent sign.
        let key = percent_decode_str(&key).decode_utf8_lossy().into_owned();
        let change = match keys::parse(&key) {
            Some(LakeKey::Bronze { .. }) => Some(Self::Bronze { bucket, key: key.clone() }),
            Some(LakeKey::Silver { dataset, partition }) => {
                Partition::from_silver_folder(partition).ok().map(|partition| {
                    match partition.day().map(Partition::Day) {
                        Some(partition) => Self::Silver { dataset: dataset.to_owned(), partition },
                        None => Self::SilverBucket,
                    }
                })
            }
            Some(LakeKey::Reference { table }) => Some(Self::Reference { table: table.to_owned() }),
            Some(LakeKey::Gold { .. }) | None => None,
        };
        change.ok_or(ChangeError::UnknownKey(key))
    }
}

/// Returns the days that the message names. Models are computed by day.
fn days(dirty: &PartitionDirty) -> Result<Vec<Partition>, String> {
    let mut partitions = dirty.partitions().map_err(|error| error.to_string())?.peekable();
    match partitions.peek() {
        None | Some(Partition::Day(_)) => Ok(partitions.collect()),
        Some(other) => Err(format!("invalid partition \"{other}\": expected a day")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn created(key: &str) -> String {
        // The parts of the event that AWS documents and that are read here; real events carry more.
        serde_json::json!({
            "version": "0", "source": "aws.s3", "detail-type": "Object Created", "region": "eu-west-1",
            "detail": {"version": "0", "bucket": {"name": "lake"}, "object": {"key": key, "size": 5}, "reason": "PutObject"},
        })
        .to_string()
    }

    #[test]
    fn given_a_silver_object_then_its_partition_has_grown() {
        let change = Change::parse(&created("silver/pos_sales/dt=2010-12-01/x.parquet")).unwrap();
        let partition = "2010-12-01".parse().unwrap();
        assert_eq!(change, Change::Silver { dataset: "pos_sales".into(), partition });
    }

    #[test]
    fn given_a_bucket_that_has_grown_then_that_is_no_mistake() {
        let change = Change::parse(&created("silver/oltp_orders/bucket=0007/x.parquet")).unwrap();
        assert_eq!(change, Change::SilverBucket);
        for folder in ["bucket=", "bucket=x", "bucket=7", "bucket=0001/hour=09"] {
            let key = format!("silver/oltp_orders/{folder}/x.parquet");
            assert!(
                matches!(Change::parse(&created(&key)), Err(ChangeError::UnknownKey(_))),
                "{key}"
            );
        }
    }

    #[test]
    fn given_a_percent_encoded_key_then_it_means_the_same() {
        let change = Change::parse(&created("silver/pos_sales/dt%3D2010-12-01/x.parquet")).unwrap();
        assert_eq!(
            change,
            Change::parse(&created("silver/pos_sales/dt=2010-12-01/x.parquet")).unwrap()
        );
    }

    #[test]
    fn given_a_bronze_object_then_it_is_to_be_conformed() {
        let key = "bronze/pos/dt=2026-11-21/hour=10/shoplake-local-pos-1.gz";
        assert_eq!(
            Change::parse(&created(key)).unwrap(),
            Change::Bronze { bucket: "lake".into(), key: key.into() }
        );
    }

    #[test]
    fn given_a_reference_table_then_it_was_edited() {
        let change = Change::parse(&created("reference/engagement_weights.csv")).unwrap();
        assert_eq!(change, Change::Reference { table: "engagement_weights".into() });
    }

    #[test]
    fn given_dirty_partitions_then_those_and_no_other() {
        let days = |days: &[&str]| days.iter().map(|day| day.parse().unwrap()).collect::<Vec<_>>();
        let one = PartitionDirty::one("m", days(&["2010-12-01"])[0], "conflict".into());
        let change = Change::parse(&one.event().to_string()).unwrap();
        assert_eq!(change, Change::Dirty { model: "m".into(), partitions: days(&["2010-12-01"]) });

        let three = PartitionDirty { until: Some("2010-12-03".into()), ..one };
        let change = Change::parse(&three.event().to_string()).unwrap();
        let partitions = days(&["2010-12-01", "2010-12-02", "2010-12-03"]);
        assert_eq!(change, Change::Dirty { model: "m".into(), partitions });
    }

    #[test]
    fn given_something_else_then_the_error_says_what_was_expected() {
        let error = |body: &str| Change::parse(body).unwrap_err().to_string();
        assert!(error("{}").contains("EventBridge event"));
        assert!(error(&created("gold/m/d=2010-12-01/data.parquet")).contains("silver/<dataset>"));
        assert!(error(r#"{"source":"aws.ec2","detail-type":"x","detail":{}}"#).contains("aws.ec2"));
        let dirty = r#"{"source":"shoplake","detail-type":"Partition Dirty","detail":{"model":"m","partition":"yesterday","reason":""}}"#;
        assert!(error(dirty).contains("yesterday"));
        for partition in ["0007", "2010-12-01T09"] {
            let dirty = error(&dirty.replace("yesterday", partition));
            assert!(dirty.contains("expected a day"), "{dirty}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_a_change_or_an_error(body in ".*") {
            let _ = Change::parse(&body);
        }
    }
}

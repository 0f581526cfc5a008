//! The messages of the dirty queue.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use shoplake_jobs::{Partition, PartitionDirty, PartitionError};
use shoplake_lake::keys::{self, LakeKey};

/// A change that a message reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// An object of raw envelopes of a batch source.
    Bronze {
        /// The object's bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// A new object in a partition of a dataset.
    Silver {
        /// The object's key.
        key: String,
        /// The dataset.
        dataset: String,
        /// The partition.
        partition: Partition,
    },
    /// An operator has edited a reference table.
    Reference {
        /// The table.
        table: String,
    },
    /// Dirty partitions of a model.
    Dirty {
        /// The model.
        model: String,
        /// The partitions.
        partitions: Vec<Partition>,
        /// Whether to compute them even if their inputs are the same.
        recompute: bool,
    },
}

/// An invalid message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The message is not the JSON of an event.
    #[error("expected an EventBridge event as JSON: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The message is another event.
    #[error(
        "expected the event `Object Created` of aws.s3 or `Partition Dirty` of shoplake, got \
         {detail_type:?} of {source_name:?}"
    )]
    UnknownEvent {
        /// The event's `source`.
        source_name: String,
        /// The event's `detail-type`.
        detail_type: String,
    },
    /// The object is not an input.
    #[error(
        "expected a key such as bronze/<source>/<arrival>/<name>.gz, \
         silver/<dataset>/dt=<day>/<name>.parquet or reference/<table>.csv, got {0:?}"
    )]
    UnknownKey(String),
    /// The partitions are not a range.
    #[error("model {model:?}: {reason}")]
    InvalidRange {
        /// The model.
        model: String,
        /// The reason.
        reason: PartitionError,
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
    /// Parses the body of a message.
    pub(crate) fn parse(body: &str) -> Result<Self, ChangeError> {
        let event: Event = serde_json::from_str(body)?;
        match (event.source.as_str(), event.detail_type.as_str()) {
            ("aws.s3", "Object Created") => Self::of_object(serde_json::from_value(event.detail)?),
            (PartitionDirty::SOURCE, PartitionDirty::DETAIL_TYPE) => {
                let dirty: PartitionDirty = serde_json::from_value(event.detail)?;
                let PartitionDirty { recompute, .. } = dirty;
                match dirty.partitions().map(Iterator::collect) {
                    Ok(partitions) => Ok(Self::Dirty { model: dirty.model, partitions, recompute }),
                    Err(reason) => Err(ChangeError::InvalidRange { model: dirty.model, reason }),
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
        // LocalStack percent-encodes keys, S3 does not. Keys of the lake have no percent sign.
        let key = percent_decode_str(&key).decode_utf8_lossy().into_owned();
        let change = match keys::parse(&key) {
            Some(LakeKey::Bronze { .. }) => Some(Self::Bronze { bucket, key: key.clone() }),
            Some(LakeKey::Silver { dataset, partition }) => {
                let dataset = dataset.to_owned();
                Some(Self::Silver { key: key.clone(), dataset, partition })
            }
            Some(LakeKey::Reference { table }) => Some(Self::Reference { table: table.to_owned() }),
            Some(LakeKey::Gold { .. }) | None => None,
        };
        change.ok_or(ChangeError::UnknownKey(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn created(key: &str) -> String {
        // The documented parts of the event that are read here.
        serde_json::json!({
            "version": "0", "source": "aws.s3", "detail-type": "Object Created",
            "region": "eu-west-1",
            "detail": {"version": "0", "bucket": {"name": "lake"},
                       "object": {"key": key, "size": 5}, "reason": "PutObject"},
        })
        .to_string()
    }

    #[test]
    fn a_silver_object_changes_its_partition() {
        for (folder, partition) in [
            ("dt=2010-12-01", "2010-12-01"),
            ("dt=2010-12-01/hour=09", "2010-12-01T09"),
            ("bucket=0007", "0007"),
        ] {
            let key = format!("silver/pos_sales/{folder}/x.parquet");
            let change = Change::parse(&created(&key)).unwrap();
            let partition = partition.parse().unwrap();
            assert_eq!(change, Change::Silver { key, dataset: "pos_sales".into(), partition });
        }
        for folder in ["bucket=", "bucket=x", "bucket=7", "bucket=0001/hour=09"] {
            let key = format!("silver/oltp_orders/{folder}/x.parquet");
            assert!(
                matches!(Change::parse(&created(&key)), Err(ChangeError::UnknownKey(_))),
                "{key}"
            );
        }
    }

    #[test]
    fn a_percent_encoded_key_is_decoded() {
        let change = Change::parse(&created("silver/pos_sales/dt%3D2010-12-01/x.parquet")).unwrap();
        assert_eq!(
            change,
            Change::parse(&created("silver/pos_sales/dt=2010-12-01/x.parquet")).unwrap()
        );
    }

    #[test]
    fn a_bronze_object_is_recognized() {
        let key = "bronze/pos/dt=2026-11-21/hour=10/shoplake-local-pos-1.gz";
        assert_eq!(
            Change::parse(&created(key)).unwrap(),
            Change::Bronze { bucket: "lake".into(), key: key.into() }
        );
    }

    #[test]
    fn an_edited_reference_table_is_recognized() {
        let change = Change::parse(&created("reference/engagement_weights.csv")).unwrap();
        assert_eq!(change, Change::Reference { table: "engagement_weights".into() });
    }

    #[test]
    fn a_dirty_message_names_its_partitions() {
        let days = |days: &[&str]| days.iter().map(|day| day.parse().unwrap()).collect::<Vec<_>>();
        let one = PartitionDirty::one("m", days(&["2010-12-01"])[0], "conflict".into());
        let change = Change::parse(&one.event().to_string()).unwrap();
        let partitions = days(&["2010-12-01"]);
        assert_eq!(change, Change::Dirty { model: "m".into(), partitions, recompute: false });

        let three = PartitionDirty { until: "2010-12-03".parse().ok(), recompute: true, ..one };
        let change = Change::parse(&three.event().to_string()).unwrap();
        let partitions = days(&["2010-12-01", "2010-12-02", "2010-12-03"]);
        assert_eq!(change, Change::Dirty { model: "m".into(), partitions, recompute: true });
    }

    #[test]
    fn an_invalid_message_is_rejected_with_the_expectation() {
        let error = |body: &str| Change::parse(body).unwrap_err().to_string();
        assert!(error("{}").contains("EventBridge event"));
        assert!(error(&created("gold/m/d=2010-12-01/data.parquet")).contains("silver/<dataset>"));
        assert!(error(r#"{"source":"aws.ec2","detail-type":"x","detail":{}}"#).contains("aws.ec2"));
        let dirty = r#"{"source":"shoplake","detail-type":"Partition Dirty",
            "detail":{"model":"m","partition":"yesterday","reason":""}}"#;
        assert!(error(dirty).contains("yesterday"));
        let mixed = dirty.replace("\"yesterday\"", "\"2010-12-01\",\"until\":\"0007\"");
        assert!(error(&mixed).contains("invalid partition \"0007\": expected date"), "{mixed}");
    }

    proptest! {
        #[test]
        fn any_body_is_a_change_or_an_error(body in ".*") {
            let _ = Change::parse(&body);
        }
    }
}

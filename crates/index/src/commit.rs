//! The commit of a gold object, as its metadata names it.

use shoplake_jobs::metadata;
use shoplake_lake::{ETag, Head};

/// The last commit of a partition. A planner reads it *before* it lists the inputs: the next commit
/// then includes at least the inputs of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldHead {
    /// The version of the object.
    pub etag: ETag,
    /// The number of the commit.
    pub version: u64,
    /// The digest of what the rows were computed from.
    pub inputs: String,
    /// The job that committed.
    pub job: String,
}

/// An object in gold that does not say which commit it is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the gold object {etag} has no valid metadata {name:?}, so it was not written by a job; delete \
     it and backfill its partition"
)]
pub struct GoldHeadError {
    etag: ETag,
    name: &'static str,
}

impl TryFrom<&Head> for GoldHead {
    type Error = GoldHeadError;

    fn try_from(head: &Head) -> Result<Self, Self::Error> {
        let error = |name| GoldHeadError { etag: head.etag.clone(), name };
        let text = |name: &'static str| head.metadata.get(name).ok_or_else(|| error(name));
        Ok(Self {
            etag: head.etag.clone(),
            version: text(metadata::VERSION)?.parse().map_err(|_| error(metadata::VERSION))?,
            inputs: text(metadata::INPUTS)?.clone(),
            job: text(metadata::JOB)?.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn an_object_without_metadata_is_refused_with_what_to_do() {
        let head = Head {
            etag: ETag::new("e"),
            size: 1,
            last_modified: DateTime::UNIX_EPOCH,
            metadata: Default::default(),
        };
        assert!(GoldHead::try_from(&head).unwrap_err().to_string().contains("delete it"));
    }
}

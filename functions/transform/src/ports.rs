//! What the handler needs from outside besides the lake.

use async_trait::async_trait;
use shoplake_jobs::PartitionDirty;

/// Something outside did not answer as it should. Always a fault of the system: retry it.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not {action}: {cause}; retry, and if it persists check the name of the target and the role"
)]
pub struct PortError {
    /// What was tried.
    pub action: &'static str,
    /// What the other side said.
    pub cause: String,
}

/// Tells whoever listens that partitions are dirty because of a commit.
#[async_trait]
pub trait Announcer: Send + Sync {
    /// Tells them, each at least once.
    async fn announce(&self, dirtied: &[PartitionDirty]) -> Result<(), PortError>;
}

/// Takes partitions that have to be planned again.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Has the partition planned again.
    async fn mark(&self, dirty: &PartitionDirty) -> Result<(), PortError>;
}

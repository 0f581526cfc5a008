//! The state of each partition of each model: which job computes it, what came of the last
//! computation, and what is still owed.
//!
//! A state changes only by conditional writes of its object,
//! `state/partitions/<model>/<partition>.json`. The transitions of [`PartitionState`] do no I/O;
//! [`read`], [`write`] and [`update`] store their results. Before a state begins to owe something,
//! its marker `state/owed/<model>/<partition>` is written, so that a sweep lists only what is owed.
//!
//! Leases and [run slots](runs) are advisory. They save work and protect nothing: they expire,
//! because their holder may have crashed. The conditional write of gold protects the data.

pub mod old_days;
mod partition;
pub mod runs;
mod stored;

pub use partition::{
    Completion, Computation, DELIVERY, Debt, DebtKind, Failure, Lease, PartitionState, Step,
    UnsentAlert,
};
pub use stored::{Stored, mark, read, settle, update, write};

//! Fault plans: steps that replace the undisturbed order of a run.

/// Steps that run one after the other.
pub type FaultPlan = Vec<Step>;

/// One step of a fault plan.
///
/// A place is an index among the waiting messages or executions, modulo their number. A step does
/// nothing if none waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Dispatch receives up to `most` of the waiting messages, beginning at `place`. If `twice`,
    /// the queue delivers them once more.
    Dispatch {
        /// The first message.
        place: usize,
        /// The most messages of the batch.
        most: usize,
        /// Whether the queue delivers them again.
        twice: bool,
    },
    /// The execution at `place` runs.
    Run {
        /// The execution.
        place: usize,
    },
    /// The execution at `place` runs twice at the same time.
    RunTwice {
        /// The execution.
        place: usize,
    },
    /// Two executions run at the same time.
    RunTogether {
        /// The first one.
        place: usize,
        /// The second one.
        other: usize,
    },
    /// The execution at `place` ends between its commit and the publication of its events. It waits
    /// for a retry.
    Kill {
        /// The execution.
        place: usize,
    },
    /// The execution at `place` runs, but the response to its commit is lost, so the client sends
    /// the commit again.
    LoseResponse {
        /// The execution.
        place: usize,
    },
    /// Time passes: delayed messages become ready, and leases of waiting executions expire.
    Sleep {
        /// How long.
        seconds: u16,
    },
}

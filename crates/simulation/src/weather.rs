//! What may happen while a lake settles. A calm day is everything in the order in which it came; a
//! gust is something else.

/// One step. Places are counted round and round, so that each is one, however much waits; where
/// nothing waits, nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gust {
    /// Dispatch gets up to `most` messages, beginning with the one at `place` among those that
    /// wait. If `twice`, the queue delivers them once more.
    Dispatch {
        /// Which message comes first.
        place: usize,
        /// How many come together.
        most: usize,
        /// Whether they come again.
        twice: bool,
    },
    /// The execution at `place` among those that wait runs.
    Run {
        /// Which one.
        place: usize,
    },
    /// It runs, and beside it the same one a second time.
    RunTwice {
        /// Which one.
        place: usize,
    },
    /// Two executions run at the same time, whatever they are.
    RunTogether {
        /// The one.
        place: usize,
        /// The other.
        other: usize,
    },
    /// It is killed between its commit and the announcement, and retried whenever its turn comes
    /// again.
    Kill {
        /// Which one.
        place: usize,
    },
    /// It runs, but the answer to its commit is lost, and the client sends the commit again.
    LoseAnswer {
        /// Which one.
        place: usize,
    },
    /// Time passes: what was postponed comes back, and leases end under those who still work.
    Sleep {
        /// How long.
        seconds: u16,
    },
}

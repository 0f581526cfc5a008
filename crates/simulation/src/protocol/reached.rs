//! The bad states that a run can reach, and how often it did.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares an enum whose variants have a line of text.
macro_rules! lines {
    ($(#[$attribute:meta])* $name:ident { $($variant:ident: $text:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $text] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns what it is, in one line.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Returns its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }
    };
}
pub(crate) use lines;

lines! {
    /// A state that a run has to reach now and then, or it proves nothing about it.
    BadState {
        StoreFailed: "S3 did not answer a request at any attempt",
        StoreAnswerLost: "the answer to a write of S3 was lost",
        OwnWriteConflicted: "a write that was repeated conflicted with itself",
        WriteRaceLost: "a conditional write lost against another writer",
        CallSlow: "a call took longer than ten seconds",
        FunctionKilled: "a function was killed at one of its calls",
        FunctionTimedOut: "a function reached its time limit",
        FunctionAnswerLost: "a function ended and its caller got no answer",
        FunctionThrottled: "a function was throttled",
        ClockWrong: "a function ran with a wrong clock",
        MessageLate: "a message came late",
        MessageTwice: "a message came twice",
        MessageLost: "a message was lost",
        MessageDeferred: "a message waited on the queue",
        MessageReturned: "a message was handled without success, and came again",
        PublishFailed: "EventBridge did not accept an event",
        PutPartial: "a stream accepted only some records of a request",
        PutAnswerLost: "a stream accepted records and its answer was lost",
        RequestRepeated: "a shop sent a request again that had been accepted",
        RequestRefused: "a request that is not valid was refused",
        BatchSplit: "a batch of a stream was split after a failure",
        BronzeTwice: "Firehose wrote records twice",
        StartRefused: "Step Functions did not start an execution",
        StartAnswerLost: "an execution was started and the answer was lost",
        ExecutionTwice: "an execution ran twice",
        ExecutionLost: "an execution ended without a word",
        LostAfterCommit: "an execution ended between its commit and the publication",
        LostBeforeLoad: "an execution ended between the publication and the load",
        LeaseTakenOver: "a lease expired and another job started",
        LeaseLost: "a job committed after it had lost its lease",
        Conflict: "a job ended in a conflict",
        CommitResumed: "a commit was resumed",
        Unchanged: "a job ended without a change",
        ShopWithheld: "a job withheld a shop",
        SlotsTaken: "a job found all run slots taken",
        SlotTakenOver: "a job took over a run slot that had expired",
        LoadSuperseded: "a load came after that of a newer commit",
        LoadRepeated: "a commit was loaded twice",
        WarehouseFailed: "the warehouse rolled a transaction back",
        WarehouseAnswerLost: "the warehouse committed a transaction and its answer was lost",
        ComputeFailed: "a failure of a job was recorded",
        LoadFailed: "a failure of a load was recorded",
        NotifyFailed: "a failure of a notification was recorded",
        FailureUnrecorded: "a failure could not be recorded",
        StepRecovered: "a step succeeded after recorded failures",
        OldDayDelayed: "an old day waited for its turn",
        SweepFound: "a sweep found objects that no state knew",
        SweepSent: "a sweep sent what a partition owed",
        MarkerDeleted: "a sweep deleted the marker of a settled partition",
        MarkerRaced: "a marker was deleted while a state began to rely on it",
        AlertRefused: "the topic refused a message",
        AlertUnknown: "the topic did not say whether it accepted a message",
        BackfillRan: "an operator ran a backfill",
        EventBridgeOut: "EventBridge was out for ten minutes",
        StepFunctionsOut: "Step Functions were out for ten minutes",
        LambdaOut: "Lambda had no concurrency for ten minutes",
        WarehouseOut: "the warehouse was out for ten minutes",
    }
}

/// How often each state was reached.
pub(crate) struct Counts(Vec<AtomicU64>);

impl Default for Counts {
    fn default() -> Self {
        Self(BadState::ALL.iter().map(|_| AtomicU64::default()).collect())
    }
}

impl Counts {
    pub(crate) fn add(&self, state: BadState) {
        self.0[state as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the states that were reached.
    pub(crate) fn reached(&self) -> BTreeMap<BadState, u64> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        BadState::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

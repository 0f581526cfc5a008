//! Faults of the protocol that a run can have planted, to prove that runs find them. Each is one
//! line at a port or in a part of AWS that the simulation plays: the product's code has none.

use super::reached::lines;

lines! {
    /// A fault of the protocol, which a run finds in few seeds.
    Planted {
        GoldIgnoresIfMatch: "a write of gold replaces the object whatever its ETag is",
        GoldIgnoresIfNoneMatch: "the first write of gold replaces an object that is there",
        StateIgnoresIfMatch: "a write of a state replaces the changes of other writers",
        ControlIgnoresIfMatch: "control replaces a state that has changed since it was read",
        MarkersNotWritten: "the marker of a state that owes something is not written",
        SlotsNotExclusive: "two jobs can take one run slot",
        SlotsNotFreed: "a job does not free its run slot",
        ListingsStale: "a listing lacks the objects of silver of the last minute",
        ListingFailureHidden: "a listing that fails is empty",
        HeadFailureHidden: "an object whose attributes cannot be read counts as missing",
        SilverWriteLost: "one write of silver in ten is acknowledged and not stored",
        SilverFailureHidden: "a write of silver that failed at all attempts counts as stored",
        ReceiptsAssumed: "an object of bronze without a receipt counts as conformed",
        LeasesNeverExpire: "a lease that has expired counts as one of a running job",
        TurnsForgotten: "dispatch forgets the turns that old days have taken",
        AlertsIgnoreIfMatch: "two runs of notify can claim one episode",
        AlertsNotStored: "the claim of an alert is not stored",
        EventsLost: "EventBridge accepts events and loses every third",
        MessagesBackdated: "a message says that it was sent an hour before",
        MessagesAckedFirst: "a message is deleted before it is handled",
        FailedMessagesDeleted: "a message is deleted although it was handled without success",
        SweepsNotRun: "the schedule of the sweep does nothing",
        SweptLoadsLost: "the messages of the sweep that name a load are lost",
        SweptComputationsLost: "the messages of the sweep that name a computation are lost",
        LoadSkipped: "silver-to-gold does not load",
        NotifySkipped: "silver-to-gold does not notify",
        AlertsForgotten: "the state of a partition forgets the alerts that it owes",
        FailuresNotRecorded: "silver-to-gold does not record a failure",
        FailuresAlertedAgain: "each failure of a step is alerted",
        FailureAlertsForgotten: "the state of a partition forgets the alerts about failed steps",
        UnrecordedForgotten: "the state of a partition forgets check results without a commit",
        PutPartlyHidden: "a put that was accepted in part counts as accepted",
        PutFailureHidden: "a put that was not accepted counts as accepted",
        BatchFailureSkipped: "a batch of a stream that fails is skipped",
        BatchHalfSkipped: "the second half of a batch that was split is skipped",
        FirehoseDrops: "Firehose loses every third object",
        LoadsIgnoreOrder: "a load replaces a newer commit in the warehouse",
        TransactionsNotAtomic: "a transaction that is rolled back keeps its first statements",
        TransactionsLost: "one transaction in five is acknowledged and has no effect",
        CopyReadsOldObject: "a copy reads the gold object that was there before",
        PartitionNotDeleted: "a load keeps the rows of the commit before",
        UnknownPublishedAgain: "a message is published again if its first answer was lost",
        DuplicatesCounted: "the engine counts copies of an event",
        OldVersionWins: "the engine counts the oldest version of a row",
        WithheldCommitted: "the engine ignores failed checks",
        AllShopsWithheld: "a failed check withholds every shop",
        FailingShopsForgotten: "the engine leaves out a shop whose rows fail, and does not say so",
        RowsUnsorted: "the engine returns rows in any order",
        GoldCached: "the engine keeps the objects of gold that it has read",
        ForgerAccepted: "the webhook accepts the signature of a stranger",
        ClocksDiffer: "the clocks of functions differ by minutes",
    }
}

impl Planted {
    /// Returns the fault with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|planted| planted.name() == name)
    }
}

//! The invocation of a function that a call belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use futures::future::{AbortHandle, pending};

use super::functions::Function;

tokio::task_local! {
    static CURRENT: Arc<Invocation>;
}

/// An invocation of a function.
pub(crate) struct Invocation {
    /// Its number, from 1.
    pub(crate) id: u64,
    /// The function.
    pub(crate) function: Function,
    /// How much its clock is ahead.
    pub(crate) clock_difference: TimeDelta,
    /// The call at which it is killed, from 0.
    pub(crate) last_call: Option<u32>,
    /// Ends it.
    pub(crate) abort: AbortHandle,
    calls: AtomicU32,
}

impl Invocation {
    pub(crate) fn new(
        id: u64,
        function: Function,
        clock_difference: TimeDelta,
        last_call: Option<u32>,
        abort: AbortHandle,
    ) -> Self {
        Self { id, function, clock_difference, last_call, abort, calls: AtomicU32::default() }
    }

    /// Counts a call, and returns whether the invocation is killed at it.
    pub(crate) fn is_last_call(&self) -> bool {
        Some(self.calls.fetch_add(1, Ordering::Relaxed)) == self.last_call
    }

    /// Runs the work of the invocation.
    pub(crate) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::new(self), work).await
    }
}

/// Returns something of the invocation that runs; `None` outside of functions.
pub(crate) fn current<T>(read: impl FnOnce(&Invocation) -> T) -> Option<T> {
    CURRENT.try_with(|invocation| read(invocation)).ok()
}

/// Ends the invocation that runs.
pub(crate) async fn end() {
    if current(|invocation| invocation.abort.abort()).is_some() {
        pending().await
    }
}

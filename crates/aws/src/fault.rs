//! Faults of the implementations in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::PortError;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service rejects the call: it is throttled, or the caller may not make it.
    Refused,
    /// The call is lost on its way, and the caller gets no answer.
    Lost,
    /// The call succeeds, and its answer is lost.
    AnswerLost,
}

impl Fault {
    /// Returns whether the call takes effect.
    pub fn takes_effect(self) -> bool {
        self == Self::AnswerLost
    }
}

/// The faults of the next calls, in order.
#[derive(Debug, Default)]
pub struct Faults {
    schedule: Mutex<VecDeque<Option<Fault>>>,
}

impl Faults {
    /// Sets what goes wrong with each of the next calls. All calls after them succeed.
    pub fn set(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        *self.schedule.lock().unwrap_or_else(PoisonError::into_inner) =
            schedule.into_iter().collect();
    }

    /// Takes the fault of this call.
    pub fn next(&self) -> Option<Fault> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner).pop_front().flatten()
    }

    /// Makes this call: runs `effect` unless the call's fault prevents it.
    pub(crate) fn call(&self, action: &str, effect: impl FnOnce()) -> Result<(), PortError> {
        let fault = self.next();
        if fault.is_none_or(Fault::takes_effect) {
            effect();
        }
        match fault {
            None => Ok(()),
            Some(fault) => Err(PortError::new(action, format!("requested fault {fault:?}"))),
        }
    }
}

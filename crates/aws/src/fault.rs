//! Calls of the implementations in memory.

use shoplake_platform::faults::{Fault, Faults};

use crate::PortError;

/// Makes a call that changes something: runs `effect` unless the call's fault prevents it.
pub(crate) fn write(
    faults: &Faults,
    action: &'static str,
    effect: impl FnOnce(),
) -> Result<(), PortError> {
    let fault = faults.write(action);
    if fault.is_none_or(Fault::takes_effect) {
        effect();
    }
    fault.map_or(Ok(()), |fault| Err(error(action, fault)))
}

/// Makes a call that only reads.
pub(crate) fn read<T>(
    faults: &Faults,
    action: &'static str,
    answer: impl FnOnce() -> T,
) -> Result<T, PortError> {
    faults.read(action).map_or_else(|| Ok(answer()), |fault| Err(error(action, fault)))
}

fn error(action: &'static str, fault: Fault) -> PortError {
    PortError::new(action, format!("requested fault {fault:?}"))
}

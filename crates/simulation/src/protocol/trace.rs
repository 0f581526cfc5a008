//! The trace of a run: everything that happened, in order.

use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The trace of a run as a digest, and as text if that is wanted.
pub(crate) struct Trace(Mutex<Content>);

struct Content {
    digest: u64,
    events: u64,
    lines: Option<Vec<String>>,
    line: String,
}

impl Trace {
    /// An empty trace, which keeps its text if `keeps_text`.
    pub(crate) fn new(keeps_text: bool) -> Self {
        Self(Mutex::new(Content {
            digest: 0xcbf2_9ce4_8422_2325,
            events: 0,
            lines: keeps_text.then(Vec::new),
            line: String::new(),
        }))
    }

    /// Adds an event that happened at `now` in the invocation `who`; 0 outside of functions.
    pub(crate) fn add(&self, now: Duration, who: u64, event: fmt::Arguments<'_>) {
        let content = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        content.line.clear();
        // Writing to a text never fails.
        let _ = write!(content.line, "{} #{who} {event}", now.as_micros());
        // FNV-1a.
        for byte in content.line.bytes() {
            content.digest = (content.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        content.events += 1;
        if let Some(lines) = &mut content.lines {
            lines.push(content.line.clone());
        }
    }

    /// Returns the digest and the number of the events so far.
    pub(crate) fn digest(&self) -> (u64, u64) {
        let content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (content.digest, content.events)
    }

    /// Takes the text.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        let mut content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        content.lines.take().unwrap_or_default()
    }
}

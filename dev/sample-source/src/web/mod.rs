//! A web shop: visitors and what they do.

mod event;
mod session;
mod traffic;

pub use event::{Event, EventType};
pub use session::Visitors;
pub use traffic::Traffic;

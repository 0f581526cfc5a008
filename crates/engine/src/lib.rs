//! Runs a job document with DataFusion: reads its objects, runs its SQL, and says what is new and
//! whether it is right.
//!
//! Nothing is committed here. Whoever calls decides what to do with an [`Output`], so that running
//! a job any number of times changes nothing.

mod checks;
mod difference;
mod error;
mod functions;
mod inputs;
mod rows;
mod run;
mod session;
mod types;

pub use error::EngineError;
pub use inputs::Arrival;
pub use run::{Output, run};
pub use session::Limits;
pub use shoplake_gold::{self as gold, Gold};

//! The ports of the functions, as services in memory play them.

pub(crate) mod bus;
pub(crate) mod executions;
pub(crate) mod secrets;
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod topic;
pub(crate) mod warehouse;

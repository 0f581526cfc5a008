//! APIs that hand out pages over HTTP.

mod api;
mod error;
mod patience;
mod retry_after;

pub use api::PagedApi;
pub use error::ApiError;
pub use patience::Patience;

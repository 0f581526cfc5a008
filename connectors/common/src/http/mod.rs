//! APIs that hand out pages over HTTP.

mod api;
mod error;
mod retry_after;

pub use api::PagedApi;
pub use error::ApiError;

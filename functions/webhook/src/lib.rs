//! The webhook function: authenticates HTTP requests, gives their events to
//! [`shoplake_ingest`], and answers with receipts or a problem document.

mod authentication;
mod problem;
mod response;
mod route;
mod standard_webhooks;
#[cfg(test)]
mod tests;
mod webhook;

pub use webhook::Webhook;

//! Takes the sales of a day from a shop's point-of-sale API to the stream of its source.

mod config;
mod job;
mod sale;
mod token;

pub use config::{Config, TokenSource};
pub use job::{Job, JobError};
pub use sale::describe;
pub use token::TokenError;

//! Takes the sales of a day from a shop's point-of-sale API to the stream of its source.

mod day;
mod sale;

pub use day::Day;
pub use sale::describe;

//! Takes the sales of trading days from a shop's point-of-sale API to the stream of its source.

mod sales;

pub use sales::{Sales, TradingDays};

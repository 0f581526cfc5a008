//! The KPIs, over the whole lake in memory, against numbers that are worked out by hand. The
//! arithmetic is in the comments.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod checks;
mod customers;
mod finance;
mod given;
mod marketing;
mod operations;
mod sales;
mod support;

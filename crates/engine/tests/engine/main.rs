//! The engine, with the real contracts and models over a lake in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod buckets;
mod errors;
mod order;
mod reference;
mod sales;
mod sessions;
mod shops;

//! Test equipment: plays the systems that feed Shoplake, so that the whole pipeline can be run and measured without them.
//!
//! [`pos`] is a point-of-sale API over CSV files or generated days, [`web`] a web shop whose visitors send signed events.
//! What either of them emits depends on its arguments alone, so that an expected result can be computed from the same input.

pub mod pos;
mod seed;
pub mod web;

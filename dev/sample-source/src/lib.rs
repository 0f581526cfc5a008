//! Test equipment: emulates the systems that send data to Shoplake, so that the whole pipeline can
//! be run and measured without them.
//!
//! [`pos`] is a point-of-sale API over CSV files or generated days, [`inventory`] an API of hourly
//! stock levels; both are an [`api::DataSource`] behind an [`api::Server`]. [`web`] is a web shop
//! and [`crm`] a CRM; both are a [`post::EventSource`] whose events a [`post::Sender`] signs and
//! posts.
//! [`hostile`] is a shop that does everything wrong, each item with its expected fate. All share
//! the same [`world`]. What each emits depends on its arguments alone, so that an expected
//! result can be computed from the same input.

pub mod api;
pub mod crm;
pub mod hostile;
pub mod inventory;
pub mod pos;
pub mod post;
mod record;
mod seed;
pub mod web;
pub mod world;

pub use record::Recorder;

//! The pipeline in memory. The handlers of the functions conform, plan, compute, commit, load and
//! notify what is delivered, over ports in memory, until the pipeline is idle.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use serde_json::json;
//! use shoplake_simulation::{Event, Lake, texts};
//!
//! let lake = Lake::of_repository()?;
//! let event = Event::new("web_traffic", "acme", json!({
//!     "event_id": "e1", "session_id": "s1", "visitor_id": "v1", "event_type": "page_view",
//!     "occurred_at": "2026-03-01T10:00:00Z", "page_url": "https://acme.example/",
//! }));
//! lake.deliver(&[event], "first").await?;
//! lake.settle().await?;
//! let rows = lake.rows("session_duration_bounce_rate").await?;
//! assert_eq!(texts(&rows, "shop_id sessions bounce_rate"), ["acme 1 1.0"]);
//! # Ok(())
//! # }
//! ```

pub mod adversary;
mod bucket;
mod event;
mod lake;
mod messages;
pub mod protocol;
mod rows;
mod warehouse;

pub use event::Event;
pub use lake::{Ended, Lake, Settled};
pub use rows::{Row, texts};

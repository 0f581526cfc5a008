//! Takes a shop's customers, products, orders and order items from its PostgreSQL to the stream of
//! their source.

mod database;
mod deletions;
mod extract;
mod lookback;
mod rows;
mod table;

pub use database::Database;
pub use extract::Extract;
pub use lookback::{FullExtractDay, Lookback, NotALookback, NotAWeekday};
pub use table::Table;

//! An inventory system: what is in stock where, counted on every full hour.

mod generator;
mod hour;
mod item;
mod level;

pub use generator::Generator;
pub use hour::Hour;
pub use level::Level;

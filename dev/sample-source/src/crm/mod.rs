//! A customer relationship management system: what customers and the shop's staff have to do with
//! each other.

mod day;
mod interaction;
mod interactions;
mod ticket;

pub use interaction::{Channel, Interaction, InteractionType, TicketStatus};
pub use interactions::Interactions;

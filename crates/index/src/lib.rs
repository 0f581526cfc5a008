//! What a program needs to know of the models without the planner, which parses them: the
//! [`ModelIndex`], [reference tables](ReferenceTable) and the [commits](GoldHead) of gold objects.

mod commit;
mod description;
mod models;
mod reference;

pub use commit::{GoldHead, GoldHeadError};
pub use description::{Description, InvalidDescription};
pub use models::{IndexError, IndexedInput, IndexedModel, IndexedView, ModelIndex};
pub use reference::{ReferenceDeclaration, ReferenceError, ReferenceTable, References};

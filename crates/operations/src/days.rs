//! Arguments that name a model and a range of its days.

use chrono::NaiveDate;
use shoplake_index::{IndexedModel, ModelIndex};
use shoplake_platform::failure::Failure;

/// Returns the model of this name.
pub(crate) fn model<'a>(models: &'a ModelIndex, name: &str) -> Result<&'a IndexedModel, Failure> {
    models.get(name).ok_or_else(|| {
        let known =
            models.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        Failure::permanent(format!("unknown model {name:?}: expected one of {known}"))
    })
}

/// Returns the days from `from` to `to`, both included.
pub(crate) fn range(from: NaiveDate, to: NaiveDate, max: usize) -> Result<Vec<NaiveDate>, Failure> {
    let days = from.iter_days().take_while(|day| *day <= to).take(max + 1).collect::<Vec<_>>();
    if days.is_empty() || days.len() > max {
        return Err(Failure::permanent(format!(
            "invalid range {from} to {to}: expected 1 to {max} days, the earlier one first"
        )));
    }
    Ok(days)
}

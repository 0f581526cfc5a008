//! What an action is asked to do something about: a model, and a range of its days.

use chrono::NaiveDate;
use shoplake_models::{Model, Models};
use shoplake_platform::failure::Failure;

/// The model of that name.
pub(crate) fn model<'a>(models: &'a Models, name: &str) -> Result<&'a Model, Failure> {
    models.get(name).ok_or_else(|| {
        let known = models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        Failure::permanent(format!("expected one of the models {known}, got {name:?}"))
    })
}

/// The days from `from` to `to`, both included.
pub(crate) fn range(from: NaiveDate, to: NaiveDate, max: usize) -> Result<Vec<NaiveDate>, Failure> {
    let days = from.iter_days().take_while(|day| *day <= to).take(max + 1).collect::<Vec<_>>();
    if days.is_empty() || days.len() > max {
        return Err(Failure::permanent(format!(
            "expected a range of 1 to {max} days, from the earlier to the later, got {from} to {to}"
        )));
    }
    Ok(days)
}

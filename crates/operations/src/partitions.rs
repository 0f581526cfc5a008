//! Arguments that name a model and a range of its partitions.

use shoplake_index::{IndexedModel, ModelIndex};
use shoplake_jobs::Partition;
use shoplake_platform::failure::Failure;

/// Returns the model of this name.
pub(crate) fn model<'a>(models: &'a ModelIndex, name: &str) -> Result<&'a IndexedModel, Failure> {
    models.get(name).ok_or_else(|| {
        let known =
            models.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        Failure::permanent(format!("unknown model {name:?}: expected one of {known}"))
    })
}

/// Returns the partitions of the model from `from` to `to`, both included.
pub(crate) fn range(
    model: &IndexedModel,
    from: Partition,
    to: Partition,
    max: usize,
) -> Result<Vec<Partition>, Failure> {
    let kind = model.kind;
    if let Some(other) = [from, to].into_iter().find(|partition| !kind.has(*partition)) {
        return Err(Failure::permanent(format!(
            "invalid partition \"{other}\" of {:?}: expected a {kind}",
            model.name
        )));
    }
    let partitions = from.through(to).take(max + 1).collect::<Vec<_>>();
    if partitions.is_empty() || partitions.len() > max {
        return Err(Failure::permanent(format!(
            "invalid range {from} to {to}: expected 1 to {max} partitions, the earlier one first"
        )));
    }
    Ok(partitions)
}

//! The rows of views, as the warehouse and Athena compute them when a view is read.

use std::collections::BTreeMap;

use anyhow::Context;
use shoplake_engine::{DataFusion, Output};
use shoplake_jobs::JobDocument;
use shoplake_lake::{Store, keys};
use shoplake_models::MartView;

use super::Lake;
use crate::rows::{self, Row};

impl Lake {
    /// Runs the job of a view over all objects of gold. Returns the job and its output; `None` if a
    /// model that the view reads has no object, from which its columns would follow.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn view(&self, view: &MartView) -> anyhow::Result<Option<(JobDocument, Output)>> {
        let mut objects = BTreeMap::new();
        for input in view.inputs.keys() {
            let model = self.models().iter().find(|model| model.reference == *input);
            let model = model.with_context(|| format!("no model {input:?}"))?;
            let entries = self.bucket.list(&keys::gold_model(&model.name)).await?;
            if entries.is_empty() {
                return Ok(None);
            }
            objects.insert(input, entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>());
        }
        let job = view.job(|input| (None, objects[&input.to_owned()].clone()));
        let engine = DataFusion::default();
        let output = shoplake_engine::run(&self.bucket, &job, None, &engine).await?;
        Ok(Some((job, output)))
    }

    /// Returns the rows of a view in the order of its key.
    pub(super) async fn view_rows(&self, view: &MartView) -> anyhow::Result<Vec<Row>> {
        let (_, output) = self.view(view).await?.with_context(|| {
            format!("{:?} has no columns: expected rows of each model that it reads", view.name)
        })?;
        anyhow::ensure!(output.failed_checks.is_empty(), "{:?}", output.failed_checks);
        rows::of_batch(&output.rows)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shoplake_contracts::Contracts;
    use shoplake_models::Models;

    use super::*;
    use crate::{Event, texts};

    /// A lake with the example of CONTRIBUTING.md.
    fn example() -> anyhow::Result<Lake> {
        let example = shoplake_testing::repository().join("tests/e2e/new_dataset");
        let contracts = Contracts::load(&example.join("schemas"))?;
        let models = Models::load(&example.join("glue-sql"), &contracts)?;
        Ok(Lake::new(contracts, models))
    }

    fn signup(id: &str, list: &str, day: &str) -> Event {
        let data = json!({
            "signup_id": id, "list": list, "signed_up_at": format!("{day}T10:00:00Z"),
            "contact": {"email": format!("{id}@example.com")},
        });
        Event::new("newsletter_signups", "acme", data).received_at("2026-04-02T00:00:00Z")
    }

    #[tokio::test]
    async fn a_view_shows_the_rows_of_all_partitions() -> anyhow::Result<()> {
        let lake = example()?;
        let view = "newsletter_signups_by_month";
        let error = lake.rows(view).await.unwrap_err().to_string();
        assert!(error.contains("expected rows of each model that it reads"), "{error}");

        let events = [
            signup("a", "weekly", "2026-03-01"),
            signup("b", "weekly", "2026-03-31"),
            signup("c", "weekly", "2026-03-31"),
            signup("d", "offers", "2026-04-01"),
        ];
        lake.deliver(&events, "events").await?;
        lake.settle().await?;
        assert_eq!(
            texts(&lake.rows(view).await?, "shop_id month list signups signups_per_day"),
            ["acme 2026-03-01 weekly 3 1.5", "acme 2026-04-01 offers 1 1.0"]
        );
        Ok(())
    }
}

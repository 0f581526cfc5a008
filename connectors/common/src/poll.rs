//! Batches of one paged API, to the stream.

use crate::{ApiConfig, Batch, Checkpoint, Dataset, Destination, PagedApi, Ports, Run, TaskError};

/// What is polled, and where it goes. All its batches go through one HTTP client.
pub struct Poll<'a> {
    api: PagedApi,
    page_size: String,
    dataset: &'a Dataset,
    destination: &'a Destination,
    ports: &'a Ports<'a>,
}

impl<'a> Poll<'a> {
    /// Polls `path` for rows of `dataset`.
    ///
    /// # Errors
    /// When the base URL is not a URL.
    pub fn new(
        api: &ApiConfig,
        path: &str,
        dataset: &'a Dataset,
        destination: &'a Destination,
        ports: &'a Ports<'a>,
    ) -> Result<Self, TaskError> {
        let page_size = api.page_size.to_string();
        let api =
            PagedApi::new(&api.base_url, path, &[], ports.secret.clone(), ports.retry_policy)?;
        Ok(Self { api, page_size, dataset, destination, ports })
    }

    /// Fetches and sends what is left of the batch that `query` asks for.
    ///
    /// # Errors
    /// Nothing is lost by any of them: run the batch again.
    pub async fn deliver(
        &self,
        batch: &Batch,
        query: &[(&str, &str)],
    ) -> Result<Checkpoint, TaskError> {
        let source = self.api.with_query(query).with_query(&[("limit", &self.page_size)]);
        let run = Run {
            batch,
            dataset: self.dataset,
            source: &source,
            destination: self.destination,
            stream: self.ports.stream,
            store: self.ports.store,
            clock: self.ports.clock,
        };
        Ok(run.run().await?)
    }
}

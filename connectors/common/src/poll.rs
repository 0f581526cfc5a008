//! Batches of one paged API, to the stream.

use serde_json::value::RawValue;

use crate::{ApiConfig, Batch, Checkpoint, Destination, Facts, PagedApi, Ports, Run, TaskError};

/// What is polled, and where it goes. All its batches go through one HTTP client.
pub struct Poll<'a> {
    api: PagedApi,
    page_size: String,
    destination: &'a Destination,
    ports: &'a Ports<'a>,
    describe: fn(&RawValue) -> Facts,
}

impl<'a> Poll<'a> {
    /// Polls `path`, of whose rows `describe` reads the little that is read.
    ///
    /// # Errors
    /// When the base URL is none.
    pub fn new(
        api: &ApiConfig,
        path: &str,
        destination: &'a Destination,
        ports: &'a Ports<'a>,
        describe: fn(&RawValue) -> Facts,
    ) -> Result<Self, TaskError> {
        let page_size = api.page_size.to_string();
        let api = PagedApi::new(&api.base_url, path, &[], ports.secret.clone(), ports.patience)?;
        Ok(Self { api, page_size, destination, ports, describe })
    }

    /// Fetches and sends what is left of the batch that `query` asks for.
    ///
    /// # Errors
    /// Nothing is lost by any of them: run the batch again.
    pub async fn deliver(&self, batch: &Batch, query: &[(&str, &str)]) -> Result<Checkpoint, TaskError> {
        let source = self.api.with_query(query).with_query(&[("limit", &self.page_size)]);
        let run = Run {
            batch,
            source: &source,
            describe: self.describe,
            stream: self.ports.stream,
            stream_name: &self.destination.stream_name,
            store: self.ports.store,
            clock: self.ports.clock,
        };
        Ok(run.run().await?)
    }
}

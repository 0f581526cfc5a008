//! Batches of one paged API, to the stream.

use crate::{
    ApiConfig, Batch, Checkpoint, Dataset, Delivered, Destination, PagedApi, Ports, Run, TaskError,
};

/// A batch to fetch, and how the API is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    /// The batch.
    pub batch: Batch,
    /// The query parameter that names the batch: `("business_date", "2010-12-01")`.
    pub query: (&'static str, String),
    /// Whether a 404 for the batch is an error; otherwise it is a warning.
    pub is_required: bool,
    /// Whether a batch without rows is logged as a warning.
    pub expects_rows: bool,
}

/// Sends the batches of one API to the stream, through one HTTP client.
pub struct Poll<'a> {
    api: PagedApi,
    page_size: String,
    dataset: &'a Dataset,
    destination: &'a Destination,
    ports: &'a Ports<'a>,
}

impl<'a> Poll<'a> {
    /// Returns a poll of `path` for rows of `dataset`.
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

    /// Fetches and sends the batches, one after the other.
    ///
    /// A batch that the API does not have, or for which its answers are faulty, does not keep the
    /// others from being fetched. Any other failure would most likely meet all batches, and ends
    /// the poll.
    ///
    /// # Errors
    /// When a batch is not complete. Nothing is lost: run the same batches again.
    pub async fn deliver_all(
        &self,
        requests: impl IntoIterator<Item = BatchRequest>,
    ) -> Result<Delivered, TaskError> {
        let mut delivered = Delivered::default();
        let (mut absent, mut first_error) = (Vec::new(), None);
        for BatchRequest { batch, query: (name, value), is_required, expects_rows } in requests {
            match self.deliver(&batch, &[(name, &value)]).await {
                Ok(completed) => {
                    if completed.rows == 0 && expects_rows {
                        tracing::warn!(batch = batch.name, "the batch is empty, expected rows");
                    }
                    delivered.add(&completed);
                }
                Err(error) if error.is_absent() && is_required => {
                    tracing::error!(batch = batch.name, %error, "the source lacks the batch");
                    absent.push(batch.name);
                }
                Err(error) if error.is_absent() => {
                    tracing::warn!(batch = batch.name, %error, "the source lacks the batch");
                }
                Err(error) if error.is_of_batch() => {
                    tracing::error!(
                        batch = batch.name,
                        %error,
                        "the batch cannot be fetched; continuing with the next one"
                    );
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(first_error.unwrap_or(error)),
            }
        }
        match first_error {
            Some(error) => Err(error),
            None if absent.is_empty() => Ok(delivered),
            None => Err(TaskError::Absent { batches: absent }),
        }
    }

    /// Fetches and sends what is left of the batch that `query` asks for.
    async fn deliver(
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

//! One shop's extract of a day, a batch per table.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use shoplake_connector::{
    Batch, Checkpoint, Dataset, Delivered, Destination, Ports, Run, RunError, SecretSource, Task,
    TaskError, due, page_size, parsed,
};
use shoplake_platform::config::{ConfigError, required};
use tokio_postgres::IsolationLevel;

use crate::{Database, Lookback, Table, database::connection_error, rows::Rows};

/// The settings of a run; the README describes each variable.
pub struct Extract {
    /// The shop, and where its rows are sent.
    pub destination: Destination,
    /// `OLTP_URL`, `OLTP_CA_CERTIFICATES`
    pub database: Database,
    /// `OLTP_PASSWORD` or `OLTP_PASSWORD_PARAMETER`
    pub password: SecretSource,
    /// `OLTP_CURRENCY`: ISO 4217, of all amounts.
    pub currency: String,
    /// `EXTRACT_DATE`
    pub date: NaiveDate,
    /// `LOOKBACK_DAYS`
    pub lookback: Lookback,
    /// `PAGE_SIZE`
    pub page_size: usize,
}

#[async_trait]
impl Task for Extract {
    const NAME: &'static str = "oltp-connector";

    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        Ok(Self {
            destination: Destination::from_env()?,
            database: Database::from_env()?,
            password: SecretSource::from_env("OLTP_PASSWORD")?,
            currency: currency(required("OLTP_CURRENCY")?)?,
            date: parsed("EXTRACT_DATE", "a day, such as 2026-11-20")?
                .unwrap_or_else(|| now.date_naive()),
            lookback: parsed("LOOKBACK_DAYS", "a number of days, such as 30, or all")?
                .unwrap_or_default(),
            page_size: usize::try_from(page_size()?.get()).unwrap_or(usize::MAX - 1),
        })
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn secret(&self) -> &SecretSource {
        &self.password
    }

    /// Fetches and sends the tables that are not complete. If all are complete, fetches all of them
    /// again. Retries while the database is away. A table that cannot be read does not keep those
    /// after it from being fetched.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        tracing::info!(
            shop_id = %self.destination.shop,
            date = %self.date,
            lookback = ?self.lookback,
            "extracting"
        );
        let since = DateTime::<Utc>::MIN_UTC;
        let mut left = due(ports.store, Table::ALL, |table| self.batch(*table), since).await?;
        // Items count with the order that was read before them. If the orders are read again, items
        // of an earlier extract would no longer count.
        if left.contains(&Table::Orders) && !left.contains(&Table::OrderItems) {
            left.push(Table::OrderItems);
        }
        left.reverse();
        let mut delivered = Delivered::default();
        let mut delays = ports.retry_policy.delays();
        let mut first_error = None;
        while let Err(failure) = self.extract(ports, &mut left, &mut delivered).await {
            let Failure { table, error } = failure;
            let is_of_source = matches!(error, TaskError::Run(RunError::Source(_)));
            let is_transient = is_of_source && error.is_transient();
            if let Some(delay) = if is_transient { delays.next() } else { None } {
                tracing::warn!(
                    %error,
                    delay_ms = delay.as_millis(),
                    "retrying from the last acknowledged page on"
                );
                tokio::time::sleep(delay).await;
                continue;
            }
            // Any other fault would fail the remaining tables, too.
            if is_transient || !is_of_source || table.is_none() {
                return Err(first_error.unwrap_or(error));
            }
            tracing::error!(%error, "the table cannot be read; continuing with those after it");
            first_error.get_or_insert(error);
            left.pop();
        }
        first_error.map_or(Ok(delivered), Err)
    }
}

/// Why an extract ended early.
struct Failure {
    /// The table that was read; none before the transaction began.
    table: Option<Table>,
    error: TaskError,
}

impl Extract {
    /// Sends the remaining tables, from the last one on, as one transaction sees them: the items of
    /// an order are those that it had when the order was read.
    async fn extract(
        &self,
        ports: &Ports<'_>,
        left: &mut Vec<Table>,
        delivered: &mut Delivered,
    ) -> Result<(), Failure> {
        if left.is_empty() {
            return Ok(());
        }
        let failed = |error| Failure { table: None, error: RunError::Source(error).into() };
        let mut client = self.database.connect(&ports.secret).await.map_err(failed)?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(|error| failed(connection_error(error)))?;
        while let Some(&table) = left.last() {
            let since = self.since(table);
            let source = Rows::new(&transaction, table, &self.currency, since, self.page_size);
            let completed = self.deliver(ports, table, &source).await;
            let completed = completed.map_err(|error| Failure { table: Some(table), error })?;
            tracing::info!(table = table.name(), rows = completed.rows, "complete");
            delivered.add(&completed);
            left.pop();
        }
        Ok(())
    }

    async fn deliver(
        &self,
        ports: &Ports<'_>,
        table: Table,
        source: &Rows<'_>,
    ) -> Result<Checkpoint, TaskError> {
        let dataset = Dataset::new(table.dataset(), table.schema(), table.quantity())?;
        let run = Run {
            batch: &self.batch(table),
            dataset: &dataset,
            source,
            destination: &self.destination,
            stream: ports.stream,
            store: ports.store,
            clock: ports.clock,
        };
        Ok(run.run().await?)
    }

    fn since(&self, table: Table) -> Option<NaiveDate> {
        self.lookback.since(self.date).filter(|_| table.is_incremental())
    }

    /// Returns the batch of a table. Its name has the lookback: extracts with different rows must
    /// not share a checkpoint.
    fn batch(&self, table: Table) -> Batch {
        let since = self.since(table).map_or_else(|| "all".to_owned(), |day| day.to_string());
        Batch {
            shop: self.destination.shop.clone(),
            connector: "oltp",
            name: format!("{}_{}_{since}", self.date, table.name()),
            business_date: self.date,
        }
    }
}

fn currency(code: String) -> Result<String, ConfigError> {
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(code);
    }
    Err(ConfigError::Invalid {
        name: "OLTP_CURRENCY".to_owned(),
        expected: "a code of ISO 4217, such as EUR".to_owned(),
        reason: format!("it is {code:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_has_three_capital_characters() {
        assert_eq!(currency("GBP".to_owned()).unwrap(), "GBP");
        for code in ["gbp", "EURO", "€", ""] {
            let error = currency(code.to_owned()).unwrap_err().to_string();
            assert!(error.contains("OLTP_CURRENCY") && error.contains("such as EUR"), "{error}");
        }
    }
}

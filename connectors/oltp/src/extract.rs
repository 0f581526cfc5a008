//! One shop's extract of a day, a batch per table.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use shoplake_connector::{
    Batch, Delivered, Destination, Ports, Run, RunError, SecretSource, Task, TaskError, due, page_size,
};
use shoplake_platform::config::{ConfigError, parsed, required};
use tokio::sync::Mutex;
use tokio_postgres::IsolationLevel;

use crate::{Database, Lookback, Table, database::source_error, rows::Rows};

/// What the task is told by its environment; the README says what each variable is.
pub struct Extract {
    /// Whose tables, and where to.
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
    pub page_size: i32,
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
            date: parsed("EXTRACT_DATE")?.unwrap_or_else(|| now.date_naive()),
            lookback: parsed("LOOKBACK_DAYS")?.unwrap_or_default(),
            page_size: i32::try_from(page_size()?.get()).unwrap_or(i32::MAX),
        })
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn secret(&self) -> &SecretSource {
        &self.password
    }

    /// Fetches and sends the tables that are not complete; where all are, all once more. A database that is away for a
    /// while is waited for.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        tracing::info!(shop_id = %self.destination.shop, date = %self.date, lookback = ?self.lookback, "extracting");
        let mut left = due(ports.store, Table::ALL, |table| self.batch(*table)).await?;
        left.reverse();
        let mut delivered = Delivered::default();
        let mut delays = ports.patience.delays();
        loop {
            let error = match self.extract(ports, &mut left, &mut delivered).await {
                Ok(()) => return Ok(delivered),
                Err(error) => error,
            };
            let delay = match &error {
                TaskError::Run(RunError::Source(error)) if error.is_transient() => delays.next(),
                _ => None,
            };
            let Some(delay) = delay else { return Err(error) };
            tracing::warn!(%error, delay_ms = delay.as_millis(), "trying again, from the last acknowledged page on");
            tokio::time::sleep(delay).await;
        }
    }
}

impl Extract {
    /// Takes the tables that are left, from the last one on, all as one transaction sees them: an order's items are those
    /// that it had when the order was read.
    async fn extract(
        &self,
        ports: &Ports<'_>,
        left: &mut Vec<Table>,
        delivered: &mut Delivered,
    ) -> Result<(), TaskError> {
        let mut client = self.database.connect(&ports.secret).await.map_err(RunError::Source)?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(|error| RunError::Source(source_error(error)))?;
        while let Some(&table) = left.last() {
            let batch = self.batch(table);
            let source = Rows {
                transaction: &transaction,
                table,
                currency: &self.currency,
                since: self.since(table),
                page_size: self.page_size,
                place: Mutex::default(),
            };
            let run = Run {
                batch: &batch,
                source: &source,
                describe: table.describe(),
                stream: ports.stream,
                stream_name: &self.destination.stream_name,
                store: ports.store,
                clock: ports.clock,
            };
            let completed = run.run().await?;
            tracing::info!(table = table.name(), rows = completed.rows, "complete");
            delivered.add(&completed);
            left.pop();
        }
        Ok(())
    }

    fn since(&self, table: Table) -> Option<NaiveDate> {
        self.lookback.since(self.date).filter(|_| table.is_incremental())
    }

    /// Extracts that take other rows are other batches, or one would go on where another one stopped.
    fn batch(&self, table: Table) -> Batch {
        let since = self.since(table).map_or_else(|| "all".to_owned(), |day| day.to_string());
        Batch {
            shop: self.destination.shop.clone(),
            connector: "oltp",
            dataset: table.dataset(),
            name: format!("{}_{}_{since}", self.date, table.name()),
            business_date: self.date,
        }
    }
}

fn currency(code: String) -> Result<String, ConfigError> {
    if code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_uppercase()) {
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
    fn given_a_currency_then_it_is_three_capital_letters() {
        assert_eq!(currency("GBP".to_owned()).unwrap(), "GBP");
        for code in ["gbp", "EURO", "€", ""] {
            let error = currency(code.to_owned()).unwrap_err().to_string();
            assert!(error.contains("OLTP_CURRENCY") && error.contains("such as EUR"), "{error}");
        }
    }
}

//! One shop's extract of a day, a batch per table.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use shoplake_connector::{
    Batch, Checkpoint, Dataset, Delivered, Destination, Ports, Run, RunError, SecretSource, Source,
    StateObject, Task, TaskError, page_size, parsed,
};
use shoplake_lake::keys;
use shoplake_platform::config::{ConfigError, required};
use tokio_postgres::{IsolationLevel, Transaction};

use crate::{
    Database, FullExtractDay, Lookback, Table,
    database::connection_error,
    deletions::{self, Deletions},
    rows::Rows,
};

const CONNECTOR: &str = "oltp";

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
    /// `LOOKBACK_DAYS`, or all orders on the day that `FULL_EXTRACT_ON` names.
    pub lookback: Lookback,
    /// `TIME_ZONE`: of times without a zone.
    pub time_zone: Tz,
    /// `PAGE_SIZE`
    pub page_size: usize,
}

#[async_trait]
impl Task for Extract {
    const NAME: &'static str = "oltp-connector";

    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        let time_zone =
            parsed("TIME_ZONE", "an IANA time zone, such as Europe/Berlin")?.unwrap_or(Tz::UTC);
        let date = parsed("EXTRACT_DATE", "a day, such as 2026-11-20")?
            .unwrap_or_else(|| now.with_timezone(&time_zone).date_naive());
        let lookback = parsed("LOOKBACK_DAYS", "a number of days, such as 30, or all")?;
        let full: Option<FullExtractDay> =
            parsed("FULL_EXTRACT_ON", "a day of the week, such as sun, or never")?;
        let is_full = full.unwrap_or_default().is(date);
        Ok(Self {
            destination: Destination::from_env()?,
            database: Database::from_env()?,
            password: SecretSource::from_env("OLTP_PASSWORD")?,
            currency: currency(required("OLTP_CURRENCY")?)?,
            date,
            lookback: if is_full { Lookback::All } else { lookback.unwrap_or_default() },
            time_zone,
            page_size: usize::try_from(page_size()?.get()).unwrap_or(usize::MAX - 1),
        })
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn secret(&self) -> &SecretSource {
        &self.password
    }

    /// Fetches and sends all tables. Retries the ones that are left while the database is away. A
    /// table that cannot be read does not keep the others from being fetched, except for orders,
    /// which are not sent without their items.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        tracing::info!(
            shop_id = %self.destination.shop,
            date = %self.date,
            lookback = ?self.lookback,
            "extracting"
        );
        let mut left: Vec<_> = Table::ALL.into_iter().rev().collect();
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
                    "retrying the tables that are not complete"
                );
                tokio::time::sleep(delay).await;
                continue;
            }
            // Any other fault would fail the remaining tables, too.
            if is_transient || !is_of_source || table.is_none() {
                return Err(first_error.unwrap_or(error));
            }
            tracing::error!(%error, "the table cannot be read; continuing with the others");
            first_error.get_or_insert(error);
            // Orders without their items would hide the items that count.
            left.retain(|other| match table {
                Some(Table::OrderItems) => !other.is_incremental(),
                table => Some(*other) != table,
            });
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
    /// an order are those that it had when the order was read. So if one of both tables remains,
    /// both are sent.
    async fn extract(
        &self,
        ports: &Ports<'_>,
        left: &mut Vec<Table>,
        delivered: &mut Delivered,
    ) -> Result<(), Failure> {
        if left.is_empty() {
            return Ok(());
        }
        let has_orders = left.iter().any(|table| table.is_incremental());
        let is_left =
            |table: &Table| left.contains(table) || (has_orders && table.is_incremental());
        *left = Table::ALL.into_iter().rev().filter(is_left).collect();
        let failed = |error| Failure { table: None, error: RunError::Source(error).into() };
        let client = self.database.connect(&ports.secret, self.time_zone).await;
        let mut client = client.map_err(failed)?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(|error| failed(connection_error(error)))?;
        while let Some(&table) = left.last() {
            let completed = self.deliver_table(ports, &transaction, table, delivered).await;
            completed.map_err(|error| Failure { table: Some(table), error })?;
            left.pop();
        }
        Ok(())
    }

    /// Sends the rows that the table no longer has, then those that it has.
    async fn deliver_table(
        &self,
        ports: &Ports<'_>,
        transaction: &Transaction<'_>,
        table: Table,
        delivered: &mut Delivered,
    ) -> Result<(), TaskError> {
        if table.has_deletions() {
            self.deliver_deletions(ports, transaction, table, delivered).await?;
        }
        let dataset = Dataset::new(table.dataset(), table.schema(), table.quantity())?;
        let since = self.since(table);
        let rows = Rows::new(transaction, table, &self.currency, since, self.page_size);
        let completed = self.deliver(ports, &self.name(table), &dataset, &rows).await?;
        tracing::info!(table = table.name(), rows = completed.rows, "complete");
        delivered.add(&completed);
        Ok(())
    }

    /// Sends the rows that the last extract has found and this one does not. The ids that it finds
    /// are kept for the next extract: before a row with such an id is sent, and after the deletions
    /// are sent. So a process that ends in between misses no deletion.
    async fn deliver_deletions(
        &self,
        ports: &Ports<'_>,
        transaction: &Transaction<'_>,
        table: Table,
        delivered: &mut Delivered,
    ) -> Result<(), TaskError> {
        let key = keys::connector_ids(CONNECTOR, self.destination.shop.as_str(), table.name());
        let (mut state, known) = StateObject::open(ports.store, key).await?;
        let known = known.unwrap_or_default();
        let (deletions, ids) = Deletions::find(transaction, table, &known, self.page_size)
            .await
            .map_err(RunError::Source)?;
        drop(known);
        if deletions.count() > 0 {
            let dataset = Dataset::new(deletions::DATASET, deletions::SCHEMA, None)?;
            let name = format!("{}_{}_deleted", self.date, table.name());
            let completed = self.deliver(ports, &name, &dataset, &deletions).await?;
            tracing::info!(table = table.name(), rows = completed.rows, "deletions are complete");
            delivered.add(&completed);
        }
        state.write(ids.into()).await?;
        Ok(())
    }

    async fn deliver(
        &self,
        ports: &Ports<'_>,
        name: &str,
        dataset: &Dataset,
        source: &dyn Source,
    ) -> Result<Checkpoint, TaskError> {
        let run = Run {
            batch: &self.batch(name),
            dataset,
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

    /// Returns the name of a table's batch. It has the lookback: extracts with different rows must
    /// not share a checkpoint.
    fn name(&self, table: Table) -> String {
        let since = self.since(table).map_or_else(|| "all".to_owned(), |day| day.to_string());
        format!("{}_{}_{since}", self.date, table.name())
    }

    fn batch(&self, name: &str) -> Batch {
        Batch {
            shop: self.destination.shop.clone(),
            connector: CONNECTOR,
            name: name.to_owned(),
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

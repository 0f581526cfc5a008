//! The rows of one table, page by page.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::pin;

use async_trait::async_trait;
use chrono::NaiveDate;
use futures::TryStreamExt;
use serde_json::value::RawValue;
use shoplake_connector::{Page, Source, SourceError};
use tokio::sync::Mutex;
use tokio_postgres::{
    Portal, Transaction,
    types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use crate::{Table, database::source_error};

/// The rows of one table as a transaction sees them, in the order of their ids. The cursor is the
/// last id of a page.
///
/// The query runs once, and the database keeps its place in the result between two pages.
pub(crate) struct Rows<'a> {
    transaction: &'a Transaction<'a>,
    table: Table,
    currency: &'a str,
    since: Option<NaiveDate>,
    page_size: usize,
    place: Mutex<Option<Place>>,
}

/// A place in a result.
struct Place {
    portal: Portal,
    /// The first row after the page. It was fetched with the page, so that rows with one id are
    /// always seen together.
    next: TableRow,
}

/// A row as PostgreSQL sends it.
#[derive(Debug)]
struct TableRow {
    id: String,
    json: String,
}

#[async_trait]
impl Source for Rows<'_> {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        let mut place = self.place.lock().await;
        let (portal, first) = match (cursor, place.take()) {
            (Some(_), Some(Place { portal, next })) => (portal, Some(next)),
            _ => (self.open().await?, None),
        };
        let mut rows = Vec::from_iter(first);
        let (mut repeated, mut is_exhausted) = (0, false);
        while rows.len() <= self.page_size && !is_exhausted {
            let wanted = self.page_size + 1 - rows.len();
            let after = rows.last().map(|row| row.id.as_str()).or(cursor);
            let fetched = self.fetch(&portal, wanted, after).await?;
            is_exhausted = fetched.len() < wanted;
            for row in fetched {
                match rows.last() {
                    Some(previous) if previous.id == row.id && previous.json == row.json => {
                        repeated += 1
                    }
                    Some(previous) if previous.id == row.id => {
                        return Err(self.not_unique(previous, &row));
                    }
                    _ => rows.push(row),
                }
            }
        }
        if repeated > 0 {
            let (table, column) = (self.table.name(), self.table.key());
            tracing::warn!(table, column, repeated, "the table has equal rows; each counts once");
        }
        let next = (rows.len() > self.page_size).then(|| rows.pop()).flatten();
        let next_cursor = rows.last().filter(|_| next.is_some()).map(|row| row.id.clone());
        *place = next.map(|next| Place { portal, next });
        let rows: Result<_, _> = rows.into_iter().map(|row| self.raw(row)).collect();
        Ok(Page { rows: rows?, next_cursor })
    }

    /// Returns false: a transaction sees each row once, and ids are unique.
    fn may_repeat_rows(&self) -> bool {
        false
    }

    /// Returns false: another transaction sees other rows, and a run has those of one.
    fn may_resume(&self) -> bool {
        false
    }
}

impl<'a> Rows<'a> {
    /// Returns the rows of `table`, of orders only those `since` a day. A page has at most
    /// `page_size` rows.
    pub(crate) fn new(
        transaction: &'a Transaction<'a>,
        table: Table,
        currency: &'a str,
        since: Option<NaiveDate>,
        page_size: usize,
    ) -> Self {
        Self { transaction, table, currency, since, page_size, place: Mutex::default() }
    }

    async fn open(&self) -> Result<Portal, SourceError> {
        let failed = |error| source_error(error, &format!("table {}: ", self.table.name()));
        let columns =
            self.transaction.prepare(&self.table.columns_query()).await.map_err(failed)?;
        let types: BTreeMap<_, _> =
            columns.columns().iter().map(|column| (column.name(), column.type_().name())).collect();
        let query = self
            .table
            .query(&types, self.since.is_some())
            .map_err(|reason| SourceError::Unavailable { reason, is_transient: false })?;
        let since = self.since.map(|day| day.to_string());
        let texts = [Some(self.currency), since.as_deref()];
        let parameters: Vec<_> = texts.into_iter().flatten().map(Text).collect();
        let statement = self.transaction.prepare(&query).await.map_err(failed)?;
        self.transaction.bind_raw(&statement, parameters).await.map_err(failed)
    }

    /// Fetches up to `wanted` rows, fewer only at the end.
    async fn fetch(
        &self,
        portal: &Portal,
        wanted: usize,
        after: Option<&str>,
    ) -> Result<Vec<TableRow>, SourceError> {
        let mut rows: Vec<TableRow> = Vec::new();
        // Rows come in the order of their ids, so the last good one says where a bad one is.
        let failed = |error, rows: &[TableRow]| {
            source_error(error, &self.place_after(rows.last().map(|row| row.id.as_str()).or(after)))
        };
        let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
        let found = self.transaction.query_portal_raw(portal, wanted).await;
        let mut found = pin!(found.map_err(|error| failed(error, &rows))?);
        while let Some(row) = found.try_next().await.map_err(|error| failed(error, &rows))? {
            let columns =
                row.try_get::<_, Option<String>>(0).and_then(|id| Ok((id, row.try_get(1)?)));
            let (id, json) = columns.map_err(|error| failed(error, &rows))?;
            rows.push(TableRow { id: id.ok_or_else(|| self.no_id())?, json });
        }
        Ok(rows)
    }

    fn place_after(&self, id: Option<&str>) -> String {
        let (table, key) = (self.table.name(), self.table.key());
        match id {
            Some(id) => {
                format!("table {table}, at the first row after {key} {id:?} or at a later one: ")
            }
            None => format!("table {table}, at its first row or at a later one: "),
        }
    }

    fn raw(&self, row: TableRow) -> Result<Box<RawValue>, SourceError> {
        let TableRow { id, json } = row;
        RawValue::from_string(json).map_err(|error| {
            self.permanent(format!(
                "{} {id:?}: expected JSON from PostgreSQL: {error}",
                self.table.key()
            ))
        })
    }

    fn no_id(&self) -> SourceError {
        let key = self.table.key();
        self.permanent(format!(
            "a row has no {key}, which each must have; give the reader a view without such rows"
        ))
    }

    fn not_unique(&self, one: &TableRow, other: &TableRow) -> SourceError {
        let key = self.table.key();
        self.permanent(format!(
            "{key} is not unique: two rows have the value {:?} and differ in {}, so one of them \
             would be lost; give the reader a view of this name whose {key} identifies a row, such \
             as order_id || '/' || {key}",
            one.id,
            differing(&one.json, &other.json).join(", ")
        ))
    }

    fn permanent(&self, problem: String) -> SourceError {
        SourceError::Unavailable {
            reason: format!("table {}: {problem}", self.table.name()),
            is_transient: false,
        }
    }
}

/// Returns the names of the fields in which two rows differ, without values, which may be personal.
fn differing(one: &str, other: &str) -> Vec<String> {
    let fields =
        |json| serde_json::from_str::<BTreeMap<String, &RawValue>>(json).unwrap_or_default();
    let (one, other) = (fields(one), fields(other));
    let is_other = |(name, value): &(&String, &&RawValue)| {
        other.get(*name).map(|value| value.get()) != Some(value.get())
    };
    one.iter().filter(is_other).map(|(name, _)| name.clone()).collect()
}

/// A parameter as it is written, which PostgreSQL reads as the type of the column that it is
/// compared with: the time of an order may be of any type of times.
#[derive(Debug)]
struct Text<'a>(&'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_differ_in_the_named_fields() {
        let one =
            r#"{"order_item_id" : "1", "order_id" : "7", "unit_price" : "1", "quantity" : 2}"#;
        let other =
            r#"{"order_item_id" : "1", "order_id" : "8", "unit_price" : "1", "quantity" : 3}"#;

        assert_eq!(differing(one, other), ["order_id", "quantity"]);
    }
}

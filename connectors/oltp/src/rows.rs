//! The rows of one table, page by page.

use async_trait::async_trait;
use chrono::NaiveDate;
use serde_json::value::RawValue;
use shoplake_connector::{Page, Source, SourceError};
use tokio::sync::Mutex;
use tokio_postgres::{
    Portal, Transaction,
    types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use crate::{Table, database::source_error};

/// The rows of one table as a transaction sees them, in the order of their ids. The cursor is the last id of a page.
///
/// The query is run once; the database keeps its place in the result between two pages. Only a run that goes on with what
/// another one has begun asks for the rows after an id.
pub(crate) struct Rows<'a> {
    pub(crate) transaction: &'a Transaction<'a>,
    pub(crate) table: Table,
    pub(crate) currency: &'a str,
    pub(crate) since: Option<NaiveDate>,
    /// Rows of a page, at least 1.
    pub(crate) page_size: i32,
    pub(crate) place: Mutex<Option<Place>>,
}

/// A place in a result: what comes next, and after which id that is.
pub(crate) struct Place {
    portal: Portal,
    after: String,
}

#[async_trait]
impl Source for Rows<'_> {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        let mut place = self.place.lock().await;
        let portal = match place.take() {
            Some(place) if cursor == Some(&place.after) => place.portal,
            _ => self.open(cursor).await?,
        };
        let found = self.transaction.query_portal(&portal, self.page_size).await.map_err(source_error)?;
        let (mut rows, mut last) = (Vec::with_capacity(found.len()), None);
        for row in &found {
            let (id, json): (Option<String>, String) = (row.get(0), row.get(1));
            last = Some(id.ok_or_else(|| self.no_id())?);
            rows.push(RawValue::from_string(json).map_err(|error| SourceError::Unavailable {
                reason: format!("expected JSON from PostgreSQL: {error}"),
                is_transient: false,
            })?);
        }
        let is_full = usize::try_from(self.page_size).is_ok_and(|size| rows.len() == size);
        let next_cursor = last.filter(|_| is_full);
        *place = next_cursor.clone().map(|after| Place { portal, after });
        Ok(Page { rows, next_cursor })
    }
}

impl Rows<'_> {
    async fn open(&self, after: Option<&str>) -> Result<Portal, SourceError> {
        let query = self.table.query(self.since.is_some(), after.is_some());
        let since = self.since.map(|day| day.to_string());
        let texts = [Some(self.currency), since.as_deref(), after];
        let parameters: Vec<_> = texts.into_iter().flatten().map(Text).collect();
        let statement = self.transaction.prepare(&query).await.map_err(source_error)?;
        self.transaction.bind_raw(&statement, parameters).await.map_err(source_error)
    }

    fn no_id(&self) -> SourceError {
        let table = self.table.name();
        SourceError::Unavailable {
            reason: format!(
                "a row of {table} has no id, which each must have; let the reader see a view without such rows"
            ),
            is_transient: false,
        }
    }
}

/// A parameter as it is written, which PostgreSQL reads as the type of the column that it is compared with: an id may be a
/// number, a UUID or a text.
#[derive(Debug)]
struct Text<'a>(&'a str);

impl ToSql for Text<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
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

//! A row that its contract accepts, read by the names of its columns.

use shoplake_jobs::ColumnType;

use crate::contract::Contract;
use crate::decode::{Rejected, Row, Stamp, Value};
use crate::reason::Reason;
use crate::text;

/// A decoded row and its contract. For programs that need some of a row's fields and must not have
/// an idea of their own of what a number or a time is.
#[derive(Clone, Debug)]
pub struct Record<'c, 'a> {
    contract: &'c Contract,
    row: Row<'a>,
}

impl Contract {
    /// Decodes the bytes of one event; for a few rows, as each has its own memory.
    ///
    /// # Errors
    /// What is wrong with the event: at least one reason.
    pub fn read<'a>(
        &self,
        stamp: Stamp<'a>,
        data: &'a [u8],
    ) -> Result<Record<'_, 'a>, Vec<Reason>> {
        let mut row = self.row();
        match self.decode(stamp, data, &mut row) {
            Ok(()) => Ok(Record { contract: self, row }),
            Err(Rejected) => Err(self.explain(stamp, data)),
        }
    }
}

impl<'a> Record<'_, 'a> {
    /// The value of a column; `None` if there is no such column or the row has nothing there.
    pub fn value(&self, column: &str) -> Option<&Value<'a>> {
        let value = &self.row.values[self.contract.position(column)?];
        (*value != Value::Null).then_some(value)
    }

    /// The value of a `bigint` column.
    pub fn integer(&self, column: &str) -> Option<i64> {
        if let Some(Value::Integer(number)) = self.value(column) { Some(*number) } else { None }
    }

    /// The value of a `string` column.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.value(column)?.as_str()
    }

    /// The value of a `timestamp` column, in microseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(&self, column: &str) -> Option<i64> {
        if let Some(Value::Timestamp(micros)) = self.value(column) { Some(*micros) } else { None }
    }

    /// The value of a `date` column, in days since 1970-01-01.
    pub fn date(&self, column: &str) -> Option<i32> {
        if let Some(Value::Date(day)) = self.value(column) { Some(*day) } else { None }
    }

    /// The values that identify the row within its shop, in the order of the contract's key: two
    /// rows are the same to silver exactly if these are.
    pub fn key(&self) -> Vec<String> {
        let columns = self.contract.key.iter().filter(|column| *column != "shop_id");
        columns.filter_map(|column| self.shown(column)).collect()
    }

    /// The value of a column as text, in the one way that the pipeline writes its type.
    pub fn shown(&self, column: &str) -> Option<String> {
        let column_type = self.contract.columns[self.contract.position(column)?].column_type;
        Some(match (self.value(column)?, column_type) {
            (Value::Integer(number), _) => number.to_string(),
            (Value::Double(number), _) => number.to_string(),
            (Value::Boolean(flag), _) => flag.to_string(),
            (Value::Date(day), _) => text::Day(*day).to_string(),
            (Value::Timestamp(micros), _) => text::Timestamp(*micros).to_string(),
            (Value::Decimal(unscaled), ColumnType::Decimal { scale, .. }) => {
                text::Decimal { unscaled: *unscaled, scale }.to_string()
            }
            (value, _) => value.as_str().unwrap_or_default().to_owned(),
        })
    }
}

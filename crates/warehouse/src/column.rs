//! Columns of mart tables: the lake's portable types as Redshift spells them.

use std::fmt;

use shoplake_contracts::ColumnType;

use crate::Identifier;

/// A column of a mart table; displayed as in DDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Identifier,
    /// Its portable type.
    pub column_type: ColumnType,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, Redshift(self.column_type))
    }
}

/// A portable type in Redshift's words.
pub(crate) struct Redshift(pub(crate) ColumnType);

impl fmt::Display for Redshift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // The widest there is: a value longer than its column would stop the load, while unused width costs no storage.
            ColumnType::String => f.write_str("varchar(65535)"),
            ColumnType::Bigint => f.write_str("bigint"),
            ColumnType::Double => f.write_str("double precision"),
            ColumnType::Boolean => f.write_str("boolean"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
        }
    }
}

/// The portable type of a column as `information_schema.columns` reports it, or `None` if no load creates such a column.
pub(crate) fn from_catalog(data_type: &str, precision: Option<u8>, scale: Option<u8>) -> Option<ColumnType> {
    Some(match data_type {
        "character varying" => ColumnType::String,
        "bigint" => ColumnType::Bigint,
        "double precision" => ColumnType::Double,
        "boolean" => ColumnType::Boolean,
        "date" => ColumnType::Date,
        "timestamp without time zone" => ColumnType::Timestamp,
        "numeric" => ColumnType::Decimal { precision: precision?, scale: scale? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_each_portable_type_when_rendered_then_it_is_redshift() {
        let rendered = ["string", "bigint", "double", "boolean", "date", "timestamp", "decimal(18,4)"]
            .map(|name| format!("{name} -> {}", Redshift(name.parse().unwrap())));
        insta::assert_snapshot!(rendered.join("\n"), @r"
        string -> varchar(65535)
        bigint -> bigint
        double -> double precision
        boolean -> boolean
        date -> date
        timestamp -> timestamp
        decimal(18,4) -> decimal(18,4)
        ");
    }

    #[test]
    fn given_what_the_catalog_reports_when_read_then_it_is_the_type_that_was_created() {
        let decimal = ColumnType::Decimal { precision: 18, scale: 4 };
        assert_eq!(from_catalog("numeric", Some(18), Some(4)), Some(decimal));
        assert_eq!(from_catalog("bigint", Some(64), Some(0)), Some(ColumnType::Bigint));
        assert_eq!(from_catalog("real", Some(24), None), None);
    }
}

//! Columns of mart tables: portable types in the syntax of Redshift.

use std::fmt;

use shoplake_jobs::ColumnType;

use crate::Identifier;

/// A column of a mart table. Its display is its DDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MartColumn {
    /// Its name.
    pub name: Identifier,
    /// Its portable type.
    pub column_type: ColumnType,
}

impl fmt::Display for MartColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, Redshift(self.column_type))
    }
}

/// A portable type in the syntax of Redshift.
pub(crate) struct Redshift(pub(crate) ColumnType);

impl fmt::Display for Redshift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // The widest: a longer value would fail the load, and unused width costs no storage.
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

/// Returns the portable type of a type in `information_schema.columns`, or `None` if no load
/// creates such a column.
pub(crate) fn from_catalog(
    data_type: &str,
    precision: Option<u8>,
    scale: Option<u8>,
) -> Option<ColumnType> {
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
    fn each_portable_type_has_a_redshift_type() {
        let rendered =
            ["string", "bigint", "double", "boolean", "date", "timestamp", "decimal(18,4)"]
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
    fn a_type_is_read_back_from_the_catalog() {
        let decimal = ColumnType::Decimal { precision: 18, scale: 4 };
        assert_eq!(from_catalog("numeric", Some(18), Some(4)), Some(decimal));
        assert_eq!(from_catalog("bigint", Some(64), Some(0)), Some(ColumnType::Bigint));
        assert_eq!(from_catalog("real", Some(24), None), None);
    }

    /// The longest that a character is in UTF-8, in which Redshift measures a varchar.
    const MOST_BYTES: u64 = 4;

    /// Texts of a schema without a bound that fits into the columns of a warehouse, by their place.
    fn unbounded(schema: &serde_json::Value, place: &str, found: &mut Vec<String>) {
        let Some(fields) = schema.as_object() else { return };
        let is_text = match &fields.get("type") {
            Some(serde_json::Value::Array(types)) => types.iter().any(|name| name == "string"),
            name => name.is_some_and(|name| name == "string"),
        };
        // These say themselves how long a text can be, or become a column that is not a varchar.
        let keywords = ["enum", "const", "format", "x-type"];
        let pattern = fields.get("pattern").and_then(serde_json::Value::as_str);
        let is_bounded = keywords.iter().any(|keyword| fields.contains_key(*keyword))
            || pattern.is_some_and(|pattern| {
                pattern.ends_with('$') && !pattern.contains(['*', '+']) && !pattern.contains(",}")
            });
        let longest =
            fields.get("maxLength").and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX);
        if is_text && !is_bounded && longest.saturating_mul(MOST_BYTES) > 65_535 {
            found.push(place.to_owned());
        }
        for (name, field) in fields {
            unbounded(field, &format!("{place}/{name}"), found);
        }
    }

    #[test]
    fn every_text_that_a_contract_accepts_fits_its_column() {
        let folder = shoplake_testing::repository().join("crates/contracts/schemas");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
            // What the pipeline itself writes is cut where it is written.
            if schema["x-dataset"]["delivery"] != "internal" {
                let name = path.file_stem().unwrap().to_string_lossy();
                unbounded(&schema["properties"], &name, &mut found);
            }
        }
        // The id of a shop has a type of its own, with a limit of its own.
        found.retain(|place| !place.ends_with("/shop_id"));
        assert_eq!(
            found,
            Vec::<String>::new(),
            "maxLength counts characters, a varchar counts bytes"
        );
    }
}

//! Reference tables: small tables that people edit, such as the weights of a score. Models read
//! them as `reference.<name>`.
//!
//! The packaged file `glue-sql/reference/<name>.csv` declares a table and gives its default rows;
//! the lake's object `reference/<name>.csv` replaces the rows. A job carries the rows in its SQL,
//! so an engine reads no other file, and other rows make another job.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use shoplake_contracts::ShopId;
use shoplake_jobs::ColumnType;

/// Rows are part of the SQL of every job that reads them.
const MAX_ROWS: usize = 10_000;

/// The column with the shop of a row.
const SHOP: &str = "shop_id";

/// Stands for all shops without a row of their own.
const ALL_SHOPS: &str = "*";

/// The longest text. It exceeds every text that people type into such a table.
const MAX_TEXT: usize = 200;

/// Reference tables by name. They replace the packaged ones.
pub type References = BTreeMap<String, ReferenceTable>;

/// A small table that people edit: its declaration and its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredTable", into = "StoredTable")]
pub struct ReferenceTable {
    /// Its name. Queries name it `reference.<name>`.
    pub name: String,
    /// Its purpose.
    pub description: String,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// Its columns, by name.
    pub columns: BTreeMap<String, ColumnType>,
    /// The content of the file without the header: a row of names, then the rows.
    pub csv: String,
    /// The columns in the order of `csv`.
    order: Vec<String>,
    /// Values in the order of `csv`, in their canonical spelling.
    rows: Vec<Vec<String>>,
    /// The line of each row in its file.
    lines: Vec<u64>,
}

/// Why a file is not a valid reference table.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The header has an invalid value.
    #[error("invalid {key} {actual:?} in the header: expected {expected}")]
    HeaderValue {
        /// The key of the header.
        key: &'static str,
        /// The value.
        actual: String,
        /// The expected value.
        expected: &'static str,
    },
    /// A value that the header does not allow.
    #[error("line {line}, column {column:?}: expected {expected}, got {actual:?}")]
    Value {
        /// The line of the file, starting with 1.
        line: u64,
        /// The column's name.
        column: String,
        /// The expected value.
        expected: String,
        /// The value in the file.
        actual: String,
    },
    /// A line that the header does not allow.
    #[error("line {line}: expected {expected}, got {actual}")]
    Line {
        /// The line of the file, starting with 1.
        line: u64,
        /// The expected value.
        expected: String,
        /// The value in the file.
        actual: String,
    },
}

/// The header of a packaged file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceDeclaration {
    /// The purpose of the table.
    pub description: String,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The columns, by name.
    pub columns: BTreeMap<String, ColumnType>,
}

/// A table as the index of the models stores it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTable {
    name: String,
    description: String,
    key: Vec<String>,
    columns: BTreeMap<String, ColumnType>,
    csv: String,
}

impl TryFrom<StoredTable> for ReferenceTable {
    type Error = ReferenceError;

    fn try_from(stored: StoredTable) -> Result<Self, Self::Error> {
        let StoredTable { name, description, key, columns, csv } = stored;
        Self::new(&name, ReferenceDeclaration { description, key, columns }, &csv, 0)
    }
}

impl From<ReferenceTable> for StoredTable {
    fn from(table: ReferenceTable) -> Self {
        let ReferenceTable { name, description, key, columns, csv, .. } = table;
        Self { name, description, key, columns, csv }
    }
}

impl ReferenceTable {
    /// Returns the declared table with the rows of `csv`, which `skipped` lines of its file
    /// precede.
    ///
    /// # Errors
    /// When the declaration or a line is invalid. The error names the line of the file.
    pub fn new(
        name: &str,
        declaration: ReferenceDeclaration,
        csv: &str,
        skipped: u64,
    ) -> Result<Self, ReferenceError> {
        declaration.check()?;
        let declared = Self {
            name: name.to_owned(),
            description: declaration.description,
            key: declaration.key,
            columns: declaration.columns,
            csv: String::new(),
            order: Vec::new(),
            rows: Vec::new(),
            lines: Vec::new(),
        };
        declared.with_lines(csv, skipped)
    }

    /// Returns the table with other rows: CSV with the same column names, in any order.
    ///
    /// # Errors
    /// When a line is invalid. The error names the line, the column and the expected value.
    pub fn with_rows(&self, csv: &str) -> Result<Self, ReferenceError> {
        self.with_lines(without_bom(csv), 0)
    }

    /// Returns the table with rows that an operator has edited. They need at least one row, valid
    /// shops (or `*`, all shops), and otherwise keys of the packaged rows (`self`). A misspelt key
    /// would match no event, and a table without rows would remove the weight of every event.
    ///
    /// # Errors
    /// When a line is invalid. The error names the line, the column and the expected value.
    pub fn edited(&self, csv: &str) -> Result<Self, ReferenceError> {
        let edited = self.with_rows(csv)?;
        if edited.rows.is_empty() {
            let line = without_bom(csv).lines().count().max(1) as u64 + 1;
            let (expected, actual) =
                ("at least one row".to_owned(), "the end of the file".to_owned());
            return Err(ReferenceError::Line { line, expected, actual });
        }
        for column in self.key.iter().filter(|column| self.columns[*column] == ColumnType::String) {
            let known: BTreeSet<_> =
                self.rows.iter().map(|row| value_of(&self.order, row, column)).collect();
            for (row, line) in edited.rows.iter().zip(&edited.lines) {
                let actual = value_of(&edited.order, row, column);
                let expected = if column == SHOP {
                    let is_shop = actual == ALL_SHOPS || actual.parse::<ShopId>().is_ok();
                    (!is_shop).then(|| format!("{ALL_SHOPS} for all shops, or the id of a shop"))
                } else {
                    let known_names = || known.iter().copied().collect::<Vec<_>>().join(", ");
                    (!known.contains(actual)).then(|| format!("one of {}", known_names()))
                };
                if let Some(expected) = expected {
                    let (line, column, actual) = (*line, column.clone(), actual.to_owned());
                    return Err(ReferenceError::Value { line, column, expected, actual });
                }
            }
        }
        Ok(edited)
    }

    /// Returns the table with the rows of `csv`, which follows `skipped` lines of the file.
    fn with_lines(&self, csv: &str, skipped: u64) -> Result<Self, ReferenceError> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv.as_bytes());
        let mut records = reader.records();
        let order = match records.next() {
            Some(record) => self.order(read(record, csv, skipped)?)?,
            None => return Err(self.wrong_names(skipped + 1, "an empty file".to_owned())),
        };
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        let mut keys = BTreeMap::new();
        for record in records {
            let (line, fields) = read(record, csv, skipped)?;
            let row = self.row(line, &order, &fields)?;
            let key: Vec<_> =
                self.key.iter().map(|column| value_of(&order, &row, column).to_owned()).collect();
            if let Some(first) = keys.insert(key.clone(), line) {
                let expected = format!("{} to occur once", self.key.join(" and "));
                let actual = format!("{}, which line {first} has already", key.join(" and "));
                return Err(ReferenceError::Line { line, expected, actual });
            }
            if rows.len() == MAX_ROWS {
                let expected = format!("at most {MAX_ROWS} rows");
                return Err(ReferenceError::Line { line, expected, actual: "one more".to_owned() });
            }
            rows.push(row);
            lines.push(line);
        }
        Ok(Self { csv: csv.to_owned(), order, rows, lines, ..self.clone() })
    }

    /// Returns the names of the first line, which are those of the columns, in any order.
    fn order(&self, (line, names): (u64, Vec<String>)) -> Result<Vec<String>, ReferenceError> {
        let distinct: BTreeSet<&String> = names.iter().collect();
        if distinct.len() != names.len() || !distinct.into_iter().eq(self.columns.keys()) {
            return Err(self.wrong_names(line, names.join(",")));
        }
        Ok(names)
    }

    fn wrong_names(&self, line: u64, actual: String) -> ReferenceError {
        let names: Vec<_> = self.columns.keys().map(String::as_str).collect();
        let expected = format!("the names of the columns in any order ({})", names.join(", "));
        ReferenceError::Line { line, expected, actual }
    }

    fn row(
        &self,
        line: u64,
        order: &[String],
        fields: &[String],
    ) -> Result<Vec<String>, ReferenceError> {
        if fields.len() != order.len() {
            let expected = format!("{} values ({})", order.len(), order.join(", "));
            return Err(ReferenceError::Line { line, expected, actual: fields.len().to_string() });
        }
        let values = order.iter().zip(fields).map(|(column, text)| {
            canonical(self.columns[column], text).map_err(|expected| ReferenceError::Value {
                line,
                column: column.clone(),
                expected,
                actual: text.clone(),
            })
        });
        values.collect()
    }

    /// Returns the number of rows.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Returns a query for the rows that both engines run: texts, cast to their types.
    ///
    /// It has one `values`. A `union all` of a query for each row would be planned as a tree of
    /// that depth.
    pub fn sql(&self) -> String {
        if self.rows.is_empty() {
            return self.empty_sql();
        }
        let columns: Vec<_> = self
            .order
            .iter()
            .map(|column| match self.columns[column] {
                ColumnType::String => format!("    {column}"),
                other => format!("    cast({column} as {other}) as {column}"),
            })
            .collect();
        let mut sql = format!("select\n{}\nfrom (\n    values", columns.join(",\n"));
        for (number, row) in self.rows.iter().enumerate() {
            // No value holds a quote: see `canonical`.
            let separator = if number == 0 { "" } else { "," };
            write!(sql, "{separator}\n        ('{}')", row.join("', '"))
                .expect("writing to a text never fails");
        }
        sql.push_str(&format!("\n) as reference_rows ({})\n", self.order.join(", ")));
        sql
    }

    /// Returns a query with the same columns and no rows.
    pub fn empty_sql(&self) -> String {
        let columns = self.columns.iter();
        let columns: Vec<_> =
            columns.map(|(column, of)| format!("    cast(null as {of}) as {column}")).collect();
        format!("select\n{}\nwhere 1 = 0\n", columns.join(",\n"))
    }
}

impl ReferenceDeclaration {
    fn check(&self) -> Result<(), ReferenceError> {
        let wrong = |key, actual: String, expected| {
            Err(ReferenceError::HeaderValue { key, actual, expected })
        };
        if self.description.trim().is_empty() {
            return wrong("description", self.description.clone(), "what the table is for");
        }
        if let Some(column) = self.columns.keys().find(|column| !is_identifier(column)) {
            return wrong("columns", column.clone(), "names of a-z, 0-9 and _");
        }
        if let Some((column, of)) = self
            .columns
            .iter()
            .find(|(_, of)| matches!(of, ColumnType::Double | ColumnType::Timestamp))
        {
            let expected = "the types string, bigint, decimal(p,s), date or boolean";
            return wrong("columns", format!("{column} = {of}"), expected);
        }
        if self.key.is_empty() || self.key.iter().any(|column| !self.columns.contains_key(column)) {
            return wrong("key", self.key.join(", "), "one or more of the columns");
        }
        Ok(())
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|character| matches!(character, 'a'..='z' | '0'..='9' | '_'))
}

/// Returns a record of the CSV with its line in the file.
fn read(
    record: Result<csv::StringRecord, csv::Error>,
    csv: &str,
    skipped: u64,
) -> Result<(u64, Vec<String>), ReferenceError> {
    match record {
        Ok(record) => {
            let start = record.position().map_or(0, |position| position.byte() as usize);
            let line = line_at(csv, start) + skipped;
            Ok((line, record.iter().map(|field| field.trim().to_owned()).collect()))
        }
        Err(error) => Err(ReferenceError::Line {
            line: error.position().map_or(0, csv::Position::line) + skipped,
            expected: "comma-separated values in UTF-8".to_owned(),
            actual: error.to_string(),
        }),
    }
}

/// Returns the number of the first line from `start` on that is not blank: the reader counts blank
/// lines as part of the next record.
fn line_at(csv: &str, start: usize) -> u64 {
    let blank = csv[start..].len() - csv[start..].trim_start_matches(['\r', '\n']).len();
    csv[..start + blank].matches('\n').count() as u64 + 1
}

fn value_of<'a>(order: &[String], row: &'a [String], column: &str) -> &'a str {
    order.iter().position(|name| name == column).map_or("", |index| &row[index])
}

/// Returns the canonical spelling of a value, which both engines read alike, or the expected value.
fn canonical(column_type: ColumnType, text: &str) -> Result<String, String> {
    match column_type {
        // Engines escape differently, so characters that need an escape are refused.
        ColumnType::String => {
            let allowed = |character: char| {
                character.is_ascii_alphanumeric()
                    || matches!(character, '_' | '.' | ':' | '*' | '@' | '/' | ' ' | '-')
            };
            let fits = !text.is_empty() && text.len() <= MAX_TEXT && text.chars().all(allowed);
            fits.then(|| text.to_owned())
                .ok_or_else(|| format!("1 to {MAX_TEXT} of A-Z, a-z, 0-9, space and _ . : * @ / -"))
        }
        ColumnType::Bigint => text
            .parse::<i64>()
            .map(|number| number.to_string())
            .map_err(|_| "a whole number of 64 bits".to_owned()),
        ColumnType::Decimal { precision, scale } => {
            decimal(text, precision, scale).ok_or_else(|| {
                format!(
                    "a number with at most {} digits before and {scale} after the point",
                    precision - scale
                )
            })
        }
        ColumnType::Date => text
            .parse::<NaiveDate>()
            .ok()
            .map(|day| day.to_string())
            .filter(|day| day == text)
            .ok_or_else(|| "a day such as 2010-12-01".to_owned()),
        ColumnType::Boolean => matches!(text, "true" | "false")
            .then(|| text.to_owned())
            .ok_or_else(|| "true or false".to_owned()),
        // The header refuses these types.
        ColumnType::Double | ColumnType::Timestamp => Err("another type of column".to_owned()),
    }
}

/// Returns the text without the byte order mark that spreadsheets write.
fn without_bom(csv: &str) -> &str {
    csv.strip_prefix('\u{feff}').unwrap_or(csv)
}

/// Returns `-1.5000` for `-1.5` and the scale 4.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<String> {
    let (precision, scale) = (usize::from(precision), usize::from(scale));
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // `1.` and `.5` are not numbers in every engine.
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) || digits.ends_with('.') {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > precision - scale || fraction.len() > scale {
        return None;
    }
    let sign = if whole.is_empty() && fraction.is_empty() { "" } else { sign };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if scale == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction:0<scale$}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WEIGHTS: &str = "\
shop_id,activity,weight
*,page_view,1
acme,page_view,2.50
";

    fn weights() -> ReferenceTable {
        let string = |name: &str| (name.to_owned(), ColumnType::String);
        let weight = ColumnType::Decimal { precision: 9, scale: 4 };
        let declaration = ReferenceDeclaration {
            description: "How much an activity counts.".to_owned(),
            key: vec!["shop_id".to_owned(), "activity".to_owned()],
            columns: [string("shop_id"), string("activity"), ("weight".to_owned(), weight)].into(),
        };
        ReferenceTable::new("weights", declaration, WEIGHTS, 3).unwrap()
    }

    fn error(csv: &str) -> String {
        weights().with_rows(csv).unwrap_err().to_string()
    }

    #[test]
    fn a_table_reads_back_as_it_was_written() {
        let json = serde_json::to_string(&weights()).unwrap();
        let table: ReferenceTable = serde_json::from_str(&json).unwrap();
        assert_eq!((table.sql(), table.csv), (weights().sql(), weights().csv));
    }

    #[test]
    fn other_rows_keep_the_declaration() {
        let other =
            weights().with_rows("weight,activity,shop_id\r\n-0.5,\"search\",*\r\n").unwrap();
        assert_eq!((other.row_count(), other.key.clone()), (1, weights().key));
        assert!(other.sql().contains("('-0.5000', 'search', '*')"), "{}", other.sql());
        assert!(other.sql().ends_with("(weight, activity, shop_id)\n"), "{}", other.sql());
        assert!(other.csv.starts_with("weight,activity"));
    }

    #[test]
    fn an_invalid_value_is_refused_with_line_and_column() {
        let head = "shop_id,activity,weight\n*,search,1\n";
        assert_eq!(
            error(&format!("{head}*,page_view,heavy\n")),
            "line 3, column \"weight\": expected a number with at most 5 digits before and 4 after \
             the point, got \"heavy\""
        );
        assert_eq!(
            error(&format!("{head}o'neill,page_view,1\n")),
            "line 3, column \"shop_id\": expected 1 to 200 of A-Z, a-z, 0-9, space and \
             _ . : * @ / -, got \"o'neill\""
        );
        assert!(error(&format!("{head}*,,1\n")).starts_with("line 3, column \"activity\""));
        assert_eq!(
            error(&format!("{head}*,page_view\n")),
            "line 3: expected 3 values (shop_id, activity, weight), got 2"
        );
        assert_eq!(
            error(&format!("{head}\n*,search,2\n")),
            "line 4: expected shop_id and activity to occur once, got * and search, which line 2 \
             has already"
        );
    }

    #[test]
    fn edited_rows_have_known_keys_and_at_least_one_row() {
        let edited = |csv: &str| weights().edited(csv).map_err(|error| error.to_string());
        let head = "shop_id,activity,weight\n";
        let good = format!("\u{feff}{head}*,page_view,0\nacme,page_view,3\nshop-2,page_view,-1\n");
        let table = edited(&good).unwrap();
        assert_eq!((table.row_count(), table.csv.starts_with("shop_id")), (3, true));
        for (csv, expected) in [
            (
                format!("{head}*,page_view,1\n*,pageview,1\n"),
                "line 3, column \"activity\": expected one of page_view, got \"pageview\"",
            ),
            (
                format!("{head}\nAcme Shop,page_view,1\n"),
                "line 3, column \"shop_id\": expected * for all shops, or the id of a shop, got \
                 \"Acme Shop\"",
            ),
            (head.to_owned(), "line 2: expected at least one row, got the end of the file"),
            (
                format!("{head}*,page_view,1\n*,page_view,2\n"),
                "line 3: expected shop_id and activity to occur once, got * and page_view, which \
                 line 2 has already",
            ),
            (
                String::new(),
                "line 1: expected the names of the columns in any order (activity, shop_id, \
                 weight), got an empty file",
            ),
        ] {
            assert_eq!(edited(&csv).unwrap_err(), expected);
        }
        let nul = edited(&format!("{head}*,page\0view,1\n")).unwrap_err();
        assert!(nul.starts_with("line 2, column \"activity\": expected 1 to 200 of A-Z"), "{nul}");
    }

    #[test]
    fn other_columns_are_refused_with_the_declared_ones() {
        let expected = "expected the names of the columns in any order (activity, shop_id, weight)";
        assert_eq!(error("shop_id,weight\n"), format!("line 1: {expected}, got shop_id,weight"));
        assert_eq!(error(""), format!("line 1: {expected}, got an empty file"));
        assert!(error("shop_id,activity,weight,weight\n").contains(expected));
        assert!(
            error(&format!("# key\n{WEIGHTS}")).starts_with("line 1: expected the names"),
            "only a packaged file has a header"
        );
    }

    #[test]
    fn too_many_rows_are_refused() {
        let rows = |count: usize| -> String {
            let rows = (0..count).map(|number| format!("shop-{number},search,1\n"));
            std::iter::once("shop_id,activity,weight\n".to_owned()).chain(rows).collect()
        };
        assert_eq!(weights().with_rows(&rows(MAX_ROWS)).unwrap().row_count(), MAX_ROWS);
        assert_eq!(
            error(&rows(MAX_ROWS + 1)),
            "line 10002: expected at most 10000 rows, got one more"
        );
    }

    #[test]
    fn values_have_one_spelling() {
        let decimal = |text: &str| decimal(text, 6, 2);
        for (text, expected) in [
            ("0", "0.00"),
            ("-0.00", "0.00"),
            ("007.5", "7.50"),
            ("-9999.99", "-9999.99"),
            ("1.500", "1.50"),
        ] {
            assert_eq!(decimal(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "-", ".5", "1.", "1e3", "+1", "10000", "0.005", "1,5", "--1", "1 "] {
            assert_eq!(decimal(text), None, "{text}");
        }
        assert_eq!(canonical(ColumnType::Bigint, "-007").as_deref(), Ok("-7"));
        assert_eq!(canonical(ColumnType::Date, "2010-12-01").as_deref(), Ok("2010-12-01"));
        assert!(canonical(ColumnType::Date, "2010-12-1").is_err());
        assert!(canonical(ColumnType::Boolean, "TRUE").is_err());
        assert!(canonical(ColumnType::Bigint, "9223372036854775808").is_err());
    }

    proptest! {
        /// An invalid text is an error with its line. No accepted text can close a literal.
        #[test]
        fn any_text_is_rows_without_quotes_or_an_error(
            text in "(shop_id,activity,weight\n)?[a-z*,'\"\\\\0-9.\n\r é-]{0,60}"
        ) {
            match weights().with_rows(&text) {
                Ok(table) => {
                    let quotes = ['\'', '\\', '"', '\n'];
                    prop_assert!(table.rows.iter().flatten().all(|value| !value.contains(quotes)));
                }
                Err(error) => prop_assert!(error.to_string().starts_with("line "), "{}", error),
            }
        }
    }
}

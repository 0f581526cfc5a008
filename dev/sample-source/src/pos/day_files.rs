//! Day files in the layout of the UCI data set "Online Retail".

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use anyhow::Context;
use chrono::{NaiveDate, NaiveDateTime, SecondsFormat};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::Sale;

const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// A folder of `YYYY-MM-DD.csv` or `YYYY-MM-DD.csv.gz` files.
#[derive(Debug, Clone)]
pub struct DayFiles {
    folder: PathBuf,
}

impl DayFiles {
    /// Returns the day files in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Returns the lines of a day's file, in file order; none for a day without a file.
    ///
    /// # Errors
    /// When the file cannot be read or has other columns. Odd values are not errors: they are
    /// passed on.
    pub fn sales(&self, day: NaiveDate) -> anyhow::Result<Vec<Sale>> {
        let Some((path, file)) = self.open(day)? else { return Ok(Vec::new()) };
        read(file, day).with_context(|| format!("reading {}", path.display()))
    }

    fn open(&self, day: NaiveDate) -> anyhow::Result<Option<(PathBuf, Box<dyn Read>)>> {
        for (extension, compressed) in [("csv", false), ("csv.gz", true)] {
            let path = self.folder.join(format!("{day}.{extension}"));
            match File::open(&path) {
                Ok(file) if compressed => {
                    return Ok(Some((path, Box::new(MultiGzDecoder::new(file)))));
                }
                Ok(file) => return Ok(Some((path, Box::new(file)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("opening {}", path.display()));
                }
            }
        }
        Ok(None)
    }
}

fn read(file: impl Read, day: NaiveDate) -> anyhow::Result<Vec<Sale>> {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.byte_headers()?;
    anyhow::ensure!(
        header.iter().eq(COLUMNS.iter().map(|column| column.as_bytes())),
        "expected the columns {}, found {}",
        COLUMNS.join(","),
        String::from_utf8_lossy(header.as_slice()),
    );
    let mut lines_of_invoice: HashMap<String, u32> = HashMap::new();
    let mut sales = Vec::new();
    for record in reader.byte_records() {
        let record = record?;
        // Bytes that are not UTF-8 must not fail the day.
        let text = |column: usize| String::from_utf8_lossy(&record[column]).into_owned();
        let optional = |column: usize| Some(text(column)).filter(|value| !value.is_empty());
        let transaction_id = text(0);
        let line_no = lines_of_invoice.entry(transaction_id.clone()).or_default();
        *line_no += 1;
        sales.push(Sale {
            line_no: *line_no,
            transaction_id,
            store_id: "online".to_owned(),
            region: text(7),
            product_id: optional(1),
            product_name: optional(2),
            quantity: quantity(text(3)),
            unit_price: text(5),
            discount: "0".to_owned(),
            unit_cost: None,
            currency: "GBP",
            customer_id: optional(6).map(customer_id),
            payment_method: None,
            sold_at: sold_at(text(4)),
            business_date: day,
        });
    }
    Ok(sales)
}

fn quantity(text: String) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::String(text), Value::from)
}

/// Returns the id without the `.0` that a spreadsheet added.
fn customer_id(text: String) -> String {
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

fn sold_at(text: String) -> String {
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S")
        .map_or(text, |time| time.and_utc().to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,\"WHITE HANGING HEART, T-LIGHT\",6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,WHITE METAL LANTERN,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
C536379,D,Discount,-1,2010-12-01 09:41:00,27.50,14527.0,United Kingdom
536365,22752,,many,yesterday,0.0,,EIRE
";

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2010, 12, 1).unwrap()
    }

    #[test]
    fn each_line_of_a_file_is_a_sale_numbered_within_its_invoice() {
        let sales = read(DAY.as_bytes(), day()).unwrap();

        let ids: Vec<_> =
            sales.iter().map(|sale| (sale.transaction_id.as_str(), sale.line_no)).collect();
        assert_eq!(ids, [("536365", 1), ("536365", 2), ("C536379", 1), ("536365", 3)]);
        assert_eq!(sales[0].product_name.as_deref(), Some("WHITE HANGING HEART, T-LIGHT"));
        assert_eq!(sales[0].customer_id.as_deref(), Some("17850"));
        assert_eq!(sales[0].sold_at, "2010-12-01T08:26:00Z");
        assert_eq!(sales[2].quantity, Value::from(-1));
        assert_eq!(sales[2].unit_price, "27.50", "the price stays the text of the file");
    }

    #[test]
    fn invalid_rows_of_a_file_are_passed_on_unchanged() {
        let sale = read(DAY.as_bytes(), day()).unwrap().pop().unwrap();

        assert_eq!(sale.quantity, Value::from("many"));
        assert_eq!(sale.sold_at, "yesterday");
        assert_eq!(sale.unit_price, "0.0");
        assert_eq!((sale.product_name, sale.customer_id), (None, None));
    }

    #[test]
    fn an_error_about_columns_names_the_expected_ones() {
        let error = read("a,b\n1,2\n".as_bytes(), day()).unwrap_err().to_string();

        assert!(error.contains("expected the columns InvoiceNo,StockCode"), "{error}");
    }

    #[test]
    fn a_day_without_a_file_is_empty() {
        let files = DayFiles::new(std::env::temp_dir().join("no-such-folder-of-day-files"));

        assert_eq!(files.sales(day()).unwrap(), []);
    }
}

//! The four relations that are read, and what is read of each.

use std::collections::BTreeMap;

/// A table, or a view of this name and these columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// `customers`, whole: a row does not say when it changed, and there are few.
    Customers,
    /// `products`, whole.
    Products,
    /// `orders`, from a day on.
    Orders,
    /// `order_items`, those of the orders that are taken and those without an order.
    OrderItems,
}

use Table::{Customers, OrderItems, Orders, Products};

/// How a field of a dataset is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// As a text, whatever its type: a telephone number may be an integer.
    Text,
    /// As a number, with all its digits.
    Number,
    /// An amount of money, as a text, so that no reader rounds it.
    Amount,
    /// A time; one without a zone is in that of the session.
    Time,
    /// The currency, which the connector knows from its configuration.
    Currency,
    /// When the transaction began, by the database's clock.
    ExtractedAt,
}

use Reading::{Amount, Currency, ExtractedAt, Number, Text, Time};

/// Types whose values are whole numbers, texts or times, as PostgreSQL's catalog calls them.
const INTEGERS: [&str; 3] = ["int2", "int4", "int8"];
const FLOATS: [&str; 2] = ["float4", "float8"];
const TEXTS: [&str; 4] = ["text", "varchar", "bpchar", "citext"];
const TIMES: [&str; 3] = ["timestamptz", "timestamp", "date"];

/// The SQL for the time when the transaction began, by the database's clock.
pub(crate) const EXTRACTED_AT: &str =
    "to_char(transaction_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

impl Table {
    /// All tables, in the order in which they are fetched. Items count if they were read with the
    /// newest version of their order or later, so they are sent before their orders: an extract
    /// that ends in between hides no item.
    pub const ALL: [Self; 4] = [Customers, Products, OrderItems, Orders];

    /// Returns the table's name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Customers => "customers",
            Products => "products",
            Orders => "orders",
            OrderItems => "order_items",
        }
    }

    /// Returns the name of the dataset.
    #[must_use]
    pub fn dataset(self) -> &'static str {
        match self {
            Customers => "oltp_customers",
            Products => "oltp_products",
            Orders => "oltp_orders",
            OrderItems => "oltp_order_items",
        }
    }

    /// Returns the schema of the dataset.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Customers => include_str!("../../../crates/contracts/schemas/oltp_customers.json"),
            Products => include_str!("../../../crates/contracts/schemas/oltp_products.json"),
            Orders => include_str!("../../../crates/contracts/schemas/oltp_orders.json"),
            OrderItems => include_str!("../../../crates/contracts/schemas/oltp_order_items.json"),
        }
    }

    /// Returns the column that control totals sum.
    pub(crate) fn quantity(self) -> Option<&'static str> {
        (self == OrderItems).then_some("quantity")
    }

    /// Returns whether a lookback limits the rows.
    #[must_use]
    pub fn is_incremental(self) -> bool {
        matches!(self, Orders | OrderItems)
    }

    /// Returns the column that identifies a row.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Customers => "customer_id",
            Products => "product_id",
            Orders => "order_id",
            OrderItems => "order_item_id",
        }
    }

    /// Returns whether the rows that the table no longer has are sent. Those of `order_items` stop
    /// counting with the next version of their order.
    pub(crate) fn has_deletions(self) -> bool {
        self != OrderItems
    }

    /// Returns the query for the ids of all rows, as text.
    pub(crate) fn ids_query(self) -> String {
        format!("select {}::text from {}", self.key(), self.name())
    }

    /// Returns a query that is prepared and never run, for the types of the columns.
    pub(crate) fn columns_query(self) -> String {
        format!("select {} from {}", self.columns(), self.source())
    }

    /// Returns the query for the rows, in the order of their ids. It has two columns: the id as
    /// text and the row as JSON. `types` has the names of the columns' types. `$1` is the currency,
    /// `$2` the day from which on rows are taken if `is_since`.
    ///
    /// Rows are sorted before any field is converted (`offset 0` keeps the planner from merging
    /// both), so that a value that cannot be converted fails after all rows before it have been
    /// sent.
    ///
    /// # Errors
    /// Names the column whose type cannot be read.
    pub(crate) fn query(
        self,
        types: &BTreeMap<&str, &str>,
        is_since: bool,
    ) -> Result<String, String> {
        let mut fields = Vec::new();
        for (field, _, reading) in self.fields() {
            let column_type = types.get(field).copied().unwrap_or_default();
            let expression = reading.expression(&format!("picked.{field}"), column_type);
            let expression =
                expression.ok_or_else(|| self.unreadable(field, *reading, column_type))?;
            fields.push(format!("'{field}', {expression}"));
        }
        let key = format!("{}.{}", self.name(), self.key());
        let condition = if is_since {
            " where orders.order_date >= $2 or orders.order_date is null"
        } else {
            ""
        };
        Ok(format!(
            "select picked.row_key::text, json_build_object({})::text \
             from (select {key} as row_key, {} from {}{condition} order by {key} offset 0) \
             as picked \
             cross join (select $1::text as currency) as shop order by picked.row_key",
            fields.join(", "),
            self.columns(),
            self.source()
        ))
    }

    fn unreadable(self, field: &str, reading: Reading, column_type: &str) -> String {
        let expected = match reading {
            Amount => "numeric, an integer type, real, double precision, money or text",
            _ => "timestamp with time zone, timestamp, date or text",
        };
        format!(
            "table {}: column {field} has the type {column_type}, expected {expected}; give the \
             reader a view of this name with such a column",
            self.name()
        )
    }

    fn source(self) -> &'static str {
        match self {
            OrderItems => "order_items left join orders on orders.order_id = order_items.order_id",
            _ => self.name(),
        }
    }

    /// Returns the columns that are read, under the names of the fields.
    fn columns(self) -> String {
        let columns = self.fields().iter().filter(|(_, table, _)| !table.is_empty());
        columns.map(|(field, table, _)| format!("{table}.{field}")).collect::<Vec<_>>().join(", ")
    }

    /// Returns the fields of the dataset: name, table of the column, and how it is read.
    fn fields(self) -> &'static [(&'static str, &'static str, Reading)] {
        match self {
            Customers => &[
                ("customer_id", "customers", Text),
                ("first_name", "customers", Text),
                ("last_name", "customers", Text),
                ("email", "customers", Text),
                ("phone", "customers", Text),
                ("state", "customers", Text),
                ("city", "customers", Text),
                ("created_at", "customers", Time),
                ("extracted_at", "", ExtractedAt),
            ],
            Products => &[
                ("product_id", "products", Text),
                ("product_name", "products", Text),
                ("category", "products", Text),
                ("price", "products", Amount),
                ("cost", "products", Amount),
                ("currency", "", Currency),
                ("created_at", "products", Time),
                ("extracted_at", "", ExtractedAt),
            ],
            Orders => &[
                ("order_id", "orders", Text),
                ("customer_id", "orders", Text),
                ("order_date", "orders", Time),
                ("status", "orders", Text),
                ("total_amount", "orders", Amount),
                ("currency", "", Currency),
                ("extracted_at", "", ExtractedAt),
            ],
            OrderItems => &[
                ("order_item_id", "order_items", Text),
                ("order_id", "order_items", Text),
                ("product_id", "order_items", Text),
                ("quantity", "order_items", Number),
                ("unit_price", "order_items", Amount),
                ("subtotal", "order_items", Amount),
                ("currency", "", Currency),
                ("order_date", "orders", Time),
                ("extracted_at", "", ExtractedAt),
            ],
        }
    }
}

impl Reading {
    /// Returns the SQL that reads a column of a type; none if the type is not supported.
    fn expression(self, column: &str, column_type: &str) -> Option<String> {
        Some(match self {
            Text => format!("{column}::text"),
            Number => column.to_owned(),
            Amount => return amount(column, column_type),
            Time if TIMES.contains(&column_type) || TEXTS.contains(&column_type) => {
                format!("(to_json({column}::timestamptz at time zone 'UTC') #>> '{{}}') || 'Z'")
            }
            Time => return None,
            Currency => "shop.currency".to_owned(),
            ExtractedAt => EXTRACTED_AT.to_owned(),
        })
    }
}

/// Returns the SQL that reads an amount exactly. An amount that is not a plain number (`NaN`,
/// `1,50`) stays a text: the contract rejects that row, whereas a failing conversion would end the
/// whole table.
fn amount(column: &str, column_type: &str) -> Option<String> {
    let plain = |text: &str| format!("trim_scale({text}::numeric)::text");
    Some(match column_type {
        "numeric" | "money" => plain(column),
        integer if INTEGERS.contains(&integer) => format!("{column}::text"),
        // A cast to numeric rounds to 6 digits (real) or 15; the text has all that the value has.
        float if FLOATS.contains(&float) => {
            let text = format!("{column}::text");
            format!(
                "case when {text} in ('NaN', 'Infinity', '-Infinity') then {text} else {} end",
                plain(&text)
            )
        }
        text if TEXTS.contains(&text) => {
            let text = format!("{column}::text");
            let number = "^[[:space:]]*[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)[[:space:]]*$";
            format!(
                "case when length({text}) <= 100 and {text} ~ '{number}' then {} else {text} end",
                plain(&text)
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shoplake_contracts::Contracts;

    use super::*;

    /// Returns the types of a table whose amounts are of one type.
    fn types(table: Table, amounts: &'static str) -> BTreeMap<&'static str, &'static str> {
        let name_of = |reading| match reading {
            Amount => amounts,
            Time => "timestamp",
            _ => "text",
        };
        table.fields().iter().map(|(field, _, reading)| (*field, name_of(*reading))).collect()
    }

    #[test]
    fn the_fields_of_a_table_are_those_of_its_dataset() {
        for table in Table::ALL {
            let contracts = Contracts::from_sources([(table.dataset(), table.schema())]).unwrap();
            let contract = contracts.get(table.dataset()).unwrap();
            let declared: BTreeSet<_> =
                contract.columns.iter().map(|column| column.name.as_str()).collect();
            let added = ["shop_id", "_envelope_id", "_received_at", "_batch", "_run"];
            let sent: BTreeSet<_> =
                table.fields().iter().map(|(field, ..)| *field).chain(added).collect();
            assert_eq!(sent, declared, "{table:?}");
            assert_eq!(contract.key, ["shop_id", table.key()]);
        }
    }

    #[test]
    fn currency_and_day_are_parameters_of_the_query() {
        let query = Orders.query(&types(Orders, "numeric"), true).unwrap();
        let condition = "from orders where orders.order_date >= $2 or orders.order_date is null \
                         order by orders.order_id offset 0) as picked \
                         cross join (select $1::text as currency) as shop order by picked.row_key";
        assert!(query.ends_with(condition), "{query}");

        let query = Products.query(&types(Products, "money"), false).unwrap();
        assert!(query.contains(" from products order by products.product_id offset 0"), "{query}");
    }

    #[test]
    fn a_float_is_read_by_its_text_and_never_cast_to_numeric() {
        for float in FLOATS {
            let query = Products.query(&types(Products, float), false).unwrap();
            assert!(query.contains("trim_scale(picked.price::text::numeric)::text"), "{query}");
            assert!(!query.contains("picked.price::numeric"), "{query}");
        }
    }

    #[test]
    fn a_type_that_is_not_an_amount_or_a_time_is_refused_by_name() {
        let refused = |table: Table, field, column_type| {
            let mut types = types(table, "numeric");
            types.insert(field, column_type);
            table.query(&types, false).unwrap_err()
        };

        let reason = refused(Products, "cost", "jsonb");
        assert!(
            reason.starts_with("table products: column cost has the type jsonb, expected numeric"),
            "{reason}"
        );
        let reason = refused(OrderItems, "order_date", "int4");
        assert!(
            reason.contains("order_items: column order_date has the type int4, expected timestamp"),
            "{reason}"
        );
    }
}

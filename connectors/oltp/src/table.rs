//! The four relations that are read, and what is read of each.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use shoplake_connector::{Facts, read};

/// A table, or a view of this name and these columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// `customers`, whole: rows change without a trace, and there are few compared with orders.
    Customers,
    /// `products`, whole.
    Products,
    /// `orders`, from a day on.
    Orders,
    /// `order_items`, those of the orders that are taken and those without an order.
    OrderItems,
}

use Table::{Customers, OrderItems, Orders, Products};

impl Table {
    /// All of them, in the order in which they are fetched.
    pub const ALL: [Self; 4] = [Customers, Products, Orders, OrderItems];

    /// What it is called in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Customers => "customers",
            Products => "products",
            Orders => "orders",
            OrderItems => "order_items",
        }
    }

    /// What its rows are called in the lake.
    #[must_use]
    pub fn dataset(self) -> &'static str {
        match self {
            Customers => "oltp_customers",
            Products => "oltp_products",
            Orders => "oltp_orders",
            OrderItems => "oltp_order_items",
        }
    }

    /// Whether only the rows from a day on are taken, where a day is given.
    #[must_use]
    pub fn is_incremental(self) -> bool {
        matches!(self, Orders | OrderItems)
    }

    /// Reads what is readable: its id is the key, `quantity` is summed, the time is that of the order, or when a customer
    /// or a product was created.
    #[must_use]
    pub fn describe(self) -> fn(&RawValue) -> Facts {
        match self {
            Customers => |row| facts(row, Customers),
            Products => |row| facts(row, Products),
            Orders => |row| facts(row, Orders),
            OrderItems => |row| facts(row, OrderItems),
        }
    }

    /// The query for its rows, in the order of their ids: two columns, the id as a text and the row as JSON. `$1` is the
    /// currency, `$2` the day from which on rows are taken if `is_since`; the last parameter the id after which the rows
    /// begin if `is_after`.
    ///
    /// Ids are text in the lake, whatever they are here. Amounts are written with as few digits as they have, as texts,
    /// so that no reader makes an approximation of them. A time without a zone is one in UTC, as the session is.
    pub(crate) fn query(self, is_since: bool, is_after: bool) -> String {
        let name = self.name();
        let key = format!("{name}.{}", self.key());
        let fields: Vec<_> =
            self.fields().iter().map(|(field, expression)| format!("'{field}', {expression}")).collect();
        let source = match self {
            OrderItems => "order_items left join orders on orders.order_id = order_items.order_id",
            _ => name,
        };
        let mut conditions = Vec::new();
        let mut parameters = 1;
        if is_since {
            parameters += 1;
            conditions.push(format!("(orders.order_date >= ${parameters} or orders.order_date is null)"));
        }
        if is_after {
            parameters += 1;
            conditions.push(format!("{key} > ${parameters}"));
        }
        let conditions = match conditions.as_slice() {
            [] => String::new(),
            conditions => format!(" where {}", conditions.join(" and ")),
        };
        format!(
            "select {key}::text, json_build_object({})::text from {source} cross join (select $1::text as currency) as shop{conditions} order by {key}",
            fields.join(", ")
        )
    }

    fn key(self) -> &'static str {
        match self {
            Customers => "customer_id",
            Products => "product_id",
            Orders => "order_id",
            OrderItems => "order_item_id",
        }
    }

    fn time(self) -> &'static str {
        if self.is_incremental() { "order_date" } else { "created_at" }
    }

    /// The fields of its dataset, and how they are read.
    fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Customers => &[
                ("customer_id", "customers.customer_id::text"),
                ("first_name", "customers.first_name"),
                ("last_name", "customers.last_name"),
                ("email", "customers.email"),
                ("phone", "customers.phone"),
                ("state", "customers.state"),
                ("city", "customers.city"),
                ("created_at", "customers.created_at::timestamptz"),
                ("extracted_at", "transaction_timestamp()"),
            ],
            Products => &[
                ("product_id", "products.product_id::text"),
                ("product_name", "products.product_name"),
                ("category", "products.category"),
                ("price", "trim_scale(products.price::numeric)::text"),
                ("cost", "trim_scale(products.cost::numeric)::text"),
                ("currency", "shop.currency"),
                ("created_at", "products.created_at::timestamptz"),
                ("extracted_at", "transaction_timestamp()"),
            ],
            Orders => &[
                ("order_id", "orders.order_id::text"),
                ("customer_id", "orders.customer_id::text"),
                ("order_date", "orders.order_date::timestamptz"),
                ("status", "orders.status::text"),
                ("total_amount", "trim_scale(orders.total_amount::numeric)::text"),
                ("currency", "shop.currency"),
                ("extracted_at", "transaction_timestamp()"),
            ],
            OrderItems => &[
                ("order_item_id", "order_items.order_item_id::text"),
                ("order_id", "order_items.order_id::text"),
                ("product_id", "order_items.product_id::text"),
                ("quantity", "order_items.quantity"),
                ("unit_price", "trim_scale(order_items.unit_price::numeric)::text"),
                ("subtotal", "trim_scale(order_items.subtotal::numeric)::text"),
                ("currency", "shop.currency"),
                ("order_date", "orders.order_date::timestamptz"),
                ("extracted_at", "transaction_timestamp()"),
            ],
        }
    }
}

fn facts(row: &RawValue, table: Table) -> Facts {
    let Ok(fields) = serde_json::from_str::<BTreeMap<&str, &RawValue>>(row.get()) else {
        return Facts::default();
    };
    let field = |name: &str| fields.get(name).copied();
    Facts {
        // A slash before the id, as the envelopes' other ids have none.
        key: read::id(field(table.key())).map(|id| format!("id/{id}")),
        quantity: read::parse(field("quantity")),
        occurred_at: read::moment(field(table.time())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use shoplake_contracts::Contracts;

    use super::*;

    #[test]
    fn given_a_table_then_its_fields_are_those_of_its_dataset() {
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/contracts/schemas");
        let contracts = Contracts::load(&schemas).unwrap();
        for table in Table::ALL {
            let contract = contracts.get(table.dataset()).unwrap();
            let declared: BTreeSet<_> = contract.columns.iter().map(|column| column.name.as_str()).collect();
            let added = ["shop_id", "_envelope_id", "_received_at"];
            let sent: BTreeSet<_> = table.fields().iter().map(|(field, _)| *field).chain(added).collect();
            assert_eq!(sent, declared, "{table:?}");
        }
    }

    #[test]
    fn given_a_day_and_an_id_then_both_are_parameters_of_the_query() {
        let query = Orders.query(true, true);
        let condition = "where (orders.order_date >= $2 or orders.order_date is null) and orders.order_id > $3 order by orders.order_id";
        assert!(query.ends_with(condition), "{query}");

        assert!(
            Customers
                .query(false, true)
                .ends_with(" where customers.customer_id > $2 order by customers.customer_id")
        );
        assert!(Products.query(false, false).ends_with("as shop order by products.product_id"));
    }

    #[test]
    fn given_a_row_then_its_id_its_quantity_and_the_order_s_time_are_read() {
        let row = r#"{"order_item_id" : "7", "quantity" : 3, "order_date" : "2026-11-20T10:00:00+00:00"}"#;
        let facts = OrderItems.describe()(&RawValue::from_string(row.to_owned()).unwrap());

        let expected = Facts {
            key: Some("id/7".to_owned()),
            quantity: Some(3),
            occurred_at: Some("2026-11-20T10:00:00+00:00".to_owned()),
        };
        assert_eq!(facts, expected);
    }
}

//! What a run fetches.

use chrono::NaiveDate;
use shoplake_contracts::ShopId;

/// One delivery of one shop: a trading day of its tills, an hour of its warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The shop.
    pub shop: ShopId,
    /// The connector, which is also the rows' source: `pos`.
    pub connector: &'static str,
    /// The rows' dataset.
    pub dataset: &'static str,
    /// Names the batch within its connector and shop, and so becomes part of keys and ids: `2010-12-01`.
    pub name: String,
    /// The day that the batch is booked on.
    pub business_date: NaiveDate,
}

impl Batch {
    /// Where the lake keeps how far the batch got.
    pub fn checkpoint_key(&self) -> String {
        format!("state/connectors/{}/{}/{}.json", self.connector, self.shop, self.name)
    }

    /// The envelope id of the row with this key. A row's key has a slash inside, so it never equals one of the two below.
    pub(crate) fn row_id(&self, key: &str) -> String {
        self.id(key)
    }

    /// The envelope id of a row without a usable key: its position in the batch, from 1.
    pub(crate) fn position_id(&self, position: u64) -> String {
        self.id(&format!("row-{position}"))
    }

    /// The envelope id of the control total.
    pub(crate) fn control_total_id(&self) -> String {
        self.id("control-total")
    }

    fn id(&self, end: &str) -> String {
        format!("{}/{}/{end}", self.connector, self.name)
    }
}

/// What a connector reads of a row. It is all optional: judging rows is not the connector's business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What makes the row unique within its batch, as `<parent>/<ordinal>`; none if a part of it is missing.
    pub key: Option<String>,
    /// What the control total sums; none if it is not a whole number of a sane size. Such a row is counted all the same.
    pub quantity: Option<i32>,
    /// When it happened, RFC 3339; none if it is something else.
    pub occurred_at: Option<String>,
}

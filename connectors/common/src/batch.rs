//! What a run fetches.

use chrono::NaiveDate;
use shoplake_contracts::ShopId;
use shoplake_lake::keys;

/// One delivery of one shop: a trading day of its tills, an hour of its warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The shop.
    pub shop: ShopId,
    /// The connector, which is also the rows' source: `pos`.
    pub connector: &'static str,
    /// Names the batch within its connector and shop, and so becomes part of keys and ids:
    /// `2010-12-01`.
    pub name: String,
    /// The day that the batch is booked on.
    pub business_date: NaiveDate,
}

impl Batch {
    /// Returns the key of the batch's checkpoint.
    pub fn checkpoint_key(&self) -> String {
        keys::connector_checkpoint(self.connector, self.shop.as_str(), &self.name)
    }

    /// Returns the key of an object with row keys that the batch has sent.
    pub(crate) fn segment_key(&self, digest: &str) -> String {
        keys::connector_keys(self.connector, self.shop.as_str(), &self.name, digest)
    }

    /// Returns the envelope id of the row with this key.
    pub(crate) fn row_id(&self, key: &str) -> String {
        self.id(key)
    }

    /// Returns the envelope id of the control total. No row has it: each row's key has a slash.
    pub(crate) fn control_total_id(&self) -> String {
        self.id("control-total")
    }

    fn id(&self, end: &str) -> String {
        format!("{}/{}/{end}", self.connector, self.name)
    }
}

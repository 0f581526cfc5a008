//! A shop whose systems do, all at once, everything wrong that real systems have been seen to do.
//!
//! Every event and every row has a known [`Fate`], so that a test can account for each of them:
//! refused by the webhook, quarantined with a reason, or in the tables. The same seed and clock
//! give the same items.

mod crm;
mod inventory;
mod object;
mod pos;
mod requests;
mod sender;
mod server;
mod web;

use serde::Serialize;

pub use inventory::stock;
pub use pos::{Delivery, sales};
pub use requests::{Expected, Request, requests};
pub use sender::{Account, send};
pub use server::{Answer, Api, RowsOf, serve};

/// Where a row of a batch source ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// In silver under this key, without the shop.
    Tables {
        /// The values of the key, as text.
        key: Vec<String>,
    },
    /// In quarantine, with the code and the field of its first reason where they are certain.
    Quarantined {
        /// The reason's code.
        code: Option<&'static str>,
        /// The field that breaks the contract.
        field: Option<&'static str>,
    },
}

/// A row of a batch source.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What is odd about it.
    pub name: String,
    /// Where it ends.
    #[serde(flatten)]
    pub fate: Fate,
    /// Whether an earlier page of the same delivery has the same row: the connector leaves it out.
    pub repeated: bool,
    /// The row's JSON.
    #[serde(skip)]
    pub json: String,
}

impl Row {
    fn tables(name: impl Into<String>, row: &object::Object, key: &[&str]) -> Self {
        let key = key.iter().map(|column| row.get(column)).collect();
        Self { name: name.into(), fate: Fate::Tables { key }, repeated: false, json: row.json() }
    }

    fn quarantined(
        name: impl Into<String>,
        json: impl Into<String>,
        code: Option<&'static str>,
        field: Option<&'static str>,
    ) -> Self {
        let fate = Fate::Quarantined { code, field };
        Self { name: name.into(), fate, repeated: false, json: json.into() }
    }

    fn again(&self) -> Self {
        Self { name: format!("{} again", self.name), repeated: true, ..self.clone() }
    }
}

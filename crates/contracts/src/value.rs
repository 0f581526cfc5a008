//! A decoded row: one typed slot per column.

use chrono::{DateTime, Utc};

use crate::{BackfillName, ShopId};

/// What a slot holds. Texts are borrowed from the input unless they had escapes in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// Absent, or JSON `null`.
    #[default]
    Null,
    /// A text as it stands in the input.
    Text(&'a str),
    /// A text that had escapes.
    Unescaped(Box<str>),
    /// `bigint`
    Integer(i64),
    /// `double`
    Double(f64),
    /// `boolean`
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// The digits without the point; the column's type has the scale.
    Decimal(i128),
}

impl Value<'_> {
    /// The text, if it is one.
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unescaped(text) => Some(text),
            _ => None,
        }
    }
}

/// A row and the rows of its arrays. Made once by [`Contract::row`](crate::Contract::row) and
/// decoded into again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// One value per column of the contract.
    pub values: Vec<Value<'a>>,
    /// Per child dataset its rows, each with one value per column of the child.
    pub children: Vec<Vec<Vec<Value<'a>>>>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(columns: usize, children: usize) -> Self {
        Self { values: vec![Value::Null; columns], children: vec![Vec::new(); children] }
    }

    pub(crate) fn clear(&mut self) {
        self.values.fill_with(Value::default);
        self.children.iter_mut().for_each(Vec::clear);
    }
}

/// What the envelope says about the row in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The tenant, `shop_id`.
    pub shop: &'a str,
    /// `_envelope_id`
    pub envelope_id: &'a str,
    /// `_received_at`, microseconds since 1970-01-01T00:00:00Z; the window of accepted times is
    /// relative to it.
    pub received_at: i64,
    /// The named backfill that the row belongs to, whose times may be older than the window.
    pub backfill: Option<&'a str>,
}

impl<'a> Stamp<'a> {
    /// What an envelope would say that a shop's event gets now; for rows that are validated before
    /// they have an envelope.
    pub fn new(shop: &'a ShopId, received_at: DateTime<Utc>) -> Self {
        let received_at = received_at.timestamp_micros();
        Self { shop: shop.as_str(), envelope_id: "", received_at, backfill: None }
    }

    /// The same, in this backfill if there is one.
    #[must_use]
    pub fn in_backfill(self, backfill: Option<&'a BackfillName>) -> Self {
        Self { backfill: backfill.map(BackfillName::as_str), ..self }
    }
}

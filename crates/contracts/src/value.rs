//! A decoded row: one typed value per column.

/// The value of a column. Texts are borrowed from the input unless they have escapes there.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// Absent, or JSON `null`.
    #[default]
    Null,
    /// A text without escapes in the input.
    Text(&'a str),
    /// A text with escapes in the input.
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
    /// Returns the text, if the value is one.
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unescaped(text) => Some(text),
            _ => None,
        }
    }
}

/// A row and the rows of its arrays. [`Contract::row`](crate::Contract::row) returns an empty one,
/// to decode into many times.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// One value per column of the contract.
    pub values: Vec<Value<'a>>,
    /// The rows of each child dataset, each with one value per column of the child.
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

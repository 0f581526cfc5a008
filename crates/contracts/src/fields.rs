//! The fields of a dataset, as the decoder needs them.

use crate::keys::KeyTable;
use crate::metadata::RowMetadata;
use crate::scalar::Scalar;
use crate::value::Value;

/// The fields of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    /// Finds each member at its position.
    pub(crate) keys: KeyTable,
    pub(crate) members: Vec<Member>,
    /// One bit per member.
    pub(crate) required: u128,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) node: Node,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Scalar {
        column: usize,
        scalar: Scalar,
        /// Whether the value must be the envelope's shop.
        shop: bool,
    },
    Object {
        null: bool,
        object: Object,
    },
    Array(Array),
}

/// An array of objects: the rows of a child dataset.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) null: bool,
    pub(crate) child: usize,
    pub(crate) minimum: usize,
    pub(crate) maximum: Option<usize>,
    pub(crate) items: Object,
}

/// The columns of a child row that do not come from the array's item.
#[derive(Clone, Debug)]
pub(crate) struct ChildLayout {
    pub(crate) width: usize,
    /// (column of the child, column of the parent)
    pub(crate) inherited: Vec<(usize, usize)>,
    pub(crate) ordinal: usize,
    pub(crate) metadata: MetadataColumns,
}

/// The positions of the columns that come from a row's envelope, besides the shop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetadataColumns {
    pub(crate) envelope_id: usize,
    pub(crate) received_at: usize,
    /// The batch and the run, in a dataset that is delivered in batches.
    pub(crate) delivery: Option<(usize, usize)>,
    /// The column of the generation, and the contract's generation, which is above 1.
    pub(crate) generation: Option<(usize, i64)>,
}

impl MetadataColumns {
    /// Writes the columns of a row.
    #[inline]
    pub(crate) fn write<'a>(&self, values: &mut [Value<'a>], metadata: RowMetadata<'a>) {
        values[0] = Value::Text(metadata.shop);
        values[self.envelope_id] = Value::Text(metadata.envelope_id);
        values[self.received_at] = Value::Timestamp(metadata.received_at);
        if let Some((batch, run)) = self.delivery {
            values[batch] = metadata.batch.map_or(Value::Null, Value::Text);
            values[run] = metadata.run.map_or(Value::Null, Value::Text);
        }
        if let Some((column, generation)) = self.generation {
            values[column] = Value::Integer(generation);
        }
    }
}

impl Object {
    pub(crate) fn new(members: Vec<Member>) -> Self {
        let bit = |(position, member): (usize, &Member)| u128::from(member.required) << position;
        Self {
            keys: KeyTable::new(members.iter().map(|member| member.name.as_str())),
            required: members.iter().enumerate().map(bit).fold(0, |all, bit| all | bit),
            members,
        }
    }
}

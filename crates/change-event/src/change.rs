//! A change of a row.

use std::fmt;

use crate::difference::Difference;
use crate::malformed::Malformed;
use crate::metadata::Metadata;
use crate::row::Row;

/// What was done to a row.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// The row was there when a full load read it.
    Load,
    /// It was inserted.
    Insert,
    /// It was updated.
    Update,
    /// It was deleted.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}

/// A row was loaded, inserted, updated or deleted.
///
/// ```
/// use change_event::{Message, Operation};
///
/// let json = br#"{
///   "data": {"id": 1, "example": "hello 297"},
///   "before": {"id": 1, "example": "hello 639"},
///   "metadata": {
///     "timestamp": "2023-06-25T15:50:51.449661Z", "record-type": "data", "operation": "update",
///     "partition-key-type": "schema-table", "schema-name": "blog", "table-name": "examples",
///     "transaction-id": 12884903827
///   }
/// }"#;
/// let Message::Change(change) = Message::parse(json)? else {
///     panic!("it is about a row");
/// };
/// assert_eq!(change.operation, Operation::Update);
/// assert_eq!(change.metadata.table.to_string(), "blog.examples");
/// assert_eq!(change.metadata.transaction_id, Some(12_884_903_827));
/// assert_eq!(change.difference().to_string(), r#"example "hello 639" -> "hello 297""#);
/// # Ok::<(), change_event::Malformed>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// What was done.
    pub operation: Operation,
    /// To a row of which table, when, in which transaction.
    pub metadata: Metadata,
    /// The row as it is now; of a delete, the row that is gone.
    ///
    /// Where the endpoint lacks `IncludeNullAndEmpty`, a column that is NULL or empty is left out.
    pub data: Row,
    /// The row as it was before an update or a delete, as far as the task's `BeforeImageSettings` go: it may be missing,
    /// hold only the primary key (`pk-only`), and lacks LOBs. `FieldName` has to be `before`.
    pub before: Option<Row>,
    /// Fields of the record that this crate doesn't know.
    pub other: Row,
}

impl Change {
    pub(crate) fn new(operation: &str, metadata: Metadata, mut fields: Row) -> Result<Self, Malformed> {
        let operation = match operation {
            "load" => Operation::Load,
            "insert" => Operation::Insert,
            "update" => Operation::Update,
            "delete" => Operation::Delete,
            _ => {
                return Err(Malformed::Unexpected {
                    field: "metadata.operation",
                    wanted: "load, insert, update or delete",
                });
            }
        };
        Ok(Self {
            operation,
            metadata,
            data: fields.require("data", "an object")?,
            before: fields.take("before", "an object")?,
            other: fields,
        })
    }

    /// What the change has changed, column by column.
    pub fn difference(&self) -> Difference<'_> {
        Difference::new(self)
    }
}

//! Control records.

use crate::malformed::Malformed;
use crate::metadata::Metadata;
use crate::row::Row;

/// DMS tells of a table instead of a row. A consumer that isn't interested passes over it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Control {
    /// What it tells, in DMS's words: `create-table`, and with `IncludeTableAlterOperations` also `drop-table`,
    /// `rename-table`, `add-column`, `drop-column`, `rename-column` and what else there may be.
    pub operation: String,
    /// Which table, when, in which transaction.
    pub metadata: Metadata,
    /// DMS's field `control`, which describes the table if the endpoint has `IncludeControlDetails`.
    pub details: Option<Row>,
    /// Fields of the record that this crate doesn't know.
    pub other: Row,
}

impl Control {
    pub(crate) fn new(operation: String, metadata: Metadata, mut fields: Row) -> Result<Self, Malformed> {
        Ok(Self { operation, metadata, details: fields.take("control", "an object")?, other: fields })
    }
}

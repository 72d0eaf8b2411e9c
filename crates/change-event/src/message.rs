//! A record's content: a change of a row, or a control record.

use crate::change::Change;
use crate::control::Control;
use crate::malformed::Malformed;
use crate::metadata::Metadata;
use crate::row::Row;

/// What a record says. It is matched in full: a new kind of record would be a new version of this crate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// A row was loaded, inserted, updated or deleted.
    Change(Change),
    /// A table was created or changed, or DMS tells of something else than rows.
    Control(Control),
}

impl Message {
    /// Reads one JSON document as DMS writes it, in either of its formats (`json`, `json-unformatted`): a record's data,
    /// or a line of an archive.
    ///
    /// # Errors
    /// If it is no record of DMS's. An operation on a row that is not known is an error, too: to pass over it would be to
    /// lose a change.
    pub fn parse(json: &[u8]) -> Result<Self, Malformed> {
        let mut fields: Row = serde_json::from_slice(json)
            .map_err(|error| Malformed::NoObject { line: error.line(), column: error.column() })?;
        let mut metadata: Row = fields.require("metadata", "an object")?;
        let kind: String = metadata.require("metadata.record-type", "a string")?;
        let operation: String = metadata.require("metadata.operation", "a string")?;
        let metadata = Metadata::new(metadata)?;
        match kind.as_str() {
            "data" => Change::new(&operation, metadata, fields).map(Self::Change),
            "control" => Control::new(operation, metadata, fields).map(Self::Control),
            _ => Err(Malformed::Unexpected { field: "metadata.record-type", wanted: "data or control" }),
        }
    }

    /// What is said of the record itself.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Change(change) => &change.metadata,
            Self::Control(control) => &control.metadata,
        }
    }
}

//! What a record of the stream says, as far as it is counted.

use serde_json::{Map, Value};

/// A change of a row, as a consumer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// `load`, `insert`, `update` or `delete`.
    pub operation: String,
    /// The table's schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The row: after an insert or an update; for a delete, the one that was deleted.
    pub data: Map<String, Value>,
    /// The transaction, and the place in it: the same change has the same pair, however often it comes.
    pub id: (u64, u64),
}

/// Reads a record; none if it isn't about a row.
///
/// # Errors
/// If it is no record of DMS's.
pub fn decode(bytes: &[u8]) -> anyhow::Result<Option<Seen>> {
    let mut record: Value = serde_json::from_slice(bytes)?;
    let metadata = record["metadata"].take();
    let text = |name: &str| {
        let text = metadata[name].as_str();
        text.map(str::to_owned)
            .ok_or_else(|| anyhow::anyhow!("a record without {name}"))
    };
    if text("record-type")? != "data" {
        return Ok(None);
    }
    let number = |name: &str| metadata[name].as_u64().unwrap_or_default();
    let Value::Object(data) = record["data"].take() else {
        anyhow::bail!("a record of a row without the row");
    };
    Ok(Some(Seen {
        operation: text("operation")?,
        schema: text("schema-name")?,
        table: text("table-name")?,
        data,
        id: (number("transaction-id"), number("transaction-record-id")),
    }))
}

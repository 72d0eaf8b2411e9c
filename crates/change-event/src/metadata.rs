//! What DMS says of a record.

use std::fmt;

use serde::Deserialize;
use time::OffsetDateTime;

use crate::malformed::Malformed;
use crate::row::Row;
use crate::value::Value;

/// A table's name, with its schema's: in MySQL, the database's.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Table {
    /// The schema; empty in control records about DMS's own tables.
    pub schema: String,
    /// The table.
    pub name: String,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What DMS says of a record, as far as it says it. Field names:
/// <https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.Kinesis.html>.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Metadata {
    /// The table that it is about.
    pub table: Table,
    /// When DMS made the record.
    pub timestamp: OffsetDateTime,
    /// The transaction that made the change; not there in a full load.
    pub transaction_id: Option<u64>,
    /// The change's number within its transaction, if the endpoint has `IncludeTransactionDetails`.
    pub transaction_record_id: Option<u64>,
    /// When the transaction was committed, likewise.
    pub commit_timestamp: Option<OffsetDateTime>,
    /// Where the change stands in the database's log, likewise.
    pub stream_position: Option<String>,
    /// All else, by DMS's names; of the optional fields above also what is not of the form that is known.
    pub other: Row,
}

impl Metadata {
    pub(crate) fn new(mut fields: Row) -> Result<Self, Malformed> {
        Ok(Self {
            table: Table {
                schema: fields.require("metadata.schema-name", "a string")?,
                name: fields.require("metadata.table-name", "a string")?,
            },
            timestamp: fields.require::<Time>("metadata.timestamp", TIME)?.0,
            transaction_id: fields.claim("transaction-id", number),
            transaction_record_id: fields.claim("transaction-record-id", number),
            commit_timestamp: fields.claim("commit-timestamp", |value| Some(value.decode::<Time>().ok()?.0)),
            stream_position: fields.claim("stream-position", |value| value.decode().ok()),
            other: fields,
        })
    }
}

const TIME: &str = "a time such as 2026-01-31T12:00:00.123456Z";

#[derive(Deserialize)]
struct Time(#[serde(with = "time::serde::rfc3339")] OffsetDateTime);

/// A number, with quotes around it or without.
fn number(value: &Value) -> Option<u64> {
    value.text().trim_matches('"').parse().ok()
}

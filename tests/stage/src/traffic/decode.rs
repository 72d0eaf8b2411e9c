//! What a consumer of the stream learns of the writer's rows.

use anyhow::Context;
use change_event::Message;
use serde::Deserialize;
use serde_json::Deserializer;

use super::count::Change;

/// A change of a row, as a consumer sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// What was done, to which row.
    pub change: Change,
    /// The transaction, and the place in it: the same change has the same pair, however often it comes.
    pub id: (u64, u64),
}

/// A row of the writer's table.
#[derive(Deserialize)]
struct Row {
    id: i64,
    example: String,
}

/// Reads a record of the stream; none if it isn't about a row.
///
/// # Errors
/// If it is no record of DMS's, or not about a row of the writer's table.
pub fn of_record(bytes: &[u8]) -> anyhow::Result<Option<Seen>> {
    let Message::Change(change) = Message::parse(bytes)? else {
        return Ok(None);
    };
    let row: Row = change.data.decode()?;
    let metadata = &change.metadata;
    let id = metadata.transaction_id.zip(metadata.transaction_record_id);
    Ok(Some(Seen {
        change: (change.operation.to_string(), row.id, row.example),
        // Without it nothing tells a duplicate from a change.
        id: id.context("a record names no transaction")?,
    }))
}

/// Reads a line of the example that consumes a stream; none if it isn't about a row.
///
/// # Errors
/// If it doesn't say what the example says of a row.
pub fn of_line(line: &str) -> anyhow::Result<Option<Seen>> {
    let operations = ["load", "insert", "update", "delete"].into_iter();
    let mut told = operations.filter_map(|it| Some((it, line.split_once(&format!("{it} {{"))?.1)));
    let Some((operation, rest)) = told.next() else {
        return Ok(None);
    };
    let row = &line[line.len() - rest.len() - 1..];
    let row = Deserializer::from_str(row).into_iter::<Row>().next();
    let row = row.context("a line without a row")??;
    let number = |name: &str| {
        let (_, rest) = rest.rsplit_once(name)?;
        rest.split_whitespace().next()?.parse().ok()
    };
    let id = number(" transaction.id=").zip(number(" transaction.record_id="));
    Ok(Some(Seen {
        change: (operation.to_owned(), row.id, row.example),
        id: id.context("a line names no transaction")?,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{of_line, of_record};

    fn record(metadata: &serde_json::Value) -> Vec<u8> {
        let mut record = json!({
            "data": { "id": 7, "example": "hello 9" },
            "metadata": { "timestamp": "2026-11-21T10:00:00.123456Z", "record-type": "data", "operation": "update",
                "schema-name": "blog", "table-name": "examples" },
        });
        let fields = metadata.as_object().unwrap().clone();
        record["metadata"].as_object_mut().unwrap().extend(fields);
        record.to_string().into_bytes()
    }

    #[test]
    fn a_record_and_the_line_that_tells_it_are_the_same_change() {
        let record = record(&json!({ "transaction-id": 12, "transaction-record-id": 3 }));
        let line = r#" INFO update {"example":"hello 9","id":7}: example "hello 4" -> "hello 9" table=blog.examples transaction.id=12 transaction.record_id=3"#;
        let seen = of_line(line).unwrap().unwrap();
        assert_eq!(seen.change, ("update".to_owned(), 7, "hello 9".to_owned()));
        assert_eq!(seen.id, (12, 3));
        assert_eq!(of_record(&record).unwrap(), Some(seen));
    }

    #[test]
    fn what_names_no_transaction_is_refused_and_what_tells_of_no_row_left_out() {
        assert!(of_record(&record(&json!({}))).is_err());
        let line = r#" INFO delete {"example":"hello 9","id":7}: id 7 table=blog.examples"#;
        assert!(of_line(line).is_err());
        assert_eq!(of_line("START RequestId: 1").unwrap(), None);
    }
}

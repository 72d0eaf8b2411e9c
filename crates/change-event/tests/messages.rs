//! What DMS writes, read.

#![allow(clippy::panic, clippy::unwrap_used)]

use change_event::{Change, Control, Fate, Malformed, Message, Operation, Row, Table};
use serde_json::{Value, json};

/// The metadata of a record of `shop.orders`.
fn metadata(kind: &str, operation: &str) -> Value {
    json!({
        "timestamp": "2026-11-21T10:00:00.123456Z", "record-type": kind, "operation": operation,
        "partition-key-type": "schema-table", "schema-name": "shop", "table-name": "orders",
    })
}

fn change(operation: &str, fields: Value) -> Change {
    let mut document = fields;
    document["metadata"] = metadata("data", operation);
    match Message::parse(document.to_string().as_bytes()).unwrap() {
        Message::Change(change) => change,
        Message::Control(control) => panic!("{control:?}"),
    }
}

fn control(document: &Value) -> Control {
    match Message::parse(document.to_string().as_bytes()).unwrap() {
        Message::Control(control) => control,
        Message::Change(change) => panic!("{change:?}"),
    }
}

fn refused(document: &Value) -> Malformed {
    Message::parse(document.to_string().as_bytes()).unwrap_err()
}

fn text(row: &Row, column: &str) -> String {
    row.get(column).unwrap().text().to_owned()
}

#[test]
fn every_operation_on_a_row_is_told_from_the_others() {
    for (name, operation) in [
        ("load", Operation::Load),
        ("insert", Operation::Insert),
        ("update", Operation::Update),
        ("delete", Operation::Delete),
    ] {
        let change = change(name, json!({ "data": { "id": 1 } }));
        assert_eq!(change.operation, operation);
        assert_eq!(operation.to_string(), name);
    }
}

#[test]
fn metadata_are_read_and_what_is_not_known_is_kept() {
    let mut document =
        json!({ "data": { "id": 1 }, "novelty": [1, 2], "metadata": metadata("data", "insert") });
    let more = json!({
        "transaction-id": 12_884_903_827_u64, "transaction-record-id": 3, "commit-timestamp": "2026-11-21T09:59:59Z",
        "stream-position": "mysql-bin-changelog.000003:1939:1", "prev-transaction-id": 12_884_901_888_u64,
    });
    let known = document["metadata"].as_object_mut().unwrap();
    known.extend(more.as_object().unwrap().clone());
    let message = Message::parse(document.to_string().as_bytes()).unwrap();
    let metadata = message.metadata();
    assert_eq!(metadata.table, Table { schema: "shop".to_owned(), name: "orders".to_owned() });
    assert_eq!(metadata.timestamp.unix_timestamp_nanos(), 1_795_255_200_123_456_000);
    assert_eq!(metadata.transaction_id, Some(12_884_903_827));
    assert_eq!(metadata.transaction_record_id, Some(3));
    let committed = metadata.commit_timestamp.unwrap();
    assert_eq!((metadata.timestamp - committed).whole_milliseconds(), 1123);
    assert_eq!(metadata.stream_position.as_deref(), Some("mysql-bin-changelog.000003:1939:1"));
    let other: Vec<&str> = metadata.other.iter().map(|(name, _)| name).collect();
    assert_eq!(other, ["partition-key-type", "prev-transaction-id"]);
    assert_eq!(text(&metadata.other, "prev-transaction-id"), "12884901888");
    let Message::Change(change) = message else { panic!() };
    assert_eq!(text(&change.other, "novelty"), "[1,2]");
    assert_eq!(change.other.len(), 1);
}

#[test]
fn a_transaction_in_quotes_is_the_same_and_a_missing_one_is_none() {
    let mut document = json!({ "data": {}, "metadata": metadata("data", "insert") });
    for (id, read) in
        [(json!("12884903827"), Some(12_884_903_827)), (json!(u64::MAX), Some(u64::MAX)), (json!(null), None)]
    {
        document["metadata"]["transaction-id"] = id;
        let message = Message::parse(document.to_string().as_bytes()).unwrap();
        assert_eq!(message.metadata().transaction_id, read);
        assert_eq!(message.metadata().commit_timestamp, None);
    }
}

#[test]
fn a_detail_of_another_form_than_the_known_one_is_kept_and_costs_no_record() {
    let mut document = json!({ "data": {}, "metadata": metadata("data", "insert") });
    document["metadata"]["transaction-id"] = json!("binlog.7:4");
    document["metadata"]["commit-timestamp"] = json!("2026-11-21 10:00:00");
    let message = Message::parse(document.to_string().as_bytes()).unwrap();
    let metadata = message.metadata();
    assert_eq!((metadata.transaction_id, metadata.commit_timestamp), (None, None));
    assert_eq!(text(&metadata.other, "transaction-id"), "\"binlog.7:4\"");
    assert_eq!(text(&metadata.other, "commit-timestamp"), "\"2026-11-21 10:00:00\"");
}

#[test]
fn both_formats_are_read_the_same() {
    let document = json!({ "data": { "id": 1, "tags": "[1, 2]" }, "metadata": metadata("data", "insert") });
    let indented = serde_json::to_string_pretty(&document).unwrap().replace("  ", "\t");
    let line = document.to_string() + "\n";
    assert_eq!(Message::parse(indented.as_bytes()), Message::parse(line.as_bytes()));
}

#[test]
fn numbers_keep_every_digit() {
    let written = r#"{"i": -9223372036854775808, "u": 18446744073709551615, "wide": 123456789012345678901234567890,
        "decimal": 12345678901234567.8900, "rounded": 1.2345678901234567e18}"#;
    let document = format!(r#"{{"data": {written}, "metadata": {}}}"#, metadata("data", "load"));
    let Ok(Message::Change(change)) = Message::parse(document.as_bytes()) else { panic!("{document}") };
    let column = |name| change.data.get(name).unwrap();
    assert_eq!(column("i").decode::<i64>().unwrap(), i64::MIN);
    assert_eq!(column("u").decode::<u64>().unwrap(), u64::MAX);
    assert_eq!(column("wide").decode::<i128>().unwrap(), 123_456_789_012_345_678_901_234_567_890);
    assert!(column("wide").decode::<u64>().is_err(), "it is not cut off");
    assert_eq!(column("decimal").text(), "12345678901234567.8900");
    assert!(column("rounded").decode::<i64>().is_err(), "DMS has lost digits of it");
    assert!(column("rounded").decode::<f64>().unwrap() > 1.2e18);
}

#[test]
fn control_records_are_told_apart_by_their_words() {
    let table = control(&json!({
        "control": { "table-def": { "columns": { "id": { "type": "INT32", "nullable": false } } } },
        "metadata": metadata("control", "create-table"),
    }));
    assert_eq!(table.operation, "create-table");
    assert_eq!(table.metadata.table.to_string(), "shop.orders");
    let columns: Value = table.details.unwrap().get("table-def").unwrap().decode().unwrap();
    assert_eq!(columns["columns"]["id"]["type"], "INT32");

    // As DMS writes it of a table of its own, and with an operation that nobody has heard of.
    let mut metadata = metadata("control", "polish-table");
    metadata["schema-name"] = json!("");
    let own = control(&json!({ "metadata": metadata, "reason": 7 }));
    assert_eq!(own.operation, "polish-table");
    assert_eq!(own.metadata.table.schema, "");
    assert_eq!(own.details, None);
    assert_eq!(text(&own.other, "reason"), "7");
}

#[test]
fn what_is_no_record_of_dms_is_refused_without_quoting_it() {
    let good = json!({ "data": { "id": 1 }, "metadata": metadata("data", "insert") });
    assert!(Message::parse(good.to_string().as_bytes()).is_ok());
    for (pointer, value, said) in [
        ("/metadata", json!(null), "`metadata` is missing"),
        ("/metadata", json!("hunter2"), "`metadata` is not an object"),
        (
            "/metadata/operation",
            json!("hunter2"),
            "`metadata.operation` is not load, insert, update or delete",
        ),
        ("/metadata/record-type", json!("hunter2"), "`metadata.record-type` is not data or control"),
        ("/metadata/schema-name", json!(["hunter2"]), "`metadata.schema-name` is not a string"),
        ("/metadata/timestamp", json!("hunter2"), "`metadata.timestamp` is not a time such as"),
        ("/data", json!("hunter2"), "`data` is not an object"),
        ("/data", json!(null), "`data` is missing"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let error = refused(&bad).to_string();
        assert!(error.starts_with(said), "{pointer}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for bad in ["", "\"hunter2\"", "[\"hunter2\"]", "{\"data\": hunter2", "\u{fffd}hunter2"] {
        let error = Message::parse(bad.as_bytes()).unwrap_err();
        assert!(matches!(error, Malformed::NoObject { .. }), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let error = Message::parse(b"{\"data\": \xff}").unwrap_err();
    assert!(error.to_string().starts_with("no JSON object (line 1, column "), "{error}");
}

#[test]
fn an_update_shows_what_changed_from_what_to_what() {
    let change = change(
        "update",
        json!({
            "before": { "id": 1, "example": "hello 639", "note": null, "same": 1.50 },
            "data": { "id": 1, "example": "hello 297", "note": "new", "same": 1.50 },
        }),
    );
    let difference = change.difference();
    assert_eq!(difference.to_string(), r#"example "hello 639" -> "hello 297", note null -> "new""#);
    assert!(matches!(difference.of("same"), Fate::Same(value) if value.text() == "1.5"));
    assert_eq!(difference.unknown().count(), 0);
    let columns: Vec<&str> = difference.changed().map(|(column, _)| column).collect();
    assert_eq!(columns, ["example", "note"]);
    assert_eq!(difference.of("no such column"), Fate::Unknown);
}

#[test]
fn an_update_does_not_claim_what_its_record_does_not_show() {
    let without = change("update", json!({ "data": { "id": 1, "example": "new" } }));
    assert_eq!(without.difference().unknown().count(), 2);
    assert_eq!(without.difference().to_string(), "");

    // Without IncludeNullAndEmpty, a column that became NULL is left out.
    let vanished = change("update", json!({ "before": { "id": 1, "note": "old" }, "data": { "id": 1 } }));
    let difference = vanished.difference();
    assert_eq!(difference.unknown().collect::<Vec<_>>(), ["note"]);
    assert_eq!(difference.changed().count(), 0);
}

#[test]
fn a_row_comes_and_goes_with_all_its_columns() {
    let row = json!({ "id": 1, "example": "a" });
    for operation in ["load", "insert"] {
        let came = change(operation, json!({ "data": row }));
        assert_eq!(came.difference().to_string(), r#"example "a", id 1"#);
        assert_eq!(came.data.to_string(), r#"{"example":"a","id":1}"#);
        assert!(matches!(came.difference().of("id"), Fate::Added(_)));
    }
    for before in [json!(null), json!({}), row.clone(), json!({ "id": 1 })] {
        let gone = change("delete", json!({ "data": row, "before": before }));
        assert_eq!(gone.difference().to_string(), r#"example "a", id 1"#, "{before}");
        assert!(matches!(gone.difference().of("example"), Fate::Removed(_)));
    }
}

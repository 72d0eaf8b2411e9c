//! Whatever stands in a record, it is read in full or refused.

use std::collections::BTreeMap;

use change_event::{Fate, Message, Operation, Row};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::json;

/// A value of a column, as JSON.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<i128>().prop_map(|it| it.to_string()),
        any::<u64>().prop_map(|it| it.to_string()),
        "-?[1-9][0-9]{0,30}\\.[0-9]{1,20}",
        "[1-9]\\.[0-9]{1,17}e[+-]?[0-9]{1,3}",
        any::<String>().prop_map(|it| json!(it).to_string()),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(|it| json!(it).to_string()),
    ]
}

fn row() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-d]|\\PC{0,3}", value(), 0..6)
}

fn written(row: &BTreeMap<String, String>) -> String {
    let column = |(name, value): (&String, &String)| format!("{}: {value}", json!(name));
    format!("{{{}}}", row.iter().map(column).collect::<Vec<_>>().join(", "))
}

/// Something like a record, of which each part may be wrong.
fn document() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("data"),
        Just("control"),
        Just("update"),
        Just("insert"),
        Just("create-table"),
        Just("2026-11-21T10:00:00Z"),
        Just("7"),
        Just("")
    ];
    let leaf = prop_oneof![value(), word.prop_map(|it| json!(it).to_string())];
    let metadata = prop::collection::btree_map(
        prop_oneof![
            Just("timestamp"),
            Just("record-type"),
            Just("operation"),
            Just("schema-name"),
            Just("table-name"),
            Just("transaction-id"),
            Just("commit-timestamp"),
            Just("stream-position")
        ]
        .prop_map(str::to_owned),
        leaf,
        0..9,
    );
    let part = prop_oneof![metadata.prop_map(|it| written(&it)), row().prop_map(|it| written(&it)), value()];
    let names = prop_oneof![Just("metadata"), Just("data"), Just("before"), Just("control"), Just("more")];
    prop::collection::btree_map(names.prop_map(str::to_owned), part, 0..5).prop_map(|it| written(&it))
}

proptest! {
    #[test]
    fn bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&bytes);
    }

    #[test]
    fn what_looks_like_a_record_is_read_or_refused(document in document()) {
        match Message::parse(document.as_bytes()) {
            Ok(Message::Change(change)) => {
                let shown = change.difference().to_string();
                prop_assert_eq!(shown.is_empty(), change.difference().changed().count() == 0);
            }
            Ok(Message::Control(_)) => {}
            Err(error) => prop_assert!(error.to_string().len() < 120),
        }
    }

    #[test]
    fn a_change_is_read_as_it_was_written(
        data in row(),
        before in prop::option::of(row()),
        more in row(),
        transaction in any::<Option<u64>>(),
        operation in prop_oneof![
            Just(Operation::Load), Just(Operation::Insert), Just(Operation::Update), Just(Operation::Delete)
        ],
        [schema, table] in [any::<String>(), any::<String>()],
    ) {
        let mut metadata = json!({
            "timestamp": "2026-11-21T10:00:00.5Z", "record-type": "data", "operation": operation.to_string(),
            "schema-name": schema, "table-name": table,
        });
        if let Some(id) = transaction {
            metadata["transaction-id"] = json!(id);
        }
        let before_field = before.as_ref().map(|row| format!(r#""before": {}, "#, written(row))).unwrap_or_default();
        let document = format!(
            r#"{{{before_field}"data": {}, "more": {}, "metadata": {metadata}}}"#, written(&data), written(&more)
        );
        let Ok(Message::Change(change)) = Message::parse(document.as_bytes()) else {
            panic!("{document}");
        };
        prop_assert_eq!(change.operation, operation);
        prop_assert_eq!(&change.metadata.table.schema, &schema);
        prop_assert_eq!(&change.metadata.table.name, &table);
        prop_assert_eq!(change.metadata.transaction_id, transaction);
        let texts = |row: &Row| -> BTreeMap<String, String> {
            row.iter().map(|(name, value)| (name.to_owned(), value.text().to_owned())).collect()
        };
        prop_assert_eq!(&texts(&change.data), &data);
        prop_assert_eq!(&change.before.as_ref().map(texts), &before);
        let kept: Row = change.other.get("more").unwrap().decode().unwrap();
        prop_assert_eq!(&texts(&kept), &more);

        // Each column has a fate, and the fate is what the two rows show.
        for (column, to) in &data {
            let fate = change.difference().of(column);
            let from = before.as_ref().and_then(|row| row.get(column));
            let right = match (operation, from) {
                (Operation::Load | Operation::Insert, _) => matches!(fate, Fate::Added(_)),
                (Operation::Delete, _) => matches!(fate, Fate::Removed(_)),
                (Operation::Update, None) => fate == Fate::Unknown,
                (Operation::Update, Some(from)) if from == to => matches!(fate, Fate::Same(_)),
                (Operation::Update, Some(_)) => matches!(fate, Fate::Changed { .. }),
            };
            prop_assert!(right, "{} {:?}", column, fate);
        }
    }
}

//! The examples as they are deployed: the consumer of the stream, and the function that writes rows to try it.

#[path = "subscriber/cloud.rs"]
mod cloud;
#[path = "subscriber/row_writer.rs"]
mod row_writer;

use change_event::KinesisEvent;
use serde_json::{Value, json};
use stage::lambda::Function;

/// A record of `blog.sluice_probe` as DMS writes it.
fn record(operation: &str, fields: Value) -> String {
    let mut record = fields;
    record["metadata"] = json!({
        "timestamp": "2026-11-21T10:00:00.123456Z", "record-type": "data", "operation": operation,
        "partition-key-type": "schema-table", "schema-name": "blog", "table-name": "sluice_probe",
        "transaction-id": 12_884_903_827_u64, "transaction-record-id": 2,
    });
    record.to_string()
}

/// An event as Lambda makes one of a batch. The sequence numbers count from 100.
fn event(payloads: &[String]) -> Value {
    let record = |number: usize| {
        json!({
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record", "awsRegion": "eu-west-1",
            "eventID": format!("shardId-000000000000:{number}"),
            "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/changes",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/consumer",
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "blog.sluice_probe", "encryptionType": "KMS",
                "sequenceNumber": number.to_string(), "data": "", "approximateArrivalTimestamp": 1_795_255_200.25,
            },
        })
    };
    let records: Vec<Value> = (100..100 + payloads.len()).map(record).collect();
    let mut event: KinesisEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
    // On the wire, in base64.
    for (record, payload) in event.records.iter_mut().zip(payloads) {
        record.kinesis.data.extend(payload.bytes());
    }
    serde_json::to_value(event).unwrap()
}

async fn subscriber() -> Function {
    Function::start("stream-subscriber", &[]).await.unwrap()
}

#[tokio::test]
async fn each_change_and_what_it_changed_is_a_line_of_the_log() {
    let function = subscriber().await;
    let (old, new) = (json!({ "id": 1, "word": "hello" }), json!({ "id": 1, "word": "good-bye" }));
    let batch = [
        record("insert", json!({ "data": old })),
        record("update", json!({ "data": new, "before": old })),
        record("update", json!({ "data": new, "before": { "id": 1 } })),
        record("delete", json!({ "data": new, "before": new })) + "\n",
    ];
    let answer = function.invoke(event(&batch)).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }));

    let log = function.end().await;
    let lines: Vec<&str> = log.lines().filter(|it| it.contains("sluice_probe")).collect();
    let told = [
        r#"insert {"id":1,"word":"hello"}: id 1, word "hello""#,
        r#"update {"id":1,"word":"good-bye"}: word "hello" -> "good-bye""#,
        r#"update {"id":1,"word":"good-bye"}: "#,
        r#"delete {"id":1,"word":"good-bye"}: id 1, word "good-bye""#,
    ];
    assert_eq!(lines.len(), told.len(), "{log}");
    for (line, told) in lines.iter().zip(told) {
        assert!(line.contains(told), "no {told} in {line}");
        assert!(line.contains("table=blog.sluice_probe"), "{line}");
        assert!(line.contains("transaction.id=12884903827"), "{line}");
        assert!(line.contains("transaction.record_id=2"), "{line}");
    }
    // Of the row before, the third knew the key alone.
    assert!(lines[2].contains(r#"unknown="word""#), "{}", lines[2]);
    assert!(!lines[1].contains("unknown="), "{}", lines[1]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_where_lambda_begins_again() {
    let function = subscriber().await;
    let good = |id: u32| record("insert", json!({ "data": { "id": id } }));
    let batch = [good(7), "hunter2".to_owned(), good(9)];
    let answer = function.invoke(event(&batch)).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "101" }] }));
    // As the first of its batch it is an error, so that Lambda divides the batch.
    let error = function.invoke(event(&batch[1..])).await.unwrap_err();
    let said = error["errorMessage"].as_str().unwrap();
    assert_eq!(said, "record 100: no JSON object (line 1, column 1)");
    // What the process is still there for.
    let answer = function.invoke(event(&batch[2..])).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }));

    let log = function.end().await;
    assert!(log.contains("record 101: no JSON object"), "{log}");
    assert!(log.contains("records.done=1"), "{log}");
    assert_eq!(log.matches(r#"insert {"id":9}"#).count(), 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

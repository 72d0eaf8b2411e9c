//! Batches, as Lambda delivers them.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::io::ErrorKind;

use change_event::{KinesisEvent, Malformed, Message, process};
use serde_json::json;

/// An event with these payloads; their sequence numbers count from 100.
fn event(payloads: &[&str]) -> KinesisEvent {
    let record = |number: usize| {
        json!({
            "eventID": format!("shardId-000000000000:{number}"), "eventSource": "aws:kinesis",
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "shop.orders", "sequenceNumber": number.to_string(),
                "data": "", "approximateArrivalTimestamp": 1_795_255_200.25,
            },
        })
    };
    let records: Vec<_> = (100..100 + payloads.len()).map(record).collect();
    let mut event: KinesisEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
    for (record, payload) in event.records.iter_mut().zip(payloads) {
        record.kinesis.data.extend(payload.bytes());
    }
    event
}

fn insert(id: u32) -> String {
    json!({
        "data": { "id": id },
        "metadata": {
            "timestamp": "2026-11-21T10:00:00Z", "record-type": "data", "operation": "insert",
            "schema-name": "shop", "table-name": "orders",
        },
    })
    .to_string()
}

fn id(message: &Message) -> u32 {
    match message {
        Message::Change(change) => change.data.get("id").unwrap().decode().unwrap(),
        Message::Control(control) => panic!("{control:?}"),
    }
}

#[tokio::test]
async fn a_batch_is_handled_in_order_and_answered_without_failures() {
    let payloads = [1, 2, 3].map(insert);
    let mut seen = Vec::new();
    let event = event(&payloads.each_ref().map(String::as_str));
    let outcome = process(&event, async |message| {
        seen.push(id(&message));
        Ok::<_, std::io::Error>(())
    })
    .await;
    assert_eq!(outcome.done, 3);
    assert_eq!(seen, [1, 2, 3]);
    let response = outcome.answer().unwrap();
    let response = serde_json::to_value(response).unwrap();
    assert_eq!(response, json!({ "batchItemFailures": [] }));
}

#[tokio::test]
async fn a_failure_ends_the_batch_and_is_where_lambda_starts_again() {
    let payloads = [1, 2, 3].map(insert);
    let mut seen = Vec::new();
    let event = event(&payloads.each_ref().map(String::as_str));
    let outcome = process(&event, async |message| {
        seen.push(id(&message));
        match id(&message) {
            2 => Err(std::io::Error::new(ErrorKind::TimedOut, "no room")),
            _ => Ok(()),
        }
    })
    .await;
    assert_eq!(seen, [1, 2], "the third one keeps its place behind the second");
    assert_eq!(outcome.done, 1);
    assert_eq!(outcome.failure.as_ref().unwrap().to_string(), "record 101: no room");
    let response = serde_json::to_value(outcome.answer().unwrap()).unwrap();
    assert_eq!(response, json!({ "batchItemFailures": [{ "itemIdentifier": "101" }] }));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_nothing_behind_it_is_handled() {
    let payloads = [insert(1), "{\"data\": tru".to_owned(), insert(3)];
    let mut seen = Vec::new();
    let event = event(&payloads.each_ref().map(String::as_str));
    let outcome = process(&event, async |message| {
        seen.push(id(&message));
        Ok::<_, std::io::Error>(())
    })
    .await;
    assert_eq!(seen, [1]);
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.sequence_number, "101");
    assert_eq!(failure.to_string(), "record 101: no JSON object (line 1, column 12)");
    assert!(failure.error.is::<Malformed>());
}

#[tokio::test]
async fn an_empty_batch_is_done() {
    let outcome = process(&event(&[]), async |_| Ok::<_, std::io::Error>(())).await;
    assert_eq!(outcome.done, 0);
    assert!(outcome.failure.is_none());
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_done_fails_as_a_whole_so_that_lambda_divides_it() {
    let payloads = [insert(1), insert(2)];
    let event = event(&payloads.each_ref().map(String::as_str));
    let outcome = process(&event, async |_| Err(std::io::Error::new(ErrorKind::TimedOut, "no room"))).await;
    let error = outcome.answer().unwrap_err();
    assert_eq!(error.to_string(), "record 100: no room");
}

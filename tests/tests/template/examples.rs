//! The examples: what they are given, how records reach the consumer, and what becomes of those that can't be handled.

use std::collections::BTreeSet;

use change_event::Message;
use serde_json::{Value, json};

use super::document::{Template, source};
use super::functions::{actions, statements};

fn examples() -> Template {
    Template::read("examples.yaml")
}

/// The actions that a role allows on what a template calls so.
fn allowed(template: &Template, role: &str, resource: &Value) -> BTreeSet<String> {
    let policies = &template.resource(role)["Properties"]["Policies"];
    let of_it = |it: &&Value| it["Resource"] == *resource;
    let statements = statements(policies).into_iter().filter(of_it);
    statements.flat_map(actions).collect()
}

#[test]
fn the_filter_lets_records_of_one_table_through_by_the_name_that_dms_writes() {
    let examples = examples();
    let mapping = &examples.resource("StreamSubscriberMapping")["Properties"];
    let filters = mapping["FilterCriteria"]["Filters"].as_array().unwrap();
    assert_eq!(filters.len(), 1);
    let pattern = filters[0]["Pattern"]["Fn::Sub"].as_str().unwrap();
    let pattern: Value = serde_json::from_str(&pattern.replace("${TableName}", "orders")).unwrap();

    let record = json!({
        "data": { "id": 1 },
        "metadata": {
            "timestamp": "2026-11-21T10:00:00Z", "record-type": "data", "operation": "insert",
            "schema-name": "shop", "table-name": "orders",
        },
    });
    let message = Message::parse(record.to_string().as_bytes()).unwrap();
    assert_eq!(message.metadata().table.name, "orders");
    let path = "/data/metadata/table-name";
    let event = json!({ "data": record });
    assert_eq!(pattern.pointer(path), Some(&json!(["orders"])));
    assert_eq!(event.pointer(path), Some(&json!("orders")));
}

#[test]
fn a_record_that_fails_is_reported_tried_again_and_put_aside_in_the_end() {
    let examples = examples();
    for parameter in ["MaximumRetryAttempts", "MaximumRecordAgeSeconds"] {
        // Lambda's own default is to try until the record is gone.
        let default = examples.get("Parameters", parameter)["Default"].as_i64();
        assert!(default.is_some_and(|it| it > 0), "{parameter}");
    }
    let queue = json!({ "Fn::GetAtt": ["StreamSubscriberFailures", "Arn"] });
    let sends = allowed(&examples, "StreamSubscriberRole", &queue);
    assert_eq!(sends, ["sqs:SendMessage".to_owned()].into());
}

#[test]
fn the_consumer_may_read_the_one_stream_and_no_more() {
    let examples = examples();
    let stream = json!({ "Ref": "StreamArn" });
    let reads = allowed(&examples, "StreamSubscriberRole", &stream);
    let wanted = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"];
    let wanted = wanted.map(|call| format!("kinesis:{call}")).into();
    assert_eq!(reads, wanted);
    let key = allowed(&examples, "StreamSubscriberRole", &json!({ "Ref": "StreamKeyArn" }));
    assert_eq!(key, ["kms:Decrypt".to_owned()].into());
}

#[test]
fn the_writer_may_read_no_other_secret_than_its_own() {
    let examples = examples();
    let secret = json!({ "Ref": "MasterSecretArn" });
    let reads = allowed(&examples, "RowWriterRole", &secret);
    assert_eq!(reads, ["secretsmanager:GetSecretValue".to_owned()].into());
    let function = &examples.resource("RowWriterFunction")["Properties"];
    let program = source("crates/change-event/examples/row-writer.rs");
    let variables = function["Environment"]["Variables"].as_object().unwrap();
    for variable in variables.keys() {
        assert!(program.contains(&format!("\"{variable}\"")), "{variable}");
    }
}

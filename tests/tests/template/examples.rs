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
fn nobody_has_to_say_what_make_takes_from_the_other_stacks() {
    let (examples, stream) = (examples(), Template::read("stream.yaml"));
    let deploy = source("cfn/operate/deploy.py");
    let mut given = BTreeSet::new();
    for (parameter, theirs) in
        [("SubnetIds", "SubnetIds"), ("SecurityGroupIds", "SecurityGroupIds"), ("DatabaseName", "SchemaName")]
    {
        let (ours, theirs_is) = (examples.get("Parameters", parameter), stream.get("Parameters", theirs));
        // What one template lets through, the other takes.
        for field in ["Type", "AllowedPattern"] {
            assert_eq!(ours[field], theirs_is[field], "{parameter}");
        }
        let by_make = format!("\"{parameter}\": \"{theirs}\"");
        assert!(deploy.contains(&by_make), "make doesn't say {by_make}");
        given.insert(parameter);
    }
    for output in ["StreamArn", "StreamKeyArn"] {
        stream.get("Outputs", output);
        given.insert(output);
    }
    Template::read("database.yaml").get("Outputs", "MasterSecretArn");
    assert!(deploy.contains("\"MasterSecretArn\""));
    for (parameter, said) in examples.section("Parameters") {
        assert!(given.contains(parameter) || said.get("Default").is_some(), "nobody gives {parameter}");
    }
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
    // A name can't end the pattern.
    let name = examples.get("Parameters", "TableName");
    assert_eq!(name["AllowedPattern"], "^[A-Za-z0-9_$]{1,64}$");
}

#[test]
fn a_record_that_fails_is_reported_tried_again_and_put_aside_in_the_end() {
    let examples = examples();
    let mapping = &examples.resource("StreamSubscriberMapping")["Properties"];
    // Without it, the answer of a consumer that stops in the middle counts as success.
    assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON");
    for (property, parameter) in [
        ("MaximumRetryAttempts", "MaximumRetryAttempts"),
        ("MaximumRecordAgeInSeconds", "MaximumRecordAgeSeconds"),
    ] {
        assert_eq!(mapping[property], json!({ "Ref": parameter }));
        // Lambda's own default is to try until the record is gone.
        let default = examples.get("Parameters", parameter)["Default"].as_i64();
        assert!(default.is_some_and(|it| it > 0), "{parameter}");
    }
    let queue = json!({ "Fn::GetAtt": ["StreamSubscriberFailures", "Arn"] });
    let destination = &mapping["DestinationConfig"]["OnFailure"]["Destination"];
    assert_eq!(*destination, queue);
    let sends = allowed(&examples, "StreamSubscriberRole", &queue);
    assert_eq!(sends, ["sqs:SendMessage".to_owned()].into());
}

#[test]
fn the_consumer_may_read_the_one_stream_and_no_more() {
    let examples = examples();
    let mapping = &examples.resource("StreamSubscriberMapping")["Properties"];
    let stream = json!({ "Ref": "StreamArn" });
    assert_eq!(mapping["EventSourceArn"], stream);
    let reads = allowed(&examples, "StreamSubscriberRole", &stream);
    let wanted = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"];
    let wanted = wanted.map(|call| format!("kinesis:{call}")).into();
    assert_eq!(reads, wanted);
    let key = allowed(&examples, "StreamSubscriberRole", &json!({ "Ref": "StreamKeyArn" }));
    assert_eq!(key, ["kms:Decrypt".to_owned()].into());
}

#[test]
fn the_writer_is_made_only_for_a_secret_and_may_read_no_other() {
    let examples = examples();
    assert_eq!(examples.get("Parameters", "SecretArn")["Default"], "");
    assert_eq!(
        *examples.get("Conditions", "WritesRows"),
        json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "SecretArn" }, ""] }] })
    );
    for resource in ["RowWriterFunction", "RowWriterRole", "RowWriterLogGroup"] {
        assert_eq!(examples.resource(resource)["Condition"], "WritesRows");
    }
    let secret = json!({ "Ref": "SecretArn" });
    let reads = allowed(&examples, "RowWriterRole", &secret);
    assert_eq!(reads, ["secretsmanager:GetSecretValue".to_owned()].into());
    let function = &examples.resource("RowWriterFunction")["Properties"];
    assert_eq!(
        function["VpcConfig"],
        json!({ "SubnetIds": { "Ref": "SubnetIds" }, "SecurityGroupIds": { "Ref": "SecurityGroupIds" } })
    );
    let program = source("crates/change-event/examples/row-writer.rs");
    let variables = function["Environment"]["Variables"].as_object().unwrap();
    for variable in variables.keys() {
        assert!(program.contains(&format!("\"{variable}\"")), "{variable}");
    }
    assert_eq!(variables["SECRET_ARN"], secret);
}

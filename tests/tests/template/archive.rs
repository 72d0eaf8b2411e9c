//! The archive: what is taken from the stream's stack, how files are written, and who may come to them.

use serde_json::json;

use super::document::Template;
use super::functions::{actions, statements};

fn archive() -> Template {
    Template::read("archive.yaml")
}

#[test]
fn the_role_may_write_to_the_log_of_failed_deliveries() {
    let archive = archive();
    let role = &archive.resource("DeliveryRole")["Properties"]["Policies"];
    let logs = statements(role).into_iter().find(|it| actions(it) == ["logs:PutLogEvents"]);
    let group = json!({ "Fn::GetAtt": ["DeliveryLogGroup", "Arn"] });
    assert_eq!(logs.unwrap()["Resource"], group);
}

#[test]
fn firehose_may_only_read_and_add() {
    let archive = archive();
    let role = &archive.resource("DeliveryRole")["Properties"];
    for statement in statements(&role["Policies"]) {
        for action in actions(statement) {
            assert!(!["Delete", "PutRecord", "PutBucket"].iter().any(|it| action.contains(it)), "{action}");
            if action.starts_with("kms:") {
                let service = &statement["Condition"]["StringEquals"]["kms:ViaService"];
                assert!(service.is_object(), "{statement}");
            }
        }
    }
}

#[test]
fn a_period_of_the_archives_alarms_is_as_long_as_a_file_collects() {
    let archive = archive();
    let metrics = &archive.resource("StalledAlarm")["Properties"]["Metrics"];
    // No file collects for longer than one period, so that a period without any is a period without delivery.
    let longest = archive.get("Parameters", "BufferSeconds")["MaxValue"].as_u64();
    for metric in [&metrics[1], &metrics[2]] {
        assert_eq!(metric["MetricStat"]["Period"].as_u64(), longest);
    }
    let freshness = &archive.resource("FreshnessAlarm")["Properties"];
    assert!(freshness["Threshold"].as_u64() > longest);
}

//! When things happened, as CloudFormation tells it. Healing reads from it when an operation began, and when DmsPre was done.

use serde_json::{Value, json};
use stage::cloud::stacks::text;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::shared::on_stage;
use crate::stream::Stream;

#[test]
fn the_stack_tells_when_its_last_update_began_and_when_dms_pre_was_done() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "dated");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        *stream.property("ReplicationTask", "TableMappings") = json!(r#"{"rules": []}"#);
        assert_eq!(stream.deploy().await, "UPDATE_ROLLBACK_COMPLETE");

        let asked = [("StackName", "dated")];
        let stacks = stream.cloud.cloudformation.ask("DescribeStacks", &asked).await.unwrap();
        let stack = &stacks["Stacks"][0];
        let events = stream.cloud.events(&text(&stack["StackId"])).await.unwrap();
        let millis = |date: &Value| {
            let date = OffsetDateTime::parse(date.as_str().unwrap(), &Rfc3339).unwrap();
            date.unix_timestamp_nanos() / 1_000_000
        };
        let time = |event: &Value| millis(&event["Timestamp"]);
        assert!(events.is_sorted_by(|a, b| time(a) >= time(b)), "the newest comes first");
        assert!(events.iter().any(|it| time(it) % 1_000 != 0), "to the millisecond");

        let of = |id: &str, status: &str| {
            let is = |it: &&Value| it["LogicalResourceId"] == id && it["ResourceStatus"] == status;
            // The first of them: a rollback calls DmsPre once more.
            let found = events.iter().rev().find(is);
            found.unwrap_or_else(|| panic!("{id} was never {status}: {events:#?}"))
        };
        for status in ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"] {
            let event = of("dated", status);
            assert_eq!(event["ResourceType"], "AWS::CloudFormation::Stack");
            assert_eq!(event["PhysicalResourceId"], stack["StackId"]);
        }
        for status in ["CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"] {
            assert_eq!(of("DmsPre", status)["ResourceType"], "Custom::DmsPre");
        }
        let order = [
            ("dated", "CREATE_IN_PROGRESS"),
            ("dated", "CREATE_COMPLETE"),
            ("dated", "UPDATE_IN_PROGRESS"),
            ("DmsPre", "UPDATE_IN_PROGRESS"),
            ("DmsPre", "UPDATE_COMPLETE"),
            ("ReplicationTask", "UPDATE_FAILED"),
            ("dated", "UPDATE_ROLLBACK_IN_PROGRESS"),
            ("dated", "UPDATE_ROLLBACK_COMPLETE"),
        ];
        let times: Vec<i128> = order.iter().map(|(id, status)| time(of(id, status))).collect();
        assert!(times.is_sorted(), "{times:?}");
        // A rollback is no update.
        let updated = millis(&stack["LastUpdatedTime"]);
        assert!((times[1]..=times[2]).contains(&updated), "{updated}, {times:?}");
        assert!(millis(&stack["CreationTime"]) <= times[0]);
        stream.delete().await;
    });
}

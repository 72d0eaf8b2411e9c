//! When things happened, as CloudFormation tells it. Healing reads from it when an operation began, and when DmsPre was done.

use aws_sdk_cloudformation::types::StackEvent;
use serde_json::json;

use crate::shared::on_stage;
use crate::stream::Stream;

#[test]
fn the_stack_tells_when_its_last_update_began_and_when_dms_pre_was_done() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "dated");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        *stream.property("ReplicationTask", "TableMappings") = json!(r#"{"rules": []}"#);
        assert_eq!(stream.deploy().await, "UPDATE_ROLLBACK_COMPLETE");

        let client = &stream.cloud.client;
        let stacks = client.describe_stacks().stack_name("dated").send().await.unwrap();
        let stack = &stacks.stacks()[0];
        let pages = client.describe_stack_events().stack_name(stack.stack_id().unwrap()).into_paginator();
        let events = pages.items().send().collect::<Result<Vec<StackEvent>, _>>().await.unwrap();
        let time = |event: &StackEvent| event.timestamp().unwrap().to_millis().unwrap();
        assert!(events.is_sorted_by(|a, b| time(a) >= time(b)), "the newest comes first");
        assert!(events.iter().any(|it| time(it) % 1_000 != 0), "to the millisecond");

        let of = |id: &str, status: &str| {
            let is = |it: &&StackEvent| {
                it.logical_resource_id() == Some(id) && it.resource_status().unwrap().as_str() == status
            };
            // The first of them: a rollback calls DmsPre once more.
            let found = events.iter().rev().find(is);
            found.unwrap_or_else(|| panic!("{id} was never {status}: {events:#?}"))
        };
        for status in ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"] {
            let event = of("dated", status);
            assert_eq!(event.resource_type(), Some("AWS::CloudFormation::Stack"));
            assert_eq!(event.physical_resource_id(), stack.stack_id());
        }
        for status in ["CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"] {
            assert_eq!(of("DmsPre", status).resource_type(), Some("Custom::DmsPre"));
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
        let times: Vec<i64> = order.iter().map(|(id, status)| time(of(id, status))).collect();
        assert!(times.is_sorted(), "{times:?}");
        // A rollback is no update.
        let updated = stack.last_updated_time().unwrap().to_millis().unwrap();
        assert!((times[1]..=times[2]).contains(&updated), "{updated}, {times:?}");
        assert!(stack.creation_time().unwrap().to_millis().unwrap() <= times[0]);
        stream.delete().await;
    });
}

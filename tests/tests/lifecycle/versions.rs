//! Another version of the handlers comes while a stream deploys.

use std::collections::BTreeMap;

use serde_json::json;
use stage::cloud::Cloud;
use stage::cloud::stacks::{Failure, Watch};
use stage::dms::{StartType, TaskStatus};
use stage::play::{architecture, mappings};

use crate::shared::alone;
use crate::stream::{REFUSED, Stream};

/// Deploys the handlers, as a stack of this name, with a parameter. The status in which it ended.
async fn handlers(cloud: &Cloud, stack: &str, (name, value): (&'static str, &str)) -> String {
    let template = cloud.package("handlers.yaml").await.unwrap();
    let parameters = BTreeMap::from([("Architecture", architecture()), (name, value.to_owned())]);
    cloud.deploy(stack, &template, &parameters, &mut Watch::default(), &mut |_| {}).await.unwrap()
}

#[test]
fn a_task_that_one_version_of_the_handlers_has_paused_is_resumed_by_the_next() {
    // They are the handlers of all streams there are.
    alone(async |stage| {
        let (cloud, dms) = (&stage.cloud, &stage.cloud.dms);
        let mut stream = Stream::new(stage, "versions");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;
        // It takes long enough for the handlers to be replaced in the middle.
        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("examples"));
        let change_set = stream.change_set().await;
        let renewed = async {
            while dms.status(&task) == Some(TaskStatus::Running) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            let mark = dms.tags(&task).into_iter().find(|(key, _)| key.starts_with("sluice:paused-by:"));
            let template = cloud.package("handlers.yaml").await.unwrap();
            let parameters =
                BTreeMap::from([("Architecture", architecture()), ("LogLevel", "debug".to_owned())]);
            let (mut watch, mut show) = (Watch::default(), |_| {});
            let deployed = cloud.deploy("sluice", &template, &parameters, &mut watch, &mut show);
            (mark, deployed.await.unwrap())
        };
        let (ended, (mark, replaced)) =
            tokio::join!(stream.execute(&change_set, Failure::RollsBack), renewed);
        assert_eq!([ended, replaced], ["UPDATE_COMPLETE", "UPDATE_COMPLETE"]);
        stream.runs(&task).await;
        assert_eq!(dms.runs(&task).last().unwrap().start_type, StartType::Resume);
        let (_, whose) = mark.expect("no mark on a task that stops");
        assert_eq!(whose, format!("Sluice {} until the task runs again", env!("CARGO_PKG_VERSION")));

        // The new ones serve from then on.
        let before = stream.processes("sluice-dms-pre");
        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("comments"));
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let after = stream.processes("sluice-dms-pre");
        assert!(!after.is_empty() && before.is_disjoint(&after), "{before:?} {after:?}");
        stream.delete().await;
    });
}

#[test]
fn two_versions_stand_side_by_side_and_each_serves_its_own_stacks_alone() {
    alone(async |stage| {
        assert_eq!(handlers(&stage.cloud, "sluice", ("StackNames", "old-*")).await, "UPDATE_COMPLETE");
        assert_eq!(handlers(&stage.cloud, "next", ("StackNames", "new-*")).await, "CREATE_COMPLETE");
        for (name, handlers) in [("old-stream", "sluice"), ("new-stream", "next")] {
            let mut stream = Stream::new(stage, name);
            stream.give([("HandlersStackName", handlers.to_owned())].into());
            assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
            let task = stream.task("ReplicationTask").await;
            *stream.property("ReplicationTask", "TableMappings") = json!(REFUSED);
            assert_eq!(stream.deploy().await, "UPDATE_ROLLBACK_COMPLETE");
            stream.runs(&task).await;
            let runs = stage.cloud.dms.runs(&task);
            let types: Vec<_> = runs.iter().map(|run| run.start_type).collect();
            assert_eq!(types, [StartType::Start, StartType::Resume], "{name}");
            stream.delete().await;
        }
        // Of a stack that they don't serve, they may read nothing, and so they stop nothing.
        let mut stream = Stream::new(stage, "unserved");
        assert_eq!(stream.deploy().await, "ROLLBACK_COMPLETE");
        let reason = stream.reason("DmsPre", "CREATE_FAILED");
        assert!(reason.contains("AccessDenied") && reason.contains("DescribeStacks"), "{reason}");
    });
}

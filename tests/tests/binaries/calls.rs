//! How many calls the functions make: no more than their decisions need. The figures are exact, so that one more shows.

use std::collections::BTreeMap;

use replication::task::{Arn, TaskStatus};
use replication::tasks::Tasks;
use serde_json::json;
use stage::dms::Pace;

use super::Scene;

/// A stack of these many tasks, of which the change set changes the first ones.
async fn scene(
    resource: &'static str,
    tasks: usize,
    changed: usize,
    status: TaskStatus,
) -> (Scene, Vec<Arn>) {
    let scene = Scene::at(Pace::immediate(), resource).await;
    let mut added = Vec::new();
    let mut changes = Vec::new();
    for number in 0..tasks {
        let task = scene.dms.add_task(&format!("t{number}"), status.clone());
        let name = format!("Task{number}");
        scene.stack.has(&name, &task);
        if number < changed {
            let kind = "AWS::DMS::ReplicationTask";
            changes.push(stage::stack::modified(&name, kind, &task));
        }
        added.push(task);
    }
    scene.stack.changes(changes);
    (scene, added)
}

/// The calls that an update makes, by operation.
async fn calls_of_an_update(scene: &Scene, properties: serde_json::Value) -> Vec<(String, usize)> {
    let before = scene.dms.all_calls();
    scene.done("Update", properties).await;
    let mut calls: BTreeMap<String, usize> = scene.stack.calls();
    for (operation, count) in scene.dms.all_calls() {
        let new = count - before.get(&operation).copied().unwrap_or_default();
        if new > 0 {
            calls.insert(operation, new);
        }
    }
    calls.into_iter().collect()
}

fn counts(counts: &[(&str, usize)]) -> Vec<(String, usize)> {
    let counts = counts.iter();
    counts
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn looking_takes_one_call_of_each_kind_for_all_tasks() {
    let looking = counts(&[
        ("DescribeChangeSet", 1),
        ("DescribeReplicationTasks", 1),
        ("DescribeStacks", 1),
        ("ListStackResources", 1),
        ("ListTagsForResource", 1),
    ]);
    let (scene, _) = self::scene("DmsPre", 20, 0, TaskStatus::Running).await;
    let calls = calls_of_an_update(&scene, json!({ "DeploymentId": "7" })).await;
    assert_eq!(calls, looking);
    let (scene, _) = self::scene("DmsPost", 20, 0, TaskStatus::Running).await;
    let calls = calls_of_an_update(&scene, json!({ "After": "r-1-0" })).await;
    assert_eq!(calls, looking);
}

#[tokio::test]
async fn a_pause_takes_two_calls_a_task_and_a_second_look_at_the_stack() {
    let (scene, _) = scene("DmsPre", 20, 5, TaskStatus::Running).await;
    let calls = calls_of_an_update(&scene, json!({ "DeploymentId": "7" })).await;
    let expected = [
        ("AddTagsToResource", 5),
        ("DescribeChangeSet", 1),
        ("DescribeReplicationTasks", 2),
        ("DescribeStacks", 2),
        ("ListStackResources", 1),
        ("ListTagsForResource", 2),
        ("StopReplicationTask", 5),
    ];
    assert_eq!(calls, counts(&expected));
}

#[tokio::test]
async fn a_resumption_takes_two_calls_a_task_and_a_look_at_the_connections() {
    let (scene, tasks) = scene("DmsPost", 5, 5, TaskStatus::Stopped).await;
    for task in &tasks {
        scene.dms.mark(task, "r-1").await.unwrap();
    }
    let calls = calls_of_an_update(&scene, json!({ "After": "r-1-0" })).await;
    let expected = [
        ("DescribeChangeSet", 1),
        ("DescribeConnections", 1),
        ("DescribeReplicationTasks", 2),
        ("DescribeStacks", 3),
        ("ListStackResources", 1),
        ("ListTagsForResource", 2),
        ("RemoveTagsFromResource", 5),
        ("StartReplicationTask", 5),
    ];
    assert_eq!(calls, counts(&expected));
}

//! How many calls the functions make: no more than their decisions need. The figures are exact, so that one more shows.

use std::collections::BTreeMap;

use replication::task::{Arn, TaskStatus};
use replication::tasks::Tasks;
use serde_json::{Value, json};
use stage::dms::Pace;
use stage::mysql::{MysqlServer, Options};
use stage::request;
use stage::secrets::Secret;

use super::{SECRET, Scene};

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

/// The calls that are made while this is at work, by operation.
async fn calls_of(scene: &Scene, work: impl Future<Output = ()>) -> Vec<(String, usize)> {
    let all = || {
        let services = [scene.stack.calls(), scene.dms.all_calls(), scene.secrets.calls()];
        services.into_iter().flatten().collect::<BTreeMap<_, _>>()
    };
    let before = all();
    work.await;
    let mut calls = all();
    for (operation, count) in &mut calls {
        *count -= before.get(operation).copied().unwrap_or_default();
    }
    calls.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// The calls that a request takes, which is to succeed.
async fn calls_of_a(kind: &str, scene: &Scene, properties: Value) -> Vec<(String, usize)> {
    let work = async {
        scene.done(kind, properties).await;
    };
    calls_of(scene, work).await
}

fn counts(counts: &[(&str, usize)]) -> Vec<(String, usize)> {
    let counts = counts.iter();
    counts.map(|(name, count)| ((*name).to_owned(), *count)).collect()
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
    let calls = calls_of_a("Update", &scene, json!({ "DeploymentId": "7" })).await;
    assert_eq!(calls, looking);
    let (scene, _) = self::scene("DmsPost", 20, 0, TaskStatus::Running).await;
    let calls = calls_of_a("Update", &scene, json!({ "After": "r-1-0" })).await;
    assert_eq!(calls, looking);
}

#[tokio::test]
async fn a_pause_takes_two_calls_a_task_and_a_second_look_at_the_stack() {
    let (scene, _) = scene("DmsPre", 20, 5, TaskStatus::Running).await;
    let calls = calls_of_a("Update", &scene, json!({ "DeploymentId": "7" })).await;
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
    let calls = calls_of_a("Update", &scene, json!({ "After": "r-1-0" })).await;
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

#[tokio::test]
async fn a_first_start_takes_one_call_a_task_and_a_look_at_the_connections() {
    let (scene, _) = scene("DmsPost", 5, 0, TaskStatus::Ready).await;
    scene.stack.becomes("CREATE_IN_PROGRESS");
    let calls = calls_of_a("Create", &scene, json!({ "After": "r-1-0" })).await;
    let expected = [
        ("DescribeChangeSet", 1),
        ("DescribeConnections", 1),
        ("DescribeReplicationTasks", 2),
        ("DescribeStacks", 2),
        ("ListStackResources", 1),
        ("ListTagsForResource", 1),
        ("StartReplicationTask", 5),
    ];
    assert_eq!(calls, counts(&expected));
}

#[tokio::test]
async fn the_end_of_a_stack_takes_one_call_a_task_of_dms_post_and_none_of_dms_pre() {
    let (scene, _) = self::scene("DmsPost", 5, 0, TaskStatus::Running).await;
    scene.stack.becomes("DELETE_IN_PROGRESS");
    let calls = calls_of_a("Delete", &scene, json!({ "After": "r-1-0" })).await;
    let expected = [
        ("DescribeReplicationTasks", 2),
        ("DescribeStacks", 1),
        ("ListStackResources", 1),
        ("ListTagsForResource", 1),
        ("StopReplicationTask", 5),
    ];
    assert_eq!(calls, counts(&expected));
    let (scene, _) = self::scene("DmsPre", 5, 0, TaskStatus::Running).await;
    scene.stack.becomes("DELETE_IN_PROGRESS");
    let calls = calls_of_a("Delete", &scene, json!({ "DeploymentId": "7" })).await;
    assert_eq!(calls, []);
}

#[tokio::test]
async fn the_end_of_a_resource_alone_takes_one_look_at_the_stack() {
    let (scene, _) = self::scene("DmsPost", 5, 0, TaskStatus::Running).await;
    scene.stack.becomes("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");
    let calls = calls_of_a("Delete", &scene, json!({ "After": "r-1-0" })).await;
    assert_eq!(calls, counts(&[("DescribeStacks", 1)]));
}

#[tokio::test]
async fn the_end_of_an_update_takes_a_look_at_the_stack_and_one_at_its_tasks() {
    let (scene, _) = self::scene("DmsPost", 5, 0, TaskStatus::Running).await;
    scene.stack.becomes("UPDATE_COMPLETE");
    let event = request::status_change("UPDATE_COMPLETE");
    let work = async {
        scene.notice(event).await.unwrap();
    };
    let calls = calls_of(&scene, work).await;
    let expected = [
        ("DescribeReplicationTasks", 1),
        ("DescribeStacks", 1),
        ("ListStackResources", 1),
        ("ListTagsForResource", 1),
    ];
    assert_eq!(calls, counts(&expected));
}

#[tokio::test]
async fn a_database_takes_one_call_for_each_secret_and_none_when_it_is_left() {
    const USER: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:user-Ab1";
    let scene = Scene::of("DbInit").await;
    let database = MysqlServer::start(Options::default()).await.unwrap();
    scene.attach(&database);
    let user = json!({ "username": "dms", "password": "for DMS" });
    scene.secrets.keep(USER, Secret::Text(user.to_string()));
    let mut properties = json!({
        "SecretArn": SECRET, "ReplicationUserSecretArn": USER, "Database": "shop", "SslCa": database.ca_pem(),
    });
    for kind in ["Create", "Update"] {
        let calls = calls_of_a(kind, &scene, properties.clone()).await;
        assert_eq!(calls, counts(&[("GetSecretValue", 2)]), "{kind}");
    }
    let orders = "CREATE TABLE orders (id INT PRIMARY KEY)";
    properties["Migrations"] = json!([{ "Version": 1, "Name": "orders", "Sql": orders }]);
    let calls = calls_of_a("Update", &scene, properties.clone()).await;
    assert_eq!(calls, counts(&[("GetSecretValue", 2)]));
    assert_eq!(calls_of_a("Delete", &scene, properties).await, []);
}

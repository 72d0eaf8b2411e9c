//! `dms-pre` over the stand-ins' own protocols.

use std::time::Duration;

use serde_json::{Value, json};
use stage::dms::{Arn, PAUSE_MARK, TaskStatus};
use stage::request::REQUEST_ID;
use stage::stack::{CHANGE_SET, Detail, ResourceChange, STACK, modified};

use super::{Scene, reason};

const TASK: &str = "AWS::DMS::ReplicationTask";

/// A stack with two tasks that run, of which the deployment changes one.
async fn two_tasks() -> (Scene, Arn, Arn) {
    let scene = Scene::of("DmsPre").await;
    let orders = scene.dms.add_task("orders", TaskStatus::Running);
    let users = scene.dms.add_task("users", TaskStatus::Running);
    scene.stack.has("Orders", &orders);
    scene.stack.has("Users", &users);
    scene.stack.changes(vec![modified("Orders", TASK, &orders)]);
    (scene, orders, users)
}

fn deployment(id: &str) -> Value {
    json!({ "DeploymentId": id })
}

#[tokio::test]
async fn an_update_pauses_what_it_touches_and_nothing_else() {
    let (scene, orders, users) = two_tasks().await;
    let first = scene.done("Update", deployment("7")).await;
    assert_eq!(first["PausedTasks"], "1");
    assert_eq!(scene.dms.status(&orders), Some(TaskStatus::Stopped));
    assert_eq!(scene.dms.status(&users), Some(TaskStatus::Running));
    assert_eq!(scene.dms.marks(&orders), [format!("{PAUSE_MARK}:{REQUEST_ID}")]);
    assert!(!scene.dms.is_marked(&users));

    // CloudFormation delivers again, to the same process: nothing is left to do, and DmsPost has to hear of it anyway.
    let again = scene.done("Update", deployment("7")).await;
    assert_eq!(again["PausedTasks"], "1");
    assert_eq!(scene.dms.calls("StopReplicationTask"), 1);
    assert_ne!(first["Revision"], again["Revision"]);
    let (log, _) = scene.end().await;
    assert!(
        log.contains("task orders (Orders) is running: stop (since it changes (Modify of Orders))"),
        "{log}"
    );
    assert!(log.contains("task users (Users) is running: leave: the deployment does not touch it"), "{log}");
}

#[tokio::test]
async fn a_create_in_a_stack_that_lives_pauses_too() {
    let (scene, orders, _) = two_tasks().await;
    assert_eq!(scene.done("Create", deployment("7")).await["PausedTasks"], "1");
    assert_eq!(scene.dms.status(&orders), Some(TaskStatus::Stopped));
}

#[tokio::test]
async fn a_rollback_pauses_what_it_touches() {
    let (scene, orders, users) = two_tasks().await;
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    scene.stack.execution_is("EXECUTE_FAILED");
    assert_eq!(scene.done("Update", deployment("6")).await["PausedTasks"], "1");
    assert_eq!(scene.dms.status(&orders), Some(TaskStatus::Stopped));
    assert_eq!(scene.dms.status(&users), Some(TaskStatus::Running));
}

#[tokio::test]
async fn an_update_without_a_change_set_touches_every_task() {
    let scene = Scene::of("DmsPre").await;
    let orders = scene.dms.add_task("orders", TaskStatus::Running);
    scene.stack.has("Orders", &orders);
    assert_eq!(scene.done("Update", deployment("7")).await["PausedTasks"], "1");
}

#[tokio::test]
async fn a_plan_is_told_in_words_and_nothing_is_touched() {
    let (scene, orders, users) = two_tasks().await;
    scene.stack.becomes("UPDATE_COMPLETE");
    scene.stack.execution_is("AVAILABLE");
    let of = json!({ "StackId": STACK, "ChangeSetId": CHANGE_SET });
    let plan = scene.notice(json!({ "plan": of })).await.unwrap();
    assert_eq!(
        plan,
        json!({
            "Resources": ["Modify Orders (AWS::DMS::ReplicationTask)"],
            "Tasks": [
                "orders (Orders) is running: stop (since it changes (Modify of Orders))",
                "users (Users) is running: leave: the deployment does not touch it",
            ],
            "Refused": [],
        })
    );
    for task in [orders, users] {
        assert_eq!(scene.dms.status(&task), Some(TaskStatus::Running));
        assert!(!scene.dms.is_marked(&task));
    }
    // What cannot be read is not planned for as if it were nothing.
    let of = json!({ "StackId": STACK, "ChangeSetId": "arn:aws:changeSet/that-is-gone" });
    let plan = scene.notice(json!({ "plan": of })).await.unwrap();
    let gone = "it is not known what changes (the stack's change set is gone)";
    assert_eq!(plan["Resources"], json!([gone]));
    assert_eq!(plan["Tasks"].as_array().unwrap().len(), 2);
    for line in plan["Tasks"].as_array().unwrap() {
        assert!(line.as_str().unwrap().ends_with(&format!("stop (since {gone})")), "{line}");
    }
}

#[tokio::test]
async fn a_plan_tells_what_would_be_refused_and_what_a_replacement_does() {
    let (scene, orders, users) = two_tasks().await;
    scene.stack.becomes("UPDATE_COMPLETE");
    let change = |id, task, after: Value| ResourceChange {
        replacement: Some("True".to_owned()),
        details: vec![Detail::edited("Properties", Some("MigrationType"))],
        after: Some(after),
        ..modified(id, TASK, task)
    };
    let source = Arn::new(scene.dms.member(&users, "SourceEndpointArn"));
    scene.dms.reads(&source, "postgres", None);
    scene.stack.changes(vec![
        change("Orders", &orders, json!({ "MigrationType": "full-load-and-cdc" })),
        change("Users", &users, json!({ "MigrationType": "cdc" })),
    ]);
    let of = json!({ "StackId": STACK, "ChangeSetId": format!("{CHANGE_SET}2") });
    let plan = scene.notice(json!({ "plan": of })).await.unwrap();
    let told = "orders (Orders) is running: stop (since it changes (Modify of Orders)); the task that replaces it loads \
                everything again";
    assert_eq!(plan["Tasks"][0], told);
    let [task, refused] = [&plan["Tasks"][1], &plan["Refused"][0]].map(|it| it.as_str().unwrap());
    assert!(task.starts_with("users (Users) is running: fail: PostgreSQL keeps"), "{task}");
    assert!(refused.starts_with("users (Users): PostgreSQL keeps"), "{refused}");
    assert_eq!(plan["Refused"].as_array().unwrap().len(), 1);
}

/// What a parent's change set tells of a nested stack.
fn nested(change_set: Option<&str>) -> ResourceChange {
    let stack = Arn::new("arn:aws:cloudformation:eu-west-1:123456789012:stack/network/5c1f");
    ResourceChange {
        change_set: change_set.map(str::to_owned),
        ..modified("Network", "AWS::CloudFormation::Stack", &stack)
    }
}

#[tokio::test]
async fn the_change_sets_of_nested_stacks_are_followed_page_by_page() {
    let (scene, orders, users) = two_tasks().await;
    let (inner, innermost) = ("arn:aws:changeSet/inner", "arn:aws:changeSet/innermost");
    scene.stack.changes(vec![nested(Some(inner))]);
    scene.stack.nests(inner, vec![nested(Some(innermost))]);
    let stream = |n| {
        let arn = Arn::new(format!("stream-{n}"));
        modified(&format!("Stream{n}"), "AWS::Kinesis::Stream", &arn)
    };
    let mut changes: Vec<ResourceChange> = (0..150).map(stream).collect();
    changes.push(modified("Orders", TASK, &orders));
    scene.stack.nests(innermost, changes);
    let data = scene.done("Update", deployment("7")).await;
    assert_eq!(data["PausedTasks"], "1");
    assert_eq!(scene.dms.status(&orders), Some(TaskStatus::Stopped));
    assert_eq!(scene.dms.status(&users), Some(TaskStatus::Running));
}

#[tokio::test]
async fn a_nested_stack_whose_change_set_is_not_known_may_change_anything() {
    for change_set in [None, Some("arn:aws:changeSet/that-is-gone")] {
        let (scene, orders, users) = two_tasks().await;
        scene.stack.changes(vec![nested(change_set)]);
        let data = scene.done("Update", deployment("7")).await;
        assert_eq!(data["PausedTasks"], "2", "{change_set:?}");
        for task in [orders, users] {
            assert_eq!(scene.dms.status(&task), Some(TaskStatus::Stopped));
        }
    }
}

#[tokio::test]
async fn a_task_that_does_not_rest_is_named_before_lambda_ends_the_process() {
    let (scene, orders, _) = two_tasks().await;
    scene.dms.stays(&orders, "moving");
    let event = scene.event("Update", &deployment("7"));
    let answer = scene.answer_within(event, Duration::from_secs(4)).await;
    let reason = reason(&answer);
    let expected = "stopping replication tasks: 1 of 1 failed: orders (Orders): it is moving after ";
    assert!(reason.starts_with(expected), "{reason}");
    assert!(reason.contains(" s of waiting ("), "{reason}");
}

#[tokio::test]
async fn a_stack_without_tasks_is_no_error_but_a_warning() {
    let scene = Scene::of("DmsPre").await;
    scene.stack.becomes("CREATE_IN_PROGRESS");
    let data = scene.done("Create", deployment("1")).await;
    assert_eq!(data["PausedTasks"], "0");
    assert!(!data["Revision"].as_str().unwrap().is_empty());
    let (log, _) = scene.end().await;
    let warned = |line: &str| line.contains("WARN") && line.contains("no AWS::DMS::ReplicationTask");
    assert!(log.lines().any(warned), "{log}");
}

#[tokio::test]
async fn a_delete_does_nothing_whatever_goes() {
    for status in ["DELETE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"] {
        let (scene, orders, _) = two_tasks().await;
        scene.stack.becomes(status);
        scene.done("Delete", deployment("7")).await;
        assert_eq!(scene.dms.status(&orders), Some(TaskStatus::Running));
        assert_eq!(scene.dms.history().iter().filter(|it| is_call(it)).count(), 0);
    }
}

fn is_call(entry: &stage::dms::Entry) -> bool {
    matches!(entry.event, stage::dms::Event::Call { .. })
}

//! `dms-post` over the stand-ins' own protocols.

use serde_json::{Value, json};
use stage::dms::{Arn, TaskStatus};
use stage::dms::{Pace, StartType};
use stage::request;
use stage::stack::modified;

use super::Scene;

/// A stack in an update, with a task that dms-pre has paused and one that an operator stopped.
struct Paused {
    scene: Scene,
    orders: Arn,
    users: Arn,
}

impl Paused {
    async fn new() -> Self {
        Self::at(Pace::immediate()).await
    }

    async fn at(pace: Pace) -> Self {
        let scene = Scene::at(pace, "DmsPost").await;
        let orders = scene.dms.add_task("orders", TaskStatus::Stopped);
        let users = scene.dms.add_task("users", TaskStatus::Stopped);
        scene.dms.mark(&orders, "r-1");
        scene.stack.has("Orders", &orders);
        scene.stack.has("Users", &users);
        let change = modified("Orders", "AWS::DMS::ReplicationTask", &orders);
        scene.stack.changes(vec![change]);
        Self { scene, orders, users }
    }

    /// The paused task runs again from where it was, and nobody has touched the other.
    fn is_over(&self) {
        let dms = &self.scene.dms;
        assert_eq!(dms.status(&self.orders), Some(TaskStatus::Running));
        assert!(!dms.is_marked(&self.orders));
        let last = dms.runs(&self.orders).pop().unwrap();
        assert_eq!(last.start_type, StartType::Resume);
        assert_eq!(dms.status(&self.users), Some(TaskStatus::Stopped));
        assert_eq!(dms.violations(), [""; 0]);
    }
}

fn after(revision: &str) -> Value {
    json!({ "After": revision })
}

/// RunningTasks, StartedTasks, ResumedTasks.
fn counts(data: &Value) -> [&str; 3] {
    ["RunningTasks", "StartedTasks", "ResumedTasks"].map(|name| data[name].as_str().unwrap())
}

#[tokio::test]
async fn a_create_starts_what_has_never_run() {
    let scene = Scene::of("DmsPost").await;
    scene.stack.becomes("CREATE_IN_PROGRESS");
    let orders = scene.dms.add_task("orders", TaskStatus::Ready);
    scene.stack.has("Orders", &orders);
    let data = scene.done("Create", after("r-1-0")).await;
    assert_eq!(counts(&data), ["1", "1", "0"]);
    assert_eq!(scene.dms.status(&orders), Some(TaskStatus::Running));

    // A second delivery, to the same process.
    let data = scene.done("Create", after("r-1-0")).await;
    assert_eq!(counts(&data), ["1", "0", "0"]);
    assert_eq!(scene.dms.runs(&orders).len(), 1);
}

#[tokio::test]
async fn an_update_resumes_what_is_paused_and_leaves_what_somebody_else_stopped() {
    let paused = Paused::new().await;
    let data = paused.scene.done("Update", after("r-1-1")).await;
    assert_eq!(counts(&data), ["1", "0", "1"]);
    paused.is_over();
    let (log, _) = paused.scene.end().await;
    assert!(log.contains("task orders (Orders) is stopped: resume: a deployment paused it"), "{log}");
    assert!(log.contains("task users (Users) is stopped: leave: somebody else stopped it"), "{log}");
}

#[tokio::test]
async fn a_rollback_resumes_what_is_paused() {
    let paused = Paused::new().await;
    paused.scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    paused.scene.stack.execution_is("EXECUTE_FAILED");
    let data = paused.scene.done("Update", after("r-1-1")).await;
    assert_eq!(counts(&data), ["1", "0", "1"]);
    paused.is_over();
}

#[tokio::test]
async fn a_task_that_does_not_run_fails_the_request_with_the_words_of_dms() {
    let paused = Paused::at(Pace::brisk()).await;
    let scene = &paused.scene;
    scene.dms.fail_next_run(&paused.orders, "Last Error: binlog read error 1236");
    let reason = scene.refused("Update", after("r-1-1")).await;
    assert!(reason.starts_with("running replication tasks: 1 of 2 failed: orders (Orders): "), "{reason}");
    assert!(reason.contains("binlog read error 1236"), "{reason}");
    assert!(reason.contains("raise BinlogRetentionHours"), "{reason}");
    assert!(scene.dms.is_marked(&paused.orders));
}

#[tokio::test]
async fn a_stack_without_tasks_is_no_error_but_a_warning() {
    let scene = Scene::of("DmsPost").await;
    let data = scene.done("Update", after("r-1-1")).await;
    assert_eq!(counts(&data), ["0", "0", "0"]);
    let (log, _) = scene.end().await;
    let warned = |line: &str| line.contains("WARN") && line.contains("no AWS::DMS::ReplicationTask");
    assert!(log.lines().any(warned), "{log}");
}

#[tokio::test]
async fn a_delete_of_the_stack_stops_every_running_task() {
    for status in ["DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"] {
        let scene = Scene::of("DmsPost").await;
        let tasks = ["orders", "users"].map(|name| scene.dms.add_task(name, TaskStatus::Running));
        let [orders, users] = &tasks;
        scene.stack.has("Orders", orders);
        scene.stack.has("Users", users);
        scene.stack.becomes(status);
        scene.done("Delete", after("r-1-1")).await;
        for task in &tasks {
            assert_eq!(scene.dms.status(task), Some(TaskStatus::Stopped));
            assert!(!scene.dms.is_marked(task));
        }
        assert_eq!(scene.dms.calls("StopReplicationTask"), 2);
    }
}

#[tokio::test]
async fn a_delete_of_the_resource_alone_stops_nothing() {
    let scene = Scene::of("DmsPost").await;
    let orders = scene.dms.add_task("orders", TaskStatus::Running);
    scene.stack.has("Orders", &orders);
    for status in ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"] {
        scene.stack.becomes(status);
        scene.done("Delete", after("r-1-1")).await;
        assert_eq!(scene.dms.status(&orders), Some(TaskStatus::Running));
    }
    assert_eq!(scene.dms.calls("StopReplicationTask"), 0);
}

#[tokio::test]
async fn the_end_of_an_update_that_never_called_it_resumes_what_is_paused() {
    let paused = Paused::new().await;
    let scene = &paused.scene;
    // An event of an end that is no end any more: the next update is under way.
    let late = scene.notice(request::status_change("UPDATE_COMPLETE")).await;
    late.unwrap();
    assert_eq!(scene.dms.status(&paused.orders), Some(TaskStatus::Stopped));

    scene.stack.becomes("UPDATE_ROLLBACK_COMPLETE");
    let healed = scene.notice(request::status_change("UPDATE_ROLLBACK_COMPLETE")).await;
    healed.unwrap();
    paused.is_over();
}

#[tokio::test]
async fn an_event_about_a_stack_that_does_not_exist_is_lambdas_to_try_again() {
    let scene = Scene::of("DmsPost").await;
    let mut event = request::status_change("UPDATE_COMPLETE");
    event["detail"]["stack-id"] = json!("arn:aws:cloudformation:eu-west-1:123456789012:stack/no/1");
    let error = scene.notice(event).await.unwrap_err();
    assert!(error.to_string().contains("describing stack"), "{error}");
    let (log, _) = scene.end().await;
    assert!(log.contains("stack/no/1 does not exist"), "{log}");
}

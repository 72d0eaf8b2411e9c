//! dms-post over the stand-ins, on a paused clock.

use std::time::Duration;

use custom_resource::{Deadline, Resource};
use replication::Stack as _;
use replication::change::ResourceChange;
use replication::post::DmsPostProperties;
use replication::task::{Arn, TaskStatus};
use replication::tasks::{PAUSE_MARK, Tasks};
use stage::dms::{Dms, Refusal, StartType, Throttle};
use stage::request;
use stage::stack::{Stack, modified};

#[path = "dms_post/deletion.rs"]
mod deletion;
#[path = "dms_post/healing.rs"]
mod healing;
#[path = "dms_post/replacement.rs"]
mod replacement;

const TASK: &str = "AWS::DMS::ReplicationTask";

/// A stack in an update, with one task.
struct Scene {
    stack: Stack,
    dms: Dms,
    orders: Arn,
}

impl Scene {
    fn new(status: TaskStatus) -> Self {
        let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::default());
        let orders = dms.add_task("orders", status);
        stack.has("Orders", &orders);
        stack.changes(vec![modified("Orders", TASK, &orders)]);
        Self { stack, dms, orders }
    }

    async fn paused(status: TaskStatus) -> Self {
        let scene = Self::new(status);
        scene.dms.mark(&scene.orders, "r-1").await.unwrap();
        scene
    }

    fn handler(&self) -> replication::DmsPost<Stack, Dms> {
        replication::DmsPost::new(self.stack.clone(), self.dms.clone())
    }

    /// (running, started, resumed)
    async fn deploy(&self) -> anyhow::Result<[usize; 3]> {
        let properties = DmsPostProperties { after: "r-1-0".to_owned() };
        let attributes = self.handler().update(request::decoded(properties)).await?;
        let names = ["RunningTasks", "StartedTasks", "ResumedTasks"];
        Ok(names.map(|name| attributes.get(name).unwrap().parse().unwrap()))
    }

    async fn reason(&self) -> String {
        format!("{:#}", self.deploy().await.unwrap_err())
    }

    async fn notice(&self, status: &str) -> anyhow::Result<()> {
        self.stack.becomes(status);
        let deadline = Deadline::after(Duration::from_secs(885));
        self.handler().notified(request::status_change(status), deadline).await.map(drop)
    }

    fn status(&self) -> TaskStatus {
        self.dms.status(&self.orders).unwrap()
    }

    fn is_marked(&self) -> bool {
        self.dms.tags(&self.orders).contains_key(PAUSE_MARK)
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_task_is_left_to_run() {
    let scene = Scene::new(TaskStatus::Running);
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 0]);
    assert_eq!(scene.dms.calls("StartReplicationTask"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_ran_is_started() {
    let scene = Scene::new(TaskStatus::Ready);
    assert_eq!(scene.deploy().await.unwrap(), [1, 1, 0]);
    assert_eq!(scene.dms.runs(&scene.orders)[0].start_type, StartType::Start);
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_is_resumed_at_its_checkpoint_and_loses_its_mark() {
    let scene = Scene::paused(TaskStatus::Stopped).await;
    let checkpoint = scene.dms.checkpoint(&scene.orders);
    assert!(checkpoint.is_some());
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 1]);
    assert_eq!(scene.status(), TaskStatus::Running);
    assert_eq!(scene.dms.runs(&scene.orders).last().unwrap().from, checkpoint);
    assert!(!scene.is_marked());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_somebody_else_stopped_stays_stopped() {
    for status in [TaskStatus::Stopped, TaskStatus::Stopping] {
        let scene = Scene::new(status);
        assert_eq!(scene.deploy().await.unwrap(), [0, 0, 0]);
        assert_eq!(scene.dms.calls("StartReplicationTask"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_marked_task_that_runs_just_loses_its_mark() {
    let scene = Scene::paused(TaskStatus::Running).await;
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 0]);
    assert!(!scene.is_marked());
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_in_transit_is_waited_for_and_then_resumed() {
    for status in [TaskStatus::Stopping, TaskStatus::Modifying, TaskStatus::Starting] {
        let scene = Scene::paused(status.clone()).await;
        assert_eq!(scene.deploy().await.unwrap()[0], 1, "{status}");
        assert_eq!(scene.status(), TaskStatus::Running);
        assert!(!scene.is_marked(), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_is_resumed_once_in_a_deployment() {
    let scene = Scene::new(TaskStatus::Failed);
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 1]);

    let hopeless = Scene::new(TaskStatus::Failed);
    hopeless.dms.fail_next_run(&hopeless.orders, "Error 1236 reading binlog");
    let reason = hopeless.reason().await;
    assert!(reason.contains("orders (Orders): it was started, and it is failed"), "{reason}");
    assert!(reason.contains("Error 1236 reading binlog"), "{reason}");
    assert!(reason.contains("raise BinlogRetentionHours"), "{reason}");
    assert_eq!(hopeless.dms.calls("StartReplicationTask"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_does_not_stumble_over_a_task_that_had_failed_before() {
    let scene = Scene::new(TaskStatus::Failed);
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    assert_eq!(scene.deploy().await.unwrap(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_tasks_failure_does_not_keep_the_others_from_running() {
    let scene = Scene::new(TaskStatus::Ready);
    let users = scene.dms.add_task("users", TaskStatus::Ready);
    scene.stack.has("Users", &users);
    scene.dms.fail_next_run(&scene.orders, "it broke");
    let reason = scene.reason().await;
    assert!(reason.contains("1 of 2 failed: orders (Orders)"), "{reason}");
    assert_eq!(scene.dms.status(&users), Some(TaskStatus::Running));
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_not_tested_are_tested_first() {
    let scene = Scene::new(TaskStatus::Ready);
    let wiring = scene.dms.add_wiring("fresh");
    let users = scene.dms.add_wired_task("users", TaskStatus::Ready, "cdc", &wiring);
    scene.stack.has("Users", &users);
    scene.dms.forget_connections(&wiring.source);
    scene.dms.forget_connections(&wiring.target);
    assert_eq!(scene.deploy().await.unwrap(), [2, 2, 0]);
    assert_eq!(scene.dms.calls("TestConnection"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_its_test_is_the_reason() {
    let scene = Scene::new(TaskStatus::Ready);
    let wiring = scene.dms.add_wiring("fresh");
    let users = scene.dms.add_wired_task("users", TaskStatus::Ready, "cdc", &wiring);
    scene.stack.has("Users", &users);
    scene.dms.forget_connections(&wiring.source);
    scene.dms.unreachable(&wiring.source, "Access denied for user 'dms'");
    let reason = scene.reason().await;
    assert!(reason.contains("users (Users): the connection test"), "{reason}");
    assert!(reason.contains("Access denied for user 'dms'"), "{reason}");
    assert_eq!(scene.status(), TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn a_start_refused_for_the_moment_is_tried_again() {
    let scene = Scene::paused(TaskStatus::Stopped).await;
    scene.dms.fail_next("StartReplicationTask", Refusal::invalid_state("the task is busy"));
    scene.dms.fail_next("StartReplicationTask", Refusal::invalid_state("the task is busy"));
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_wrong_way_to_start_is_followed_by_the_other_once() {
    let scene = Scene::paused(TaskStatus::Stopped).await;
    let wrong =
        Refusal::new("InvalidParameterCombinationException", "Start Type : RESUME_PROCESSING, not valid");
    scene.dms.fail_next("StartReplicationTask", wrong.clone());
    scene.dms.fail_next("StartReplicationTask", wrong);
    let reason = scene.reason().await;
    assert!(reason.contains("RESUME_PROCESSING, not valid"), "{reason}");
    assert_eq!(scene.dms.calls("StartReplicationTask"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_load_that_finishes_is_a_success() {
    let scene = Scene::new(TaskStatus::Running);
    let wiring = scene.dms.add_wiring("load");
    let load = scene.dms.add_wired_task("load", TaskStatus::Ready, "full-load", &wiring);
    scene.stack.has("Load", &load);
    assert_eq!(scene.deploy().await.unwrap(), [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_come_up_is_named_with_its_state_at_the_deadline() {
    let scene = Scene::new(TaskStatus::Running);
    scene.dms.stays(&scene.orders, "hibernating");
    // Until the lag is over it still reads as running.
    tokio::time::advance(Duration::from_secs(10)).await;
    let reason = scene.reason().await;
    assert!(reason.contains("orders (Orders): it is hibernating after 885 s of waiting"), "{reason}");
}

/// A paused task that the deployment takes out of the stack, before the clean-up that deletes it.
async fn removed(status: &str) -> Scene {
    let scene = Scene::paused(TaskStatus::Stopped).await;
    let change = modified("Orders", TASK, &scene.orders);
    let action = "Remove".to_owned();
    scene.stack.changes(vec![ResourceChange { action, replacement: None, ..change }]);
    scene.stack.becomes(status);
    scene
}

#[tokio::test(start_paused = true)]
async fn a_task_that_the_deployment_removes_is_left_at_rest() {
    let scene = removed("UPDATE_IN_PROGRESS").await;
    assert_eq!(scene.deploy().await.unwrap(), [0, 0, 0]);
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_rollback_keeps_after_all_is_resumed() {
    let scene = removed("UPDATE_ROLLBACK_IN_PROGRESS").await;
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_or_a_clean_up_that_begins_between_two_starts_ends_them() {
    for status in ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"] {
        let scene = Scene::paused(TaskStatus::Stopped).await;
        for number in 0..40 {
            let task = scene.dms.add_task(&format!("t{number}"), TaskStatus::Stopped);
            scene.dms.mark(&task, "r-1").await.unwrap();
            scene.stack.has(&format!("T{number}"), &task);
        }
        // A start a second, once the first few calls are made.
        scene.dms.throttles(Throttle::new(10, 1, 0.0));
        let moves_on = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            scene.stack.becomes(status);
        };
        let (reason, ()) = tokio::join!(scene.reason(), moves_on);
        let why = format!("it is not started, since the stack is {status} by now");
        assert!(reason.contains(&why), "{reason}");
        let tasks = scene.stack.resources("").await.unwrap();
        let arns = tasks.iter().filter_map(|it| it.physical_id.clone());
        let started = arns.filter(|arn| scene.dms.runs(&Arn::new(arn)).len() > 1);
        let started = started.count();
        assert!((1..30).contains(&started), "{started} were started");
    }
}

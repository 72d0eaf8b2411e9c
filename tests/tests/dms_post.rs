//! dms-post over the stand-ins, on a paused clock.

use std::time::Duration;

use custom_resource::{Deadline, Resource};
use replication::mark::Revision;
use replication::post::DmsPostProperties;
use stage::aws::{Aws, Trouble, Troubles};
use stage::dms::{Arn, Dms, Pace, Refusal, StartType, TaskStatus, Throttle};
use stage::request;
use stage::stack::{ResourceChange, Stack, modified};

#[path = "dms_post/deletion.rs"]
mod deletion;
#[path = "dms_post/healing.rs"]
mod healing;
#[path = "dms_post/replacement.rs"]
mod replacement;
#[path = "dms_post/starting.rs"]
mod starting;

const TASK: &str = "AWS::DMS::ReplicationTask";

/// A stack in an update, with one task.
struct Scene {
    stack: Stack,
    dms: Dms,
    orders: Arn,
}

impl Scene {
    fn new(status: TaskStatus) -> Self {
        Self::at(Pace::default(), status)
    }

    fn at(pace: Pace, status: TaskStatus) -> Self {
        let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::new(pace));
        let orders = dms.add_task("orders", status);
        stack.has("Orders", &orders);
        stack.changes(vec![modified("Orders", TASK, &orders)]);
        Self { stack, dms, orders }
    }

    fn paused(status: TaskStatus) -> Self {
        let scene = Self::new(status);
        scene.dms.mark(&scene.orders, "r-1");
        scene
    }

    fn handler(&self) -> replication::DmsPost {
        replication::DmsPost::new(&plays::config(&Aws::new(&self.dms, &self.stack)))
    }

    /// (running, started, resumed)
    async fn deploy(&self) -> anyhow::Result<[usize; 3]> {
        self.deploy_after("r-1-0".to_owned()).await
    }

    /// The same, with what DmsPre has handed over.
    async fn deploy_after(&self, after: String) -> anyhow::Result<[usize; 3]> {
        let attributes = self.handler().update(plays::decoded(DmsPostProperties { after })).await?;
        let names = ["RunningTasks", "StartedTasks", "ResumedTasks"];
        Ok(names.map(|name| attributes.get(name).unwrap().parse().unwrap()))
    }

    /// A revision that names the task, made so many seconds from the services' now.
    fn revision(&self, seconds: i64) -> String {
        let (now, apart) = (self.dms.clock().now(), Duration::from_secs(seconds.unsigned_abs()));
        let at = if seconds < 0 { now - apart } else { now + apart };
        Revision::new("r-1", at, [&replication::task::Arn::new(self.orders.as_str())]).to_string()
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
        self.dms.is_marked(&self.orders)
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
    let scene = Scene::paused(TaskStatus::Stopped);
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
async fn a_paused_task_that_has_lost_its_mark_is_resumed_since_dms_pre_names_it() {
    let scene = Scene::new(TaskStatus::Stopped);
    assert_eq!(scene.deploy_after(scene.revision(1)).await.unwrap(), [1, 0, 1]);
    assert_eq!(scene.dms.calls("AddTagsToResource"), 1, "it was marked before it was started");
    assert!(!scene.is_marked());

    // In a rollback CloudFormation may hand over the revision of the deployment before.
    let scene = Scene::new(TaskStatus::Stopped);
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    assert_eq!(scene.deploy_after(scene.revision(-9)).await.unwrap(), [0, 0, 0]);
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_delivered_again_after_its_deployment_starts_nothing() {
    let scene = Scene::new(TaskStatus::Stopped);
    scene.stack.becomes("UPDATE_COMPLETE");
    let error = scene.deploy_after(scene.revision(1)).await.unwrap_err();
    assert!(error.to_string().contains("no deployment is at work"), "{error}");
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_that_can_not_be_marked_is_resumed_all_the_same() {
    let scene = Scene::new(TaskStatus::Stopped);
    scene.dms.fail_next("AddTagsToResource", Refusal::new("AccessDeniedFault", "no dms:AddTagsToResource"));
    assert_eq!(scene.deploy_after(scene.revision(1)).await.unwrap(), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_two_requests_have_marked_is_resumed_once_more_if_a_late_stop_of_one_arrives() {
    let scene = Scene::paused(TaskStatus::Stopped);
    scene.dms.mark(&scene.orders, "r-2");
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    let late = async {
        while scene.status() != TaskStatus::Running {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        scene.dms.operator_stops(&scene.orders);
    };
    let (done, ()) = tokio::join!(scene.deploy(), late);
    assert_eq!(done.unwrap(), [1, 0, 1]);
    assert_eq!(scene.status(), TaskStatus::Running);
    assert!(!scene.is_marked());
}

#[tokio::test(start_paused = true)]
async fn no_lost_call_leaves_a_paused_task_at_rest_or_marked() {
    for operation in ["AddTagsToResource", "StartReplicationTask", "RemoveTagsFromResource", "TestConnection"]
    {
        for trouble in Trouble::UNSURE.into_iter().chain([Trouble::Throttled]) {
            let scene = Scene::new(TaskStatus::Stopped);
            let revision = scene.revision(1);
            scene.dms.forget_connections(&Arn::new(scene.dms.member(&scene.orders, "SourceEndpointArn")));
            let troubles = Troubles::default();
            troubles.plan(operation, 1, trouble);
            let aws = Aws::behind(&scene.dms, &scene.stack, troubles.clone());
            let handler = replication::DmsPost::new(&plays::config(&aws));
            let properties = DmsPostProperties { after: revision };
            let answer = handler.update(plays::decoded(properties)).await;
            assert!(answer.is_ok(), "{operation} {trouble:?}: {answer:?}");
            assert!(!troubles.is_waiting(), "{operation} {trouble:?}");
            assert_eq!(scene.status(), TaskStatus::Running, "{operation} {trouble:?}");
            assert!(!scene.is_marked(), "{operation} {trouble:?}");
            assert_eq!(scene.dms.runs(&scene.orders).len(), 2, "{operation} {trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_marked_task_that_runs_just_loses_its_mark() {
    let scene = Scene::paused(TaskStatus::Running);
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 0]);
    assert!(!scene.is_marked());
}

#[tokio::test(start_paused = true)]
async fn a_marked_task_that_runs_is_resumed_if_the_stop_still_arrives() {
    let scene = Scene::paused(TaskStatus::Running);
    let late = async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        scene.dms.operator_stops(&scene.orders);
    };
    let (done, ()) = tokio::join!(scene.deploy(), late);
    assert_eq!(done.unwrap(), [1, 0, 1]);
    assert_eq!(scene.status(), TaskStatus::Running);
    assert!(!scene.is_marked());
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_in_transit_is_waited_for_and_then_resumed() {
    for status in [TaskStatus::Stopping, TaskStatus::Modifying, TaskStatus::Starting] {
        let scene = Scene::paused(status.clone());
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
async fn a_full_load_that_finishes_is_a_success() {
    let scene = Scene::new(TaskStatus::Running);
    let wiring = scene.dms.add_wiring("load");
    let load = scene.dms.add_wired_task("load", TaskStatus::Ready, "full-load", &wiring);
    scene.stack.has("Load", &load);
    assert_eq!(scene.deploy().await.unwrap(), [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_full_load_that_has_finished_is_not_started_again_though_it_was_marked() {
    let scene = Scene::new(TaskStatus::Running);
    let wiring = scene.dms.add_wiring("load");
    let load = scene.dms.add_wired_task("load", TaskStatus::Ready, "full-load", &wiring);
    scene.stack.has("Load", &load);
    assert_eq!(scene.deploy().await.unwrap(), [2, 1, 0]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(scene.dms.status(&load), Some(TaskStatus::Stopped));
    scene.dms.mark(&load, "r-1");
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 0]);
    assert_eq!(scene.dms.runs(&load).len(), 1);
    assert!(!scene.dms.is_marked(&load));
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
fn removed(status: &str) -> Scene {
    let scene = Scene::paused(TaskStatus::Stopped);
    let change = modified("Orders", TASK, &scene.orders);
    let action = "Remove".to_owned();
    scene.stack.changes(vec![ResourceChange { action, replacement: None, ..change }]);
    scene.stack.becomes(status);
    scene
}

#[tokio::test(start_paused = true)]
async fn a_task_that_the_deployment_removes_is_left_at_rest() {
    let scene = removed("UPDATE_IN_PROGRESS");
    assert_eq!(scene.deploy().await.unwrap(), [0, 0, 0]);
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_rollback_keeps_after_all_is_resumed() {
    let scene = removed("UPDATE_ROLLBACK_IN_PROGRESS");
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_or_a_clean_up_that_begins_between_two_starts_ends_them() {
    for status in ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"] {
        let scene = Scene::paused(TaskStatus::Stopped);
        let mut tasks = vec![scene.orders.clone()];
        for number in 0..40 {
            let task = scene.dms.add_task(&format!("t{number}"), TaskStatus::Stopped);
            scene.dms.mark(&task, "r-1");
            scene.stack.has(&format!("T{number}"), &task);
            tasks.push(task);
        }
        // A start a second, once the first few calls are made.
        scene.dms.throttles(Throttle::new(10, 1, 0.0));
        let moves_on = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            scene.stack.becomes(status);
        };
        let (reason, ()) = tokio::join!(scene.reason(), moves_on);
        let why = format!("the stack is {status} by now, and no further task is stopped or started");
        assert!(reason.contains(&why), "{reason}");
        let started = tasks.iter().filter(|task| scene.dms.runs(task).len() > 1).count();
        assert!((1..30).contains(&started), "{started} were started");
    }
}

//! dms-pre over the stand-ins, on a paused clock.

use std::time::Duration;

use custom_resource::Resource;
use replication::mark::Revision;
use replication::pre::DmsPreProperties;
use serde_json::json;
use stage::aws::{Aws, Trouble, Troubles};
use stage::dms::{Arn, Dms, PAUSE_MARK, Pace, Refusal, TaskStatus, Wiring};
use stage::request::REQUEST_ID;
use stage::stack::{Stack, modified};

#[path = "dms_pre/overlaps.rs"]
mod overlaps;
#[path = "dms_pre/replaced.rs"]
mod replaced;
#[path = "dms_pre/touched.rs"]
mod touched;

const TASK: &str = "AWS::DMS::ReplicationTask";

/// A stack in an update, with one task that runs.
struct Scene {
    stack: Stack,
    dms: Dms,
    wiring: Wiring,
    orders: Arn,
}

impl Scene {
    fn new(status: TaskStatus) -> Self {
        Self::at(Pace::default(), status)
    }

    fn at(pace: Pace, status: TaskStatus) -> Self {
        let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::new(pace));
        let wiring = dms.add_wiring("orders");
        let orders = dms.add_wired_task("orders", status, "cdc", &wiring);
        stack.has("Orders", &orders);
        Self { stack, dms, wiring, orders }
    }

    async fn deploy(&self) -> anyhow::Result<(usize, String)> {
        self.deploy_by(&Aws::new(&self.dms, &self.stack)).await
    }

    async fn deploy_by(&self, aws: &Aws) -> anyhow::Result<(usize, String)> {
        let handler = replication::DmsPre::new(&plays::config(aws));
        let properties = DmsPreProperties { deployment_id: "7".to_owned() };
        let attributes = handler.update(plays::decoded(properties)).await?;
        let paused = attributes.get("PausedTasks").unwrap().parse()?;
        Ok((paused, attributes.get("Revision").unwrap().to_owned()))
    }

    fn status(&self) -> TaskStatus {
        self.dms.status(&self.orders).unwrap()
    }

    /// The task reads PostgreSQL, from a replication slot that its endpoint names, or from its own.
    fn of_postgres(&self, slot: Option<&str>) -> &Self {
        self.dms.reads(&self.wiring.source, "aurora-postgresql", slot);
        self
    }

    /// The task reads a database of this kind.
    fn of(&self, engine: &str) -> &Self {
        self.dms.reads(&self.wiring.source, engine, None);
        self
    }

    /// The task gets so many tags of somebody else's.
    fn tag(&self, count: usize) {
        let tags: Vec<_> = (0..count).map(|n| json!({ "Key": format!("k{n}"), "Value": "v" })).collect();
        let tags = json!({ "ResourceArn": self.orders.as_str(), "Tags": tags });
        self.dms.call("AddTagsToResource", &tags).unwrap();
    }

    /// The requests whose marks the task carries.
    fn marks(&self) -> Vec<String> {
        let marks = self.dms.marks(&self.orders).into_iter();
        marks.map(|key| key.trim_start_matches(PAUSE_MARK).trim_start_matches(':').to_owned()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_task_that_changes_is_marked_and_stopped() {
    let scene = Scene::new(TaskStatus::Running);
    scene.stack.changes(vec![modified("Orders", TASK, &scene.orders)]);
    assert_eq!(scene.deploy().await.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.marks(), [REQUEST_ID]);
    assert_eq!(scene.dms.calls("StopReplicationTask"), 1);
}

#[tokio::test(start_paused = true)]
async fn dms_post_is_told_which_tasks_were_paused() {
    let scene = Scene::new(TaskStatus::Running);
    let users = scene.dms.add_task("users", TaskStatus::Stopped);
    scene.stack.has("Users", &users);
    let (_, revision) = scene.deploy().await.unwrap();
    let revision = Revision::read(&revision).unwrap();
    let tells = |task: &Arn| revision.tells(&replication::task::Arn::new(task.as_str()), None);
    assert_eq!((tells(&scene.orders), tells(&users)), (true, false));
    // Delivered once more, it says the same.
    let (paused, again) = scene.deploy().await.unwrap();
    let again = Revision::read(&again).unwrap();
    assert_eq!(paused, 1);
    assert!(again.tells(&replication::task::Arn::new(scene.orders.as_str()), None));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_come_to_rest_and_still_reads_running_stays_at_rest() {
    let pace = Pace { stop: Duration::from_secs(2), ..Pace::default() };
    let scene = Scene::at(pace, TaskStatus::Running);
    scene.dms.operator_stops(&scene.orders);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.deploy().await.unwrap().0, 0);
    assert!(scene.marks().is_empty());
    assert_eq!(scene.dms.calls("StopReplicationTask"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_at_rest_is_left_alone_and_unmarked() {
    for status in [TaskStatus::Ready, TaskStatus::Stopped, TaskStatus::Failed, TaskStatus::FailedMove] {
        let scene = Scene::new(status.clone());
        assert_eq!(scene.deploy().await.unwrap().0, 0, "{status}");
        assert!(scene.marks().is_empty(), "{status}");
        assert_eq!(scene.dms.calls("StopReplicationTask"), 0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_starting_task_is_stopped_once_it_runs() {
    let scene = Scene::new(TaskStatus::Starting);
    assert_eq!(scene.deploy().await.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.marks(), [REQUEST_ID]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_somebody_is_stopping_is_waited_for_and_unmarked() {
    let scene = Scene::new(TaskStatus::Stopping);
    assert_eq!(scene.deploy().await.unwrap().0, 0);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert!(scene.marks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_read_as_running_and_then_is_not_counts_as_paused() {
    let scene = Scene::new(TaskStatus::Running);
    scene.dms.operator_stops(&scene.orders);
    assert_eq!(scene.deploy().await.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.marks(), [REQUEST_ID]);
}

#[tokio::test(start_paused = true)]
async fn an_older_mark_gives_way_where_there_is_no_room_for_two_and_without_room_nothing_is_stopped() {
    let scene = Scene::new(TaskStatus::Running);
    scene.tag(9);
    scene.dms.mark(&scene.orders, "r-0");
    assert_eq!(scene.deploy().await.unwrap().0, 1);
    assert_eq!(scene.marks(), [REQUEST_ID]);

    let full = Scene::new(TaskStatus::Running);
    full.tag(10);
    let error = format!("{:#}", full.deploy().await.unwrap_err());
    assert!(error.contains("orders (Orders): marking it as paused: "), "{error}");
    assert!(error.contains("no more than 10 tags"), "{error}");
    assert_eq!(full.status(), TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn no_lost_call_hides_that_a_task_was_paused() {
    for operation in ["AddTagsToResource", "StopReplicationTask"] {
        for trouble in Trouble::UNSURE.into_iter().chain([Trouble::Throttled]) {
            let scene = Scene::new(TaskStatus::Running);
            let troubles = Troubles::default();
            troubles.plan(operation, 1, trouble);
            let (paused, _) =
                scene.deploy_by(&Aws::behind(&scene.dms, &scene.stack, troubles)).await.unwrap();
            assert_eq!(paused, 1, "{operation} {trouble:?}");
            assert_eq!(scene.status(), TaskStatus::Stopped, "{operation} {trouble:?}");
            assert_eq!(scene.marks(), [REQUEST_ID], "{operation} {trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_nobody_knows_is_waited_out_and_named_at_the_deadline() {
    let scene = Scene::new(TaskStatus::Running);
    scene.dms.stays(&scene.orders, "hibernating");
    let error = format!("{:#}", scene.deploy().await.unwrap_err());
    let late = "1 of 1 failed: orders (Orders): it is hibernating after 885 s of waiting";
    assert!(error.contains(late), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_names_the_task_and_dms_own_words() {
    let scene = Scene::new(TaskStatus::Running);
    scene
        .dms
        .fail_next("StopReplicationTask", Refusal::new("AccessDeniedFault", "no dms:StopReplicationTask"));
    let error = format!("{:#}", scene.deploy().await.unwrap_err());
    let starts = "stopping replication tasks: 1 of 1 failed: orders (Orders): AccessDeniedFault: ";
    assert!(error.starts_with(starts), "{error}");
    assert!(error.contains("no dms:StopReplicationTask"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stack_without_tasks_is_fine() {
    let scene = Scene { stack: Stack::new("CREATE_IN_PROGRESS"), ..Scene::new(TaskStatus::Running) };
    assert_eq!(scene.deploy().await.unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_gone_needs_no_stop() {
    let scene = Scene::new(TaskStatus::Running);
    scene.stack.has("Ghost", &Arn::new("arn:aws:dms:eu-west-1:123456789012:task:GHOST"));
    assert_eq!(scene.deploy().await.unwrap().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_gone_already_and_described_still_keeps_no_other_from_its_stop() {
    let scene = Scene::new(TaskStatus::Running);
    for number in 0..3 {
        let name = format!("users{number}");
        let users = scene.dms.add_task(&name, TaskStatus::Stopped);
        scene.stack.has(&name, &users);
        if number == 1 {
            let delete = json!({ "ReplicationTaskArn": users.as_str() });
            scene.dms.call("DeleteReplicationTask", &delete).unwrap();
        }
    }
    // DMS has no tags of it any more, but lags with its status.
    tokio::time::sleep(Duration::from_secs(22)).await;
    assert_eq!(scene.deploy().await.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_after_its_deployment_stops_nothing() {
    for status in ["UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"] {
        let scene = Scene::new(TaskStatus::Running);
        scene.stack.becomes(status);
        assert_eq!(scene.deploy().await.unwrap().0, 0, "{status}");
        assert_eq!(scene.status(), TaskStatus::Running, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn delete_touches_nothing() {
    let scene = Scene::new(TaskStatus::Running);
    let handler = replication::DmsPre::new(&plays::config(&Aws::new(&scene.dms, &scene.stack)));
    handler.delete(plays::decoded(())).await.unwrap();
    assert_eq!(scene.status(), TaskStatus::Running);
}

//! How many calls dms-pre and dms-post make: no more than their decisions need. The figures are exact, so that one more
//! shows; therefore on a paused clock, where a look at the stack grows old only when the test has it so.

use std::collections::BTreeMap;
use std::time::Duration;

use custom_resource::{Deadline, Resource};
use plays::decoded;
use replication::post::DmsPostProperties;
use replication::pre::DmsPreProperties;
use replication::{DmsPost, DmsPre};
use serde_json::json;
use stage::aws::{Aws, Trouble, Troubles};
use stage::dms::{Arn, Dms, Pace, TaskStatus};
use stage::request::status_change;
use stage::stack::{CHANGE_SET, STACK, Stack, modified};

/// A stack in an update, at a DMS that does everything at once.
struct Scene {
    aws: Aws,
    troubles: Troubles,
    tasks: Vec<Arn>,
}

impl Scene {
    /// With these many tasks, of which the change set changes the first ones.
    fn new(tasks: usize, changed: usize, status: &TaskStatus) -> Self {
        let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::new(Pace::immediate()));
        let name = |number| format!("Task{number}");
        let tasks: Vec<Arn> =
            (0..tasks).map(|number| dms.add_task(&format!("t{number}"), status.clone())).collect();
        for (number, task) in tasks.iter().enumerate() {
            stack.has(&name(number), task);
        }
        let changes = tasks.iter().take(changed).enumerate();
        let changes = changes.map(|(n, task)| modified(&name(n), "AWS::DMS::ReplicationTask", task));
        stack.changes(changes.collect());
        stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_COMPLETE");
        let troubles = Troubles::default();
        Self { aws: Aws::behind(&dms, &stack, troubles.clone()), troubles, tasks }
    }

    fn dms_pre(&self) -> DmsPre {
        DmsPre::new(&plays::config(&self.aws))
    }

    fn dms_post(&self) -> DmsPost {
        DmsPost::new(&plays::config(&self.aws))
    }

    /// The calls that work makes, which is to succeed: each operation with its count, where that isn't one.
    async fn calls_of<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> String {
        let all = || {
            let both = [self.aws.stack.calls(), self.aws.dms.all_calls()];
            both.into_iter().flatten().collect::<BTreeMap<_, _>>()
        };
        let before = all();
        work.await.unwrap();
        let count = |(operation, count): (String, usize)| match count
            - before.get(&operation).copied().unwrap_or_default()
        {
            0 => None,
            1 => Some(operation),
            count => Some(format!("{operation} {count}")),
        };
        all().into_iter().filter_map(count).collect::<Vec<_>>().join(", ")
    }

    /// The calls of an Update of DmsPre.
    async fn calls_of_a_pause(&self) -> String {
        let properties = DmsPreProperties { deployment_id: "7".to_owned() };
        self.calls_of(self.dms_pre().update(decoded(properties))).await
    }

    /// The calls of an Update of DmsPost.
    async fn calls_of_a_run(&self) -> String {
        let properties = DmsPostProperties { after: "r-1-0".to_owned() };
        self.calls_of(self.dms_post().update(decoded(properties))).await
    }

    /// The calls of an event about the stack's status.
    async fn calls_of_healing(&self) -> String {
        let event = status_change(&self.aws.stack.status());
        self.calls_of(self.dms_post().notified(event, deadline())).await
    }
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(885))
}

/// One call of each kind for all tasks.
const LOOKING: &str =
    "DescribeChangeSet, DescribeReplicationTasks, DescribeStacks, ListStackResources, ListTagsForResource";

/// What healing reads of a stack in which all tasks run.
const NOTHING_TO_HEAL: &str =
    "DescribeReplicationTasks, DescribeStacks, ListStackResources, ListTagsForResource";

#[tokio::test(start_paused = true)]
async fn looking_takes_one_call_of_each_kind_for_all_tasks() {
    let scene = Scene::new(20, 0, &TaskStatus::Running);
    assert_eq!(scene.calls_of_a_pause().await, LOOKING);
    assert_eq!(scene.calls_of_a_run().await, LOOKING);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_tasks_are_looked_at_a_hundred_at_a_time() {
    let scene = Scene::new(250, 0, &TaskStatus::Running);
    assert_eq!(
        scene.calls_of_a_run().await,
        "DescribeChangeSet, DescribeReplicationTasks 3, DescribeStacks, ListStackResources 3, ListTagsForResource 3"
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_looks_at_its_own_change_set_and_not_at_the_stacks_status() {
    let scene = Scene::new(20, 5, &TaskStatus::Running);
    let plan = json!({ "plan": { "StackId": STACK, "ChangeSetId": CHANGE_SET } });
    let calls = scene.calls_of(scene.dms_pre().notified(plan, deadline())).await;
    assert_eq!(calls, LOOKING.replace("DescribeStacks, ", ""));
}

#[tokio::test(start_paused = true)]
async fn a_pause_takes_two_calls_a_task_and_a_look_at_them_all_a_second_later() {
    let scene = Scene::new(20, 5, &TaskStatus::Running);
    assert_eq!(
        scene.calls_of_a_pause().await,
        "AddTagsToResource 5, DescribeChangeSet, DescribeReplicationTasks 2, DescribeStacks, ListStackResources, \
         ListTagsForResource, StopReplicationTask 5"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_had_to_wait_follows_another_look_at_the_stack() {
    let scene = Scene::new(2, 2, &TaskStatus::Running);
    let late = &scene.tasks[1];
    scene.aws.dms.stays(late, "starting");
    let comes_up = async {
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        scene.aws.dms.becomes(late, TaskStatus::Running);
    };
    let (calls, ()) = tokio::join!(scene.calls_of_a_pause(), comes_up);
    assert_eq!(
        calls,
        "AddTagsToResource 2, DescribeChangeSet, DescribeReplicationTasks 6, DescribeStacks 2, ListStackResources 2, \
         ListTagsForResource, StopReplicationTask 2"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_lost_is_sent_again_after_one_more_look_and_no_later() {
    let scene = Scene::new(1, 1, &TaskStatus::Running);
    scene.troubles.plan("StopReplicationTask", 1, Trouble::Undone);
    // Of the stops, the one that came.
    assert_eq!(
        scene.calls_of_a_pause().await,
        "AddTagsToResource, DescribeChangeSet, DescribeReplicationTasks 3, DescribeStacks 2, ListStackResources 2, \
         ListTagsForResource, StopReplicationTask"
    );
}

#[tokio::test(start_paused = true)]
async fn a_resumption_takes_two_calls_a_task_and_a_look_at_the_connections() {
    let scene = Scene::new(5, 5, &TaskStatus::Stopped);
    for task in &scene.tasks {
        scene.aws.dms.mark(task, "r-1");
    }
    // The marks come off a second later, and not without another look.
    assert_eq!(
        scene.calls_of_a_run().await,
        "DescribeChangeSet, DescribeConnections, DescribeReplicationTasks 2, DescribeStacks 2, ListStackResources, \
         ListTagsForResource, RemoveTagsFromResource 5, StartReplicationTask 5"
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_start_takes_one_call_a_task_and_a_look_at_the_connections() {
    let scene = Scene::new(5, 0, &TaskStatus::Ready);
    assert_eq!(
        scene.calls_of_a_run().await,
        "DescribeChangeSet, DescribeConnections, DescribeReplicationTasks 2, DescribeStacks, ListStackResources, \
         ListTagsForResource, StartReplicationTask 5"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stack_takes_one_call_a_task_of_dms_post_and_none_of_dms_pre() {
    let scene = Scene::new(5, 0, &TaskStatus::Running);
    scene.aws.stack.becomes("DELETE_IN_PROGRESS");
    assert_eq!(
        scene.calls_of(scene.dms_post().delete(decoded(()))).await,
        "DescribeReplicationTasks 2, DescribeStacks, ListStackResources, ListTagsForResource, StopReplicationTask 5"
    );
    assert_eq!(scene.calls_of(scene.dms_pre().delete(decoded(()))).await, "");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_resource_alone_takes_one_look_at_the_stack() {
    let scene = Scene::new(5, 0, &TaskStatus::Running);
    scene.aws.stack.becomes("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");
    assert_eq!(scene.calls_of(scene.dms_post().delete(decoded(()))).await, "DescribeStacks");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_update_takes_a_look_at_the_stack_and_one_at_its_tasks() {
    let scene = Scene::new(5, 5, &TaskStatus::Running);
    scene.aws.stack.becomes("UPDATE_COMPLETE");
    assert_eq!(scene.calls_of_healing().await, NOTHING_TO_HEAL);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_somebody_stopped_has_healing_read_the_events_and_a_pause_in_them_the_change_set() {
    let scene = Scene::new(5, 5, &TaskStatus::Running);
    let Aws { stack, dms, .. } = &scene.aws;
    dms.operator_stops(&scene.tasks[0]);
    tokio::time::advance(Duration::from_secs(1)).await;
    // An update of which DmsPre was no part, as its DeploymentId was the old one.
    for status in ["UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"] {
        stack.becomes(status);
    }
    let events = NOTHING_TO_HEAL.replace("DescribeStacks", "DescribeStackEvents, DescribeStacks");
    assert_eq!(scene.calls_of_healing().await, events);

    stack.becomes("UPDATE_IN_PROGRESS");
    for status in ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"] {
        stack.resource_is("DmsPre", "Custom::DmsPre", status);
    }
    stack.becomes("UPDATE_COMPLETE");
    assert_eq!(scene.calls_of_healing().await, format!("DescribeChangeSet, {events}"));
    assert_eq!(dms.status(&scene.tasks[0]), Some(TaskStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn where_dms_post_was_never_updated_its_joining_may_be_what_is_over() {
    let scene = Scene::new(5, 5, &TaskStatus::Running);
    let stack = &scene.aws.stack;
    stack.resource_is("DmsPost", "Custom::DmsPost", "CREATE_COMPLETE");
    for status in ["UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"] {
        stack.becomes(status);
    }
    let events = NOTHING_TO_HEAL.replace("DescribeStacks", "DescribeStackEvents, DescribeStacks");
    assert_eq!(scene.calls_of_healing().await, events);
}

#[tokio::test(start_paused = true)]
async fn a_stack_without_tasks_takes_two_calls_and_one_at_work_one() {
    let scene = Scene::new(0, 0, &TaskStatus::Running);
    assert_eq!(scene.calls_of_healing().await, "DescribeStacks");
    scene.aws.stack.becomes("UPDATE_COMPLETE");
    assert_eq!(scene.calls_of_healing().await, "DescribeStacks, ListStackResources");
}

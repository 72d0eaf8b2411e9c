//! Calls that are at work at the same time, or too late.

use std::time::Duration;

use custom_resource::{Request, Resource as _};
use replication::DmsPre;
use replication::change::{Change, Stage};
use replication::pre::DmsPreProperties;
use replication::stack::{Resource, StackStatus};
use replication::task::TaskStatus;
use replication::tasks::Tasks;
use stage::request::{self, REQUEST_ID, UNDER_TEST};
use stage::stack::Stack;
use tokio::time::{Instant, sleep};

use super::Scene;

/// The stack rolls back, after a deployment that paused the task.
async fn rolled_back(status: TaskStatus) -> Scene {
    let scene = Scene::new(status);
    scene.dms.mark(&scene.orders, "r-0").await.unwrap();
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    scene
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_forgotten_dms_post_starts_late_is_paused_again() {
    let scene = rolled_back(TaskStatus::Stopped).await;
    // CloudFormation has given up on it.
    scene.stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_FAILED");
    let forgotten = async {
        sleep(Duration::from_secs(10)).await;
        scene.dms.operator_resumes(&scene.orders);
    };
    let (paused, ()) = tokio::join!(scene.deploy(), forgotten);
    assert_eq!(paused.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.mark().as_deref(), Some(REQUEST_ID));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_somebody_resumes_as_soon_as_it_rests_is_stopped_once_more() {
    let scene = Scene::new(TaskStatus::Running);
    let somebody = async {
        while scene.status() != TaskStatus::Stopped {
            sleep(Duration::from_millis(1)).await;
        }
        scene.dms.operator_resumes(&scene.orders);
    };
    let (paused, ()) = tokio::join!(scene.deploy(), somebody);
    assert_eq!(paused.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.mark().as_deref(), Some(REQUEST_ID));
    assert_eq!(scene.dms.runs(&scene.orders).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_healing_starts_just_now_is_paused_again() {
    let scene = rolled_back(TaskStatus::Stopped).await;
    scene.stack.becomes("UPDATE_IN_PROGRESS");
    let healing = async {
        sleep(Duration::from_secs(1)).await;
        scene.dms.operator_resumes(&scene.orders);
    };
    let (paused, ()) = tokio::join!(scene.deploy(), healing);
    assert_eq!(paused.unwrap().0, 1);
    assert_eq!(scene.mark().as_deref(), Some(REQUEST_ID));
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_rollback_does_not_wait_for_what_rests() {
    let scene = rolled_back(TaskStatus::Stopped).await;
    scene.stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_COMPLETE");
    let began = Instant::now();
    assert_eq!(scene.deploy().await.unwrap().0, 0);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(scene.mark().as_deref(), Some("r-0"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_twice_does_not_wait_for_what_it_has_paused() {
    let scene = Scene::new(TaskStatus::Running);
    scene.deploy().await.unwrap();
    let began = Instant::now();
    assert_eq!(scene.deploy().await.unwrap().0, 0);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waits_for_any_more_stops_nothing() {
    let scene = Scene::new(TaskStatus::Starting);
    let answered = async {
        sleep(Duration::from_secs(2)).await;
        scene.stack.resource_is(UNDER_TEST, "Custom::DmsPre", "UPDATE_COMPLETE");
    };
    let (paused, ()) = tokio::join!(scene.deploy(), answered);
    let error = format!("{:#}", paused.unwrap_err());
    assert!(error.contains("CloudFormation does not wait for this request any more"), "{error}");
    assert_eq!(scene.status(), TaskStatus::Running);
    assert_eq!(scene.mark(), None);

    // The same request once more, while DmsPost brings to run what the first one has paused.
    let late = Scene::new(TaskStatus::Running);
    late.stack.resource_is(UNDER_TEST, "Custom::DmsPre", "UPDATE_COMPLETE");
    late.stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_IN_PROGRESS");
    late.deploy().await.unwrap_err();
    assert_eq!(late.status(), TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_twice_and_waits_until_dms_post_works_or_all_is_over_stops_nothing() {
    let moves: [fn(&Stack); 2] = [
        |stack| stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_IN_PROGRESS"),
        |stack| stack.becomes("UPDATE_COMPLETE"),
    ];
    for moves_on in moves {
        let scene = Scene::new(TaskStatus::Starting);
        // The first one has been answered.
        scene.stack.resource_is(UNDER_TEST, "Custom::DmsPre", "UPDATE_COMPLETE");
        let later = async {
            sleep(Duration::from_secs(2)).await;
            moves_on(&scene.stack);
        };
        let (paused, ()) = tokio::join!(scene.deploy(), later);
        paused.unwrap_err();
        assert_eq!(scene.status(), TaskStatus::Running);
        assert_eq!(scene.mark(), None);
    }
}

/// A stack that takes a while to say what its status was when it was asked.
#[derive(Clone)]
struct Slow(Stack, Duration);

impl replication::Stack for Slow {
    async fn status(&self, stack: &str) -> anyhow::Result<(StackStatus, Option<String>)> {
        let status = self.0.status(stack).await;
        sleep(self.1).await;
        status
    }

    async fn change(&self, change_set: &str, stage: Stage) -> anyhow::Result<Change> {
        self.0.change(change_set, stage).await
    }

    async fn resources(&self, stack: &str) -> anyhow::Result<Vec<Resource>> {
        self.0.resources(stack).await
    }
}

impl Scene {
    /// A call of DmsPre, for which the stack is so slow.
    async fn call(&self, request_id: &str, slow_ms: u64) -> anyhow::Result<()> {
        let stack = Slow(self.stack.clone(), Duration::from_millis(slow_ms));
        let properties = DmsPreProperties { deployment_id: "7".to_owned() };
        let request = Request { request_id: request_id.to_owned(), ..request::decoded(properties) };
        let handler = DmsPre::new(stack, self.dms.clone());
        handler.update(request).await.map(drop)
    }

    /// The rollback calls DmsPre after so many seconds, and the process dies once it has stopped the task.
    async fn rollback(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
        self.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
        tokio::select! {
            done = self.call("r-rollback", 0) => panic!("{done:?}"),
            () = self.is_stopped() => {}
        }
    }

    async fn is_stopped(&self) {
        while self.status() == TaskStatus::Running {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_call_of_a_cancelled_update_leaves_the_rollbacks_mark_on() {
    // It reads the stack at 0 s, marks at 10 s, looks at the stack until 20 s, and then is refused the stop. The rollback
    // begins before the mark, or between that look and the stop.
    for (begins, mark, stops) in [(5, "r-update", 1), (12, "r-rollback", 2)] {
        let scene = Scene::new(TaskStatus::Running);
        let (update, ()) = tokio::join!(scene.call("r-update", 10_000), scene.rollback(begins));
        update.unwrap_err();
        assert_eq!(scene.status(), TaskStatus::Stopped);
        assert_eq!(scene.mark().as_deref(), Some(mark));
        assert_eq!(scene.dms.calls("StopReplicationTask"), stops);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_calls_in_a_rollback_one_stops_a_task_and_its_mark_stays_on() {
    let scene = rolled_back(TaskStatus::Running).await;
    scene.dms.unmark(&scene.orders).await.unwrap();
    // Both have read that it has no mark when the first one puts its own on.
    let first = async {
        tokio::select! {
            done = scene.call("r-first", 1000) => panic!("{done:?}"),
            () = scene.is_stopped() => {}
        }
    };
    let ((), last) = tokio::join!(first, scene.call("r-last", 1500));
    last.unwrap();
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.mark().as_deref(), Some("r-last"));
    assert_eq!(scene.dms.calls("StopReplicationTask"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_other_call_dies_before_it_stops_it_is_stopped_all_the_same() {
    let scene = rolled_back(TaskStatus::Running).await;
    scene.dms.unmark(&scene.orders).await.unwrap();
    let marks_and_dies = async {
        sleep(Duration::from_secs(1)).await;
        scene.dms.mark(&scene.orders, "r-dead").await.unwrap();
    };
    let (paused, ()) = tokio::join!(scene.deploy(), marks_and_dies);
    assert_eq!(paused.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.mark().as_deref(), Some(REQUEST_ID));
}

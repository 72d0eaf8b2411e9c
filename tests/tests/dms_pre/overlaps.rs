//! Calls that are at work at the same time, or too late.

use std::time::Duration;

use custom_resource::{Request, Resource as _};
use futures::future::BoxFuture;
use replication::DmsPre;
use replication::pre::DmsPreProperties;
use stage::aws::{Answer, Aws, Call, Deliver, Way};
use stage::dms::TaskStatus;
use stage::request::{REQUEST_ID, UNDER_TEST};
use stage::stack::Stack;
use tokio::time::{Instant, sleep};

use super::Scene;

/// The stack rolls back, after a deployment that paused the task.
fn rolled_back(status: TaskStatus) -> Scene {
    let scene = Scene::new(status);
    scene.dms.mark(&scene.orders, "r-0");
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    scene
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_forgotten_dms_post_starts_late_is_paused_again() {
    let scene = rolled_back(TaskStatus::Stopped);
    // CloudFormation has given up on it.
    scene.stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_FAILED");
    let forgotten = async {
        sleep(Duration::from_secs(10)).await;
        scene.dms.operator_resumes(&scene.orders);
    };
    let (paused, ()) = tokio::join!(scene.deploy(), forgotten);
    assert_eq!(paused.unwrap().0, 1);
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert_eq!(scene.marks(), [REQUEST_ID, "r-0"]);
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
    assert_eq!(scene.marks(), [REQUEST_ID]);
    assert_eq!(scene.dms.runs(&scene.orders).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_healing_starts_just_now_is_paused_again() {
    let scene = rolled_back(TaskStatus::Stopped);
    scene.stack.becomes("UPDATE_IN_PROGRESS");
    let healing = async {
        sleep(Duration::from_secs(1)).await;
        scene.dms.operator_resumes(&scene.orders);
    };
    let (paused, ()) = tokio::join!(scene.deploy(), healing);
    assert_eq!(paused.unwrap().0, 1);
    assert_eq!(scene.marks(), [REQUEST_ID, "r-0"]);
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_rollback_does_not_wait_for_what_rests() {
    let scene = rolled_back(TaskStatus::Stopped);
    scene.stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_COMPLETE");
    let began = Instant::now();
    assert_eq!(scene.deploy().await.unwrap().0, 1);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(scene.marks(), ["r-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_twice_does_not_wait_for_what_it_has_paused() {
    let scene = Scene::new(TaskStatus::Running);
    scene.deploy().await.unwrap();
    let began = Instant::now();
    assert_eq!(scene.deploy().await.unwrap().0, 1);
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
    assert!(scene.marks().is_empty());

    // The same request once more, while DmsPost brings to run what the first one has paused.
    let late = Scene::new(TaskStatus::Running);
    late.stack.resource_is(UNDER_TEST, "Custom::DmsPre", "UPDATE_COMPLETE");
    late.stack.resource_is("DmsPost", "Custom::DmsPost", "UPDATE_IN_PROGRESS");
    late.deploy().await.unwrap_err();
    assert_eq!(late.status(), TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_until_all_is_over_stops_nothing() {
    let moves: [fn(&Stack); 2] =
        [|stack| stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS"), |stack| stack.becomes("UPDATE_COMPLETE")];
    for moves_on in moves {
        let scene = Scene::new(TaskStatus::Starting);
        let later = async {
            sleep(Duration::from_secs(2)).await;
            moves_on(&scene.stack);
        };
        let (paused, ()) = tokio::join!(scene.deploy(), later);
        paused.unwrap_err();
        assert_eq!(scene.status(), TaskStatus::Running);
        assert!(scene.marks().is_empty());
    }
}

/// A way on which a look at the stack's status takes a while.
#[derive(Debug)]
struct Slow(Duration);

impl Way for Slow {
    fn lead(&self, call: Call, deliver: Deliver) -> BoxFuture<'static, Option<Answer>> {
        let slow = self.0;
        Box::pin(async move {
            let answer = deliver();
            if call.operation == "DescribeStacks" {
                sleep(slow).await;
            }
            Some(answer)
        })
    }
}

impl Scene {
    /// A call of DmsPre, for which the stack is so slow.
    async fn call(&self, request_id: &str, slow_s: u64) -> anyhow::Result<()> {
        let aws = Aws::behind(&self.dms, &self.stack, Slow(Duration::from_secs(slow_s)));
        let properties = DmsPreProperties { deployment_id: "7".to_owned() };
        let request = Request { request_id: request_id.to_owned(), ..plays::decoded(properties) };
        DmsPre::new(&plays::config(&aws)).update(request).await.map(drop)
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
    // It reads the stack at 0 s, again from 4 s to 8 s, then marks, and reads it from 8 s on before the stop. The rollback
    // begins before the one look or before the other.
    for (begins, marks) in [(2, vec!["r-rollback"]), (5, vec!["r-rollback", "r-update"])] {
        let scene = Scene::new(TaskStatus::Running);
        let (update, ()) = tokio::join!(scene.call("r-update", 4), scene.rollback(begins));
        update.unwrap_err();
        assert_ne!(scene.status(), TaskStatus::Running);
        assert_eq!(scene.marks(), marks);
        assert_eq!(scene.dms.calls("StopReplicationTask"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_two_calls_mark_is_stopped_and_keeps_a_mark_whoever_dies() {
    let scene = rolled_back(TaskStatus::Running);
    scene.dms.unmark(&scene.orders);
    let first = async {
        tokio::select! {
            done = scene.call("r-first", 1) => panic!("{done:?}"),
            () = scene.is_stopped() => {}
        }
    };
    let ((), last) = tokio::join!(first, scene.call("r-last", 2));
    last.unwrap();
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert!(scene.marks().contains(&"r-first".to_owned()));
}

//! Calls that are at work at the same time, or too late.

use std::time::Duration;

use replication::task::TaskStatus;
use replication::tasks::Tasks;
use stage::request::{REQUEST_ID, UNDER_TEST};
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
    scene
        .stack
        .resource_is("DmsPost", "Custom::DmsPost", "UPDATE_FAILED");
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
    scene
        .stack
        .resource_is("DmsPost", "Custom::DmsPost", "UPDATE_COMPLETE");
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
        scene
            .stack
            .resource_is(UNDER_TEST, "Custom::DmsPre", "UPDATE_COMPLETE");
    };
    let (paused, ()) = tokio::join!(scene.deploy(), answered);
    let error = format!("{:#}", paused.unwrap_err());
    assert!(
        error.contains("CloudFormation does not wait for this request any more"),
        "{error}"
    );
    assert_eq!(scene.status(), TaskStatus::Running);
    assert_eq!(scene.mark(), None);

    // The same request once more, while DmsPost brings to run what the first one has paused.
    let late = Scene::new(TaskStatus::Running);
    late.stack
        .resource_is(UNDER_TEST, "Custom::DmsPre", "UPDATE_COMPLETE");
    late.stack
        .resource_is("DmsPost", "Custom::DmsPost", "UPDATE_IN_PROGRESS");
    late.deploy().await.unwrap_err();
    assert_eq!(late.status(), TaskStatus::Running);
}

//! What happens when a deployment has ended without dms-post.

use std::time::Duration;

use custom_resource::{Deadline, Resource};
use replication::task::TaskStatus;
use serde_json::json;
use stage::stack::modified;

use super::{Scene, TASK};

#[tokio::test(start_paused = true)]
async fn what_is_paused_after_a_deployment_is_healed() {
    for status in ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED", "UPDATE_COMPLETE"] {
        let scene = Scene::paused(TaskStatus::Stopped).await;
        scene.notice(status).await.unwrap();
        assert_eq!(scene.status(), TaskStatus::Running, "{status}");
        assert!(!scene.is_marked());
    }
}

#[tokio::test(start_paused = true)]
async fn healing_leaves_alone_what_nobody_paused() {
    for status in [TaskStatus::Stopped, TaskStatus::Failed, TaskStatus::Ready] {
        let scene = Scene::new(status.clone());
        scene.notice("UPDATE_ROLLBACK_COMPLETE").await.unwrap();
        assert_eq!(scene.status(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn healing_gives_way_to_a_new_deployment() {
    let scene = Scene::paused(TaskStatus::Stopped).await;
    scene.notice("UPDATE_IN_PROGRESS").await.unwrap();
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert!(scene.is_marked());
}

#[tokio::test(start_paused = true)]
async fn healing_that_fails_is_an_error_for_lambda_to_retry() {
    let scene = Scene::paused(TaskStatus::Stopped).await;
    scene.dms.fail_next_run(&scene.orders, "not yet");
    assert!(scene.notice("UPDATE_ROLLBACK_COMPLETE").await.is_err());
    assert!(scene.is_marked());
    scene.notice("UPDATE_ROLLBACK_COMPLETE").await.unwrap();
    assert_eq!(scene.status(), TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_kind_is_an_error() {
    let scene = Scene::new(TaskStatus::Running);
    let deadline = Deadline::after(Duration::from_secs(60));
    assert!(scene.handler().notified(json!({ "hello": "world" }), deadline).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn healing_that_waits_gives_way_to_a_deployment_that_begins_meanwhile() {
    let scene = Scene::paused(TaskStatus::Stopping).await;
    let deployment = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.stack.becomes("UPDATE_IN_PROGRESS");
    };
    let (healed, ()) = tokio::join!(scene.notice("UPDATE_ROLLBACK_COMPLETE"), deployment);
    // Lambda's next try finds nothing to do.
    assert!(healed.is_err());
    assert!(scene.is_marked());
    assert_eq!(scene.dms.calls("StartReplicationTask"), 0);
}

#[tokio::test(start_paused = true)]
async fn healing_that_outlives_a_whole_deployment_starts_nothing_that_it_may_have_replaced() {
    let scene = Scene::paused(TaskStatus::Stopping).await;
    let deployment = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.stack.changes(vec![modified("Orders", TASK, &scene.orders)]);
    };
    let (healed, ()) = tokio::join!(scene.notice("UPDATE_FAILED"), deployment);
    assert!(healed.is_err());
    assert_eq!(scene.dms.calls("StartReplicationTask"), 0);
    // That deployment's end is an event, too.
    scene.notice("UPDATE_FAILED").await.unwrap();
    assert_eq!(scene.status(), TaskStatus::Running);
}

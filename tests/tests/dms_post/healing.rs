//! What happens when a deployment has ended without dms-post.

use std::time::Duration;

use custom_resource::{Deadline, Resource};
use serde_json::json;
use stage::dms::TaskStatus;
use stage::stack::modified;
use tokio::time::sleep;

use super::{Scene, TASK};

#[tokio::test(start_paused = true)]
async fn what_is_paused_after_a_deployment_is_healed() {
    for status in ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED", "UPDATE_COMPLETE"] {
        let scene = Scene::paused(TaskStatus::Stopped);
        scene.notice(status).await.unwrap();
        assert_eq!(scene.status(), TaskStatus::Running, "{status}");
        // That rollback is going to be continued.
        assert_eq!(scene.is_marked(), status == "UPDATE_ROLLBACK_FAILED");
    }
}

/// A stack after an update of 60 s, and its rollback of 30 s if it ends so. DmsPre works for the first 30 s and ends as
/// `pre`; then DmsPost is `post`. The task stops some seconds after the beginning, unmarked.
async fn dated(end: &str, pre: &str, post: &str, stops_after_s: u64) -> Scene {
    let scene = Scene::new(TaskStatus::Running);
    sleep(Duration::from_secs(60)).await;
    scene.stack.becomes("UPDATE_IN_PROGRESS");
    scene.stack.resource_is("DmsPre", "Custom::DmsPre", "UPDATE_IN_PROGRESS");
    let stops = async {
        sleep(Duration::from_secs(stops_after_s)).await;
        scene.dms.operator_stops(&scene.orders);
    };
    let goes = async {
        sleep(Duration::from_secs(30)).await;
        scene.stack.resource_is("DmsPre", "Custom::DmsPre", pre);
        scene.stack.resource_is("DmsPost", "Custom::DmsPost", post);
        sleep(Duration::from_secs(30)).await;
        if end.starts_with("UPDATE_ROLLBACK") {
            scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
            sleep(Duration::from_secs(30)).await;
        }
    };
    tokio::join!(stops, goes);
    scene.notice(end).await.unwrap();
    scene
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_mark_that_stopped_while_dms_pre_worked_is_healed_by_dmss_dates() {
    for end in ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED", "UPDATE_COMPLETE"] {
        let scene = dated(end, "UPDATE_COMPLETE", "UPDATE_COMPLETE", 10).await;
        assert_eq!(scene.status(), TaskStatus::Running, "{end}");
        assert!(!scene.is_marked(), "{end}");
    }
    // DmsPre has come to no end: it may have stopped tasks until the stack went on.
    let scene = dated("UPDATE_FAILED", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", 40).await;
    assert_eq!(scene.status(), TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn what_stopped_before_the_update_or_after_dms_pre_stays_stopped() {
    let scene = dated("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE", 40).await;
    assert_eq!(scene.status(), TaskStatus::Stopped);
    let scene = Scene::new(TaskStatus::Running);
    scene.dms.operator_stops(&scene.orders);
    sleep(Duration::from_secs(60)).await;
    scene.stack.becomes("UPDATE_IN_PROGRESS");
    scene.stack.resource_is("DmsPre", "Custom::DmsPre", "UPDATE_COMPLETE");
    scene.notice("UPDATE_FAILED").await.unwrap();
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn what_stopped_in_the_operation_that_brought_dms_post_is_healed_whenever_it_stopped() {
    for end in ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"] {
        let scene = dated(end, "CREATE_COMPLETE", "CREATE_COMPLETE", 40).await;
        assert_eq!(scene.status(), TaskStatus::Running, "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_change_set_an_operation_is_healed_by_marks_alone() {
    let scene = Scene::new(TaskStatus::Running);
    scene.stack.changes_unseen();
    scene.stack.becomes("UPDATE_IN_PROGRESS");
    scene.dms.operator_stops(&scene.orders);
    sleep(Duration::from_secs(20)).await;
    scene.stack.resource_is("DmsPre", "Custom::DmsPre", "UPDATE_COMPLETE");
    scene.notice("UPDATE_FAILED").await.unwrap();
    assert_eq!(scene.status(), TaskStatus::Stopped);
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
    let scene = Scene::paused(TaskStatus::Stopped);
    scene.notice("UPDATE_IN_PROGRESS").await.unwrap();
    assert_eq!(scene.status(), TaskStatus::Stopped);
    assert!(scene.is_marked());
}

#[tokio::test(start_paused = true)]
async fn healing_that_fails_is_an_error_for_lambda_to_retry() {
    let scene = Scene::paused(TaskStatus::Stopped);
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
    let scene = Scene::paused(TaskStatus::Stopping);
    let deployment = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.stack.becomes("UPDATE_IN_PROGRESS");
    };
    let (healed, ()) = tokio::join!(scene.notice("UPDATE_ROLLBACK_COMPLETE"), deployment);
    // That one's end is an event, too.
    healed.unwrap();
    assert!(scene.is_marked());
    assert_eq!(scene.dms.calls("StartReplicationTask"), 0);
}

#[tokio::test(start_paused = true)]
async fn healing_that_outlives_a_whole_deployment_starts_nothing_that_it_may_have_replaced() {
    let scene = Scene::paused(TaskStatus::Stopping);
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

//! The Delete of dms-post.

use custom_resource::Resource;
use serde_json::json;
use stage::dms::TaskStatus;

use super::Scene;

#[tokio::test(start_paused = true)]
async fn delete_stops_everything_when_the_stack_goes() {
    for status in ["DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"] {
        let scene = Scene::new(TaskStatus::Running);
        scene.stack.becomes(status);
        scene.handler().delete(plays::decoded(())).await.unwrap();
        assert_eq!(scene.status(), TaskStatus::Stopped, "{status}");
        assert!(!scene.is_marked());
    }
}

#[tokio::test(start_paused = true)]
async fn delete_does_nothing_when_only_the_resource_goes() {
    for status in ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_IN_PROGRESS"]
    {
        let scene = Scene::new(TaskStatus::Running);
        scene.stack.becomes(status);
        scene.handler().delete(plays::decoded(())).await.unwrap();
        assert_eq!(scene.status(), TaskStatus::Running, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_cancelled_while_it_waits_starts_nothing_any_more() {
    let scene = Scene::new(TaskStatus::Modifying);
    scene.stack.becomes("CREATE_IN_PROGRESS");
    // Another resource fails while the task isn't ready yet.
    let cancelled = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        scene.stack.becomes("ROLLBACK_IN_PROGRESS");
        scene.handler().delete(plays::decoded(())).await.unwrap();
    };
    let (created, ()) = tokio::join!(scene.deploy(), cancelled);
    let reason = format!("{:#}", created.unwrap_err());
    assert!(reason.contains("the stack is ROLLBACK_IN_PROGRESS by now"), "{reason}");
    assert_eq!(scene.status(), TaskStatus::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_cancelled_create_starts_late_is_stopped_when_the_stack_goes() {
    let scene = Scene::new(TaskStatus::Ready);
    scene.stack.becomes("ROLLBACK_IN_PROGRESS");
    let cancelled = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let start = json!({
            "ReplicationTaskArn": scene.orders.as_str(), "StartReplicationTaskType": "start-replication",
        });
        scene.dms.call("StartReplicationTask", &start).unwrap();
    };
    let handler = scene.handler();
    let (deleted, ()) = tokio::join!(handler.delete(plays::decoded(())), cancelled);
    deleted.unwrap();
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

//! The Delete of dms-post.

use custom_resource::Resource;
use replication::task::TaskStatus;
use stage::request;

use super::Scene;

#[tokio::test(start_paused = true)]
async fn delete_stops_everything_when_the_stack_goes() {
    for status in ["DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"] {
        let scene = Scene::new(TaskStatus::Running);
        scene.stack.becomes(status);
        scene.handler().delete(request::decoded(())).await.unwrap();
        assert_eq!(scene.status(), TaskStatus::Stopped, "{status}");
        assert!(!scene.is_marked());
    }
}

#[tokio::test(start_paused = true)]
async fn delete_does_nothing_when_only_the_resource_goes() {
    for status in [
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_IN_PROGRESS",
    ] {
        let scene = Scene::new(TaskStatus::Running);
        scene.stack.becomes(status);
        scene.handler().delete(request::decoded(())).await.unwrap();
        assert_eq!(scene.status(), TaskStatus::Running, "{status}");
    }
}

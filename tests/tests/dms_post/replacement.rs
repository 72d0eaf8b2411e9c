//! Tasks that a deployment replaces.

use std::time::Duration;

use serde_json::json;
use stage::dms::{Arn, TaskStatus};
use stage::stack::{Detail, ResourceChange, modified};

use super::{Scene, TASK};

/// A task that this deployment replaced: the old one is stopped and still there.
fn replaced(old_status: TaskStatus) -> (Scene, Arn) {
    let scene = Scene::new(old_status);
    let new = scene.dms.add_task("orders-2", TaskStatus::Ready);
    let change = modified("Orders", TASK, &scene.orders);
    scene.stack.changes(vec![ResourceChange { replacement: Some("True".to_owned()), ..change }]);
    scene.stack.replaces("Orders", &new);
    (scene, new)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_replaces_another_begins_at_its_checkpoint() {
    let (scene, new) = replaced(TaskStatus::Stopped);
    let checkpoint = scene.dms.checkpoint(&scene.orders);
    assert_eq!(scene.deploy().await.unwrap(), [1, 1, 0]);
    assert_eq!(scene.dms.runs(&new)[0].given, checkpoint);
    assert_eq!(scene.status(), TaskStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_replaces_another_begins_at_a_position_of_its_own_only_if_this_deployment_gives_it_one() {
    const OWN: &str = "mysql-bin-changelog.000024:373";
    for (property, is_fresh) in [("CdcStartPosition", true), ("ReplicationInstanceArn", false)] {
        for is_told in [true, false] {
            let (scene, new) = replaced(TaskStatus::Stopped);
            let position = json!({ "ReplicationTaskArn": new.as_str(), "CdcStartPosition": OWN });
            scene.dms.call("ModifyReplicationTask", &position).unwrap();
            let change = modified("Orders", TASK, &scene.orders);
            scene.stack.changes(vec![ResourceChange {
                replacement: Some("True".to_owned()),
                details: vec![Detail::edited("Properties", Some(property))],
                after: is_told.then(|| json!({ "MigrationType": "cdc", "CdcStartPosition": OWN })),
                ..change
            }]);
            let checkpoint = scene.dms.checkpoint(&scene.orders);
            assert_eq!(scene.deploy().await.unwrap(), [1, 1, 0]);
            let given = if is_fresh { Some(OWN.to_owned()) } else { checkpoint };
            assert_eq!(scene.dms.runs(&new)[0].given, given, "{property}, told: {is_told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_carried_to_no_slot_that_was_made_after_it() {
    for slot in [None, Some("sluice")] {
        let (scene, new) = replaced(TaskStatus::Stopped);
        let source = Arn::new(scene.dms.member(&new, "SourceEndpointArn"));
        scene.dms.reads(&source, "postgres", slot);
        if slot.is_none() {
            let reason = scene.reason().await;
            assert!(reason.contains("name it in the endpoint in the same deployment"), "{reason}");
            assert!(scene.dms.runs(&new).is_empty());
        } else {
            let checkpoint = scene.dms.checkpoint(&scene.orders);
            assert_eq!(scene.deploy().await.unwrap(), [1, 1, 0]);
            assert_eq!(scene.dms.runs(&new)[0].from, checkpoint);
        }
        assert_eq!(scene.dms.violations(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_replaces_one_that_never_ran_just_starts() {
    let (scene, new) = replaced(TaskStatus::Ready);
    assert_eq!(scene.deploy().await.unwrap(), [1, 1, 0]);
    assert_eq!(scene.dms.runs(&new)[0].given, None);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_can_not_be_had_is_a_failure_and_no_quiet_start_from_now() {
    let (scene, new) = replaced(TaskStatus::Stopped);
    let delete = json!({ "ReplicationTaskArn": scene.orders.as_str() });
    scene.dms.call("DeleteReplicationTask", &delete).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reason = scene.reason().await;
    assert!(reason.contains("would lose what came between"), "{reason}");
    assert!(scene.dms.runs(&new).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_is_not_started_while_the_one_that_it_replaces_is_at_work_again() {
    let (scene, new) = replaced(TaskStatus::Running);
    let reason = scene.reason().await;
    assert!(reason.contains("two would write to the same stream"), "{reason}");
    assert!(scene.dms.runs(&new).is_empty());

    // DMS still shows the old task as stopped, with a checkpoint that is a thing of the past.
    let (scene, new) = replaced(TaskStatus::Stopped);
    scene.dms.operator_resumes(&scene.orders);
    let reason = scene.reason().await;
    assert!(reason.contains("two would write to the same stream"), "{reason}");
    assert!(scene.dms.runs(&new).is_empty());
}

#[tokio::test(start_paused = true)]
async fn that_the_old_task_was_at_rest_is_not_believed_later_than_when_it_was_read() {
    let (scene, new) = replaced(TaskStatus::Stopped);
    scene.dms.stays(&new, "creating");
    scene.dms.operator_resumes(&scene.orders);
    let comes_up = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        scene.dms.becomes(&new, TaskStatus::Ready);
    };
    let (reason, ()) = tokio::join!(scene.reason(), comes_up);
    assert!(reason.contains("two would write to the same stream"), "{reason}");
    assert!(scene.dms.runs(&new).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_change_set_a_fresh_task_may_replace_another_and_does_not_start_from_now() {
    let (scene, new) = replaced(TaskStatus::Stopped);
    scene.stack.execution_is("EXECUTE_COMPLETE");
    let reason = scene.reason().await;
    assert!(reason.contains("deploy it through a change set"), "{reason}");
    assert!(scene.dms.runs(&new).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_change_set_an_added_task_starts() {
    let scene = Scene::new(TaskStatus::Ready);
    scene.stack.execution_is("EXECUTE_COMPLETE");
    assert_eq!(scene.deploy().await.unwrap(), [1, 1, 0]);
}

//! Tasks, on a paused clock.

use serde_json::json;
use stage::dms::{Dms, Pace, StartType, TaskStatus};
use tokio::time::advance;

use super::client::{
    FIRST, INVALID_STATE, RESUME, WRONG_START, modify, refused, seen, start, start_at, stop, tasks,
};

#[tokio::test(start_paused = true)]
async fn a_status_is_seen_only_some_time_after_it_came_true() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Running);
    stop(&dms, &task).unwrap();
    assert_eq!(dms.status(&task), Some(TaskStatus::Stopping));
    assert_eq!(seen(&dms, &task).status, TaskStatus::Running);
    advance(pace.stop).await;
    assert_eq!(dms.status(&task), Some(TaskStatus::Stopped));
    assert_eq!(seen(&dms, &task).status, TaskStatus::Stopping);
    advance(pace.lag).await;
    assert_eq!(seen(&dms, &task).status, TaskStatus::Stopped);
    start(&dms, &task, RESUME).unwrap();
    assert_eq!(seen(&dms, &task).status, TaskStatus::Stopped);
    advance(pace.start + pace.lag).await;
    assert_eq!(seen(&dms, &task).status, TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn refusals_go_by_the_truth_and_not_by_what_is_seen() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Running);
    stop(&dms, &task).unwrap();
    advance(pace.stop).await;
    let why = refused(stop(&dms, &task), INVALID_STATE);
    assert!(why.ends_with("is currently not running"), "{why}");
    assert_ne!(seen(&dms, &task).status, TaskStatus::Stopped);
    start(&dms, &task, RESUME).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_starting_can_not_be_stopped() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Starting);
    refused(stop(&dms, &task), INVALID_STATE);
    advance(Pace::default().start).await;
    stop(&dms, &task).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_first_start_is_for_tasks_that_never_ran_and_a_resume_for_the_others() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Ready);
    refused(start(&dms, &task, RESUME), WRONG_START);
    dms.fail_next_run(&task, "no route to host");
    start(&dms, &task, FIRST).unwrap();
    advance(pace.start + pace.lag).await;
    let failed = seen(&dms, &task);
    assert_eq!(failed.status, TaskStatus::Failed);
    assert_eq!(failed.stop_reason.as_deref(), Some("Stop Reason FATAL_ERROR"));
    assert_eq!(failed.last_failure.as_deref(), Some("no route to host"));
    let only_once = "Start Type : START_REPLICATION, valid only for tasks running for the first time";
    assert_eq!(refused(start(&dms, &task, FIRST), WRONG_START), only_once);
    start(&dms, &task, RESUME).unwrap();
    advance(pace.start).await;
    assert_eq!(dms.status(&task), Some(TaskStatus::Running));
}

#[tokio::test(start_paused = true)]
async fn a_resume_goes_on_at_the_checkpoint_that_the_last_run_left() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Running);
    assert_eq!(seen(&dms, &task).checkpoint, None);
    stop(&dms, &task).unwrap();
    advance(pace.stop + pace.lag).await;
    let checkpoint = seen(&dms, &task).checkpoint.unwrap();
    assert!(checkpoint.starts_with("checkpoint:V1#"), "{checkpoint}");
    start(&dms, &task, RESUME).unwrap();
    advance(pace.start).await;
    let runs = dms.runs(&task);
    assert_eq!(runs.last().unwrap().start_type, StartType::Resume);
    assert_eq!(runs.last().unwrap().from.as_ref(), Some(&checkpoint));
    stop(&dms, &task).unwrap();
    advance(pace.stop + pace.lag).await;
    assert_ne!(seen(&dms, &task).checkpoint.unwrap(), checkpoint);
}

#[tokio::test(start_paused = true)]
async fn another_task_can_start_at_a_checkpoint_which_is_lost_with_its_own() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let old = dms.add_task("orders", TaskStatus::Stopped);
    let new = dms.add_task("orders-2", TaskStatus::Ready);
    let checkpoint = seen(&dms, &old).checkpoint.unwrap();
    start_at(&dms, &new, &checkpoint).unwrap();
    assert_eq!(dms.runs(&new)[0].given.as_ref(), Some(&checkpoint));
    assert_eq!(dms.runs(&new)[0].from.as_ref(), Some(&checkpoint));
    dms.call("DeleteReplicationTask", &json!({ "ReplicationTaskArn": old.as_str() })).unwrap();
    assert_eq!(dms.checkpoint(&old), None);
    advance(pace.delete + pace.lag).await;
    refused(tasks(&dms, &[old]), "ResourceNotFoundFault");
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_is_still_there_after_a_modification() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Stopped);
    let checkpoint = dms.checkpoint(&task);
    modify(&dms, &task).unwrap();
    assert_eq!(dms.status(&task), Some(TaskStatus::Modifying));
    refused(start(&dms, &task, RESUME), INVALID_STATE);
    advance(pace.modify).await;
    assert_eq!(dms.status(&task), Some(TaskStatus::Stopped));
    assert_eq!(dms.checkpoint(&task), checkpoint);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_ran_is_ready_again_after_a_modification() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Ready);
    let input = json!({ "ReplicationTaskArn": task.as_str(), "CdcStartPosition": "mysql-bin.000007:154" });
    dms.call("ModifyReplicationTask", &input).unwrap();
    advance(Pace::default().modify).await;
    assert_eq!(dms.status(&task), Some(TaskStatus::Ready));
    start(&dms, &task, FIRST).unwrap();
    assert_eq!(dms.runs(&task)[0].from.as_deref(), Some("mysql-bin.000007:154"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_works_is_neither_modified_nor_deleted_nor_started() {
    for status in [TaskStatus::Starting, TaskStatus::Running, TaskStatus::Stopping] {
        let dms = Dms::default();
        let task = dms.add_task("orders", status);
        let input = json!({ "ReplicationTaskArn": task.as_str() });
        for operation in ["ModifyReplicationTask", "DeleteReplicationTask"] {
            refused(dms.call(operation, &input), INVALID_STATE);
        }
        refused(start(&dms, &task, RESUME), INVALID_STATE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_load_ends_by_itself() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let wiring = dms.add_wiring("load");
    let task = dms.add_wired_task("load", TaskStatus::Ready, "full-load", &wiring);
    start(&dms, &task, FIRST).unwrap();
    advance(pace.start + pace.load + pace.lag).await;
    let ended = seen(&dms, &task);
    assert_eq!(ended.status, TaskStatus::Stopped);
    assert_eq!(ended.stop_reason.as_deref(), Some("Stop Reason FULL_LOAD_ONLY_FINISHED"));
    assert_eq!(ended.checkpoint, None);
}

#[tokio::test(start_paused = true)]
async fn a_full_load_can_be_loaded_again_which_is_a_violation() {
    let dms = Dms::default();
    let wiring = dms.add_wiring("load");
    let task = dms.add_wired_task("load", TaskStatus::Stopped, "full-load", &wiring);
    let input = json!({ "ReplicationTaskArn": task.as_str(), "StartReplicationTaskType": "reload-target" });
    dms.call("StartReplicationTask", &input).unwrap();
    assert_eq!(dms.violations(), ["task load loaded its tables again"]);
}

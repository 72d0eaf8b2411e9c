//! What tests can arrange and ask, and the seam in process, on a paused clock.

use std::time::Duration;

use replication::task::{Arn, Task, TaskStatus};
use replication::tasks::{Start, Tasks, TasksError};
use serde_json::json;
use stage::dms::{Dms, Pace, Refusal};
use tokio::time::advance;

async fn seen(dms: &Dms, task: &Arn) -> Task {
    dms.describe(std::slice::from_ref(task)).await.unwrap().remove(0)
}

#[tokio::test(start_paused = true)]
async fn the_dates_of_the_statistics_tell_the_runs_apart() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Running);
    let stats = || {
        let input = json!({ "Filters": [{ "Name": "replication-task-arn", "Values": [task.as_str()] }] });
        let answer = dms.call("DescribeReplicationTasks", &input).unwrap();
        let stats = &answer["ReplicationTasks"][0]["ReplicationTaskStats"];
        ["FreshStartDate", "StartDate", "StopDate"].map(|date| stats[date].as_f64())
    };
    let [fresh, start, stop] = stats();
    assert_eq!((fresh, stop), (start, None));
    advance(Duration::from_secs(60)).await;
    dms.stop(&task).await.unwrap();
    advance(pace.stop + pace.lag).await;
    let [_, _, stop] = stats();
    assert!(stop > start);
    dms.start(&task, &Start::Resume).await.unwrap();
    advance(pace.lag).await;
    let [still_fresh, resumed, no_stop] = stats();
    assert_eq!((still_fresh, no_stop), (fresh, None));
    assert!(resumed > stop);
}

#[tokio::test(start_paused = true)]
async fn a_task_can_stay_in_a_status_that_nobody_knows() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Running);
    dms.stays(&task, "upgrading");
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(seen(&dms, &task).await.status, TaskStatus::Unknown("upgrading".to_owned()));
    assert!(matches!(dms.stop(&task).await, Err(TasksError::InvalidState(_))));
    dms.becomes(&task, TaskStatus::Running);
    dms.stop(&task).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_added_in_transit_goes_on_by_itself() {
    for (status, rest) in [
        (TaskStatus::Creating, Some(TaskStatus::Ready)),
        (TaskStatus::Modifying, Some(TaskStatus::Ready)),
        (TaskStatus::Starting, Some(TaskStatus::Running)),
        (TaskStatus::Stopping, Some(TaskStatus::Stopped)),
        (TaskStatus::Deleting, None),
    ] {
        let dms = Dms::default();
        let task = dms.add_task("orders", status.clone());
        assert_eq!(seen(&dms, &task).await.status, status);
        advance(Duration::from_secs(60)).await;
        assert_eq!(dms.status(&task), rest);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_to_fail_fails_once_and_with_that_error() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Running);
    dms.fail_next("StopReplicationTask", Refusal::throttled());
    let throttled = dms.stop(&task).await.unwrap_err().to_string();
    assert_eq!(throttled, "ThrottlingException: Rate exceeded");
    dms.stop(&task).await.unwrap();
    assert_eq!(dms.calls("StopReplicationTask"), 2);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_do_not_exist_are_left_out_and_pages_are_followed() {
    let dms = Dms::default();
    let mut tasks: Vec<_> =
        (0..250).map(|n| dms.add_task(&format!("task-{n}"), TaskStatus::Running)).collect();
    tasks.push(Arn::new("arn:aws:dms:us-east-1:000000000000:task:NONE"));
    assert_eq!(dms.describe(&tasks).await.unwrap().len(), 250);
    assert_eq!(dms.calls("DescribeReplicationTasks"), 3);
    assert!(dms.describe(&tasks[250..]).await.unwrap().is_empty());
    assert!(dms.describe(&[]).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_put_on_read_and_taken_off() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Running);
    let tasks = std::slice::from_ref(&task);
    assert!(dms.marks(tasks).await.unwrap().is_empty());
    dms.unmark(&task).await.unwrap();
    dms.mark(&task, "request-1").await.unwrap();
    assert_eq!(dms.marks(tasks).await.unwrap()[&task], "request-1");
    dms.unmark(&task).await.unwrap();
    assert!(dms.marks(tasks).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_history_tells_calls_and_true_statuses_in_order() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Running);
    advance(Duration::from_secs(10)).await;
    dms.operator_stops(&task);
    advance(pace.stop).await;
    dms.stop(&task).await.unwrap_err();
    let names: Vec<_> = dms.statuses(&task).into_iter().map(|(at, status)| (at.as_secs(), status)).collect();
    let expected = [(0, TaskStatus::Running), (10, TaskStatus::Stopping), (18, TaskStatus::Stopped)];
    assert_eq!(names, expected);
    let lines: Vec<_> = dms.history().iter().map(|entry| entry.to_string().trim().to_owned()).collect();
    let refused = format!("18.0 s  StopReplicationTask {task}: InvalidResourceStateFault");
    assert_eq!(lines[..2], ["0.0 s  task orders is running", "10.0 s  task orders is stopping"]);
    assert!(lines.contains(&refused), "{lines:?}");
    assert_eq!(dms.calls("StopReplicationTask"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_added_at_rest_has_the_past_that_goes_with_it() {
    let dms = Dms::default();
    for (n, (status, ran)) in [
        (TaskStatus::Ready, false),
        (TaskStatus::Stopped, true),
        (TaskStatus::Failed, true),
        (TaskStatus::FailedMove, true),
    ]
    .into_iter()
    .enumerate()
    {
        let task = dms.add_task(&format!("task-{n}"), status.clone());
        let added = seen(&dms, &task).await;
        assert_eq!((added.status, added.checkpoint.is_some()), (status, ran));
        let how = if ran { Start::Resume } else { Start::First };
        dms.start(&task, &how).await.unwrap();
        let run = dms.runs(&task).pop().unwrap();
        assert!(!ran || run.from == added.checkpoint);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_breaks_leaves_a_checkpoint_and_a_message() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Running);
    dms.fail_run(&task, "error 1236");
    advance(Pace::default().lag).await;
    let broken = seen(&dms, &task).await;
    assert_eq!(broken.status, TaskStatus::Failed);
    assert_eq!(broken.last_failure.as_deref(), Some("error 1236"));
    assert!(broken.checkpoint.is_some());
}

//! What tests can arrange and ask, on a paused clock.

use std::time::Duration;

use serde_json::json;
use stage::dms::{Arn, Dms, Pace, Refusal, TaskStatus};
use tokio::time::advance;

use super::client::{FIRST, INVALID_STATE, RESUME, dates, modify, refused, seen, start, stop, tasks};

#[tokio::test(start_paused = true)]
async fn the_dates_of_the_statistics_tell_the_runs_apart() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Running);
    let [fresh, started, stopped] = dates(&dms, &task);
    assert_eq!((fresh, stopped), (started, None));
    advance(Duration::from_secs(60)).await;
    stop(&dms, &task).unwrap();
    advance(pace.stop + pace.lag).await;
    let [_, _, stopped] = dates(&dms, &task);
    assert!(stopped > started);
    start(&dms, &task, RESUME).unwrap();
    advance(pace.lag).await;
    let [still_fresh, resumed, no_stop] = dates(&dms, &task);
    assert_eq!((still_fresh, no_stop), (fresh, None));
    assert!(resumed > stopped);
}

#[tokio::test(start_paused = true)]
async fn a_task_can_stay_in_a_status_that_nobody_knows() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Running);
    dms.stays(&task, "upgrading");
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(seen(&dms, &task).status, TaskStatus::Unknown("upgrading".to_owned()));
    refused(stop(&dms, &task), INVALID_STATE);
    dms.becomes(&task, TaskStatus::Running);
    stop(&dms, &task).unwrap();
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
        assert_eq!(seen(&dms, &task).status, status);
        advance(Duration::from_secs(60)).await;
        assert_eq!(dms.status(&task), rest);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_to_fail_fails_once_and_with_that_error() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Running);
    dms.fail_next("StopReplicationTask", Refusal::throttled());
    assert_eq!(stop(&dms, &task).unwrap_err().to_string(), "ThrottlingException: Rate exceeded");
    stop(&dms, &task).unwrap();
    assert_eq!(dms.calls("StopReplicationTask"), 2);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_do_not_exist_are_left_out_and_every_page_leads_to_the_next() {
    let dms = Dms::default();
    let mut arns: Vec<_> =
        (0..250).map(|n| dms.add_task(&format!("task-{n}"), TaskStatus::Running)).collect();
    arns.push(Arn::new("arn:aws:dms:us-east-1:000000000000:task:NONE"));
    let values: Vec<_> = arns.iter().map(Arn::as_str).collect();
    let mut input = json!({ "Filters": [{ "Name": "replication-task-arn", "Values": values }] });
    let mut sizes = Vec::new();
    loop {
        let page = dms.call("DescribeReplicationTasks", &input).unwrap();
        sizes.push(page["ReplicationTasks"].as_array().unwrap().len());
        let Some(marker) = page.get("Marker") else { break };
        input["Marker"] = marker.clone();
    }
    assert_eq!(sizes, [100, 100, 50]);
    refused(tasks(&dms, &arns[250..]), "ResourceNotFoundFault");
}

#[tokio::test(start_paused = true)]
async fn pause_marks_are_told_from_other_tags_and_come_off_together() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Running);
    let team = json!([{ "Key": "team", "Value": "shop" }]);
    dms.call("AddTagsToResource", &json!({ "ResourceArn": task.as_str(), "Tags": team })).unwrap();
    assert!(!dms.is_marked(&task));
    dms.mark(&task, "r-1");
    dms.mark(&task, "r-2");
    assert_eq!(dms.marks(&task), ["sluice:paused-by:r-1", "sluice:paused-by:r-2"]);
    dms.unmark(&task);
    assert!(!dms.is_marked(&task));
    assert_eq!(dms.tags(&task).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_moves_the_date_of_the_last_stop_where_that_is_asked_for() {
    for moves in [false, true] {
        let dms = Dms::default();
        let task = dms.add_task("orders", TaskStatus::Stopped);
        let fresh = dms.add_task("fresh", TaskStatus::Ready);
        if moves {
            dms.moves_dates();
        }
        let [_, started, stopped] = dates(&dms, &task);
        advance(Duration::from_secs(60)).await;
        modify(&dms, &task).unwrap();
        let [_, same, moved] = dates(&dms, &task);
        assert_eq!(same, started);
        let by = moved.unwrap() - stopped.unwrap();
        assert_eq!(by.round(), if moves { 60.0 } else { 0.0 });
        // What never ran has no such date.
        modify(&dms, &fresh).unwrap();
        assert_eq!(dates(&dms, &fresh), [None; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_tells_calls_and_true_statuses_in_order() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let task = dms.add_task("orders", TaskStatus::Running);
    advance(Duration::from_secs(10)).await;
    dms.operator_stops(&task);
    advance(pace.stop).await;
    stop(&dms, &task).unwrap_err();
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
        let added = seen(&dms, &task);
        assert_eq!((added.status, added.checkpoint.is_some()), (status, ran));
        let how = if ran { RESUME } else { FIRST };
        start(&dms, &task, how).unwrap();
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
    let broken = seen(&dms, &task);
    assert_eq!(broken.status, TaskStatus::Failed);
    assert_eq!(broken.last_failure.as_deref(), Some("error 1236"));
    assert!(broken.checkpoint.is_some());
}

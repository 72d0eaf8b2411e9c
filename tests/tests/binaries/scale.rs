//! As many tasks as a stack can hold, at a DMS that throttles: its bucket refills twenty times as fast as the real one, so
//! that the test is over soon, and three of ten calls are throttled whatever is in it.

use std::time::Duration;

use serde_json::json;
use stage::dms::{Arn, TaskStatus};
use stage::dms::{Dms, Entry, Event, Pace, Throttle};

use super::{Scene, reason};

const TASKS: usize = 450;
/// Plenty, on a machine with other things to do.
const TIME: Duration = Duration::from_secs(300);

async fn scene(pace: Pace, resource: &'static str, status: TaskStatus) -> (Scene, Vec<Arn>) {
    // At "trace", the logs of thousands of calls would be most of the work.
    let scene = Scene::logging("info", pace, resource).await;
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        let task = scene.dms.add_task(&format!("t{number}"), status.clone());
        scene.stack.has(&format!("Task{number:03}"), &task);
        tasks.push(task);
    }
    (scene, tasks)
}

/// How many calls were throttled.
fn throttled(dms: &Dms) -> usize {
    let was = |entry: &Entry| match &entry.event {
        Event::Call { refused, .. } => refused.as_deref() == Some("ThrottlingException"),
        _ => false,
    };
    dms.history().iter().filter(|entry| was(entry)).count()
}

fn throttles(scene: &Scene) {
    scene.dms.throttles(Throttle::new(200, 160, 0.3));
}

#[tokio::test]
async fn hundreds_of_tasks_are_paused_though_dms_throttles() {
    let (scene, tasks) = scene(Pace::brisk(), "DmsPre", TaskStatus::Running).await;
    throttles(&scene);
    let event = scene.event("Update", &json!({ "DeploymentId": "7" }));
    let answer = scene.answer_within(event, TIME).await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert_eq!(answer["Data"]["PausedTasks"], "450");
    for task in &tasks {
        assert_eq!(scene.dms.status(task), Some(TaskStatus::Stopped));
        assert!(scene.dms.is_marked(task));
        assert_eq!(scene.dms.runs(task).len(), 1);
    }
    assert!(throttled(&scene.dms) > TASKS / 2);
    let (log, _) = scene.end().await;
    assert!(log.contains("tasks that are paused for this deployment: 450"), "{log}");
}

#[tokio::test]
async fn hundreds_of_tasks_are_resumed_though_dms_throttles() {
    let (scene, tasks) = scene(Pace::brisk(), "DmsPost", TaskStatus::Stopped).await;
    for task in &tasks {
        scene.dms.mark(task, "r-1");
    }
    throttles(&scene);
    let event = scene.event("Update", &json!({ "After": "r-1-0" }));
    let answer = scene.answer_within(event, TIME).await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert_eq!(answer["Data"]["ResumedTasks"], "450");
    assert_eq!(answer["Data"]["RunningTasks"], "450");
    for task in &tasks {
        assert_eq!(scene.dms.status(task), Some(TaskStatus::Running));
        assert!(!scene.dms.is_marked(task));
    }
    assert!(throttled(&scene.dms) > TASKS / 2);
}

#[tokio::test]
async fn tasks_are_paused_at_whatever_rate_dms_takes_calls() {
    let scene = Scene::logging("info", Pace::immediate(), "DmsPre").await;
    for number in 0..20 {
        let name = format!("t{number}");
        let task = scene.dms.add_task(&name, TaskStatus::Running);
        scene.stack.has(&format!("Task{number}"), &task);
    }
    // Eight attempts are made a second, of which two are taken.
    scene.dms.throttles(Throttle::new(20, 2, 0.0));
    let event = scene.event("Update", &json!({ "DeploymentId": "7" }));
    let answer = scene.answer_within(event, TIME).await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert_eq!(answer["Data"]["PausedTasks"], "20");
    assert!(throttled(&scene.dms) > 20);
}

#[tokio::test]
async fn the_first_few_of_hundreds_that_do_not_rest_are_named() {
    let (scene, tasks) = scene(Pace::immediate(), "DmsPre", TaskStatus::Ready).await;
    for task in &tasks {
        scene.dms.stays(task, "moving");
    }
    let event = scene.event("Update", &json!({ "DeploymentId": "7" }));
    let answer = scene.answer_within(event, Duration::from_secs(8)).await;
    let reason = reason(&answer);
    let expected = "stopping replication tasks: 450 of 450 failed: t0 (Task000): it is moving after ";
    assert!(reason.starts_with(expected), "{reason}");
    assert!(reason.contains("; t3 (Task003): it is moving after "), "{reason}");
    assert!(reason.contains("; and 446 more ("), "{reason}");
}

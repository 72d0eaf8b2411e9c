//! What can stand in the way of a start.

use std::time::Duration;

use serde_json::json;
use stage::dms::{Pace, Refusal, TaskStatus};
use tokio::time::advance;

use super::Scene;

#[tokio::test(start_paused = true)]
async fn one_tasks_failure_does_not_keep_the_others_from_running() {
    let scene = Scene::new(TaskStatus::Ready);
    let users = scene.dms.add_task("users", TaskStatus::Ready);
    scene.stack.has("Users", &users);
    scene.dms.fail_next_run(&scene.orders, "it broke");
    let reason = scene.reason().await;
    assert!(reason.contains("1 of 2 failed: orders (Orders)"), "{reason}");
    assert_eq!(scene.dms.status(&users), Some(TaskStatus::Running));
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_not_tested_are_tested_first() {
    let scene = Scene::new(TaskStatus::Ready);
    let wiring = scene.dms.add_wiring("fresh");
    let users = scene.dms.add_wired_task("users", TaskStatus::Ready, "cdc", &wiring);
    scene.stack.has("Users", &users);
    scene.dms.forget_connections(&wiring.source);
    scene.dms.forget_connections(&wiring.target);
    assert_eq!(scene.deploy().await.unwrap(), [2, 2, 0]);
    assert_eq!(scene.dms.calls("TestConnection"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_its_test_is_the_reason() {
    let scene = Scene::new(TaskStatus::Ready);
    let wiring = scene.dms.add_wiring("fresh");
    let users = scene.dms.add_wired_task("users", TaskStatus::Ready, "cdc", &wiring);
    scene.stack.has("Users", &users);
    scene.dms.forget_connections(&wiring.source);
    scene.dms.unreachable(&wiring.source, "Access denied for user 'dms'");
    let reason = scene.reason().await;
    assert!(reason.contains("users (Users): the connection test"), "{reason}");
    assert!(reason.contains("Access denied for user 'dms'"), "{reason}");
    assert_eq!(scene.status(), TaskStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_still_being_modified_is_waited_for() {
    // As long as DMS takes for another class. In express mode CloudFormation doesn't wait for that.
    let pace = Pace { modify: Duration::from_secs(600), ..Pace::default() };
    for last_test in ["successful", "failed", "never"] {
        let scene = Scene::at(pace.clone(), TaskStatus::Ready);
        let wiring = scene.dms.add_wiring("w");
        let users = scene.dms.add_wired_task("users", TaskStatus::Ready, "cdc", &wiring);
        scene.stack.lists(vec![stage::stack::listed("Users", &users, false)]);
        match last_test {
            "never" => scene.dms.forget_connections(&wiring.source),
            "failed" => {
                scene.dms.unreachable(&wiring.source, "a route that the modification brings");
                let of = json!({
                    "EndpointArn": wiring.source.as_str(),
                    "ReplicationInstanceArn": wiring.instance.as_str(),
                });
                scene.dms.call("TestConnection", &of).unwrap();
                advance(pace.connection_test + pace.lag).await;
                scene.dms.reachable(&wiring.source);
            }
            _ => {}
        }
        let of = json!({ "ReplicationInstanceArn": wiring.instance.as_str(), "AllocatedStorage": 100 });
        scene.dms.call("ModifyReplicationInstance", &of).unwrap();
        assert_eq!(scene.deploy().await.unwrap(), [1, 1, 0], "{last_test}");
        assert_eq!(scene.dms.runs(&users).len(), 1, "{last_test}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_refused_for_the_moment_is_tried_again() {
    let scene = Scene::paused(TaskStatus::Stopped);
    scene.dms.fail_next("StartReplicationTask", Refusal::invalid_state("the task is busy"));
    scene.dms.fail_next("StartReplicationTask", Refusal::invalid_state("the task is busy"));
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_start_refused_for_want_of_connection_tests_has_both_tested_once_more() {
    let scene = Scene::paused(TaskStatus::Stopped);
    let why = "Test connection for replication instance and endpoint should be successful";
    scene.dms.fail_next("StartReplicationTask", Refusal::invalid_state(why));
    assert_eq!(scene.deploy().await.unwrap(), [1, 0, 1]);
    assert_eq!(scene.dms.calls("TestConnection"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_wrong_way_to_start_is_followed_by_the_other_once() {
    let scene = Scene::paused(TaskStatus::Stopped);
    let wrong =
        Refusal::new("InvalidParameterCombinationException", "Start Type : RESUME_PROCESSING, not valid");
    scene.dms.fail_next("StartReplicationTask", wrong.clone());
    scene.dms.fail_next("StartReplicationTask", wrong);
    let reason = scene.reason().await;
    assert!(reason.contains("RESUME_PROCESSING, not valid"), "{reason}");
    assert_eq!(scene.dms.calls("StartReplicationTask"), 2);
}

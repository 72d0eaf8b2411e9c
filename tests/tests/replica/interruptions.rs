//! What is between a row and the stream: stops, crashes, refusals, and a log that is gone.

use serde_json::{Value, json};
use stage::dms::StartType;
use stage::dms::TaskStatus;

use crate::world::{Wanted, World, distinct};

fn amounts(rows: &[Value]) -> Vec<u64> {
    let rows = distinct(rows).into_iter();
    rows.map(|row| row["data"]["amount"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn what_happens_while_a_task_rests_is_written_when_it_resumes() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 0)").await;
    for round in 0..3_u64 {
        let (running, resting) = (round * 2 + 1, round * 2 + 2);
        world.say(&format!("UPDATE orders SET amount = {running}")).await;
        world.stop().await;
        world.say(&format!("UPDATE orders SET amount = {resting}")).await;
        world.resume().await;
    }
    let rows = world.rows(7).await;
    assert_eq!(amounts(&rows), [0, 1, 2, 3, 4, 5, 6]);
    // At least once: each resume may repeat a transaction, and no more.
    assert!(rows.len() <= 7 + 3, "{} rows", rows.len());
}

#[tokio::test]
async fn a_resume_may_repeat_what_was_written_last() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.rows(1).await;
    world.stop().await;
    world.resume().await;
    world.say("UPDATE orders SET amount = 2").await;
    let rows = world.rows(2).await;
    let of = |name: &str| rows.iter().map(|row| row["metadata"][name].clone()).collect::<Vec<_>>();
    assert_eq!(rows.len(), 3);
    assert_eq!(of("transaction-id")[0], of("transaction-id")[1]);
    assert_eq!(of("transaction-record-id")[0], of("transaction-record-id")[1]);
    assert_eq!(amounts(&rows), [1, 2]);
}

#[tokio::test]
async fn a_task_that_breaks_goes_on_where_it_was() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.rows(1).await;
    world.dms.fail_run(&world.task, "out of memory");
    world.say("UPDATE orders SET amount = 2").await;
    assert_eq!(world.described()["LastFailureMessage"], "out of memory");
    world.resume().await;
    assert_eq!(amounts(&world.rows(2).await), [1, 2]);
}

#[tokio::test]
async fn a_restart_of_the_database_costs_nothing_but_time() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.rows(1).await;
    for (round, crashes) in [(2, false), (3, true)] {
        if crashes {
            world.server.kill().await.unwrap();
        } else {
            world.server.stop().await.unwrap();
        }
        world.server.restart().await.unwrap();
        world.reconnect().await;
        world.say(&format!("UPDATE orders SET amount = {round}")).await;
        world.rows(round).await;
        assert_eq!(world.dms.status(&world.task), Some(TaskStatus::Running));
    }
    assert_eq!(amounts(&world.rows(3).await), [1, 2, 3]);
    assert_eq!(world.dms.runs(&world.task).len(), 1);
}

#[tokio::test]
async fn a_task_stops_though_the_database_is_down() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.rows(1).await;
    world.server.kill().await.unwrap();
    world.stop().await;
    world.server.restart().await.unwrap();
    world.reconnect().await;
    world.say("UPDATE orders SET amount = 2").await;
    world.resume().await;
    assert_eq!(amounts(&world.rows(2).await), [1, 2]);
}

#[tokio::test]
async fn rows_that_kinesis_refuses_are_put_again() {
    let mut world = World::running().await;
    world.kinesis.fail_next("ProvisionedThroughputExceededException");
    world.kinesis.fail_next("InternalFailure");
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.say("UPDATE orders SET amount = 2").await;
    assert_eq!(amounts(&world.rows(2).await), [1, 2]);
}

#[tokio::test]
async fn rows_that_kinesis_refuses_at_a_stop_come_with_the_next_run() {
    let mut world = World::running().await;
    world.kinesis.fail_next("ProvisionedThroughputExceededException");
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.stop().await;
    world.resume().await;
    assert_eq!(amounts(&world.rows(1).await), [1]);
}

#[tokio::test]
async fn a_log_that_was_purged_fails_the_task_with_error_1236() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.rows(1).await;
    world.stop().await;
    let checkpoint = world.dms.checkpoint(&world.task);
    world.say("UPDATE orders SET amount = 2").await;
    let mut admin = world.server.admin().await.unwrap();
    purge(&mut admin).await;
    for _ in 0..2 {
        world.begin("resume-processing", &json!({}));
        world.reaches(TaskStatus::Failed).await;
        let task = world.described();
        let why = task["LastFailureMessage"].as_str().unwrap();
        assert!(why.contains("1236"), "{why}");
        assert_eq!(task["StopReason"], "Stop Reason FATAL_ERROR");
        // Nothing says that it can go on from anywhere else.
        assert_eq!(world.dms.checkpoint(&world.task), checkpoint);
    }
    assert_eq!(world.written("data").len(), 1);
    let runs = world.dms.runs(&world.task);
    assert!(runs[1..].iter().all(|run| run.start_type == StartType::Resume));
}

/// Ends the log's file, and deletes all but the new one. What somebody still reads stays for a moment.
async fn purge(admin: &mut mysql_async::Conn) {
    use mysql_async::prelude::Queryable;
    admin.query_drop("FLUSH BINARY LOGS").await.unwrap();
    let logs = "SHOW BINARY LOGS";
    for _ in 0..500 {
        let files: Vec<mysql_async::Row> = admin.query(logs).await.unwrap();
        let last: String = files.last().unwrap().get(0).unwrap();
        if files.len() == 1 {
            return;
        }
        admin.query_drop(format!("PURGE BINARY LOGS TO '{last}'")).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the log can't be purged");
}

#[tokio::test]
async fn a_stream_that_is_gone_fails_the_task() {
    let mut world = World::running().await;
    world.kinesis.fail_next("ResourceNotFoundException");
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.reaches(TaskStatus::Failed).await;
    let why = world.described()["LastFailureMessage"].to_string();
    assert!(why.contains("ResourceNotFoundException"), "{why}");
    world.resume().await;
    assert_eq!(amounts(&world.rows(1).await), [1]);
}

#[tokio::test]
async fn a_place_that_cannot_be_found_is_refused_and_never_becomes_now() {
    let world = World::new(Wanted::default(), &[]).await;
    for (name, value) in [("CdcStartPosition", json!("yesterday")), ("CdcStartTime", json!(1_795_255_200))] {
        let mut start = json!({ "StartReplicationTaskType": "start-replication" });
        start[name] = value;
        let refused = world.call("StartReplicationTask", &start).unwrap_err();
        assert!(refused.message.contains(name), "{refused:?}");
    }
    assert_eq!(world.dms.status(&world.task), Some(TaskStatus::Ready));
}

//! Tasks that write the rows that are there, too.

use serde_json::json;
use stage::dms::TaskStatus;

use crate::world::{Wanted, World, distinct, told};

const TABLES: [&str; 4] = [
    "CREATE TABLE items (id INT PRIMARY KEY)",
    "CREATE TABLE orders (id INT PRIMARY KEY, at TIMESTAMP NOT NULL)",
    "INSERT INTO items VALUES (1), (2)",
    "INSERT INTO orders VALUES (7, FROM_UNIXTIME(1000000000))",
];

fn loads(migration_type: &'static str) -> Wanted {
    Wanted { migration_type, settings: json!({}), ..Wanted::default() }
}

#[tokio::test]
async fn a_load_alone_writes_all_rows_and_is_finished() {
    let world = World::new(loads("full-load"), &TABLES).await;
    world.begin("start-replication", &json!({}));
    world.reaches(TaskStatus::Stopped).await;
    let rows = world.rows(3).await;
    assert_eq!(
        told(&rows.iter().collect::<Vec<_>>()),
        [
            json!(["load", "items", null, { "id": 1 }]),
            json!(["load", "items", null, { "id": 2 }]),
            json!(["load", "orders", null, { "id": 7, "at": "2001-09-09T01:46:40Z" }]),
        ]
    );
    let task = world.described();
    assert_eq!(task["StopReason"], "Stop Reason FULL_LOAD_ONLY_FINISHED");
    assert_eq!(task["RecoveryCheckpoint"], json!(null));
}

#[tokio::test]
async fn changes_follow_a_load_and_are_not_loaded_again() {
    let mut world = World::new(loads("full-load-and-cdc"), &TABLES).await;
    world.start().await;
    world.rows(3).await;
    world.say("UPDATE orders SET at = FROM_UNIXTIME(1000000001)").await;
    world.rows(4).await;
    world.stop().await;
    world.say("INSERT INTO items VALUES (3)").await;
    world.resume().await;
    let rows = world.rows(5).await;
    let rows = told(&distinct(&rows));
    assert_eq!(
        rows[3..],
        [
            json!(["update", "orders", null, { "id": 7, "at": "2001-09-09T01:46:41Z" }]),
            json!(["insert", "items", null, { "id": 3 }]),
        ]
    );
}

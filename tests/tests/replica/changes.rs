//! What becomes of changes while a task runs.

use serde_json::json;
use stage::dms::TaskStatus;
use stage::replica::binlog::Position;

use crate::world::{STREAM, Wanted, World, distinct, rule, told};

#[tokio::test]
async fn rows_are_written_as_they_are_after_a_change_and_before_it() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 7), (2, NULL)").await;
    world.say("UPDATE orders SET amount = 9 WHERE id = 1").await;
    world.say("DELETE FROM orders WHERE id = 2").await;
    let rows = world.rows(4).await;
    assert_eq!(
        told(&rows.iter().collect::<Vec<_>>()),
        [
            json!(["insert", "orders", null, { "id": 1, "amount": 7 }]),
            json!(["insert", "orders", null, { "id": 2, "amount": null }]),
            json!(["update", "orders", { "id": 1, "amount": 7 }, { "id": 1, "amount": 9 }]),
            json!(["delete", "orders", { "id": 2, "amount": null }, { "id": 2, "amount": null }]),
        ]
    );
    let metadata = |place: usize, name: &str| rows[place]["metadata"][name].clone();
    assert_eq!(metadata(0, "schema-name"), "shop");
    assert_eq!(metadata(0, "partition-key-type"), "schema-table");
    let stream = world.kinesis.records(STREAM);
    assert_eq!(stream.last().unwrap().0, "shop.orders");
    // The same transaction, and then another one.
    assert_eq!(metadata(0, "transaction-id"), metadata(1, "transaction-id"));
    assert_ne!(metadata(0, "transaction-record-id"), metadata(1, "transaction-record-id"));
    assert!(metadata(2, "transaction-id").as_u64() > metadata(1, "transaction-id").as_u64());
}

#[tokio::test]
async fn what_was_there_before_the_first_start_is_not_written() {
    let table = "CREATE TABLE orders (id INT PRIMARY KEY, amount INT)";
    let earlier = "INSERT INTO orders VALUES (1, 1)";
    let mut world = World::new(Wanted::default(), &[table, earlier]).await;
    world.start().await;
    world.say("INSERT INTO orders VALUES (2, 2)").await;
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["data"]["id"], 2);
}

#[tokio::test]
async fn only_the_tables_that_the_mappings_select_are_written() {
    let wanted = Wanted {
        rules: json!([rule(1, "include", "%"), rule(2, "exclude", "secret_%")]),
        ..Wanted::default()
    };
    let tables = ["orders", "items", "secret_notes"];
    let statements = tables.map(|table| format!("CREATE TABLE {table} (id INT PRIMARY KEY)"));
    let mut world = World::new(wanted, &statements.each_ref().map(String::as_str)).await;
    world.start().await;
    for table in ["secret_notes", "items", "orders"] {
        world.say(&format!("INSERT INTO {table} VALUES (1)")).await;
    }
    let rows = world.rows(2).await;
    let tables: Vec<_> = rows.iter().map(|row| &row["metadata"]["table-name"]).collect();
    assert_eq!(tables, ["items", "orders"]);
}

#[tokio::test]
async fn values_keep_their_meaning() {
    let columns = "id BIGINT UNSIGNED PRIMARY KEY, small TINYINT UNSIGNED, price DECIMAL(10,2), born DATE,
                   at DATETIME, word VARCHAR(20), kind ENUM('a','it''s'), raw VARBINARY(4), note TEXT";
    let table = format!("CREATE TABLE things ({columns}) CHARSET utf8mb4");
    let mut wanted = Wanted::default();
    wanted.kinesis["UseLargeIntegerValue"] = json!(true);
    let mut world = World::new(wanted, &[&table]).await;
    world.start().await;
    world
        .say(
            "INSERT INTO things VALUES (18446744073709551615, 200, 12.50, '2026-11-21', '2026-11-21 15:30:00',
             'Zoë ☃', 'it''s', x'00ff', 'long')",
        )
        .await;
    world.say("UPDATE things SET small = 201").await;
    let rows = world.rows(2).await;
    let expected = json!({
        "id": 18_446_744_073_709_551_615_u64, "small": 200, "price": 12.5, "born": "2026-11-21",
        "at": "2026-11-21T15:30:00Z", "word": "Zoë ☃", "kind": "it's", "raw": "AP8=", "note": "long",
    });
    assert_eq!(rows[0]["data"], expected);
    // An image of before has no large objects.
    let mut before = expected;
    before.as_object_mut().unwrap().remove("note");
    assert_eq!(rows[1]["before"], before);
}

#[tokio::test]
async fn large_numbers_are_rounded_unless_they_are_to_be_exact() {
    let mut world = World::new(Wanted::default(), &["CREATE TABLE t (id BIGINT PRIMARY KEY)"]).await;
    world.start().await;
    world.say("INSERT INTO t VALUES (999999999999999), (1234567890123456789)").await;
    let rows = world.rows(2).await;
    assert_eq!(rows[0]["data"].to_string(), r#"{"id":999999999999999}"#);
    assert_eq!(rows[1]["data"].to_string(), r#"{"id":1.2345678901234568e+18}"#);
}

#[tokio::test]
async fn control_records_tell_of_tables() {
    let mut world = World::running().await;
    world.say("CREATE TABLE items (id INT PRIMARY KEY)").await;
    world.say("INSERT INTO items VALUES (1)").await;
    world.say("DROP TABLE items").await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.rows(2).await;
    let controls = world.written("control");
    let told: Vec<_> = controls
        .iter()
        .map(|it| json!([it["metadata"]["operation"], it["metadata"]["table-name"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["create-table", "awsdms_apply_exceptions"]),
            json!(["create-table", "items"]),
            json!(["drop-table", "items"]),
        ]
    );
}

#[tokio::test]
async fn a_start_at_a_position_begins_there() {
    let table = "CREATE TABLE orders (id INT PRIMARY KEY, amount INT)";
    let mut world = World::new(Wanted::default(), &[table]).await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    let mut conn = world.server.connect().await.unwrap();
    let position = stage::replica::binlog::head(&mut conn).await.unwrap();
    world.say("INSERT INTO orders VALUES (2, 2)").await;
    world.begin("start-replication", &json!({ "CdcStartPosition": position.to_string() }));
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["data"]["id"], 2);
    assert_eq!(world.dms.runs(&world.task)[0].from, Some(position.to_string()));
}

#[tokio::test]
async fn a_checkpoint_is_a_position_for_another_task() {
    let mut world = World::running().await;
    world.say("INSERT INTO orders VALUES (1, 1)").await;
    world.rows(1).await;
    world.stop().await;
    world.say("INSERT INTO orders VALUES (2, 2)").await;
    let checkpoint = world.described()["RecoveryCheckpoint"].clone();
    assert!(checkpoint.as_str().unwrap().parse::<Position>().is_ok());

    let old = world.described();
    let mut input = json!({ "ReplicationTaskIdentifier": "replacement" });
    for name in
        ["MigrationType", "SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn", "TableMappings"]
    {
        input[name] = old[name].clone();
    }
    let made = world.dms.call("CreateReplicationTask", &input).unwrap();
    world.call("DeleteReplicationTask", &json!({})).unwrap();
    assert_eq!(world.dms.checkpoint(&world.task), None);
    let arn = made["ReplicationTask"]["ReplicationTaskArn"].as_str().unwrap();
    world.task = stage::dms::Arn::new(arn);
    world.begin("start-replication", &json!({ "CdcStartPosition": checkpoint }));
    let rows = world.rows(2).await;
    let ids: Vec<_> = distinct(&rows).iter().map(|row| row["data"]["id"].clone()).collect();
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn a_position_that_is_none_is_refused() {
    let world = World::running().await;
    world.stop().await;
    let input = json!({ "CdcStartPosition": "yesterday" });
    let refused = world.call("ModifyReplicationTask", &input).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterValueException");
    assert_eq!(world.dms.status(&world.task), Some(TaskStatus::Stopped));
}

//! What the list of migrations does to a database.

use serde_json::json;

use super::{ask, db_init, migration, orders, refused, start};

#[tokio::test]
async fn a_rollback_leaves_later_migrations_in_place() {
    let server = start().await;
    let lines = migration(2, "lines", "CREATE TABLE `lines` (id INT)");
    let both = json!({ "Migrations": [orders(), lines] });
    db_init(&server, both).await.unwrap();

    let one = json!({ "Migrations": [orders()] });
    let done = db_init(&server, one).await.unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("2"));
    assert_eq!(
        ask(&server, "SHOW TABLES FROM shop LIKE 'lines'")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn rewritten_history_is_refused_before_anything_changes() {
    let server = start().await;
    let third = migration(3, "third", "CREATE TABLE third (id INT)");
    db_init(&server, json!({ "Migrations": [orders(), third] }))
        .await
        .unwrap();

    let edited = migration(1, "orders", "CREATE TABLE orders (id BIGINT)");
    let fourth = migration(4, "fourth", "CREATE TABLE fourth (id INT)");
    let properties = json!({ "BinlogRetentionHours": 99, "Migrations": [edited, fourth] });
    let reason = refused(&server, properties).await;
    assert!(reason.contains("V1__orders was edited"), "{reason}");

    let late = migration(2, "late", "CREATE TABLE late (id INT)");
    let reason = refused(&server, json!({ "Migrations": [orders(), late, fourth] })).await;
    assert!(reason.contains("V2__late comes too late"), "{reason}");

    let kept = "SELECT value FROM mysql.rds_configuration";
    assert_eq!(ask(&server, kept).await, ["24"]);
    assert!(
        ask(&server, "SHOW TABLES FROM shop LIKE 'fourth'")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_failing_migration_is_named_and_those_before_it_stay() {
    let server = start().await;
    // The second statement fails: a driver that looks at the first result only would miss it.
    let broken = migration(
        2,
        "broken",
        "CREATE TABLE half (id INT); INSERT INTO nowhere VALUES (1)",
    );
    let reason = refused(&server, json!({ "Migrations": [orders(), broken] })).await;
    assert!(reason.contains("applying migration V2__broken"), "{reason}");
    assert!(reason.contains("shop.nowhere' doesn't exist"), "{reason}");
    assert_eq!(reason.matches("doesn't exist").count(), 1, "{reason}");

    let mended = migration(2, "mended", "INSERT INTO half VALUES (1)");
    let done = db_init(&server, json!({ "Migrations": [orders(), mended] }))
        .await
        .unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("2"));
    let names = "SELECT name FROM shop.sluice_schema_history ORDER BY version";
    assert_eq!(ask(&server, names).await, ["orders", "mended"]);
}

#[tokio::test]
async fn a_migration_that_changes_the_current_database_is_recorded_all_the_same() {
    let server = start().await;
    let stray = migration(
        1,
        "stray",
        "CREATE DATABASE other; USE other; CREATE TABLE t (id INT)",
    );
    db_init(&server, json!({ "Migrations": [stray.clone()] }))
        .await
        .unwrap();
    let done = db_init(
        &server,
        json!({ "Migrations": [stray, migration(2, "home", "CREATE TABLE t (id INT)")] }),
    );
    assert_eq!(done.await.unwrap().get("SchemaVersion"), Some("2"));
    assert_eq!(ask(&server, "SHOW TABLES FROM shop LIKE 't'").await, ["t"]);
}

#[tokio::test]
async fn two_requests_at_once_apply_each_migration_once() {
    let server = start().await;
    let properties = json!({ "Migrations": [orders()] });
    let (one, two) = tokio::join!(
        db_init(&server, properties.clone()),
        db_init(&server, properties)
    );
    assert_eq!(one.unwrap().get("SchemaVersion"), Some("1"));
    assert_eq!(two.unwrap().get("SchemaVersion"), Some("1"));
    assert_eq!(
        ask(&server, "SELECT COUNT(*) FROM shop.orders").await,
        ["1"]
    );
}

#[tokio::test]
async fn comments_and_stored_programs_may_be_among_the_statements() {
    let server = start().await;
    let sql = "-- What comes first\nCREATE TABLE t (id INT); # and then\n\
               CREATE PROCEDURE p() BEGIN INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); END;\n\
               CALL p();\n-- the end\n";
    let properties = json!({ "Migrations": [migration(1, "mixed", sql)] });
    db_init(&server, properties).await.unwrap();
    assert_eq!(ask(&server, "SELECT COUNT(*) FROM shop.t").await, ["2"]);
}

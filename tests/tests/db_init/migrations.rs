//! What the list of migrations does to a database.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::json;
use stage::mysql::MysqlServer;

use super::{ask, db_init, migration, orders, refused, run, start, until};

#[tokio::test]
async fn a_rollback_leaves_later_migrations_in_place() {
    let server = start().await;
    let lines = migration(2, "lines", "CREATE TABLE `lines` (id INT)");
    let both = json!({ "Migrations": [orders(), lines] });
    db_init(&server, both).await.unwrap();

    let one = json!({ "Migrations": [orders()] });
    let done = db_init(&server, one).await.unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("2"));
    assert_eq!(ask(&server, "SHOW TABLES FROM shop LIKE 'lines'").await.len(), 1);
}

#[tokio::test]
async fn rewritten_history_is_refused_before_anything_changes() {
    let server = start().await;
    let third = migration(3, "third", "CREATE TABLE third (id INT)");
    db_init(&server, json!({ "Migrations": [orders(), third] })).await.unwrap();

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
    assert!(ask(&server, "SHOW TABLES FROM shop LIKE 'fourth'").await.is_empty());
}

#[tokio::test]
async fn a_failing_migration_is_named_and_those_before_it_stay() {
    let server = start().await;
    // The second statement fails: a driver that looks at the first result only would miss it.
    let broken = migration(2, "broken", "CREATE TABLE half (id INT); INSERT INTO nowhere VALUES (1)");
    let reason = refused(&server, json!({ "Migrations": [orders(), broken] })).await;
    let place = "applying migration V2__broken: statement 2, INSERT INTO nowhere VALUES (…) (the statements before it stay): ";
    assert!(reason.starts_with(place), "{reason}");
    assert!(reason.contains("shop.nowhere' doesn't exist"), "{reason}");
    assert_eq!(reason.matches("doesn't exist").count(), 1, "{reason}");

    let mended = migration(2, "mended", "INSERT INTO half VALUES (1)");
    let done = db_init(&server, json!({ "Migrations": [orders(), mended] })).await.unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("2"));
    let names = "SELECT name FROM shop.sluice_schema_history ORDER BY version";
    assert_eq!(ask(&server, names).await, ["orders", "mended"]);
}

#[tokio::test]
async fn a_migration_that_changes_the_current_database_is_recorded_all_the_same() {
    let server = start().await;
    let stray = migration(1, "stray", "CREATE DATABASE other; USE other; CREATE TABLE t (id INT)");
    db_init(&server, json!({ "Migrations": [stray.clone()] })).await.unwrap();
    let done =
        db_init(&server, json!({ "Migrations": [stray, migration(2, "home", "CREATE TABLE t (id INT)")] }));
    assert_eq!(done.await.unwrap().get("SchemaVersion"), Some("2"));
    assert_eq!(ask(&server, "SHOW TABLES FROM shop LIKE 't'").await, ["t"]);
}

#[tokio::test]
async fn two_requests_at_once_apply_each_migration_once() {
    let server = start().await;
    let properties = json!({ "Migrations": [orders()] });
    let (one, two) = tokio::join!(db_init(&server, properties.clone()), db_init(&server, properties));
    assert_eq!(one.unwrap().get("SchemaVersion"), Some("1"));
    assert_eq!(two.unwrap().get("SchemaVersion"), Some("1"));
    assert_eq!(ask(&server, "SELECT COUNT(*) FROM shop.orders").await, ["1"]);
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

#[tokio::test]
async fn no_value_of_a_failing_statement_is_told() {
    let server = start().await;
    let table = "CREATE TABLE users (email VARCHAR(40) UNIQUE, age INT)";
    for (sql, told) in [
        (
            "INSERT INTO users VALUES ('hunter2', 1), ('hunter2', 2)",
            "statement 1, INSERT INTO users VALUES (…, …), (…, …): Duplicate entry '…' for key",
        ),
        (
            "SELECT 1; CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END; CALL p(); INSERT INTO users VALUES ('a', 'hunter2')",
            "statement 4, INSERT INTO users VALUES (…, …) (the statements before it stay): Incorrect integer value: '…' for column",
        ),
        (
            "INSERT INTO users VALUE ('hunter2' 7)",
            "statement 1, INSERT INTO users VALUE (… …): You have an error in your SQL syntax",
        ),
    ] {
        let list = [migration(1, "users", table), migration(2, "broken", sql)];
        let reason = refused(&server, json!({ "Migrations": list })).await;
        assert!(reason.starts_with("applying migration V2__broken: "), "{reason}");
        assert!(reason.contains(told), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}

#[tokio::test]
async fn what_one_migration_does_to_its_session_is_gone_in_the_next() {
    let server = start().await;
    let first = "SET SESSION sql_mode = 'ANSI_QUOTES', @left = 'behind'; CREATE TEMPORARY TABLE t (id INT); SET autocommit = 0";
    let second = "CREATE TABLE t (id INT, note TEXT); INSERT INTO t VALUES (1, COALESCE(@left, \"clean\"))";
    let list = [migration(1, "first", first), migration(2, "second", second)];
    db_init(&server, json!({ "Migrations": list })).await.unwrap();
    assert_eq!(ask(&server, "SELECT note FROM shop.t").await, ["clean"]);
}

/// The connections that are in the middle of a DO.
async fn at_work(server: &MysqlServer) -> Vec<String> {
    ask(server, "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%DO SLEEP%' AND ID <> CONNECTION_ID()").await
}

/// Ends the connection that is in the middle of a DO, as a failover would. By then, the one that sets the pace is gone.
async fn cut(server: &MysqlServer, pace: Conn) {
    until("a migration is at work", async || !at_work(server).await.is_empty()).await;
    pace.disconnect().await.unwrap();
    let kill = format!("KILL {}", at_work(server).await[0]);
    ask(server, &kill).await;
}

/// Statements of a migration that stand still as long as this connection is there.
async fn pace(server: &MysqlServer) -> Conn {
    let mut conn = server.admin().await.unwrap();
    conn.query_drop("DO GET_LOCK('pace', 1)").await.unwrap();
    conn
}

const PACED: &str = "DO SLEEP(IF(IS_FREE_LOCK('pace'), 0, 300))";

#[tokio::test]
async fn a_migration_that_is_lost_runs_again_if_nothing_of_it_can_have_stayed() {
    let server = start().await;
    let pace = pace(&server).await;
    let slow = format!("INSERT INTO orders VALUES (2, 'slow'); {PACED}");
    let properties = json!({ "Migrations": [orders(), migration(2, "slow", &slow)] });
    let (done, ()) = tokio::join!(db_init(&server, properties), cut(&server, pace));
    assert_eq!(done.unwrap().get("SchemaVersion"), Some("2"));
    let rows = "SELECT COUNT(*) FROM shop.orders WHERE note = 'slow'";
    assert_eq!(ask(&server, rows).await, ["1"]);
}

#[tokio::test]
async fn a_migration_that_is_lost_half_way_waits_for_somebody_to_look() {
    let server = start().await;
    let pace = pace(&server).await;
    let slow = format!("INSERT INTO orders VALUES (2, 'slow'); CREATE TABLE half (id INT); {PACED}");
    let properties = json!({ "Migrations": [orders(), migration(2, "slow", &slow)] });
    let (done, ()) = tokio::join!(db_init(&server, properties), cut(&server, pace));
    let reason = format!("{:#}", done.unwrap_err());
    assert!(
        reason.starts_with("applying migration V2__slow: statement 3, DO SLEEP(IF(IS_FREE_LOCK(…), …, …)): "),
        "{reason}"
    );
    assert!(reason.contains("may have stayed"), "{reason}");
    let rows = "SELECT COUNT(*) FROM shop.orders WHERE note = 'slow'";
    assert_eq!(ask(&server, rows).await, ["1"], "no second time");
}

#[tokio::test]
async fn a_migration_that_outlasts_the_deadline_is_named_and_ended() {
    let server = start().await;
    let properties = json!({ "Migrations": [migration(1, "slow", "DO SLEEP(300)")] });
    let time = Duration::from_secs(10);
    let error = run(&server, server.secret(), properties, time);
    let reason = format!("{:#}", error.await.unwrap_err());
    assert_eq!(reason, "applying migration V1__slow: not done when the function's time was nearly over");
    until("the server is at rest", async || at_work(&server).await.is_empty()).await;
}

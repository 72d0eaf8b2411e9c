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
    let place = "applying migration V2__broken: statement 2 (the statements before it may stay): ";
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
async fn a_failing_statement_is_told_by_its_number_and_without_a_word_of_its_text() {
    let server = start().await;
    let table = "CREATE TABLE users (email VARCHAR(40) UNIQUE, age INT)";
    let call = "SELECT 1; CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END; CALL p(); INSERT INTO users VALUES ('a', 'hunter2')";
    let partitions = "CREATE TABLE parts (a INT) PARTITION BY LIST (a) (PARTITION p VALUES IN (1)); INSERT INTO parts VALUES (5550199)";
    for (number, told, sql) in [
        (1, "MySQL error 1062 (ER_DUP_ENTRY)", "INSERT INTO users VALUES ('hunter2', 1), ('hunter2', 2)"),
        (4, "MySQL error 1366 (ER_", call),
        (1, "MySQL error 1064 (ER_PARSE_ERROR)", "INSERT INTO users VALUE ('hunter2' 7)"),
        (
            1,
            "MySQL error 1064 (ER_PARSE_ERROR)",
            "INSERT INTO users (email) VALUES ('O'Brien', 'x@example.com')",
        ),
        (1, "MySQL error 1064 (ER_PARSE_ERROR)", "CREATE USER 'o'brien'@'%' IDENTIFIED BY 'hunter2'"),
        (
            1,
            "MySQL error 1690 (ER_DATA_OUT_OF_RANGE)",
            "INSERT INTO users VALUES ('a', 5550199 * 9223372036854775807)",
        ),
        (2, "MySQL error 1526 (ER_NO_PARTITION_FOR_GIVEN_VALUE)", partitions),
        (1, "MySQL error 1231 (ER_WRONG_VALUE_FOR_VAR)", "SET SESSION sql_mode = 'hunter2'"),
        (
            2,
            "MySQL error 1054 (ER_BAD_FIELD_ERROR)",
            "SET sql_mode = 'ANSI_QUOTES'; INSERT INTO users VALUES (\"hunter2\", 1)",
        ),
        (1, "MySQL error 1298 (ER_UNKNOWN_TIME_ZONE)", "SET time_zone = 'hunter2'"),
        (1, "MySQL error 1300 (ER_INVALID_CHARACTER_STRING)", "SELECT _utf8mb4 x'68756E74657232FF'"),
        (1, "MySQL error 1644 (ER_SIGNAL_EXCEPTION)", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'hunter2'"),
    ] {
        let list = [migration(1, "users", table), migration(2, "broken", sql)];
        let reason = refused(&server, json!({ "Migrations": list })).await;
        let stay = if number > 1 { " (the statements before it may stay)" } else { "" };
        let place = format!("applying migration V2__broken: statement {number}{stay}: {told}");
        assert!(reason.starts_with(&place), "{reason}");
        for value in ["hunter2", "Brien", "example.com", "5550199", "68756", "users"] {
            assert!(!reason.contains(value), "{value}: {reason}");
        }
    }
}

#[tokio::test]
async fn an_edit_of_line_ends_is_none() {
    let server = start().await;
    for sql in [
        "CREATE TABLE t (a INT);\nCREATE TABLE u (a INT)",
        "CREATE TABLE t (a INT);\r\nCREATE TABLE u (a INT)\r\n",
    ] {
        let done = db_init(&server, json!({ "Migrations": [migration(1, "t", sql)] })).await;
        assert_eq!(done.unwrap().get("SchemaVersion"), Some("1"));
    }
    // What is given is what runs: a line end within a value is a value.
    let value = migration(2, "v", "CREATE TABLE v (a VARCHAR(9));\r\nINSERT INTO v VALUES ('a\r\nb')\r\n");
    let first = migration(1, "t", "CREATE TABLE t (a INT);\nCREATE TABLE u (a INT)\n");
    db_init(&server, json!({ "Migrations": [first, value] })).await.unwrap();
    assert_eq!(ask(&server, "SELECT HEX(a) FROM shop.v").await, ["610D0A62"]);
}

#[tokio::test]
async fn an_empty_statement_is_refused_before_anything_runs() {
    // The server's own word for it comes half-way.
    let server = start().await;
    for sql in [
        "CREATE TABLE t (a INT);; CREATE TABLE u (a INT)",
        "CREATE TABLE t (a INT); /* x */; CREATE TABLE u (a INT)",
    ] {
        let mut conn = server.admin().await.unwrap();
        conn.query_drop("CREATE DATABASE raw; USE raw").await.unwrap();
        conn.query_drop(sql).await.unwrap_err();
        assert_eq!(ask(&server, "SHOW TABLES FROM raw").await, ["t"]);
        conn.query_drop("DROP DATABASE raw").await.unwrap();
        let refusal = serde_json::from_value::<db_init::properties::Properties>(
            json!({ "SecretArn": "arn", "Database": "shop", "Migrations": [migration(1, "t", sql)] }),
        );
        assert!(refusal.unwrap_err().to_string().contains("the semicolon in line 1 ends no statement"));
    }
    let sql = "\u{feff}CREATE TABLE t (a INT); /* x */;";
    db_init(&server, json!({ "Migrations": [migration(1, "t", sql)] })).await.unwrap();
    assert_eq!(ask(&server, "SHOW TABLES FROM shop LIKE 't'").await, ["t"]);
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
async fn a_migration_that_was_sent_is_never_run_again_by_itself() {
    let server = start().await;
    for (number, sql) in [
        (2, PACED.to_owned()),
        // The server would undo the row of this one, and not of the next.
        (3, format!("INSERT INTO log VALUES (3); {PACED}")),
        (4, format!("INSERT INTO log VALUES (4); /*!40000 ALTER TABLE log ENABLE KEYS */; {PACED}")),
        (5, format!("INSERT INTO log VALUES (5); CREATE TABLE half (id INT); {PACED}")),
    ] {
        let pace = pace(&server).await;
        let properties = json!({
            "Migrations": [migration(1, "log", "CREATE TABLE log (id INT)"), migration(number, "slow", &sql)],
        });
        let (done, ()) = tokio::join!(db_init(&server, properties), cut(&server, pace));
        let reason = format!("{:#}", done.unwrap_err());
        let place = format!("applying migration V{number}__slow: the connection to the server was lost ");
        assert!(reason.starts_with(&place), "{reason}");
        assert!(reason.contains(" had arrived. ") && reason.contains("look at the database"), "{reason}");
        let rows = ask(&server, &format!("SELECT COUNT(*) FROM shop.log WHERE id = {number}")).await;
        assert!(rows[0] == "0" || rows[0] == "1", "done {} times", rows[0]);
        assert_eq!(ask(&server, "SELECT MAX(version) FROM shop.sluice_schema_history").await, ["1"]);
    }
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

//! What keeps a server from being a source, and what keeps DbInit out for a while.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::json;
use stage::mysql::{MysqlServer, Options};

use super::{ask, db_init, orders, refused, run, start, start_with, until};

#[tokio::test]
async fn a_server_that_is_not_ready_is_refused_with_every_parameter_to_change() {
    let options = Options::default()
        .with("--skip-log-bin")
        .with("--binlog-format=MIXED")
        .with("--binlog-row-image=MINIMAL");
    let server = MysqlServer::start(options).await.unwrap();
    let reason = refused(&server, json!({ "Migrations": [orders()] })).await;
    for part in ["log_bin is OFF", "reboot", "binlog_format is MIXED", "binlog_row_image is MINIMAL"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
}

#[tokio::test]
async fn a_reader_is_refused() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    admin.query_drop("SET GLOBAL read_only = ON").await.unwrap();
    // With little time, it isn't waited for.
    let error = run(&server, server.secret(), json!({}), Duration::from_secs(10)).await.unwrap_err();
    let reason = format!("{error:#}");
    assert!(reason.contains("connect to the writer"), "{reason}");
}

#[tokio::test]
async fn a_binlog_that_leaves_the_database_out_is_refused_with_the_options_name() {
    for (argument, option) in
        [("--binlog-ignore-db=shop", "binlog_ignore_db"), ("--binlog-do-db=other", "binlog_do_db")]
    {
        let server = start_with(&[argument]).await;
        let reason = refused(&server, json!({ "Migrations": [orders()] })).await;
        assert!(reason.contains(&format!("{option} keeps the changes of database shop out")), "{reason}");
        assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
        db_init(&server, json!({ "Database": "other" })).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_without_rdss_procedures_is_refused() {
    let options = Options { rds: false, ..Options::default() };
    let server = MysqlServer::start(options).await.unwrap();
    let reason = refused(&server, json!({})).await;
    assert!(reason.contains("Amazon RDS and Aurora"), "{reason}");
    assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
}

#[tokio::test]
async fn a_retention_that_does_not_stick_is_refused() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    let forgetful = "CREATE TRIGGER mysql.forget BEFORE UPDATE ON mysql.rds_configuration FOR EACH ROW SET NEW.value = 12";
    if admin.query_drop(forgetful).await.is_err() {
        // Servers that allow no trigger there let the procedure be replaced.
        admin.query_drop("DROP PROCEDURE mysql.rds_set_configuration").await.unwrap();
        let idle = "CREATE PROCEDURE mysql.rds_set_configuration(IN setting VARCHAR(30), IN setting_value INT) SELECT 1";
        admin.query_drop(idle).await.unwrap();
    }
    let reason = refused(&server, json!({})).await;
    assert!(reason.contains("were set to 24, but the server reports"), "{reason}");
}

#[tokio::test]
async fn a_server_whose_binlog_can_not_be_read_in_full_is_refused() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    for (setting, parameter) in [
        ("binlog_row_image = 'NOBLOB'", "binlog_row_image=FULL"),
        ("binlog_transaction_compression = ON", "binlog_transaction_compression=0"),
        ("binlog_row_value_options = 'PARTIAL_JSON'", "set binlog_row_value_options to nothing"),
    ] {
        match admin.query_drop(format!("SET GLOBAL {setting}")).await {
            Ok(()) => {}
            // MariaDB knows the first one only.
            Err(error) => {
                assert!(!server.is_mysql(), "{setting}: {error}");
                continue;
            }
        }
        let reason = refused(&server, json!({})).await;
        assert!(reason.contains(parameter), "{reason}");
    }
}

#[tokio::test]
async fn a_server_with_too_many_connections_is_waited_for() {
    let options = Options::default().with("--max-connections=10");
    let server = MysqlServer::start(options).await.unwrap();
    let mut watcher = server.admin().await.unwrap();
    // All places but the watcher's. Connections that are on their way out may keep some for a moment.
    let mut crowd = Vec::new();
    while crowd.len() < 9 {
        crowd.extend(server.connect().await.ok());
    }
    let refusal = server.connect().await.unwrap_err().to_string();
    assert!(refusal.contains("1040"), "{refusal}");
    // One of the two counts them, which depends on the server.
    let mut turned_away = async || {
        let counts = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Aborted_connects', 'Connection_errors_max_connections')";
        let counts: Vec<(String, u64)> = watcher.query(counts).await.unwrap();
        counts.into_iter().map(|(_, count)| count).sum::<u64>()
    };
    let before = turned_away().await;
    let let_go = async {
        until("somebody was turned away", async || turned_away().await > before).await;
        crowd.clear();
    };
    let (done, ()) = tokio::join!(db_init(&server, json!({})), let_go);
    done.unwrap();
}

#[tokio::test]
async fn a_master_without_rights_on_the_database_fails_at_once() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    let revoke = format!("REVOKE CREATE ON *.* FROM {}", server.username());
    admin.query_drop(revoke).await.unwrap();
    let reason = refused(&server, json!({})).await;
    assert!(reason.starts_with("creating database shop: Access denied for user 'admin'"), "{reason}");
    assert!(reason.contains("1044"), "{reason}");
}

#[tokio::test]
async fn a_server_that_wants_tls_refuses_plain_connections_at_once() {
    let options = Options::default().with("--require-secure-transport=ON");
    let server = MysqlServer::start(options).await.unwrap();
    let reason = refused(&server, json!({ "SslCa": null, "SslMode": "DISABLED" })).await;
    // MariaDB says no more than that access is denied.
    let told = if server.is_mysql() { "SslMode has to be REQUIRED" } else { "Access denied" };
    assert!(reason.contains(told), "{reason}");
}

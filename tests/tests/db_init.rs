//! `Custom::DbInit` against a real server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "db_init/connection.rs"]
mod connection;
#[path = "db_init/migrations.rs"]
mod migrations;
#[path = "db_init/secrets.rs"]
mod secrets;

use std::time::Duration;

use anyhow::Result;
use custom_resource::{Attributes, Deadline};
use db_init::DbInit;
use db_init::secret::Secrets;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::{MysqlServer, Options};

/// The one secret there is.
struct Secret(Value);

impl Secrets for Secret {
    async fn text(&self, _: &str) -> Result<String> {
        Ok(self.0.to_string())
    }
}

fn migration(version: u32, name: &str, sql: &str) -> Value {
    json!({ "Version": version.to_string(), "Name": name, "Sql": sql })
}

fn orders() -> Value {
    let sql = "CREATE TABLE orders (id INT PRIMARY KEY, note TEXT); INSERT INTO orders VALUES (1, 'ä;b');";
    migration(1, "orders", sql)
}

/// Runs the handler with the properties of a verified connection and these ones.
async fn run(
    server: &MysqlServer,
    secret: Value,
    more: Value,
    time: Duration,
) -> Result<Attributes> {
    let mut properties =
        json!({ "SecretArn": "arn:secret", "Database": "shop", "SslCa": server.ca_pem() });
    let all = properties.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    let properties = serde_json::from_value(properties).unwrap();
    let handler = DbInit::new(Secret(secret));
    handler.make_ready(&properties, Deadline::after(time)).await
}

async fn db_init(server: &MysqlServer, more: Value) -> Result<Attributes> {
    run(server, server.secret(), more, Duration::from_secs(60)).await
}

async fn refused(server: &MysqlServer, more: Value) -> String {
    let error = db_init(server, more).await.unwrap_err();
    let reason = format!("{error:#}");
    assert!(!reason.contains(server.password()), "{reason}");
    reason
}

async fn start() -> MysqlServer {
    MysqlServer::start(Options::default()).await.unwrap()
}

/// The first column of what a query answers, as text.
async fn ask(server: &MysqlServer, query: &str) -> Vec<String> {
    let mut conn = server.admin().await.unwrap();
    conn.query(query).await.unwrap()
}

#[tokio::test]
async fn a_fresh_database_is_made_ready() {
    let server = start().await;
    let properties = json!({ "BinlogRetentionHours": "48", "Migrations": [orders()] });
    let done = db_init(&server, properties).await.unwrap();

    assert_eq!(done.get("BinlogFormat"), Some("ROW"));
    assert_eq!(done.get("BinlogRetentionHours"), Some("48"));
    assert_eq!(done.get("SchemaVersion"), Some("1"));
    let version = ask(&server, "SELECT VERSION()").await;
    assert_eq!(done.get("ServerVersion"), Some(version[0].as_str()));
    let (file, position) = done.get("BinlogPosition").unwrap().split_once(':').unwrap();
    assert!(file.starts_with("binlog.") && position.parse::<u64>().unwrap() > 0);

    let kept = "SELECT value FROM mysql.rds_configuration";
    assert_eq!(ask(&server, kept).await, ["48"]);
    assert_eq!(ask(&server, "SELECT note FROM shop.orders").await, ["ä;b"]);
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let server = start().await;
    let properties = json!({ "Migrations": [orders()] });
    let first = db_init(&server, properties.clone()).await.unwrap();
    let history = "SELECT CONCAT_WS(' ', version, name, applied_on, checksum) FROM shop.sluice_schema_history";
    let recorded = ask(&server, history).await;
    assert_eq!(recorded.len(), 1);

    let second = db_init(&server, properties).await.unwrap();
    let still = |attributes: Attributes| attributes.with("BinlogPosition", "");
    assert_eq!(still(second), still(first));
    assert_eq!(ask(&server, history).await, recorded);
    assert_eq!(
        ask(&server, "SELECT COUNT(*) FROM shop.orders").await,
        ["1"]
    );
}

#[tokio::test]
async fn a_database_without_migrations_is_of_version_zero_and_has_no_table() {
    let server = start().await;
    let done = db_init(&server, json!({ "Database": "a`b c" }))
        .await
        .unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("0"));
    assert!(ask(&server, "SHOW TABLES FROM `a``b c`").await.is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_refused_with_every_parameter_to_change() {
    let options = Options::default()
        .with("--skip-log-bin")
        .with("--binlog-format=MIXED")
        .with("--binlog-row-image=MINIMAL");
    let server = MysqlServer::start(options).await.unwrap();
    let reason = refused(&server, json!({ "Migrations": [orders()] })).await;
    for part in [
        "log_bin is OFF",
        "reboot",
        "binlog_format is MIXED",
        "binlog_row_image is MINIMAL",
    ] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
}

#[tokio::test]
async fn a_reader_is_refused() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    admin.query_drop("SET GLOBAL read_only = ON").await.unwrap();
    let reason = refused(&server, json!({})).await;
    assert!(reason.contains("connect to the writer"), "{reason}");
}

#[tokio::test]
async fn a_server_without_rdss_procedures_is_refused() {
    let options = Options {
        rds: false,
        ..Options::default()
    };
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
        admin
            .query_drop("DROP PROCEDURE mysql.rds_set_configuration")
            .await
            .unwrap();
        let idle = "CREATE PROCEDURE mysql.rds_set_configuration(IN setting VARCHAR(30), IN setting_value INT) SELECT 1";
        admin.query_drop(idle).await.unwrap();
    }
    let reason = refused(&server, json!({})).await;
    assert!(
        reason.contains("were set to 24, but the server reports"),
        "{reason}"
    );
}

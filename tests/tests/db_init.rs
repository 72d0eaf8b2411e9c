//! `Custom::DbInit` against a real server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "db_init/binlog.rs"]
mod binlog;
#[path = "db_init/character_sets.rs"]
mod character_sets;
#[path = "db_init/connection.rs"]
mod connection;
#[path = "db_init/cuts.rs"]
mod cuts;
#[path = "db_init/files.rs"]
mod files;
#[path = "db_init/histories.rs"]
mod histories;
#[path = "db_init/interruptions.rs"]
mod interruptions;
#[path = "db_init/migrations.rs"]
mod migrations;
#[path = "db_init/only_mysql.rs"]
mod only_mysql;
#[path = "db_init/quoting.rs"]
mod quoting;
#[path = "db_init/race.rs"]
mod race;
#[path = "db_init/read_only.rs"]
mod read_only;
#[path = "db_init/readiness.rs"]
mod readiness;
#[path = "db_init/secrets.rs"]
mod secrets;
#[path = "db_init/users.rs"]
mod users;

use std::time::Duration;

use anyhow::Result;
use custom_resource::{Attributes, Deadline, Resource};
use db_init::DbInit;
use db_init::secret::Secrets;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::{MysqlServer, Options};
use tokio::time::{sleep, timeout};

/// The master user's secret; with it, under [`STREAM`], that of the user DMS connects as.
struct Secret(Value);

/// The ARN of the secret of DMS's user.
const STREAM: &str = "arn:stream";

impl Secrets for Secret {
    async fn text(&self, arn: &str) -> Result<String> {
        Ok(self.0.get(arn).unwrap_or(&self.0).to_string())
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
async fn run(server: &MysqlServer, secret: Value, more: Value, time: Duration) -> Result<Attributes> {
    let mut properties = json!({ "SecretArn": "arn:secret", "Database": "shop", "SslCa": server.ca_pem() });
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
    start_with(&[]).await
}

async fn start_with(arguments: &[&str]) -> MysqlServer {
    let options = arguments.iter().fold(Options::default(), |options, argument| options.with(argument));
    MysqlServer::start(options).await.unwrap()
}

/// The first column of what a query answers, as text.
async fn ask(server: &MysqlServer, query: &str) -> Vec<String> {
    let mut conn = server.admin().await.unwrap();
    conn.query(query).await.unwrap()
}

/// Waits until this is so; for a minute, on a slow machine.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = timeout(Duration::from_secs(60), waiting).await;
    waited.unwrap_or_else(|_| panic!("not after a minute: {what}"));
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
    let history =
        "SELECT CONCAT_WS(' ', version, name, applied_on, checksum) FROM shop.sluice_schema_history";
    let recorded = ask(&server, history).await;
    assert_eq!(recorded.len(), 1);

    let second = db_init(&server, properties).await.unwrap();
    let still = |attributes: Attributes| attributes.with("BinlogPosition", "");
    assert_eq!(still(second), still(first));
    assert_eq!(ask(&server, history).await, recorded);
    assert_eq!(ask(&server, "SELECT COUNT(*) FROM shop.orders").await, ["1"]);
}

#[tokio::test]
async fn a_database_without_migrations_is_of_version_zero_and_has_no_table() {
    let server = start().await;
    let done = db_init(&server, json!({ "Database": "a`b c" })).await.unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("0"));
    assert!(ask(&server, "SHOW TABLES FROM `a``b c`").await.is_empty());
}

#[tokio::test]
async fn an_update_gives_what_a_create_gives() {
    let server = start().await;
    let properties = json!({
        "SecretArn": "arn:secret", "Database": "shop", "SslCa": server.ca_pem(), "Migrations": [orders()],
    });
    let request = || plays::decoded(serde_json::from_value(properties.clone()).unwrap());
    let handler = DbInit::new(Secret(server.secret()));
    let created = handler.create(request()).await.unwrap();
    let updated = handler.update(request()).await.unwrap();
    for name in ["ServerVersion", "BinlogFormat", "BinlogRetentionHours", "SchemaVersion"] {
        assert_eq!(updated.get(name), created.get(name), "{name}");
    }
    let file = |attributes: &Attributes| {
        let position = attributes.get("BinlogPosition").unwrap();
        position.split_once(':').unwrap().0.to_owned()
    };
    assert_eq!(file(&updated), file(&created));
    handler.delete(plays::decoded(())).await.unwrap();
    assert_eq!(ask(&server, "SELECT note FROM shop.orders").await, ["ä;b"]);
}

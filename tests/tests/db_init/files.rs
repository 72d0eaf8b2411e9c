//! Migrations as files, beside the function's program.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use custom_resource::{Attributes, Deadline};
use db_init::DbInit;
use serde_json::{Value, json};
use stage::mysql::MysqlServer;
use tempfile::TempDir;

use super::{Secret, ask, orders, start_with};

async fn with_files(server: &MysqlServer, files: &TempDir, migrations: Value) -> Result<Attributes> {
    let properties = json!({
        "SecretArn": "arn:secret", "Database": "shop", "SslCa": server.ca_pem(), "Migrations": migrations,
    });
    let properties = serde_json::from_value(properties).unwrap();
    let handler = DbInit::new(Secret(server.secret())).with_files(files.path());
    handler.make_ready(&properties, Deadline::after(Duration::from_secs(60))).await
}

#[tokio::test]
async fn files_are_applied_once_each_and_may_be_large() {
    let server = start_with(&["--max-allowed-packet=16M"]).await;
    let files = tempfile::tempdir().unwrap();
    let none = || json!([]);
    fs::write(files.path().join("V1__t.sql"), "\u{feff}CREATE TABLE t (id INT, note LONGTEXT);\r\n").unwrap();
    let done = with_files(&server, &files, none()).await.unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("1"));

    let large = format!("INSERT INTO t VALUES (1, '{}')", "naïve ".repeat(1_000_000));
    fs::write(files.path().join("V2__large.sql"), large).unwrap();
    for _ in 0..2 {
        let done = with_files(&server, &files, none()).await.unwrap();
        assert_eq!(done.get("SchemaVersion"), Some("2"));
    }
    assert_eq!(ask(&server, "SELECT CHAR_LENGTH(note) FROM shop.t").await, ["6000000"]);

    let reason = format!("{:#}", with_files(&server, &files, json!([orders()])).await.unwrap_err());
    assert!(reason.contains("keep the list or the files"), "{reason}");
    fs::write(files.path().join("notes.txt"), "").unwrap();
    let reason = format!("{:#}", with_files(&server, &files, none()).await.unwrap_err());
    assert!(reason.starts_with("migrations/notes.txt in the function's archive: "), "{reason}");
}

#[tokio::test]
async fn a_migration_that_the_server_takes_in_no_one_piece_is_refused_before_anything_runs() {
    let server = start_with(&["--max-allowed-packet=1M"]).await;
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("V1__t.sql"), "CREATE TABLE t (note LONGTEXT)").unwrap();
    let large = format!("INSERT INTO t VALUES ('{}')", "a".repeat(2_000_000));
    fs::write(files.path().join("V2__large.sql"), large).unwrap();
    let reason = format!("{:#}", with_files(&server, &files, json!([])).await.unwrap_err());
    assert!(
        reason.contains("migration V2__large has 2000025 bytes, and the server takes at most 1048575"),
        "{reason}"
    );
    assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
}

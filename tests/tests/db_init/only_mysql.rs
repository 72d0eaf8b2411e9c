//! What MariaDB can't show. `cargo test` says that these are ignored, and `make test-mysql` runs them.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::MysqlServer;

use super::{ask, db_init, refused, run, start, start_with};

/// A server of MySQL itself.
async fn start_mysql() -> MysqlServer {
    let server = start().await;
    assert!(server.is_mysql(), "this test is for MySQL only: make test-mysql");
    server
}

/// The master user gets this way of logging in, and the server forgets that it has ever seen it.
async fn make_new(server: &MysqlServer) {
    let mut admin = server.admin().await.unwrap();
    let user = format!("'{}'@'%'", server.username());
    let change = format!("ALTER USER {user} IDENTIFIED WITH caching_sha2_password BY 'new to all'");
    admin.query_drop(change).await.unwrap();
    admin.query_drop("FLUSH PRIVILEGES").await.unwrap();
}

fn secret(server: &MysqlServer) -> Value {
    let mut secret = server.secret();
    secret["password"] = json!("new to all");
    secret
}

#[tokio::test]
#[ignore = "only on MySQL: make test-mysql"]
async fn only_mysql_a_first_login_with_caching_sha2_password_goes_over_tls() {
    let server = start_mysql().await;
    for mode in ["VERIFY_IDENTITY", "VERIFY_CA", "REQUIRED"] {
        make_new(&server).await;
        let more = json!({ "SslMode": mode });
        let done = run(&server, secret(&server), more, Duration::from_secs(60)).await;
        assert_eq!(done.unwrap().get("SchemaVersion"), Some("0"), "{mode}");
    }
}

#[tokio::test]
#[ignore = "only on MySQL: make test-mysql"]
async fn only_mysql_a_first_login_with_caching_sha2_password_is_refused_without_tls() {
    let server = start_mysql().await;
    make_new(&server).await;
    let plain = json!({ "SslMode": "DISABLED", "SslCa": null });
    let error = run(&server, secret(&server), plain, Duration::from_secs(60)).await;
    let reason = format!("{:#}", error.unwrap_err());
    assert!(reason.contains("SslMode"), "{reason}");
    assert!(!reason.contains("new to all"), "{reason}");
    assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
}

#[tokio::test]
#[ignore = "only on MySQL: make test-mysql"]
async fn only_mysql_compressed_transactions_and_partial_documents_are_refused() {
    let server = start_mysql().await;
    let mut admin = server.admin().await.unwrap();
    for (name, wrong, right) in [
        ("binlog_transaction_compression", "ON", "OFF"),
        ("binlog_row_value_options", "'PARTIAL_JSON'", "''"),
    ] {
        let set = async |admin: &mut Conn, value: &str| {
            let set = format!("SET GLOBAL {name} = {value}");
            admin.query_drop(set).await.unwrap();
        };
        set(&mut admin, wrong).await;
        let reason = refused(&server, json!({})).await;
        assert!(reason.contains(name), "{reason}");
        set(&mut admin, right).await;
    }
    db_init(&server, json!({})).await.unwrap();
}

#[tokio::test]
#[ignore = "only on MySQL: make test-mysql"]
async fn only_mysql_a_server_without_a_number_is_refused() {
    // MariaDB takes 1 for 0.
    let server = start_with(&["--server-id=0"]).await;
    let reason = refused(&server, json!({})).await;
    assert!(reason.contains("server_id is 0"), "{reason}");
}

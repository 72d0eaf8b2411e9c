//! The server dies, or the way to it, while a request is at work.

use std::time::Duration;

use anyhow::Result;
use custom_resource::{Attributes, Deadline};
use db_init::DbInit;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::MysqlServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Secret, ask, db_init, migration, start, until};

/// Far more than anything here takes.
const TIME: Duration = Duration::from_secs(120);

/// A request at work. What it ends with, and whether that was in time.
type Work = JoinHandle<(Result<Attributes>, bool)>;

/// Begins one, with the properties of a verified connection and these ones.
pub(super) fn begin(server: &MysqlServer, more: &Value) -> Work {
    let mut properties = json!({ "SecretArn": "arn:secret", "Database": "shop", "SslCa": server.ca_pem() });
    let all = properties.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    let properties = serde_json::from_value(properties).unwrap();
    let handler = DbInit::new(Secret(server.secret()));
    tokio::spawn(async move {
        let deadline = Deadline::after(TIME);
        let ended = handler.make_ready(&properties, deadline).await;
        (ended, deadline.remaining() > Duration::ZERO)
    })
}

/// A table that nobody else can use for as long as the connection lives: a migration that wants it stands still there.
pub(super) async fn block(server: &MysqlServer) -> Conn {
    let mut conn = server.admin().await.unwrap();
    for statement in
        ["CREATE DATABASE barrier", "CREATE TABLE barrier.t (id INT)", "LOCK TABLES barrier.t WRITE"]
    {
        conn.query_drop(statement).await.unwrap();
    }
    conn
}

/// Waits until a session of the master user has been at such a statement, whoever runs it.
pub(super) async fn until_at_work_on(server: &MysqlServer, statement: &str) {
    let sessions = format!(
        "SELECT id FROM information_schema.processlist WHERE user = 'admin' AND info LIKE '{statement}%'"
    );
    until(statement, async || !ask(server, &sessions).await.is_empty()).await;
}

/// May be repeated, as a migration of more than one statement should.
fn repeatable() -> Value {
    let sql = "CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY); REPLACE INTO orders VALUES (1); \
               INSERT INTO barrier.t VALUES (1); REPLACE INTO orders VALUES (2)";
    migration(2, "orders", sql)
}

fn list() -> Value {
    let first = "CREATE TABLE firsts (id INT AUTO_INCREMENT PRIMARY KEY); INSERT INTO firsts VALUES ()";
    json!({ "Migrations": [migration(1, "first", first), repeatable()] })
}

/// Whoever was interrupted has failed: the migration had been sent.
async fn ended(work: Work) {
    let (ended, in_time) = work.await.unwrap();
    assert!(in_time);
    let reason = format!("{:#}", ended.unwrap_err());
    assert!(
        reason.starts_with("applying migration V2__orders: the connection to the server was lost"),
        "{reason}"
    );
}

async fn all_is_well_after_the_next_attempt(server: &MysqlServer) {
    let done = db_init(server, list()).await.unwrap();
    assert_eq!(done.get("SchemaVersion"), Some("2"));
    let history = "SELECT CONCAT(version, name) FROM shop.sluice_schema_history ORDER BY version";
    assert_eq!(ask(server, history).await, ["1first", "2orders"]);
    assert_eq!(ask(server, "SELECT COUNT(*) FROM shop.firsts").await, ["1"]);
    let orders = "SELECT id FROM shop.orders ORDER BY id";
    assert_eq!(ask(server, orders).await, ["1", "2"]);
}

#[tokio::test]
async fn a_server_that_dies_in_mid_migration_costs_the_attempt() {
    let mut server = start().await;
    let _barrier = block(&server).await;
    let work = begin(&server, &list());
    until_at_work_on(&server, "INSERT INTO barrier").await;
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    ended(work).await;
    all_is_well_after_the_next_attempt(&server).await;
}

#[tokio::test]
async fn connections_that_are_cut_in_mid_migration_cost_the_attempt() {
    let server = start().await;
    let mut barrier = block(&server).await;
    let work = begin(&server, &list());
    until_at_work_on(&server, "INSERT INTO barrier").await;
    let sessions = "SELECT id FROM information_schema.processlist WHERE user = 'admin'";
    for session in ask(&server, sessions).await {
        // A session whose neighbour is cut off may leave by itself before its turn comes.
        let _ = barrier.query_drop(format!("KILL {session}")).await;
    }
    barrier.query_drop("UNLOCK TABLES").await.unwrap();
    ended(work).await;
    all_is_well_after_the_next_attempt(&server).await;
}

#[tokio::test]
async fn a_server_that_dies_while_somebody_logs_in_is_waited_for() {
    let mut server = start().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = ("127.0.0.1", server.port());
    let work = begin(&server, &json!({ "Port": port }));

    // The first to come is greeted by the server, and by nobody after that.
    let (mut visitor, _) = listener.accept().await.unwrap();
    let mut line = TcpStream::connect(address).await.unwrap();
    let mut greeting = [0; 1024];
    let length = line.read(&mut greeting).await.unwrap();
    visitor.write_all(&greeting[..length]).await.unwrap();
    server.kill().await.unwrap();
    drop(visitor);

    // The others are let through; those who come too early find nobody.
    let passage = tokio::spawn(async move {
        while let Ok((mut visitor, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut line) = TcpStream::connect(address).await {
                    let _ = copy_bidirectional(&mut visitor, &mut line).await;
                }
            });
        }
    });
    server.restart().await.unwrap();
    let (done, in_time) = work.await.unwrap();
    assert!(in_time);
    assert_eq!(done.unwrap().get("SchemaVersion"), Some("0"));
    passage.abort();
}

//! A server that is read-only for some seconds, as one is in a failover whose connections stay.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::json;
use stage::mysql::MysqlServer;
use tokio::time::sleep;

use super::interruptions::until_at_work_on;
use super::{ask, db_init, migration, orders, start};

async fn set_read_only(server: &MysqlServer, conn: &mut Conn, value: &str) {
    let name = if server.is_mysql() { "super_read_only" } else { "read_only" };
    conn.query_drop(format!("SET GLOBAL {name} = {value}")).await.unwrap();
    if value == "OFF" {
        conn.query_drop("SET GLOBAL read_only = OFF").await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_read_only_for_a_while_is_waited_for() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    set_read_only(&server, &mut admin, "ON").await;
    let end = async {
        sleep(Duration::from_secs(4)).await;
        set_read_only(&server, &mut admin, "OFF").await;
    };
    let (done, ()) = tokio::join!(db_init(&server, json!({ "Migrations": [orders()] })), end);
    assert_eq!(done.unwrap().get("SchemaVersion"), Some("1"));
    assert_eq!(ask(&server, "SELECT COUNT(*) FROM shop.orders").await, ["1"]);
}

#[tokio::test]
async fn between_a_migration_and_its_entry_the_entry_alone_is_made_up_for() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    admin.query_drop("DO GET_LOCK('pace', 1)").await.unwrap();
    let slow = migration(
        1,
        "slow",
        "CREATE TABLE log (id INT); INSERT INTO log VALUES (1); DO GET_LOCK('pace', 300)",
    );
    let next = migration(2, "next", "INSERT INTO log VALUES (2)");
    let trouble = async {
        until_at_work_on(&server, "DO GET_LOCK").await;
        set_read_only(&server, &mut admin, "ON").await;
        admin.query_drop("DO RELEASE_LOCK('pace')").await.unwrap();
        sleep(Duration::from_secs(4)).await;
        set_read_only(&server, &mut admin, "OFF").await;
    };
    let (done, ()) = tokio::join!(db_init(&server, json!({ "Migrations": [slow, next] })), trouble);
    assert_eq!(done.unwrap().get("SchemaVersion"), Some("2"));
    assert_eq!(ask(&server, "SELECT id FROM shop.log ORDER BY id").await, ["1", "2"]);
    let history = "SELECT name FROM shop.sluice_schema_history ORDER BY version";
    assert_eq!(ask(&server, history).await, ["slow", "next"]);
}

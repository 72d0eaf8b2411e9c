//! The stand-in for RDS starts a real server for each cluster, and leaves none behind.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::{MysqlServer, Options};
use stage::rds::RdsStandIn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request, without an HTTP client: the status and the body.
async fn ask(rds: &RdsStandIn, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let address = rds.endpoint().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn a_cluster_lives_from_its_creation_to_its_deletion() {
    let rds = RdsStandIn::start().await.unwrap();
    let wanted =
        json!({ "identifier": "shop", "username": "boss", "password": "p'w\\d", "database": "orders" });
    let (status, place) = ask(&rds, "POST", "/clusters", &wanted).await;
    assert_eq!(status, 200, "{place}");
    let port = place["port"].as_u64().unwrap();
    assert_eq!(place["host"], "localhost");
    assert_eq!(rds.identifiers().await, ["shop"]);

    let opts = rds.cluster("shop").await.unwrap();
    assert_eq!(u64::from(opts.tcp_port()), port);
    let mut conn = Conn::new(opts).await.unwrap();
    let databases: Vec<String> = conn.query("SHOW DATABASES LIKE 'orders'").await.unwrap();
    assert_eq!(databases, ["orders"]);
    conn.disconnect().await.unwrap();

    assert_eq!(ask(&rds, "POST", "/clusters", &wanted).await.0, 409);
    assert_eq!(ask(&rds, "DELETE", "/clusters/shop", &json!({})).await.0, 200);
    assert_eq!(ask(&rds, "DELETE", "/clusters/shop", &json!({})).await.0, 404);
    assert!(rds.cluster("shop").await.is_none());
    let address = format!("127.0.0.1:{port}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_retention_obeys_auroras_rules() {
    let server = MysqlServer::start(Options::default()).await.unwrap();
    let mut conn = server.connect().await.unwrap();
    let show = "CALL mysql.rds_show_configuration";
    let (name, value, _description): (String, Option<String>, String) =
        conn.query_first(show).await.unwrap().unwrap();
    assert_eq!((name.as_str(), value), ("binlog retention hours", None));
    for (hours, taken) in [("0", false), ("1", true), ("2160", true), ("2161", false), ("NULL", true)] {
        let set = format!("CALL mysql.rds_set_configuration('binlog retention hours', {hours})");
        assert_eq!(conn.query_drop(set).await.is_ok(), taken, "{hours}");
    }
}

#[tokio::test]
async fn a_server_keeps_its_data_over_a_stop_and_a_crash() {
    let mut server = MysqlServer::start(Options::default()).await.unwrap();
    let mut conn = server.connect().await.unwrap();
    conn.query_drop("CREATE DATABASE kept; CREATE TABLE kept.t (id INT)").await.unwrap();
    server.stop().await.unwrap();
    server.restart().await.unwrap();
    let mut conn = server.connect().await.unwrap();
    conn.query_drop("INSERT INTO kept.t VALUES (1)").await.unwrap();
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    let mut conn = server.connect().await.unwrap();
    let rows: Vec<u8> = conn.query("SELECT id FROM kept.t").await.unwrap();
    assert_eq!(rows, [1]);
}

//! `db-init` against a real database server.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::{MysqlServer, Options};
use stage::secrets::Secret;

use super::{SECRET, Scene, reason};

struct Database {
    scene: Scene,
    server: MysqlServer,
}

impl Database {
    async fn start() -> Self {
        let scene = Scene::of("DbInit").await;
        let server = MysqlServer::start(Options::default()).await.unwrap();
        scene.attach(&server);
        Self { scene, server }
    }

    /// The properties of a verified connection, and these ones.
    fn properties(&self, more: &Value) -> Value {
        let mut all = json!({ "SecretArn": SECRET, "Database": "shop", "SslCa": self.server.ca_pem() });
        let (into, more) = (all.as_object_mut().unwrap(), more.as_object().unwrap());
        into.extend(more.clone());
        all
    }

    /// The first column of what a query answers.
    async fn ask(&self, query: &str) -> Vec<String> {
        let mut conn = self.server.admin().await.unwrap();
        conn.query(query).await.unwrap()
    }

    /// How many logins the server has refused.
    async fn refused_logins(&self) -> u32 {
        let mut conn = self.server.admin().await.unwrap();
        let row: Option<(String, u32)> =
            conn.query_first("SHOW GLOBAL STATUS LIKE 'Aborted_connects'").await.unwrap();
        row.unwrap().1
    }
}

fn orders() -> Value {
    json!({ "Version": "1", "Name": "orders", "Sql": "CREATE TABLE orders (id INT PRIMARY KEY)" })
}

#[tokio::test]
async fn a_database_is_made_ready_updated_and_left_alone_by_one_warm_process() {
    let database = Database::start().await;
    let scene = &database.scene;

    let wanted = database.properties(&json!({ "Migrations": [orders()] }));
    let created = scene.answer("Create", wanted).await;
    assert_eq!(created["Status"], "SUCCESS", "{created}");
    assert_eq!(created["PhysicalResourceId"], "DbInit-0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f");
    let data = &created["Data"];
    assert_eq!(data["BinlogFormat"], "ROW");
    assert_eq!(data["BinlogRetentionHours"], "24");
    assert_eq!(data["SchemaVersion"], "1");
    assert_eq!(data["ServerVersion"], database.ask("SELECT VERSION()").await[0]);
    assert!(data["BinlogPosition"].as_str().unwrap().contains(':'));

    let lines = json!({ "Version": 2, "Name": "lines_", "Sql": "CREATE TABLE lines_ (id INT)" });
    let more = json!({ "BinlogRetentionHours": "48", "Migrations": [orders(), lines] });
    let updated = scene.answer("Update", database.properties(&more)).await;
    assert_eq!(updated["Status"], "SUCCESS", "{updated}");
    assert_eq!(updated["PhysicalResourceId"], "DbInit-0b6ad7a0");
    assert_eq!(updated["Data"]["BinlogRetentionHours"], "48");
    assert_eq!(updated["Data"]["SchemaVersion"], "2");

    // A rollback brings the old properties back. The retention follows; the schema stays as it is.
    let wanted = database.properties(&json!({ "Migrations": [orders()] }));
    let back = scene.done("Update", wanted.clone()).await;
    assert_eq!(back["BinlogRetentionHours"], "24");
    assert_eq!(back["SchemaVersion"], "2");

    let deleted = scene.answer("Delete", wanted).await;
    assert_eq!(deleted["Status"], "SUCCESS", "{deleted}");
    assert_eq!(deleted["PhysicalResourceId"], "DbInit-0b6ad7a0");
    assert_eq!(database.ask("SHOW TABLES FROM shop").await, ["lines_", "orders", "sluice_schema_history"]);
    assert_eq!(database.ask("SELECT value FROM mysql.rds_configuration").await, ["24"]);
}

#[tokio::test]
async fn a_delete_needs_neither_secret_nor_database() {
    let scene = Scene::of("DbInit").await;
    let old = json!({ "SecretArn": ["of", "another", "time"], "Hostname": "gone" });
    scene.done("Delete", old).await;
}

#[tokio::test]
async fn a_retention_that_is_no_number_of_hours_is_refused_with_its_path() {
    let scene = Scene::of("DbInit").await;
    for hours in ["0", "2161", "a day", ""] {
        let properties = json!({ "SecretArn": SECRET, "Database": "shop", "BinlogRetentionHours": hours });
        let reason = scene.refused("Create", properties).await;
        let expected = format!(
            "ResourceProperties.BinlogRetentionHours: {hours:?} is no number of hours from 1 to 2160 ("
        );
        assert!(reason.starts_with(&expected), "{reason}");
    }
}

#[tokio::test]
async fn what_is_no_migration_and_no_certificate_is_refused_with_its_path() {
    let scene = Scene::of("DbInit").await;
    for (sql, ca, told) in [
        (json!(["CREATE TABLE t (id INT)"]), None, "Migrations[1].Sql: "),
        (
            json!("CREATE TABLE t (a INT);; DO 1"),
            None,
            "Migrations[1].Sql: the semicolon in line 1 ends no statement",
        ),
        (
            json!("DO 1"),
            Some("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"),
            "SslCa: certificate 1 is damaged",
        ),
    ] {
        let broken = json!({ "Version": "2", "Name": "lines", "Sql": sql });
        let mut properties =
            json!({ "SecretArn": SECRET, "Database": "shop", "Migrations": [orders(), broken] });
        if let Some(ca) = ca {
            properties["SslCa"] = json!(ca);
        }
        let reason = scene.refused("Update", properties).await;
        assert!(reason.starts_with(&format!("ResourceProperties.{told}")), "{reason}");
    }
}

#[tokio::test]
async fn a_secret_that_is_missing_or_not_what_it_should_be_is_named() {
    let scene = Scene::of("DbInit").await;
    let properties = json!({ "SecretArn": SECRET, "Database": "shop", "Host": "localhost" });
    let missing = scene.refused("Create", properties.clone()).await;
    assert!(missing.contains("there is no such secret"), "{missing}");
    assert!(missing.starts_with(&format!("reading the secret {SECRET}: ")), "{missing}");

    for (text, complaint) in [
        ("hunter2", "its value is no JSON object"),
        (r#"{"password":"hunter2"}"#, "it has no field `username`"),
        (r#"{"username":"admin"}"#, "it has no field `password`"),
        (r#"{"username":"admin","password":"hunter2","port":"many"}"#, "its field `port` is no port number"),
    ] {
        scene.secrets.keep(SECRET, Secret::Text(text.to_owned()));
        let reason = scene.refused("Create", properties.clone()).await;
        let expected = format!("reading the secret {SECRET}: {complaint} (");
        assert!(reason.starts_with(&expected), "{reason}");
    }

    let text = r#"{"username":"admin","password":"hunter2"}"#;
    scene.secrets.keep(SECRET, Secret::Text(text.to_owned()));
    let nowhere = json!({ "SecretArn": SECRET, "Database": "shop" });
    let reason = scene.refused("Create", nowhere).await;
    assert!(reason.starts_with("ResourceProperties.Host: needed"), "{reason}");
}

#[tokio::test]
async fn a_host_that_refuses_is_tried_again_and_named_in_time() {
    let scene = Scene::of("DbInit").await;
    let text = r#"{"username":"admin","password":"hunter2"}"#;
    scene.secrets.keep(SECRET, Secret::Text(text.to_owned()));
    // A port that was free a moment ago: whoever connects is refused.
    let port = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    // What DMS would refuse is warned of before anybody connects.
    let dms = r#"{"username":"dms","password":"hunter:3"}"#;
    scene.secrets.keep("arn:dms", Secret::Text(dms.to_owned()));
    let properties = json!({
        "SecretArn": SECRET, "Database": "shop", "Host": "127.0.0.1", "Port": port,
        "ReplicationUserSecretArn": "arn:dms",
    });
    // Of this, two seconds are left to wait for a server.
    let time = Duration::from_secs(16);
    let event = scene.event("Create", &properties);
    let reason = reason(&scene.answer_within(event, time).await);
    assert!(reason.starts_with(&format!("connecting to 127.0.0.1:{port} as admin: ")), "{reason}");
    assert!(reason.contains("refused"), "{reason}");
    let (log, _) = scene.end().await;
    assert!(log.matches("trying again").count() > 1, "{log}");
    assert!(log.contains("the password in the secret arn:dms holds a colon"), "{log}");
    assert!(!log.contains("hunter"), "{log}");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let database = Database::start().await;
    let scene = &database.scene;
    let mut secret = database.server.secret();
    secret["password"] = json!("hunter2");
    scene.secrets.keep(SECRET, Secret::Text(secret.to_string()));
    let before = database.refused_logins().await;
    let wanted = database.properties(&json!({}));
    let reason = scene.refused("Create", wanted).await;
    assert!(reason.contains("Access denied for user 'admin'"), "{reason}");
    assert_eq!(database.refused_logins().await - before, 1);
}

#[tokio::test]
async fn a_migration_that_fails_is_named_with_the_servers_words_and_can_be_mended() {
    let database = Database::start().await;
    let scene = &database.scene;
    let broken = json!({ "Version": "2", "Name": "broken", "Sql": "INSERT INTO nowhere (id) VALUES (1)" });
    let wanted = database.properties(&json!({ "Migrations": [orders(), broken] }));
    let answer = scene.answer("Create", wanted).await;
    let reason = reason(&answer);
    let told =
        "applying migration V2__broken: statement 1: Table 'shop.nowhere' doesn't exist (MySQL error 1146)";
    assert!(reason.starts_with(told), "{reason}");
    assert_eq!(answer["PhysicalResourceId"], "DbInit-0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f");
    // The same process, the next deployment.
    let mended = json!({ "Version": "2", "Name": "mended", "Sql": "INSERT INTO orders VALUES (1)" });
    let wanted = database.properties(&json!({ "Migrations": [orders(), mended] }));
    assert_eq!(scene.done("Create", wanted).await["SchemaVersion"], "2");
    assert_eq!(database.ask("SELECT id FROM shop.orders").await, ["1"]);
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_talked_to() {
    let database = Database::start().await;
    let bundle = json!({ "SecretArn": SECRET, "Database": "shop" });
    let reason = database.scene.refused("Create", bundle).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}

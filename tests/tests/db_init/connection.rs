//! Getting in: patience, passwords, TLS, and the lock.

use std::time::Duration;

use custom_resource::Deadline;
use db_init::DbInit;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::certificates::Authority;
use stage::mysql::{MysqlServer, Options};

use super::{Secret, ask, db_init, refused, run, start};

#[tokio::test]
async fn a_lock_that_somebody_keeps_is_waited_for_within_bounds() {
    let server = start().await;
    let mut other = server.connect().await.unwrap();
    other.query_drop("SELECT GET_LOCK(CONCAT('sluice:', SHA2('database shop', 224)), 1)").await.unwrap();
    let time = Duration::from_secs(31);
    let error = run(&server, server.secret(), json!({}), time).await.unwrap_err();
    let reason = format!("{error:#}");
    assert!(reason.contains("still at work on database shop"), "{reason}");
}

#[tokio::test]
async fn a_wrong_password_fails_at_once() {
    let server = start().await;
    let mut secret = server.secret();
    secret["password"] = json!("wrong");
    let failures = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'ABORTED_CONNECTS'";
    let failures = if ask(&server, "SELECT VERSION()").await[0].contains("MariaDB") {
        failures.to_owned()
    } else {
        failures.replace("information_schema.GLOBAL_STATUS", "performance_schema.global_status")
    };
    let before: u32 = ask(&server, &failures).await[0].parse().unwrap();
    let error = run(&server, secret, json!({}), Duration::from_secs(60)).await.unwrap_err();
    let reason = format!("{error:#}");
    assert!(reason.contains("Access denied for user 'admin'"), "{reason}");
    let after: u32 = ask(&server, &failures).await[0].parse().unwrap();
    assert_eq!(after - before, 1, "logins that failed");
}

#[tokio::test]
async fn a_server_that_comes_up_late_is_waited_for() {
    let mut server = start().await;
    server.kill().await.unwrap();
    let (port, secret, ca) = (server.port(), server.secret(), server.ca_pem().to_owned());
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let waiting = tokio::spawn(async move {
        let properties = json!({ "SecretArn": "arn", "Database": "shop", "SslCa": ca });
        let properties = serde_json::from_value(properties).unwrap();
        let deadline = Deadline::after(Duration::from_secs(60));
        DbInit::new(Secret(secret)).make_ready(&properties, deadline).await
    });
    tokio::task::yield_now().await;
    server.restart().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().get("SchemaVersion"), Some("0"));
}

#[tokio::test]
async fn a_server_that_stays_away_is_named_when_patience_ends() {
    let mut server = start().await;
    server.kill().await.unwrap();
    let time = Duration::from_secs(12);
    let error = run(&server, server.secret(), json!({}), time).await.unwrap_err();
    let reason = format!("{error:#}");
    let place = format!("connecting to localhost:{} as admin: ", server.port());
    assert!(reason.starts_with(&place), "{reason}");
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_unless_nobody_asks() {
    let server = start().await;
    let stranger = Authority::new();
    for ca in [json!(stranger.pem()), Value::Null] {
        for mode in ["VERIFY_IDENTITY", "VERIFY_CA"] {
            let reason = refused(&server, json!({ "SslCa": ca, "SslMode": mode })).await;
            assert!(reason.contains("UnknownIssuer"), "{mode}: {reason}");
        }
        let properties = json!({ "SslCa": ca, "SslMode": "REQUIRED" });
        db_init(&server, properties).await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_the_authority_is_enough() {
    let server = start().await;
    let reason = refused(&server, json!({ "Host": "127.0.0.1" })).await;
    assert!(reason.contains("not valid for name"), "{reason}");
    let properties = json!({ "Host": "127.0.0.1", "SslMode": "VERIFY_CA" });
    db_init(&server, properties).await.unwrap();
}

#[tokio::test]
async fn the_root_that_signed_the_servers_certificate_is_told() {
    let server = start().await;
    let own = server.ca_pem().replace('\r', "");
    let others = Authority::new().pem().to_owned() + &own + Authority::new().pem();
    for (ca, mode, told) in [
        (json!(own), "VERIFY_IDENTITY", own.as_str()),
        // As a shell and as YAML may bring them.
        (json!(others.replace('\n', "\\n")), "VERIFY_IDENTITY", &own),
        (json!(others.replace('\n', "\n    ")), "VERIFY_CA", &own),
        (json!(others), "REQUIRED", &own),
        (Value::Null, "REQUIRED", ""),
    ] {
        let done = db_init(&server, json!({ "SslCa": ca, "SslMode": mode })).await.unwrap();
        assert_eq!(done.get("CertificateAuthority"), Some(told), "{mode}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_unless_tls_is_disabled() {
    let options = Options { authority: None, ..Options::default() };
    let server = MysqlServer::start(options).await.unwrap();
    for mode in ["VERIFY_IDENTITY", "VERIFY_CA", "REQUIRED"] {
        let reason = refused(&server, json!({ "SslCa": null, "SslMode": mode })).await;
        assert!(reason.contains("offers no TLS"), "{mode}: {reason}");
    }
    // MySQL wants a password itself unless it has seen it before.
    server.connect().await.unwrap();
    let properties = json!({ "SslCa": null, "SslMode": "DISABLED" });
    let done = db_init(&server, properties).await.unwrap();
    assert_eq!(done.get("CertificateAuthority"), Some(""));
}

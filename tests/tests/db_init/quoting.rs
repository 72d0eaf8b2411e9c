//! Names and passwords of any spelling, there and back through a real server.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::json;
use stage::mysql::MysqlServer;

use super::{STREAM, ask, migration, run, start};

/// Characters that mean something somewhere: to SQL, to patterns, to the shell, to nobody.
const CHARACTERS: &str = "[ a-zA-Z0-9_%\\\\`'\"@;.,:$?*/#\\-(){}\t\näß€漢\u{301}]";

/// Names, which hold nothing beyond U+FFFF. An account's are shorter than a database's.
fn name(longest: usize) -> impl Strategy<Value = String> {
    let name = format!("{CHARACTERS}{{1,{longest}}}");
    let name = proptest::string::string_regex(&name).unwrap();
    name.prop_filter("the server would take it for another name", |name| {
        name.trim() == name
            // Taken off at a login, for the sake of ancient clients.
            && !(name.starts_with('\'') && name.ends_with('\''))
            && !["mysql", "sys", "root"].contains(&name.to_lowercase().as_str())
    })
}

/// Databases, whose names have to fit into a GRANT, which escapes what could be a pattern.
fn database() -> impl Strategy<Value = String> {
    let length = |name: &str| name.chars().count() + name.matches(['_', '%', '\\']).count();
    name(64).prop_filter("no GRANT can spell it", move |name| length(name) <= 64)
}

/// Passwords hold anything but NUL.
fn password() -> impl Strategy<Value = String> {
    let marked = proptest::string::string_regex(&format!("{CHARACTERS}{{1,40}}")).unwrap();
    prop_oneof![marked, "[^\u{0}]{1,40}"]
}

async fn round_trip(
    server: &MysqlServer,
    database: &str,
    name: &str,
    password: &str,
) -> Result<(), TestCaseError> {
    let mut secrets = server.secret();
    secrets[STREAM] = json!({ "username": name, "password": password });
    let table = migration(1, "t", "CREATE TABLE t (id INT); INSERT INTO t VALUES (7)");
    let properties = json!({
        "ReplicationUserSecretArn": STREAM, "Database": database, "Migrations": [table],
    });
    let time = Duration::from_secs(60);
    for _ in 0..2 {
        let done = run(server, secrets.clone(), properties.clone(), time).await;
        let done = done.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        prop_assert_eq!(done.get("SchemaVersion"), Some("1"));
    }

    let opts =
        OptsBuilder::from_opts(server.opts()).user(Some(name)).pass(Some(password)).db_name(Some(database));
    let mut conn = Conn::new(opts).await?;
    let found: Option<(u32, String, String)> =
        conn.query_first("SELECT id, DATABASE(), CURRENT_USER() FROM t").await?;
    prop_assert_eq!(found, Some((7, database.to_owned(), format!("{name}@%"))));
    conn.disconnect().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_names_and_any_password_come_through() {
    let server = start().await;
    let before = ask(&server, "SHOW DATABASES").await.len();
    let config = Config { cases: 24, max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    let handle = tokio::runtime::Handle::current();
    let played = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&(database(), name(32), password()), |(database, name, password)| {
            handle.block_on(round_trip(&server, &database, &name, &password))
        })
    });
    played.unwrap();
    assert!(ask(&server, "SHOW DATABASES").await.len() > before + 12);
}

//! The user that DMS connects as.

use std::time::Duration;

use anyhow::Result;
use custom_resource::Attributes;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use serde_json::{Value, json};
use stage::mysql::MysqlServer;

use super::{STREAM, ask, db_init, migration, run, start};

/// Name and password of the user.
type User<'a> = (&'a str, &'a str);

const DMS: User<'_> = ("dms", "hunter2");

/// Runs the handler with this user for DMS.
async fn with_user(server: &MysqlServer, user: User<'_>, more: Value) -> Result<Attributes> {
    let mut secrets = server.secret();
    secrets[STREAM] = json!({ "username": user.0, "password": user.1 });
    let mut properties = json!({ "ReplicationUserSecretArn": STREAM });
    let all = properties.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    run(server, secrets, properties, Duration::from_secs(60)).await
}

async fn refused(server: &MysqlServer, user: User<'_>) -> String {
    let error = with_user(server, user, json!({})).await.unwrap_err();
    let reason = format!("{error:#}");
    assert!(!reason.contains("hunter2"), "{reason}");
    assert!(!reason.contains(server.password()), "{reason}");
    reason
}

/// A connection of the user.
async fn log_in(server: &MysqlServer, (name, password): User<'_>) -> mysql_async::Result<Conn> {
    let opts = OptsBuilder::from_opts(server.opts()).user(Some(name)).pass(Some(password));
    Conn::new(opts).await
}

/// What the server says that the user may, in its own words but for the names of accounts and privileges.
async fn grants(server: &MysqlServer, name: &str) -> Vec<String> {
    let account = format!("`{}`@`%`", name.replace('`', "``"));
    let mut grants = ask(server, &format!("SHOW GRANTS FOR {account}")).await;
    for grant in &mut grants {
        // MariaDB shows the password's hash with it, and has another name for the privilege.
        let end = grant.find(" IDENTIFIED BY").unwrap_or(grant.len());
        grant.truncate(end);
        *grant = grant
            .replace(&account, "dms")
            .replace("BINLOG MONITOR", "REPLICATION CLIENT")
            .replace("REPLICATION CLIENT, REPLICATION SLAVE", "REPLICATION SLAVE, REPLICATION CLIENT");
    }
    grants
}

const JUST_ENOUGH: [&str; 2] =
    ["GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO dms", "GRANT SELECT ON `shop`.* TO dms"];

#[tokio::test]
async fn a_user_is_made_that_may_read_the_binlog_and_the_database_and_nothing_else() {
    let server = start().await;
    let (user, password) = ("dms", "hunter2 'with' \"quotes\" \\ and; 🦀");
    let table = migration(1, "t", "CREATE TABLE t (id INT)");
    let done = with_user(&server, (user, password), json!({ "Migrations": [table] }));
    assert_eq!(done.await.unwrap().get("SchemaVersion"), Some("1"));
    assert_eq!(grants(&server, user).await, JUST_ENOUGH);

    let mut conn = log_in(&server, (user, password)).await.unwrap();
    let rows: Vec<u32> = conn.query("SELECT id FROM shop.t").await.unwrap();
    assert!(rows.is_empty());
    let denied = conn.query_drop("DELETE FROM shop.t").await.unwrap_err();
    assert!(denied.to_string().contains("denied"), "{denied}");
}

/// Everything that the current binlog says from this position on, but for the rows.
async fn binlog(server: &MysqlServer, from: &str) -> String {
    let (file, position) = from.split_once(':').unwrap();
    let mut admin = server.admin().await.unwrap();
    let events = format!("SHOW BINLOG EVENTS IN '{file}' FROM {position}");
    let events: Vec<Row> = admin.query(events).await.unwrap();
    let said = events.iter().map(|event| event.get::<String, _>("Info").unwrap());
    said.collect::<Vec<_>>().join("\n")
}

fn position(done: Result<Attributes>) -> String {
    done.unwrap().get("BinlogPosition").unwrap().to_owned()
}

#[tokio::test]
async fn a_second_run_leaves_the_user_alone() {
    let server = start().await;
    let first = position(with_user(&server, DMS, json!({})).await);
    position(with_user(&server, DMS, json!({})).await);
    let written = binlog(&server, &first).await;
    assert!(written.contains("CREATE DATABASE"), "{written}");
    assert!(!written.contains("dms"), "{written}");
}

#[tokio::test]
async fn no_password_is_in_the_binlog() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    admin.query_drop("FLUSH BINARY LOGS").await.unwrap();
    let file = db_init(&server, json!({})).await.unwrap();
    let file = file.get("BinlogPosition").unwrap().split_once(':').unwrap();
    for password in ["hunter2", "hunter2too"] {
        with_user(&server, ("dms", password), json!({})).await.unwrap();
    }
    let written = binlog(&server, &format!("{}:4", file.0)).await;
    assert!(written.contains("dms"), "{written}");
    assert!(!written.contains("hunter2"), "{written}");
}

#[tokio::test]
async fn a_rotated_password_is_applied_by_the_next_update() {
    let server = start().await;
    with_user(&server, DMS, json!({})).await.unwrap();
    with_user(&server, ("dms", "hunter3"), json!({})).await.unwrap();
    log_in(&server, ("dms", "hunter3")).await.unwrap();
    log_in(&server, DMS).await.unwrap_err();
    assert_eq!(grants(&server, "dms").await, JUST_ENOUGH);
}

#[tokio::test]
async fn whatever_the_user_could_before_it_can_just_read_afterwards() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    for statement in [
        "CREATE DATABASE shop",
        "CREATE DATABASE `other db`",
        "CREATE TABLE shop.t (id INT, `a col` INT)",
        "CREATE TABLE `other db`.t (id INT, `a col` INT)",
        "CREATE PROCEDURE shop.p() SELECT 1",
        "CREATE FUNCTION shop.f() RETURNS INT DETERMINISTIC NO SQL RETURN 1",
        "CREATE USER dms IDENTIFIED BY 'forgotten', other IDENTIFIED BY 'x'",
        "CREATE ROLE boss",
        "GRANT INSERT ON *.* TO boss",
        "GRANT boss TO dms WITH ADMIN OPTION",
        "GRANT SELECT, RELOAD, REPLICATION SLAVE ON *.* TO dms WITH GRANT OPTION",
        "GRANT ALL ON shop.* TO dms WITH GRANT OPTION",
        "GRANT ALL ON `other db`.* TO dms",
        "GRANT SELECT ON `sh%`.* TO dms",
        "GRANT INSERT, SELECT (`a col`) ON shop.t TO dms WITH GRANT OPTION",
        "GRANT UPDATE (id, `a col`) ON `other db`.t TO dms",
        "GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE shop.p TO dms WITH GRANT OPTION",
        "GRANT EXECUTE ON FUNCTION shop.f TO dms",
        "INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor)
         VALUES ('%', 'dms', '%', 'other', 1, ''), ('%', 'admin', '', '', 1, '')",
        "FLUSH PRIVILEGES",
    ] {
        admin.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let default_role =
        if server.is_mysql() { "SET DEFAULT ROLE boss TO dms" } else { "SET DEFAULT ROLE boss FOR dms" };
    admin.query_drop(default_role).await.unwrap();
    admin.query_drop("ALTER USER dms ACCOUNT LOCK").await.unwrap();
    // RDS's master user can't take away what it doesn't have; this one's rights are wider here.
    let master = format!("GRANT ALL ON *.* TO {} WITH GRANT OPTION", server.username());
    admin.query_drop(master).await.unwrap();
    let master = format!("GRANT boss TO {} WITH ADMIN OPTION", server.username());
    admin.query_drop(master).await.unwrap();

    with_user(&server, DMS, json!({})).await.unwrap();
    // Another DbInit may have let it read the other database.
    assert_eq!(
        sorted_grants(&server).await,
        ["GRANT SELECT ON `other db`.* TO dms", JUST_ENOUGH[1]].map(str::to_owned)
    );
    log_in(&server, DMS).await.unwrap();
}

#[tokio::test]
async fn one_user_may_read_several_databases() {
    let server = start().await;
    let of = |database: &str| json!({ "Database": database });
    let (shop, other) =
        tokio::join!(with_user(&server, DMS, of("my_shop")), with_user(&server, DMS, of("other")));
    shop.unwrap();
    other.unwrap();
    with_user(&server, DMS, of("my_shop")).await.unwrap();
    let read = ["GRANT SELECT ON `my\\_shop`.* TO dms", "GRANT SELECT ON `other`.* TO dms"];
    assert_eq!(sorted_grants(&server).await, read);
}

/// The databases that DMS may read, where that and the binlog is all it may.
async fn sorted_grants(server: &MysqlServer) -> Vec<String> {
    let mut grants = grants(server, "dms").await;
    grants.sort();
    let binlog = grants.iter().position(|it| it == JUST_ENOUGH[0]).expect("the binlog may be read");
    grants.remove(binlog);
    grants
}

#[tokio::test]
async fn a_user_whose_connections_are_all_taken_is_let_in() {
    let server = start().await;
    with_user(&server, DMS, json!({})).await.unwrap();
    let mut admin = server.admin().await.unwrap();
    admin.query_drop("ALTER USER dms WITH MAX_USER_CONNECTIONS 1").await.unwrap();
    let _dms = log_in(&server, DMS).await.unwrap();
    log_in(&server, DMS).await.unwrap_err();
    with_user(&server, DMS, json!({})).await.unwrap();
    assert_eq!(grants(&server, "dms").await[1], JUST_ENOUGH[1]);
}

#[tokio::test]
async fn a_locked_account_is_unlocked_and_keeps_its_password() {
    let server = start().await;
    with_user(&server, DMS, json!({})).await.unwrap();
    let mut admin = server.admin().await.unwrap();
    // MariaDB keeps no history of passwords.
    let history = if server.is_mysql() { " PASSWORD HISTORY 3" } else { "" };
    for password in ["hunter2", "hunter3"] {
        admin.query_drop(format!("ALTER USER dms{history} ACCOUNT LOCK")).await.unwrap();
        log_in(&server, ("dms", password)).await.unwrap_err();
        with_user(&server, ("dms", password), json!({})).await.unwrap();
        log_in(&server, ("dms", password)).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_with_a_policy_for_passwords_is_content_with_a_good_one() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    let install = if server.is_mysql() {
        "INSTALL COMPONENT 'file://component_validate_password'"
    } else {
        "INSTALL SONAME 'simple_password_check'"
    };
    if let Err(error) = admin.query_drop(install).await {
        // MariaDB has it in another package than the server's core.
        assert!(!server.is_mysql() && error.to_string().contains("annot open"), "{error}");
        return;
    }
    for password in ["Hunter.22", "Hunter.33"] {
        with_user(&server, ("dms", password), json!({})).await.unwrap();
        log_in(&server, ("dms", password)).await.unwrap();
    }
    let error = with_user(&server, DMS, json!({})).await.unwrap_err();
    let reason = format!("{error:#}");
    assert!(reason.contains("with the password of its secret: ") && reason.contains("1819"), "{reason}");
}

#[tokio::test]
async fn users_whose_names_look_alike_are_not_taken_for_each_other() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    for name in ["DMS", "dmś"] {
        for statement in [
            format!("CREATE USER `{name}` IDENTIFIED BY 'x'"),
            format!("GRANT REPLICATION SLAVE, INSERT ON *.* TO `{name}`"),
        ] {
            admin.query_drop(statement).await.unwrap();
        }
    }
    with_user(&server, DMS, json!({})).await.unwrap();
    assert_eq!(grants(&server, "dms").await, JUST_ENOUGH);
    for name in ["DMS", "dmś"] {
        assert_eq!(grants(&server, name).await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_database_whose_name_looks_like_a_pattern_is_the_only_one_to_be_read() {
    let server = start().await;
    for patterns in ["", "SET GLOBAL partial_revokes = ON"] {
        let mut admin = server.admin().await.unwrap();
        if admin.query_drop(patterns).await.is_err() && !patterns.is_empty() && !server.is_mysql() {
            // Only MySQL has them.
            continue;
        }
        for (database, neighbour) in [("my_shop", "myxshop"), ("a%b", "axxb"), ("a\\_b", "axb")] {
            let table = format!("CREATE TABLE IF NOT EXISTS `{neighbour}`.t (id INT)");
            let create = format!("CREATE DATABASE IF NOT EXISTS `{neighbour}`");
            admin.query_drop(create).await.unwrap();
            admin.query_drop(table).await.unwrap();
            let properties =
                json!({ "Database": database, "Migrations": [migration(1, "t", "CREATE TABLE t (id INT)")] });
            with_user(&server, DMS, properties.clone()).await.unwrap();
            with_user(&server, DMS, properties).await.unwrap();
            let mut conn = log_in(&server, DMS).await.unwrap();
            let read = |name: &str| format!("SELECT * FROM `{name}`.t");
            conn.query_drop(read(database)).await.unwrap();
            conn.query_drop(read(neighbour)).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn the_master_user_and_the_servers_own_are_refused_before_anything_changes() {
    let server = start().await;
    for (name, complaint) in [
        (server.username(), "its user is the master user"),
        ("root", "its user belongs to the server"),
        ("rdsadmin", "its user belongs to the server"),
        ("mysql.sys", "its user belongs to the server"),
    ] {
        let reason = refused(&server, (name, "hunter2")).await;
        let place = format!("ResourceProperties.ReplicationUserSecretArn: the secret {STREAM}: ");
        assert!(reason.starts_with(&place), "{reason}");
        assert!(reason.contains(complaint), "{reason}");
    }
    assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
    server.connect().await.unwrap();
}

#[tokio::test]
async fn a_user_with_accounts_for_other_hosts_is_refused_before_anything_changes() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    admin.query_drop("CREATE USER dms@'10.0.0.%' IDENTIFIED BY 'x'").await.unwrap();
    let reason = refused(&server, DMS).await;
    assert!(reason.contains(r#"["10.0.0.%"]"#), "{reason}");
    assert!(ask(&server, "SHOW DATABASES LIKE 'shop'").await.is_empty());
}

#[tokio::test]
async fn without_the_property_no_user_is_looked_at() {
    let server = start().await;
    let before = ask(&server, "SELECT User FROM mysql.user ORDER BY 1").await;
    db_init(&server, json!({})).await.unwrap();
    let after = ask(&server, "SELECT User FROM mysql.user ORDER BY 1").await;
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_master_that_may_make_no_users_is_told_so() {
    let server = start().await;
    let mut admin = server.admin().await.unwrap();
    let revoke = format!("REVOKE CREATE USER, INSERT ON *.* FROM {}", server.username());
    admin.query_drop(revoke).await.unwrap();
    let reason = refused(&server, DMS).await;
    assert!(
        reason.starts_with("CREATE USER 'dms'@'%' with the password of its secret: Access denied"),
        "{reason}"
    );
}

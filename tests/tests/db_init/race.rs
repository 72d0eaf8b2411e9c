//! Several requests at once for one database, as a duplicate delivery brings them.

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::mysql::{MysqlServer, Options};

use super::interruptions::{begin, block, until_at_work_on};
use super::{ask, migration, start};

/// Each leaves a row for each time that it was applied.
fn counted(migrations: &[(u32, &str)]) -> Value {
    let migrations: Vec<_> = migrations
        .iter()
        .map(|(version, also)| {
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS applied (version INT); INSERT INTO applied VALUES ({version}); {also}"
            );
            migration(*version, "counted", &sql)
        })
        .collect();
    json!({ "Migrations": migrations })
}

#[tokio::test]
async fn who_comes_second_waits_for_the_first_and_finds_everything_applied() {
    let server = start().await;
    let mut barrier = block(&server).await;
    let list = counted(&[(1, ""), (2, "INSERT INTO barrier.t VALUES (1)"), (3, "")]);
    let first = begin(&server, &list);
    until_at_work_on(&server, "INSERT INTO barrier").await;
    let second = begin(&server, &list);
    until_at_work_on(&server, "SELECT GET_LOCK").await;
    barrier.query_drop("UNLOCK TABLES").await.unwrap();

    for work in [first, second] {
        let (done, _) = work.await.unwrap();
        assert_eq!(done.unwrap().get("SchemaVersion"), Some("3"));
    }
    let applied = "SELECT version FROM shop.applied ORDER BY version";
    assert_eq!(ask(&server, applied).await, ["1", "2", "3"]);
    let passed = "SELECT COUNT(*) FROM barrier.t";
    assert_eq!(ask(&server, passed).await, ["1"]);
}

#[tokio::test]
async fn a_lock_is_kept_on_a_server_that_soon_ends_idle_connections() {
    let options = Options::default().with("--wait-timeout=1");
    let server = MysqlServer::start(options).await.unwrap();
    let list = counted(&[(1, "DO SLEEP(3)")]);
    let first = begin(&server, &list);
    until_at_work_on(&server, "DO SLEEP").await;
    let second = begin(&server, &list);
    for work in [first, second] {
        let (done, _) = work.await.unwrap();
        assert_eq!(done.unwrap().get("SchemaVersion"), Some("1"));
    }
    let applied = "SELECT version FROM shop.applied";
    assert_eq!(ask(&server, applied).await, ["1"]);
}

#[tokio::test]
async fn a_crowd_applies_each_migration_once() {
    let server = start().await;
    let list = counted(&[(1, ""), (2, ""), (3, "")]);
    let crowd: Vec<_> = (0..5).map(|_| begin(&server, &list)).collect();
    for work in crowd {
        let (done, _) = work.await.unwrap();
        assert_eq!(done.unwrap().get("SchemaVersion"), Some("3"));
    }
    let applied = "SELECT version FROM shop.applied ORDER BY version";
    assert_eq!(ask(&server, applied).await, ["1", "2", "3"]);
}

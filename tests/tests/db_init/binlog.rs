//! What DMS will read: the binlog, from the position that the answer names, as the user that was made for DMS.

use std::time::Duration;

use futures::TryStreamExt;
use mysql_async::binlog::events::EventData;
use mysql_async::binlog::row::BinlogRow;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStreamRequest, Conn, OptsBuilder, Value as Cell};
use serde_json::json;
use stage::mysql::MysqlServer;

use super::{STREAM, migration, run, start};

/// A row, column by column; `None` for a column that isn't in the image.
type Image = Vec<Option<Cell>>;

/// A row before and after.
type Change = (Option<Image>, Option<Image>);

fn image(row: &BinlogRow) -> Image {
    let cell = |column| Some(row.as_ref(column)?.clone().try_into().unwrap());
    (0..row.len()).map(cell).collect()
}

/// Every change of a row of a table from a position on.
async fn changes(server: &MysqlServer, position: &str, table: &str) -> Vec<Change> {
    let opts = OptsBuilder::from_opts(server.opts()).user(Some("dms")).pass(Some("hunter2"));
    let conn = Conn::new(opts).await.unwrap();
    let (file, position) = position.split_once(':').unwrap();
    let request = BinlogStreamRequest::new(4711)
        .with_filename(file.as_bytes())
        .with_pos(position.parse().unwrap())
        // Ends where the binlog ends.
        .with_non_blocking();
    let mut stream = conn.get_binlog_stream(request).await.unwrap();
    let mut changes = Vec::new();
    while let Some(event) = stream.try_next().await.unwrap() {
        let Some(EventData::RowsEvent(rows)) = event.read_data().unwrap() else {
            continue;
        };
        let map = stream.get_tme(rows.table_id()).unwrap();
        if map.table_name() != table {
            continue;
        }
        for row in rows.rows(map) {
            let (before, after) = row.unwrap();
            changes.push((before.as_ref().map(image), after.as_ref().map(image)));
        }
    }
    stream.close().await.unwrap();
    changes
}

fn order(id: i64, amount: i64, note: Option<&str>) -> Option<Image> {
    let note = note.map_or(Cell::NULL, |note| Cell::Bytes(note.into()));
    Some([Cell::Int(id), Cell::Int(amount), note].map(Some).into())
}

/// Makes the database ready with this migration and a user for DMS, and then has this said; the changes since.
async fn changes_after(sql: &str, statements: &[&str]) -> Vec<Change> {
    let server = start().await;
    let mut secrets = server.secret();
    secrets[STREAM] = json!({ "username": "dms", "password": "hunter2" });
    let properties = json!({
        "Migrations": [migration(1, "orders", sql)],
        "ReplicationUserSecretArn": STREAM,
    });
    let done = run(&server, secrets, properties, Duration::from_secs(60)).await;
    let mut admin = server.admin().await.unwrap();
    for statement in statements {
        admin.query_drop(*statement).await.unwrap();
    }
    let done = done.unwrap();
    changes(&server, done.get("BinlogPosition").unwrap(), "orders").await
}

#[tokio::test]
async fn rows_are_in_the_binlog_with_full_images() {
    let seen = changes_after(
        "CREATE TABLE orders (id INT PRIMARY KEY, amount INT, note VARCHAR(20))",
        &[
            "INSERT INTO shop.orders VALUES (1, 7, 'new'), (2, 8, NULL)",
            "UPDATE shop.orders SET amount = 9 WHERE id = 1",
            "DELETE FROM shop.orders WHERE id = 2",
        ],
    );
    let expected = [
        (None, order(1, 7, Some("new"))),
        (None, order(2, 8, None)),
        (order(1, 7, Some("new")), order(1, 9, Some("new"))),
        (order(2, 8, None), None),
    ];
    assert_eq!(seen.await, expected);
}

#[tokio::test]
async fn the_position_is_behind_what_a_migration_wrote() {
    let seen = changes_after(
        "CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders VALUES (1)",
        &["INSERT INTO shop.orders VALUES (2)"],
    );
    assert_eq!(seen.await, [(None, Some(vec![Some(Cell::Int(2))]))]);
}

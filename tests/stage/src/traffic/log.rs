//! The changes of the writer's table, as the database's own log has them.

use anyhow::Context;
use mysql_async::{Conn, Opts, Value as Cell};

use super::count::Change;
use super::writer::TABLE;
use crate::replica::binlog::{Position, Reader, Step};

/// The changes of the table in the log, from a position to its end.
pub(super) async fn logged(opts: &Opts, from: &Position) -> anyhow::Result<Vec<Change>> {
    let conn = Conn::new(opts.clone()).await?;
    let mut reader = Reader::open(conn, from, false).await?;
    let mut changes = Vec::new();
    while let Some(transaction) = reader.next().await? {
        for step in transaction.steps {
            let Step::Row { schema, table, before, after, .. } = step else {
                continue;
            };
            if (schema.as_str(), table.as_str()) != TABLE {
                continue;
            }
            let operation = match (&before, &after) {
                (None, _) => "insert",
                (Some(_), Some(_)) => "update",
                (Some(_), None) => "delete",
            };
            let row = after.or(before).context("a change without a row")?;
            let [Cell::Int(id), Cell::Bytes(text)] = row.as_slice() else {
                anyhow::bail!("the table has other columns than id and example");
            };
            changes.push((operation.to_owned(), *id, String::from_utf8(text.clone())?));
        }
    }
    reader.close().await;
    Ok(changes)
}

//! The server: how one connects, and a session, the one place where SQL is sent.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use tokio::time::timeout;
use tracing::info;

use crate::mysql::identifier::Identifier;
use crate::mysql::readiness::{Binlog, Variables, WANTED};
use crate::properties::RetentionHours;

pub mod certificates;
pub(crate) mod failure;
pub(crate) mod grants;
pub mod identifier;
mod plain;
pub(crate) mod readiness;
pub(crate) mod server;
pub(crate) mod statements;
pub(crate) mod user;
mod users;
pub(crate) mod worker;

pub use server::Server;

use failure::Failure;
use worker::Worker;

/// How long the server may take to let somebody in.
const LOGIN: Duration = Duration::from_secs(10);

/// How long the last things may take, for which nobody waits.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// RDS's name for what is set.
const RETENTION: &str = "binlog retention hours";

/// Connects as db-init does, for whoever else has something to do in the database.
///
/// # Errors
/// If nobody is let in; it says by which server, as whom, and why.
pub async fn connect_to(server: &Server) -> Result<Conn> {
    let conn = connect(&Opts::from(server.options())).await;
    conn.with_context(|| format!("connecting to {server}"))
}

/// A connection, which holds the advisory lock once it has it.
pub(crate) struct Session {
    conn: Conn,
    opts: Opts,
}

impl Session {
    /// Connects.
    pub(crate) async fn open(server: &Server) -> Result<Self> {
        let opts = Opts::from(server.options());
        let conn = connect(&opts).await.with_context(|| format!("connecting to {server}"))?;
        Ok(Self { conn, opts })
    }

    /// A second connection of the same kind, for the migrations: what they do to their session, and what the lock does to
    /// this one, is nothing to each other.
    pub(crate) async fn worker(&self) -> Result<Worker> {
        let conn = connect(&self.opts).await;
        Ok(Worker::new(conn.context("connecting a second time")?))
    }

    /// Says good-bye, which frees the lock, and ends the statement that the worker was left at, if there is one.
    pub(crate) async fn end(mut self, worker: Worker) {
        if worker.is_at_work() {
            let kill = format!("KILL {}", worker.id());
            let killed = timeout(GOOD_BYE, self.conn.query_drop(kill)).await;
            info!(?killed, "ended a statement that was not done in time");
        } else {
            worker.close().await;
        }
        close(self.conn).await;
    }

    /// Takes the lock of this name, which keeps every other request from working on the same thing at the same time. It goes
    /// with the session.
    pub(crate) async fn lock(&mut self, name: &str, wait: Duration) -> Result<()> {
        // Hashed, since a lock's name has at most 64 characters, as many as a database's. MySQL 9 has lost SHA1.
        let lock = "SELECT GET_LOCK(CONCAT('sluice:', SHA2(?, 224)), ?)";
        let taken: Option<Option<u8>> = self
            .conn
            .exec_first(lock, (name, wait.as_secs()))
            .await
            .map_err(Failure::from)
            .with_context(|| format!("locking {name}"))?;
        ensure!(
            taken == Some(Some(1)),
            "another request is still at work on {name} after {} s",
            wait.as_secs()
        );
        Ok(())
    }

    /// The global variables that decide about readiness.
    pub(crate) async fn variables(&mut self) -> Result<Variables> {
        let rows = self.rows("SHOW GLOBAL VARIABLES").await;
        let rows = rows.context("reading the server's variables")?;
        let wanted = HashSet::from(WANTED);
        Ok(rows
            .iter()
            .filter_map(|row| Some((text(row, 0)?, text(row, 1)?)))
            .filter(|(name, _)| wanted.contains(name.as_str()))
            .collect())
    }

    /// Makes the server keep its binlogs for this long, and reads back that it does.
    /// (assumption: retention-procedures)
    pub(crate) async fn keep_binlogs(&mut self, hours: RetentionHours) -> Result<()> {
        let hours = hours.get();
        self.conn
            .exec_drop("CALL mysql.rds_set_configuration(?, ?)", (RETENTION, hours))
            .await
            .map_err(Failure::from)
            .with_context(|| {
                format!(
                    "setting the {RETENTION} to {hours} (Aurora takes 1 to 2160, and RDS for MySQL 1 to 168)"
                )
            })?;
        let rows = self.rows("CALL mysql.rds_show_configuration").await;
        let rows = rows.with_context(|| format!("reading back the {RETENTION}"))?;
        let kept =
            rows.iter().find(|row| text(row, 0).as_deref() == Some(RETENTION)).and_then(|row| text(row, 1));
        match kept {
            Some(kept) if kept == hours.to_string() => Ok(()),
            kept => bail!(
                "the {RETENTION} were set to {hours}, but the server reports {}",
                kept.as_deref().unwrap_or("none")
            ),
        }
    }

    /// Creates the database if it isn't there.
    pub(crate) async fn create_database(&mut self, database: &Identifier) -> Result<()> {
        self.conn
            .query_drop(create_database(database))
            .await
            .map_err(Failure::from)
            .with_context(|| format!("creating database {database}"))
    }

    /// The end of the binlog, and what is left out of it; nothing if there is no binlog.
    pub(crate) async fn binlog(&mut self) -> Result<Option<Binlog>> {
        // From 8.4 on; 9 has lost the old spelling, and older servers and MariaDB know only that.
        let rows = match self.rows("SHOW BINARY LOG STATUS").await {
            Err(failure) if failure.is_unknown_statement() => self.rows("SHOW MASTER STATUS").await,
            rows => rows,
        };
        let rows = rows.context("reading the binlog's position")?;
        let column = |index: usize| first(&rows, index).unwrap_or_default();
        let position = first(&rows, 0).zip(first(&rows, 1));
        Ok(position.map(|(file, position)| Binlog {
            position: format!("{file}:{position}"),
            only: column(2),
            without: column(3),
        }))
    }

    async fn rows(&mut self, query: &str) -> Result<Vec<Row>, Failure> {
        self.conn.query(query).await.map_err(Failure::from)
    }
}

/// Whether the server writes nothing at present.
async fn is_read_only(conn: &mut Conn) -> Result<bool, Failure> {
    let rows: Vec<Row> = conn.query("SHOW GLOBAL VARIABLES LIKE '%read_only'").await?;
    let variables = rows.iter().filter_map(|row| Some((text(row, 0)?, text(row, 1)?))).collect();
    Ok(readiness::is_read_only(&variables))
}

async fn connect(opts: &Opts) -> Result<Conn, Failure> {
    let login = async {
        if opts.ssl_opts().is_some() {
            return Ok(Conn::new(opts.clone()).await?);
        }
        let guarded = plain::guarded(opts).await;
        let guarded = guarded.map_err(|error| Failure::Network(error.to_string()))?;
        Ok(Conn::new(guarded).await?)
    };
    let login = timeout(LOGIN, login).await;
    login.unwrap_or(Err(Failure::Silence(LOGIN)))
}

/// Says good-bye, but doesn't wait long. The server notices by itself.
async fn close(conn: Conn) {
    if let Ok(Err(error)) = timeout(GOOD_BYE, conn.disconnect()).await {
        info!(error = %Failure::from(error), "the server didn't take the good-bye");
    }
}

fn create_database(database: &Identifier) -> String {
    format!("CREATE DATABASE IF NOT EXISTS {}", database.quoted())
}

/// A column's text; `None` for NULL. (The driver's own conversion panics at what doesn't fit.)
fn text(row: &Row, column: usize) -> Option<String> {
    row.get_opt::<Option<String>, _>(column)?.ok().flatten()
}

fn first(rows: &[Row], column: usize) -> Option<String> {
    rows.first().and_then(|row| text(row, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_created_under_its_quoted_name() {
        let name: Identifier = "a`b".parse().unwrap();
        assert_eq!(create_database(&name), "CREATE DATABASE IF NOT EXISTS `a``b`");
    }
}

//! The connection that migrations run on, as refinery wants it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, TxOpts};
use refinery::{AsyncMigrate, Migration};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::failure::Failure;
use super::{close, text};
use crate::mysql::identifier::Identifier;

/// A connection of its own.
pub(crate) struct Worker {
    conn: Conn,
    home: Option<String>,
    at_work: bool,
}

/// Why a migration stopped, and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failure}")]
pub(crate) struct Stopped {
    pub(crate) at: At,
    pub(crate) failure: Failure,
}

/// How far a migration came.
#[derive(Clone, Debug)]
pub(crate) enum At {
    /// None of its statements was sent.
    Before,
    /// These are the results that there are, and of each, whether it had rows.
    Within(Vec<bool>),
    /// All of them are done, but they are not in the history.
    After,
}

impl Worker {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn, home: None, at_work: false }
    }

    /// Lets each migration begin in this database.
    pub(crate) fn settle_in(&mut self, database: &Identifier) {
        self.home = Some(format!("USE {}", database.quoted()));
    }

    /// The server's number for the connection.
    pub(super) fn id(&self) -> u32 {
        self.conn.id()
    }

    /// Whether it was left in the middle of a statement.
    pub(super) fn is_at_work(&self) -> bool {
        self.at_work
    }

    pub(super) async fn close(self) {
        close(self.conn).await;
    }

    async fn run(&mut self, texts: &[&str]) -> Result<(), Stopped> {
        // Nothing that one migration did to its session is there for the next one.
        self.conn.reset().await?;
        if let Some(home) = &self.home {
            self.conn.query_drop(home).await?;
        }
        let mut transaction = self.conn.start_transaction(TxOpts::default()).await?;
        for (index, text) in texts.iter().enumerate() {
            let mut results = Vec::new();
            let done = exhaust(&mut transaction, text, &mut results).await;
            done.map_err(|error| Stopped {
                at: match index {
                    // A migration comes together with its entry in the history.
                    0 if texts.len() == 1 => At::Before,
                    0 => At::Within(results),
                    _ => At::After,
                },
                failure: error.into(),
            })?;
        }
        transaction.commit().await.map_err(|error| Stopped { at: At::After, failure: error.into() })
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self { at: At::Before, failure: error.into() }
    }
}

/// Runs all statements of a text, and notes each that is done.
async fn exhaust(conn: &mut impl Queryable, text: &str, results: &mut Vec<bool>) -> Result<(), Error> {
    let mut answer = conn.query_iter(text).await?;
    while !answer.is_empty() {
        results.push(!answer.columns_ref().is_empty());
        answer.for_each(drop).await?;
    }
    // The driver keeps the error of a later statement until somebody asks for more.
    answer.drop_result().await
}

impl AsyncTransaction for Worker {
    type Error = Stopped;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &mut self,
        texts: T,
    ) -> Result<usize, Stopped> {
        let texts: Vec<_> = texts.collect();
        self.at_work = true;
        let done = self.run(&texts).await;
        self.at_work = false;
        done.map(|()| texts.len())
    }
}

impl AsyncQuery<Vec<Migration>> for Worker {
    async fn query(&mut self, query: &str) -> Result<Vec<Migration>, Stopped> {
        let rows: Vec<Row> = Queryable::query(&mut self.conn, query).await?;
        let applied = rows.iter().map(migration).collect::<Option<_>>();
        applied.ok_or_else(|| Stopped {
            at: At::Before,
            failure: Failure::Driver("a row of it can't be read".to_owned()),
        })
    }
}

impl AsyncMigrate for Worker {}

/// A row of the history.
fn migration(row: &Row) -> Option<Migration> {
    let [version, name, applied_on, checksum] = [0, 1, 2, 3].map(|column| text(row, column));
    Some(Migration::applied(
        version?.parse().ok()?,
        name?,
        OffsetDateTime::parse(&applied_on?, &Rfc3339).ok()?,
        checksum?.parse().ok()?,
    ))
}

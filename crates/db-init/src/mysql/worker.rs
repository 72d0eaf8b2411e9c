//! The connection that migrations run on, as refinery wants it.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Transaction, TxOpts};
use refinery::{AsyncMigrate, Migration};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;
use tracing::info;

use super::failure::Failure;
use super::identifier::Identifier;
use super::{close, is_read_only, text};

/// How long the entry of a migration that is done waits for a server that is read-only.
const FOR_THE_ENTRY: Duration = Duration::from_secs(60);

/// A connection of its own.
pub(crate) struct Worker {
    conn: Conn,
    home: Option<String>,
    sql: Option<String>,
    at_work: bool,
    stopped: Option<Stopped>,
}

/// Why a migration stopped, and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failure}")]
pub(crate) struct Stopped {
    pub(crate) at: At,
    pub(crate) failure: Failure,
}

/// How far a migration came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// None of its statements was sent.
    Before,
    /// It was sent. This many answers have arrived (a server may hold back those before the last), and if the server could be
    /// asked afterwards, it was at the statement of this number.
    Within { answers: usize, statement: Option<u64> },
    /// All its statements are done. Whether its entry in the history is there isn't known.
    Entry,
}

impl Worker {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn, home: None, sql: None, at_work: false, stopped: None }
    }

    /// The next migration begins in this database, and this is its text. (refinery's copy is the one that its checksum is
    /// made of, which knows no differences of line ends.)
    pub(crate) fn prepare(&mut self, database: &Identifier, sql: &str) {
        self.home = Some(format!("USE {}", database.quoted()));
        self.sql = Some(sql.to_owned());
    }

    /// Why refinery's last call of this failed. refinery hands the error on too, inside a number of its own.
    pub(crate) fn stopped(&mut self, error: &refinery::Error) -> Stopped {
        let unknown = || Stopped { at: At::Before, failure: Failure::Driver(error.to_string()) };
        self.stopped.take().unwrap_or_else(unknown)
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
        let [migration, entry] = texts else {
            // refinery's own table, which it makes where there is none.
            for text in texts {
                self.conn.query_drop(*text).await?;
            }
            return Ok(());
        };
        if let Some(home) = &self.home {
            self.conn.query_drop(home).await?;
        }
        if is_read_only(&mut self.conn).await? {
            return Err(Failure::ReadOnly.into());
        }
        let sql = self.sql.as_deref().unwrap_or(migration);
        let mut transaction = self.conn.start_transaction(TxOpts::default()).await?;
        let before = statements(&mut transaction).await?;
        let mut answers = 0;
        if let Err(error) = exhaust(&mut transaction, sql, &mut answers).await {
            let after = statements(&mut transaction).await.unwrap_or(None);
            // The question after it counts too.
            let statement = before.zip(after).and_then(|(before, after)| after.checked_sub(before + 1));
            return Err(Stopped { at: At::Within { answers, statement }, failure: error.into() });
        }
        record(transaction, entry).await.map_err(|failure| Stopped { at: At::Entry, failure })
    }
}

/// Enters a migration into the history, and commits. Waits for a server that is read-only for a while.
async fn record(transaction: Transaction<'_>, entry: &str) -> Result<(), Failure> {
    let transaction = Mutex::new(transaction);
    let enter = || async { transaction.lock().await.query_drop(entry).await.map_err(Failure::from) };
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_total_delay(Some(FOR_THE_ENTRY));
    enter
        .retry(pauses)
        .when(Failure::is_read_only)
        .notify(|failure, _| info!(%failure, "the migration is done; its entry in the history waits"))
        .await?;
    transaction.into_inner().commit().await.map_err(Failure::from)
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self { at: At::Before, failure }
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

/// How many statements this session has sent, those of a text one by one, and this question.
async fn statements(conn: &mut impl Queryable) -> Result<Option<u64>, Error> {
    let row: Option<Row> = conn.query_first("SHOW SESSION STATUS LIKE 'Questions'").await?;
    Ok(row.and_then(|row| text(&row, 1)?.parse().ok()))
}

/// Runs all statements of a text, and counts the answers: one a statement; a CALL has one more for each of its results.
async fn exhaust(conn: &mut impl Queryable, text: &str, answers: &mut usize) -> Result<(), Error> {
    let mut answer = conn.query_iter(text).await?;
    while !answer.is_empty() {
        answer.for_each(drop).await?;
        *answers += 1;
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
        self.stopped = done.as_ref().err().cloned();
        done.map(|()| texts.len())
    }
}

impl AsyncQuery<Vec<Migration>> for Worker {
    async fn query(&mut self, query: &str) -> Result<Vec<Migration>, Stopped> {
        let rows: Result<Vec<Row>, _> = Queryable::query(&mut self.conn, query).await;
        let read = rows.map_err(Stopped::from).and_then(|rows| {
            let applied = rows.iter().map(migration).collect::<Option<_>>();
            applied.ok_or_else(|| Failure::Driver("a row of it can't be read".to_owned()).into())
        });
        self.stopped = read.as_ref().err().cloned();
        read
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

//! `Custom::DbInit` makes a MySQL-compatible database ready for change data capture, and proves that it is.
//!
//! # Expected flow
//! 1. Read the secret, connect, and take an advisory lock named by the database: two requests never work side by side.
//! 2. Look, without changing anything: is the server ready (binlog, row format, full images, no compression, the writer),
//!    and does the list of migrations continue the history of the database?
//! 3. Change, each step idempotent: the binlog's retention, set and read back; the database; the migrations.
//! 4. Answer with the server's version, its binlog, and the schema's version.
//!
//! Create and Update are the same. Delete changes nothing and connects to nobody.
//!
//! # Guarantees
//! - What can be refused is refused in step 2 or before, when nothing has been changed yet.
//! - Nothing is ever dropped.
//! - A migration is applied once. An edited, renamed or late one is refused; a list that is shorter than the history, as a
//!   rollback brings it, is fine.
//! - No password, no value of a secret and no value of a statement is in a log or an error.
//!
//! # Caveats
//! - MySQL commits at every change of a schema: a migration that fails half-way stays half applied, and runs again from
//!   its first statement the next time. One change a migration is the way to live with that.
//! - A migration's error quotes the server, without the values that the server quotes.
//!
//! # Layout
//! [`properties`], [`migration`] and [`identifier`] hold what is wanted, parsed; [`secret`] talks to Secrets Manager,
//! `mysql` to the server and `history` to refinery, which runs the migrations; `readiness` judges; `patience` waits.

use std::time::Duration;

use anyhow::{Result, bail};
use custom_resource::{Attributes, Deadline, Request, Resource};
use tracing::info;

mod history;
pub mod identifier;
pub mod migration;
mod mysql;
mod patience;
pub mod properties;
mod readiness;
pub mod secret;

use history::History;
use mysql::Session;
use mysql::server::Server;
use properties::Properties;
use secret::{Credentials, Secrets, SecretsManager};

/// How long a server may take to come up, at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// What waiting for a server leaves of the time.
const FOR_THE_WORK: Duration = Duration::from_secs(10);

/// What waiting for another request leaves of the time.
const AFTER_THE_LOCK: Duration = Duration::from_secs(30);

/// The handler of `Custom::DbInit`.
#[derive(Debug)]
pub struct DbInit<S> {
    secrets: S,
}

impl DbInit<SecretsManager> {
    /// A handler that finds everything in Lambda's environment.
    pub async fn from_env() -> Self {
        Self::new(SecretsManager::from_env().await)
    }
}

impl<S: Secrets> DbInit<S> {
    /// A handler that takes its secrets from here.
    pub fn new(secrets: S) -> Self {
        Self { secrets }
    }

    /// Brings the database to what the properties say. Idempotent.
    ///
    /// # Errors
    /// Says what was being done, and what the server, or Secrets Manager, says to it.
    pub async fn make_ready(&self, wanted: &Properties, deadline: Deadline) -> Result<Attributes> {
        let credentials = Credentials::read(&self.secrets, &wanted.secret_arn).await?;
        let server = Server::new(wanted, credentials)?;
        let patience = PATIENCE.min(deadline.remaining().saturating_sub(FOR_THE_WORK));
        let mut session = Session::open(&server, patience).await?;
        let mut history = History::of(&session, &wanted.database);
        let outcome = prepare(&mut session, &mut history, wanted, deadline).await;
        history.close().await;
        session.close().await;
        outcome
    }
}

async fn prepare(
    session: &mut Session,
    history: &mut History,
    wanted: &Properties,
    deadline: Deadline,
) -> Result<Attributes> {
    let database = &wanted.database;
    let wait = deadline.remaining().saturating_sub(AFTER_THE_LOCK);
    session.lock(database, wait).await?;

    let variables = session.variables().await?;
    let shortcomings = readiness::shortcomings(&variables);
    if !shortcomings.is_empty() {
        bail!(
            "the server is not ready for change data capture: {}",
            shortcomings.join("; ")
        );
    }
    let applied = history.applied().await?;
    let pending = history::pending(&applied, history::steps(&wanted.migrations)?)?;
    info!(
        database.name = %database,
        migrations.applied = applied.len(),
        migrations.pending = pending.len(),
        "the server is ready"
    );

    session.keep_binlogs(wanted.binlog_retention_hours).await?;
    session.create_database(database).await?;
    history.apply(&pending).await?;

    let format = variables.get("binlog_format");
    Ok(Attributes::default()
        .with("ServerVersion", session.version().await?)
        .with("BinlogFormat", format.map_or("", String::as_str))
        .with("BinlogRetentionHours", wanted.binlog_retention_hours.get())
        .with("BinlogPosition", session.binlog_position().await?)
        .with(
            "SchemaVersion",
            history::version(applied.iter().chain(&pending)),
        ))
}

impl<S: Secrets> Resource for DbInit<S> {
    type Properties = Properties;

    async fn create(&self, request: Request<Properties>) -> Result<Attributes> {
        self.make_ready(&request.properties, request.deadline).await
    }

    async fn update(&self, request: Request<Properties>) -> Result<Attributes> {
        self.make_ready(&request.properties, request.deadline).await
    }

    /// Leaves the database as it is.
    async fn delete(&self, _: Request<()>) -> Result<()> {
        Ok(())
    }
}

//! `Custom::DbInit` makes a MySQL-compatible database ready for change data capture, and proves that it is.
//!
//! # Expected flow
//! 1. Read both secrets at once, connect, and take an advisory lock named by the database: two requests never work side by
//!    side.
//! 2. Look, without changing anything: is the server ready (binlog, row format, full images, no compression, the writer),
//!    does the list of migrations continue the history of the database, and can DMS's user be the one it is to be?
//! 3. Change, each step idempotent: the binlog's retention, set and read back; the database; the migrations; the user that
//!    DMS connects as, with the password of its secret and just the grants that CDC needs.
//! 4. Answer with the server's version, its binlog, and the schema's version.
//!
//! Create and Update are the same. Delete changes nothing and connects to nobody.
//!
//! # Guarantees
//! - What can be refused is refused in step 2 or before, when nothing has been changed yet.
//! - Nothing is ever dropped.
//! - A migration is applied once. An edited, renamed or late one is refused; a list that is shorter than the history, as a
//!   rollback brings it, is fine.
//! - DMS's user loses what it has too much, but never what it needs, not even for a moment. It is never the master user.
//! - When a connection is lost, or the server is read-only for a while (a failover), all is looked at and done again. A migration
//!   that was sent is never run again by itself: what the server did of it is not known, and somebody has to look.
//! - No step outlasts the deadline: it is named, and a statement that is at work is ended on the server.
//! - No password, no value of a secret and no text of a statement is in a log or an error. Of the server's messages, only those
//!   are quoted that name things and nothing else.
//! - A session speaks utf8mb4, whatever the server's defaults are.
//!
//! # Caveats
//! - MySQL commits at every change of a schema: a migration that fails half-way stays half applied, and runs again from
//!   its first statement the next time. One change a migration is the way to live with that.
//! - A new password is applied at the next Update, which a fresh `DeploymentId` brings at every deployment.
//! - DMS's user keeps `SELECT` on whole databases that it had before: another DbInit may have given it.
//!
//! # Layout
//! [`properties`] and [`migration`] hold what is wanted, parsed, and `files` reads the migrations in the function's archive;
//! [`secret`] talks to Secrets Manager; `preparation` is the order of the steps; `history` compares and has refinery run the
//! migrations. What is MySQL's is in [`mysql`]: the server and its sessions, readiness, users, certificates, failures.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use backon::{ExponentialBuilder, Retryable};
use custom_resource::{Attributes, Deadline, Request, Resource};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

mod files;
mod history;
pub mod migration;
pub mod mysql;
mod preparation;
pub mod properties;
pub mod secret;

use history::Unrecorded;
use migration::Migration;
use mysql::Session;
use mysql::failure::Failure;
use mysql::readiness::NotReady;
use mysql::server::Server;
use mysql::user::ReplicationUser;
use preparation::Preparation;
use properties::Properties;
use secret::{Credentials, Secrets, SecretsManager};

/// How long a server may take to come up, or back, at most. (assumption: new-cluster-refuses)
const PATIENCE: Duration = Duration::from_secs(120);

/// How long one may be read-only that is the writer. (assumption: read-only-in-failover)
const FAILOVER: Duration = Duration::from_secs(30);

/// What waiting for a server leaves of the time.
const FOR_THE_WORK: Duration = Duration::from_secs(10);

/// The pauses between attempts: from the first, each twice the one before it, to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The handler of `Custom::DbInit`.
#[derive(Debug)]
pub struct DbInit<S> {
    secrets: S,
    files: Option<PathBuf>,
}

impl DbInit<SecretsManager> {
    /// A handler that finds everything in Lambda's environment.
    pub fn from_env() -> Self {
        Self { secrets: SecretsManager::from_env(), files: files::folder() }
    }
}

impl<S: Secrets> DbInit<S> {
    /// A handler that takes its secrets from here, and migrations from the properties only.
    pub fn new(secrets: S) -> Self {
        Self { secrets, files: None }
    }

    /// The same, with this folder for migrations as files. It need not be there.
    #[must_use]
    pub fn with_files(self, folder: impl Into<PathBuf>) -> Self {
        Self { files: Some(folder.into()), ..self }
    }

    /// Brings the database to what the properties say. Idempotent.
    ///
    /// # Errors
    /// Says what was being done, and what the server, or Secrets Manager, says to it.
    pub async fn make_ready(&self, wanted: &Properties, deadline: Deadline) -> Result<Attributes> {
        let migrations = self.migrations(wanted)?;
        let of_user = async {
            match &wanted.replication_user_secret_arn {
                Some(arn) => Ok(Some((arn, self.credentials(arn, deadline).await?))),
                None => Ok(None),
            }
        };
        let (credentials, of_user): (_, Result<_>) =
            tokio::join!(self.credentials(&wanted.secret_arn, deadline), of_user);
        let credentials = credentials?;
        let user = match of_user? {
            Some((arn, found)) => {
                let user = ReplicationUser::new(found, &credentials.username).with_context(|| {
                    format!("ResourceProperties.ReplicationUserSecretArn: the secret {arn}")
                })?;
                for character in user.refused_by_dms() {
                    warn!(
                        "the password in the secret {arn} holds a {character}, which DMS refuses in passwords"
                    );
                }
                Some(user)
            }
            None => None,
        };
        let server = Server::new(wanted, credentials)?;
        let user = user.as_ref();
        let work = Preparation { server: &server, wanted, migrations: &migrations, user, deadline };
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_total_delay(Some(PATIENCE));
        let progress = Mutex::new(Progress::new());
        let outcome = (|| async { attempt(&work, &mut *progress.lock().await).await })
            .retry(pauses)
            .when(|failed: &Failed| failed.again)
            .adjust(|_, pause| pause.filter(|pause| deadline.remaining() > *pause + FOR_THE_WORK))
            .notify(|failed, pause| {
                let error = format_args!("{:#}", failed.error);
                info!(%error, pause_ms = pause.as_millis(), "trying again");
            })
            .await;
        let unrecorded = progress.into_inner().unrecorded;
        outcome.map_err(|Failed { error, .. }| match unrecorded {
            // The server did not come back to tell.
            Some(unrecorded) if error.is::<Failure>() => error.context(unrecorded.unsettled()),
            _ => error,
        })
    }

    /// The migrations, from wherever they are.
    fn migrations(&self, wanted: &Properties) -> Result<Vec<Migration>> {
        let Some(folder) = &self.files else {
            return Ok(wanted.migrations.clone());
        };
        let files = files::read(folder)?;
        if files.is_empty() {
            return Ok(wanted.migrations.clone());
        }
        ensure!(
            wanted.migrations.is_empty(),
            "ResourceProperties.Migrations: the function's archive has files of migrations, too: keep the list or the files"
        );
        Ok(files)
    }

    async fn credentials(&self, arn: &str, deadline: Deadline) -> Result<Credentials> {
        let read = Credentials::read(&self.secrets, arn);
        deadline.limit(format!("reading the secret {arn}"), read).await
    }
}

/// What earlier attempts have come to.
struct Progress {
    /// When somebody was let in last, or the first attempt began.
    since: Instant,
    /// Whether a connection was lost.
    interrupted: bool,
    /// Since when the server has been read-only.
    read_only: Option<Instant>,
    /// The migration that may be in the history or not.
    unrecorded: Option<Unrecorded>,
}

impl Progress {
    fn new() -> Self {
        Self { since: Instant::now(), interrupted: false, read_only: None, unrecorded: None }
    }
}

/// An attempt that failed: why, and whether another one may do better.
struct Failed {
    error: Error,
    again: bool,
}

/// Connects and does the work.
async fn attempt(work: &Preparation<'_>, progress: &mut Progress) -> Result<Attributes, Failed> {
    let deadline = work.deadline;
    let connecting = format!("connecting to {}", work.server);
    let connected = deadline.limit(connecting, async {
        let session = Session::open(work.server).await?;
        let worker = session.worker().await?;
        Ok((session, worker))
    });
    let (mut session, mut worker) = connected.await.map_err(|error| {
        let passes = error.downcast_ref::<Failure>().is_some_and(Failure::passes);
        Failed { error, again: passes && progress.since.elapsed() < PATIENCE }
    })?;
    progress.since = Instant::now();
    let outcome = work.run(&mut session, &mut worker, progress.unrecorded.as_ref()).await;
    let end = session.end(worker);
    if deadline.has_passed() {
        // The answer can't wait for a server that may not listen any more.
        tokio::spawn(end);
    } else {
        end.await;
    }
    outcome.map_err(|error| progress.judge(error))
}

impl Progress {
    /// Whether another attempt may do better than one that failed so: what was in its way passes by itself, and nothing was sent
    /// that may have been done and can't be done twice.
    fn judge(&mut self, error: Error) -> Failed {
        let error = match error.downcast::<Unrecorded>() {
            Ok(unrecorded) => {
                let told = Error::msg(unrecorded.unsettled());
                self.unrecorded = Some(unrecorded);
                self.interrupted = true;
                return Failed { error: told, again: true };
            }
            Err(error) => error,
        };
        let failure = error.downcast_ref::<Failure>();
        let not_ready = error.downcast_ref::<NotReady>();
        let again = if failure.is_some_and(Failure::is_read_only) || not_ready.is_some_and(|it| it.may_pass) {
            self.read_only.get_or_insert_with(Instant::now).elapsed() < FAILOVER
        } else {
            self.read_only = None;
            let is_lost = failure.is_some_and(|it| it.is_loss() || it.passes());
            self.interrupted |= is_lost;
            // What takes the place of a server that went away may need a moment.
            is_lost || (not_ready.is_some() && self.interrupted)
        };
        Failed { error, again }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::Barrier;

    use super::*;

    /// Secrets of which each is told once both are asked for.
    struct Two(Barrier);

    impl Secrets for Two {
        async fn text(&self, _: &str) -> Result<String> {
            self.0.wait().await;
            Ok("no JSON".to_owned())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn both_secrets_are_read_at_once() {
        let wanted = json!({ "SecretArn": "own", "ReplicationUserSecretArn": "user", "Database": "shop" });
        let wanted = serde_json::from_value(wanted).unwrap();
        let deadline = Deadline::after(Duration::from_secs(60));
        let handler = DbInit::new(Two(Barrier::new(2)));
        let error = handler.make_ready(&wanted, deadline).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "reading the secret own: its value is no JSON object");
    }
}

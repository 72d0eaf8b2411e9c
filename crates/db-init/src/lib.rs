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
//! - When a connection is lost (a failover), all is looked at and done again, a few times. A migration of which something
//!   may have stayed is not repeated: somebody has to look.
//! - No step outlasts the deadline: it is named, and a statement that is at work is ended on the server.
//! - No password, no value of a secret and no value of a statement is in a log or an error.
//!
//! # Caveats
//! - MySQL commits at every change of a schema: a migration that fails half-way stays half applied, and runs again from
//!   its first statement the next time. One change a migration is the way to live with that.
//! - A migration's error quotes the server and the statement, both without the values in them.
//! - A new password is applied at the next Update. CloudFormation sees none in a new value of a secret.
//!
//! # Layout
//! [`properties`], [`migration`] and [`identifier`] hold what is wanted, parsed; [`secret`] talks to Secrets Manager,
//! [`mysql`] to the server; `preparation` is the order of the steps; `history` compares and has refinery run the migrations,
//! `statement` tells which statement failed; `user` compares grants; `readiness` judges; `patience` waits.

use std::time::Duration;

use anyhow::{Context, Error, Result};
use custom_resource::{Attributes, Deadline, Request, Resource};
use tokio::time::sleep;
use tracing::info;

mod history;
pub mod migration;
pub mod mysql;
mod patience;
mod preparation;
pub mod properties;
pub mod secret;

use mysql::Session;
use mysql::failure::Failure;
use mysql::server::Server;
use preparation::Preparation;
use properties::Properties;
use mysql::readiness::NotReady;
use secret::{Credentials, Secrets, SecretsManager};
use mysql::user::ReplicationUser;

/// How long a server may take to come up, at most. (assumption: new-cluster-refuses)
const PATIENCE: Duration = Duration::from_secs(120);

/// What waiting for a server leaves of the time.
const FOR_THE_WORK: Duration = Duration::from_secs(10);

/// The pauses after each loss of a connection, in seconds; after the last one it is enough. A cluster's name may lead to the old writer
/// for some seconds after a failover.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

/// The handler of `Custom::DbInit`.
#[derive(Debug)]
pub struct DbInit<S> {
    secrets: S,
}

impl DbInit<SecretsManager> {
    /// A handler that finds everything in Lambda's environment.
    pub fn from_env() -> Self {
        Self::new(SecretsManager::from_env())
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
                let user = ReplicationUser::new(found, &credentials.username);
                Some(user.with_context(|| {
                    format!("ResourceProperties.ReplicationUserSecretArn: the secret {arn}")
                })?)
            }
            None => None,
        };
        let server = Server::new(wanted, credentials)?;
        let preparation = Preparation { wanted, user: user.as_ref(), deadline };
        let mut lost = false;
        for pause in PAUSES.map(Duration::from_secs) {
            match attempt(&server, &preparation).await? {
                Err(error) if is_worth_another_try(&error, lost) && deadline.remaining() > pause => {
                    info!(error = %format_args!("{error:#}"), "the connection was lost: all again");
                    lost = true;
                    sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
        attempt(&server, &preparation).await?
    }

    async fn credentials(&self, arn: &str, deadline: Deadline) -> Result<Credentials> {
        let read = Credentials::read(&self.secrets, arn);
        deadline.limit(format!("reading the secret {arn}"), read).await
    }
}

/// Connects and does the work.
///
/// # Errors
/// The outer one if nobody was let in, the inner one if the work failed.
async fn attempt(server: &Server, work: &Preparation<'_>) -> Result<Result<Attributes>> {
    let deadline = work.deadline;
    let patience = PATIENCE.min(deadline.remaining().saturating_sub(FOR_THE_WORK));
    let connecting = format!("connecting to {server}");
    let (mut session, mut worker) = deadline
        .limit(connecting, async {
            let session = Session::open(server, patience).await?;
            let worker = session.worker(patience).await?;
            Ok((session, worker))
        })
        .await?;
    let outcome = work.run(&mut session, &mut worker).await;
    let end = session.end(worker);
    if deadline.has_passed() {
        // The answer can't wait for a server that may not listen any more.
        tokio::spawn(end);
    } else {
        end.await;
    }
    Ok(outcome)
}

/// Whether the failure comes from a server that went away, or from what took its place.
fn is_worth_another_try(error: &Error, lost: bool) -> bool {
    let failure = error.downcast_ref::<Failure>();
    failure.is_some_and(Failure::is_loss) || (lost && error.is::<NotReady>())
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

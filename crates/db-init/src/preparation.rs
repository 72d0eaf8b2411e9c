//! The steps, in their order.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use custom_resource::{Attributes, Deadline};
use refinery::Migration as Step;
use tracing::info;

use crate::history::{self, Pending, Unrecorded};
use crate::migration::Migration;
use crate::mysql::Session;
use crate::mysql::grants::{self, Grant};
use crate::mysql::readiness::{self, Variables};
use crate::mysql::server::Server;
use crate::mysql::user::ReplicationUser;
use crate::mysql::worker::Worker;
use crate::properties::Properties;

/// What waiting for another request leaves of the time.
const AFTER_THE_LOCK: Duration = Duration::from_secs(30);

/// All that is to be done, and until when.
pub(crate) struct Preparation<'a> {
    pub(crate) server: &'a Server,
    pub(crate) wanted: &'a Properties,
    pub(crate) migrations: &'a [Migration],
    pub(crate) user: Option<&'a ReplicationUser>,
    pub(crate) deadline: Deadline,
}

/// What was found before anything is changed.
struct Findings<'a> {
    variables: Variables,
    applied: Vec<Step>,
    pending: Vec<Pending<'a>>,
    grants: BTreeSet<Grant>,
}

impl<'a> Preparation<'a> {
    /// Does it. `unrecorded` is the migration that an earlier attempt may have applied.
    pub(crate) async fn run(
        &self,
        session: &mut Session,
        worker: &mut Worker,
        unrecorded: Option<&Unrecorded>,
    ) -> Result<Attributes> {
        let Self { wanted, user, deadline, .. } = self;
        let database = &wanted.database;
        self.lock(session, format!("database {database}")).await?;
        let found = deadline.limit("looking at the server", self.look(session, worker, unrecorded)).await?;

        let hours = wanted.binlog_retention_hours;
        deadline.limit("setting the binlog's retention", session.keep_binlogs(hours)).await?;
        let creating = format!("creating database {database}");
        deadline.limit(creating, session.create_database(database)).await?;
        for pending in &found.pending {
            let applying = format!("applying migration {}", pending.step);
            let apply = history::apply(worker, pending, database);
            deadline.limit(applying, apply).await?;
        }
        if let Some(user) = user {
            // Another database may have the same user.
            self.lock(session, format!("user {user}")).await?;
            let setting_up = format!("setting up the user {user}");
            let set_up = session.set_up_user(user, &found.grants, &found.variables);
            deadline.limit(setting_up, set_up).await?;
        }
        let reading = "reading the binlog's position";
        let binlog = deadline.limit(reading, session.binlog()).await?;
        let binlog = binlog.context("the server tells no position of its binlog")?;
        let looking = "reading the server's certificate";
        let authority = deadline.limit(looking, self.server.authority()).await?;

        let variable = |name: &str| found.variables.get(name).map_or("", String::as_str);
        let pending = found.pending.iter().map(|it| &it.step);
        Ok(Attributes::default()
            .with("ServerVersion", variable("version"))
            .with("BinlogFormat", variable("binlog_format"))
            .with("BinlogRetentionHours", hours.get())
            .with("BinlogPosition", binlog.position)
            .with("SchemaVersion", history::version(found.applied.iter().chain(pending)))
            .with("CertificateAuthority", authority))
    }

    async fn lock(&self, session: &mut Session, name: String) -> Result<()> {
        let wait = self.deadline.remaining().saturating_sub(AFTER_THE_LOCK);
        self.deadline.limit(format!("locking {name}"), session.lock(&name, wait)).await
    }

    /// Looks whether all of it can be done.
    async fn look(
        &self,
        session: &mut Session,
        worker: &mut Worker,
        unrecorded: Option<&Unrecorded>,
    ) -> Result<Findings<'a>> {
        let database = &self.wanted.database;
        let variables = session.variables().await?;
        let binlog = session.binlog().await?;
        readiness::check(&variables, binlog.as_ref(), database)?;
        let applied = history::applied(worker, database).await?;
        let pending = history::pending(&applied, self.migrations)?;
        if let Some(unrecorded) = unrecorded {
            history::check_recorded(unrecorded, &pending)?;
        }
        for it in &pending {
            check_size(it.given, &variables)?;
        }
        let mut wanted = BTreeSet::new();
        if let Some(user) = self.user {
            session.check_user(user).await?;
            wanted = grants::wanted(database, &variables)
                .with_context(|| format!("granting {user} to read database {database}"))?;
        }
        info!(
            database.name = %database,
            migrations.applied = applied.len(),
            migrations.pending = pending.len(),
            "the server is ready"
        );
        Ok(Findings { variables, applied, pending, grants: wanted })
    }
}

/// Refuses a migration that the server would not take in one piece, and only end the connection at.
fn check_size(migration: &Migration, variables: &Variables) -> Result<()> {
    let largest = variables.get("max_allowed_packet").and_then(|bytes| bytes.parse::<usize>().ok());
    let bytes = migration.sql.as_str().len();
    // One byte of it says that a statement follows.
    let fits = largest.is_none_or(|largest| bytes < largest);
    ensure!(
        fits,
        "migration {migration} has {bytes} bytes, and the server takes at most {} in one: divide it, or raise \
         max_allowed_packet in the parameter group",
        largest.unwrap_or_default().saturating_sub(1)
    );
    Ok(())
}

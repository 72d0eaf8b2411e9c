//! The steps, in their order.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use custom_resource::{Attributes, Deadline};
use refinery::Migration as Step;
use tracing::info;

use crate::history;
use crate::mysql::Session;
use crate::mysql::worker::Worker;
use crate::properties::Properties;
use crate::mysql::readiness::{self, NotReady, Variables};
use crate::mysql::user::{self, Grant, ReplicationUser};

/// What waiting for another request leaves of the time.
const AFTER_THE_LOCK: Duration = Duration::from_secs(30);

/// All that is to be done, and until when.
pub(crate) struct Preparation<'a> {
    pub(crate) wanted: &'a Properties,
    pub(crate) user: Option<&'a ReplicationUser>,
    pub(crate) deadline: Deadline,
}

/// What was found before anything is changed.
struct Findings {
    variables: Variables,
    applied: Vec<Step>,
    pending: Vec<Step>,
    grants: BTreeSet<Grant>,
}

impl Preparation<'_> {
    /// Does it.
    pub(crate) async fn run(&self, session: &mut Session, worker: &mut Worker) -> Result<Attributes> {
        let Self { wanted, user, deadline } = self;
        let database = &wanted.database;
        let wait = deadline.remaining().saturating_sub(AFTER_THE_LOCK);
        let locking = format!("locking database {database}");
        deadline.limit(locking, session.lock(database, wait)).await?;
        let found = deadline.limit("looking at the server", self.look(session, worker)).await?;

        let hours = wanted.binlog_retention_hours;
        deadline.limit("setting the binlog's retention", session.keep_binlogs(hours)).await?;
        let creating = format!("creating database {database}");
        deadline.limit(creating, session.create_database(database)).await?;
        for step in &found.pending {
            let applying = format!("applying migration {step}");
            let apply = history::apply(worker, step, database);
            deadline.limit(applying, apply).await?;
        }
        if let Some(user) = user {
            let setting_up = format!("setting up the user {user}");
            let set_up = session.set_up_user(user, &found.grants, &found.variables);
            deadline.limit(setting_up, set_up).await?;
        }
        let reading = "reading the binlog's position";
        let position = deadline.limit(reading, session.binlog_position()).await?;

        let variable = |name: &str| found.variables.get(name).map_or("", String::as_str);
        Ok(Attributes::default()
            .with("ServerVersion", variable("version"))
            .with("BinlogFormat", variable("binlog_format"))
            .with("BinlogRetentionHours", hours.get())
            .with("BinlogPosition", position)
            .with("SchemaVersion", history::version(found.applied.iter().chain(&found.pending))))
    }

    /// Looks whether all of it can be done.
    async fn look(&self, session: &mut Session, worker: &mut Worker) -> Result<Findings> {
        let database = &self.wanted.database;
        let variables = session.variables().await?;
        let shortcomings = readiness::shortcomings(&variables);
        if !shortcomings.is_empty() {
            return Err(NotReady(shortcomings).into());
        }
        let applied = history::applied(worker, database).await?;
        let pending = history::pending(&applied, history::steps(&self.wanted.migrations)?)?;
        let mut grants = BTreeSet::new();
        if let Some(user) = self.user {
            session.check_user(user).await?;
            grants = user::wanted(database, &variables)
                .with_context(|| format!("granting {user} to read database {database}"))?;
        }
        info!(
            database.name = %database,
            migrations.applied = applied.len(),
            migrations.pending = pending.len(),
            "the server is ready"
        );
        Ok(Findings { variables, applied, pending, grants })
    }
}

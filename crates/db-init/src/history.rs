//! The migrations a database has been through, and those it still has to go through.

use anyhow::{Context, Result, bail};
use mysql_async::Pool;
use refinery::{AsyncMigrate, Migration as Step, Runner};
use tracing::info;

use crate::identifier::Identifier;
use crate::migration::Migration;
use crate::mysql::Session;
use crate::mysql::failure::Failure;

/// The table in which a database remembers its migrations.
const TABLE: &str = "sluice_schema_history";

/// A database's history.
pub(crate) struct History {
    pool: Pool,
    table: String,
}

impl History {
    /// The history of this database.
    pub(crate) fn of(session: &Session, database: &Identifier) -> Self {
        Self {
            pool: session.pool(database),
            // With the database's name: a migration may say USE.
            table: format!("{}.`{TABLE}`", database.quoted()),
        }
    }

    /// The migrations that were applied, oldest first; none if the database or the table isn't there yet.
    pub(crate) async fn applied(&mut self) -> Result<Vec<Step>> {
        let applied = self.pool.get_applied_migrations(&self.table).await;
        match applied.map_err(Failure::from) {
            Err(failure) if failure.is_missing_table() => Ok(Vec::new()),
            applied => applied.context("reading which migrations were applied"),
        }
    }

    /// Applies these, one after the other.
    ///
    /// MySQL commits at every change of a schema, so the statements before a failing one stay.
    pub(crate) async fn apply(&mut self, pending: &[Step]) -> Result<()> {
        for step in pending {
            Runner::new(std::slice::from_ref(step))
                .set_abort_divergent(true)
                // A rollback brings a list that is shorter than the history.
                .set_abort_missing(false)
                .set_migration_table_name(&self.table)
                .run_async(&mut self.pool)
                .await
                .map_err(Failure::from)
                .with_context(|| {
                    format!(
                        "applying migration {step} (its statements before the failing one stay)"
                    )
                })?;
            info!(migration = %step, "applied a migration");
        }
        Ok(())
    }

    /// Closes the connections.
    pub(crate) async fn close(self) {
        if let Err(error) = self.pool.disconnect().await {
            info!(error = %Failure::from(error), "the server didn't take the good-bye");
        }
    }
}

/// The steps of a list of migrations.
pub(crate) fn steps(migrations: &[Migration]) -> Result<Vec<Step>> {
    let step = |migration: &Migration| {
        Step::unapplied(&migration.to_string(), migration.sql.as_str())
            .with_context(|| format!("reading migration {migration}"))
    };
    migrations.iter().map(step).collect()
}

/// Those of the `listed` steps that are still to be applied, oldest first.
///
/// # Errors
/// If the list rewrites history: it has a step that was applied as something else, or a new one before one that was
/// applied. (refinery would skip the latter, and nobody would know.)
pub(crate) fn pending(applied: &[Step], listed: Vec<Step>) -> Result<Vec<Step>> {
    let last = applied.iter().max_by_key(|step| step.version());
    let mut pending = Vec::new();
    for step in listed {
        match applied.iter().find(|done| done.version() == step.version()) {
            Some(done) if *done == step => {}
            Some(done) if done.name() == step.name() => bail!(
                "migration {step} was edited after it was applied: put its old text back, and the change into a new one"
            ),
            Some(done) => bail!(
                "migration {step} was applied under the name {done}: put its old name and text back"
            ),
            None => match last {
                Some(last) if last.version() > step.version() => bail!(
                    "migration {step} comes too late, since {last} was applied before it: give it a higher version"
                ),
                _ => pending.push(step),
            },
        }
    }
    Ok(pending)
}

/// The highest version among these, 0 if there is none.
pub(crate) fn version<'a>(steps: impl Iterator<Item = &'a Step>) -> i64 {
    steps.map(Step::version).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, sql: &str) -> Step {
        Step::unapplied(name, sql).unwrap()
    }

    fn pending_names(applied: &[Step], listed: &[Step]) -> Result<Vec<String>> {
        Ok(pending(applied, listed.to_vec())?
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    #[test]
    fn what_was_applied_is_not_pending() {
        let all = [step("V1__a", "A"), step("V2__b", "B"), step("V3__c", "C")];
        assert_eq!(
            pending_names(&[], &all).unwrap(),
            ["V1__a", "V2__b", "V3__c"]
        );
        assert_eq!(pending_names(&all[..2], &all).unwrap(), ["V3__c"]);
        assert!(pending_names(&all, &all).unwrap().is_empty());
    }

    #[test]
    fn a_shorter_list_leaves_the_history_alone() {
        let all = [step("V1__a", "A"), step("V2__b", "B")];
        assert!(pending_names(&all, &all[..1]).unwrap().is_empty());
        assert!(pending_names(&all, &[]).unwrap().is_empty());
    }

    #[test]
    fn after_a_rollback_the_list_may_go_on_with_a_higher_version() {
        let applied = [step("V1__a", "A"), step("V2__b", "B")];
        let listed = [step("V1__a", "A"), step("V3__c", "C")];
        assert_eq!(pending_names(&applied, &listed).unwrap(), ["V3__c"]);
    }

    #[test]
    fn rewritten_history_is_refused() {
        let applied = [step("V1__a", "A"), step("V3__c", "C")];
        for (listed, complaint) in [
            (step("V1__a", "AA"), "V1__a was edited after it was applied"),
            (step("V1__z", "A"), "V1__z was applied under the name V1__a"),
            (step("V2__b", "B"), "V2__b comes too late, since V3__c"),
        ] {
            let error = pending_names(&applied, &[listed]).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn the_version_of_a_schema_is_the_highest_or_zero() {
        assert_eq!(version([].iter()), 0);
        assert_eq!(version([step("V1__a", "A"), step("V7__b", "B")].iter()), 7);
    }
}

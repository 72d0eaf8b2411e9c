//! The migrations a database has been through, and those it still has to go through.

use anyhow::{Context, Error, Result, anyhow, bail};
use refinery::error::Kind;
use refinery::{AsyncMigrate, Migration as Step, Runner};
use tracing::info;

use crate::mysql::identifier::Identifier;
use crate::migration::Migration;
use crate::mysql::failure::Failure;
use crate::mysql::worker::{At, Stopped, Worker};
use crate::mysql::statements::{self as statement, Statement};

/// The table in which a database remembers its migrations.
const TABLE: &str = "sluice_schema_history";

/// The table's name, with the database's: a migration may say USE.
fn table(database: &Identifier) -> String {
    format!("{}.`{TABLE}`", database.quoted())
}

/// The migrations that were applied, oldest first; none if the database or the table isn't there yet.
pub(crate) async fn applied(worker: &mut Worker, database: &Identifier) -> Result<Vec<Step>> {
    match worker.get_applied_migrations(&table(database)).await.map_err(|error| stopped(&error)) {
        Err(Stopped { failure, .. }) if failure.is_missing_table() => Ok(Vec::new()),
        Err(Stopped { failure, .. }) => Err(failure).context("reading which migrations were applied"),
        Ok(applied) => Ok(applied),
    }
}

/// Applies a migration.
///
/// MySQL commits at every change of a schema, so the statements before a failing one stay.
pub(crate) async fn apply(worker: &mut Worker, step: &Step, database: &Identifier) -> Result<()> {
    worker.settle_in(database);
    Runner::new(std::slice::from_ref(step))
        .set_abort_divergent(true)
        // A rollback brings a list that is shorter than the history.
        .set_abort_missing(false)
        .set_migration_table_name(table(database))
        .run_async(worker)
        .await
        .map_err(|error| told(step, stopped(&error)))?;
    info!(migration = %step, "applied a migration");
    Ok(())
}

/// What happened to a migration. If it may run again without somebody's looking at it, there is a [`Failure`] in the error.
fn told(step: &Step, Stopped { at, failure }: Stopped) -> Error {
    let statements = statement::divide(step.sql().unwrap_or_default());
    let (lost_in, place) = match at {
        At::Before => (0, String::new()),
        At::Within(results) => match statement::after(&statements, &results) {
            Some((number, at)) => (number, format!(": statement {number}, {}", at.shown())),
            None => (0, String::new()),
        },
        At::After => (statements.len() + 1, ": its entry in the history".to_owned()),
    };
    let doing = format!("applying migration {step}{place}");
    if !failure.is_loss() {
        let stay = if lost_in > 1 { " (the statements before it stay)" } else { "" };
        return Error::new(failure).context(format!("{doing}{stay}"));
    }
    if may_repeat(&statements, lost_in) {
        return Error::new(failure).context(doing);
    }
    anyhow!("{doing}: {failure}. The statements before it may have stayed: look before you try again")
}

/// Whether a migration whose connection was lost in this statement can run again from its first one: nothing of it stayed,
/// or the server will say so.
fn may_repeat(statements: &[Statement], lost_in: usize) -> bool {
    lost_in <= 1 || statements.iter().take(lost_in).all(Statement::is_undone)
}

fn stopped(error: &refinery::Error) -> Stopped {
    let own = match error.kind() {
        Kind::Connection(_, cause) => cause.downcast_ref::<Stopped>().cloned(),
        _ => None,
    };
    own.unwrap_or_else(|| Stopped { at: At::Before, failure: Failure::Driver(error.to_string()) })
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
            Some(done) => {
                bail!("migration {step} was applied under the name {done}: put its old name and text back")
            }
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
        Ok(pending(applied, listed.to_vec())?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_was_applied_is_not_pending() {
        let all = [step("V1__a", "A"), step("V2__b", "B"), step("V3__c", "C")];
        assert_eq!(pending_names(&[], &all).unwrap(), ["V1__a", "V2__b", "V3__c"]);
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

    fn lost(sql: &str, at: At, failure: Failure) -> Error {
        told(&step("V1__a", sql), Stopped { at, failure })
    }

    #[test]
    fn a_migration_that_was_lost_runs_again_only_if_nothing_of_it_can_have_stayed() {
        let gone = || Failure::Network("gone".to_owned());
        let repeats = |sql: &str, at: At| lost(sql, at, gone()).downcast_ref::<Failure>().is_some();
        let rows = "INSERT INTO a VALUES (1); UPDATE a SET b = 2";
        let tables = "INSERT INTO a VALUES (1); ALTER TABLE a ADD b INT";
        for sql in [rows, tables] {
            assert!(repeats(sql, At::Before), "{sql}");
            assert!(repeats(sql, At::Within(vec![])), "{sql}");
        }
        // A change of a table commits the rows before it.
        assert!(repeats(rows, At::Within(vec![false])));
        assert!(!repeats(tables, At::Within(vec![false])));
        assert!(repeats(rows, At::After));
        assert!(!repeats(tables, At::After));
    }

    #[test]
    fn a_failing_statement_is_named_without_its_values() {
        let refused = Failure::Server { code: 1146, message: "No such table".to_owned() };
        let sql = "CREATE TABLE a (b INT); INSERT INTO nowhere VALUES ('hunter2')";
        let error = lost(sql, At::Within(vec![false]), refused);
        assert_eq!(
            format!("{error:#}"),
            "applying migration V1__a: statement 2, INSERT INTO nowhere VALUES (…) (the statements before it stay): \
             No such table (MySQL error 1146)"
        );
        let gone = lost(sql, At::After, Failure::Network("gone".to_owned()));
        assert!(format!("{gone:#}").contains("its entry in the history: gone. The statements"));
    }

    #[test]
    fn the_version_of_a_schema_is_the_highest_or_zero() {
        assert_eq!(version([].iter()), 0);
        assert_eq!(version([step("V1__a", "A"), step("V7__b", "B")].iter()), 7);
    }
}

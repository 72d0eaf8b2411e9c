//! The migrations a database has been through, and those it still has to go through.

use anyhow::{Context, Error, Result, anyhow, bail};
use refinery::{AsyncMigrate, Migration as Step, Runner};
use tracing::info;

use crate::migration::Migration;
use crate::mysql::failure::Failure;
use crate::mysql::identifier::Identifier;
use crate::mysql::worker::{At, Stopped, Worker};

/// The table in which a database remembers its migrations.
const TABLE: &str = "sluice_schema_history";

/// A migration that is to be applied.
#[derive(Clone, Debug)]
pub(crate) struct Pending<'a> {
    /// As refinery knows it.
    pub(crate) step: Step,
    /// As it was given.
    pub(crate) given: &'a Migration,
}

/// A migration that was done when the connection was lost. Its entry in the history, which the server commits together with
/// it, is there or not.
#[derive(Debug, thiserror::Error)]
#[error(
    "applying migration {step}: the connection to the server was lost ({failure}) after all its statements had been answered"
)]
pub(crate) struct Unrecorded {
    pub(crate) step: Step,
    failure: Failure,
}

/// The table's name, with the database's: a migration may say USE.
fn table(database: &Identifier) -> String {
    format!("{}.`{TABLE}`", database.quoted())
}

/// The migrations that were applied, oldest first; none if the database or the table isn't there yet.
pub(crate) async fn applied(worker: &mut Worker, database: &Identifier) -> Result<Vec<Step>> {
    let read = worker.get_applied_migrations(&table(database)).await;
    match read.map_err(|error| worker.stopped(&error).failure) {
        Err(failure) if failure.is_missing_table() => Ok(Vec::new()),
        Err(failure) => Err(failure).context("reading which migrations were applied"),
        Ok(applied) => Ok(applied),
    }
}

/// Applies a migration.
///
/// MySQL commits at every change of a schema, so the statements before a failing one stay.
///
/// # Errors
/// There is a [`Failure`] in the error if nothing of the migration was sent, and an [`Unrecorded`] if all of it is done.
pub(crate) async fn apply(worker: &mut Worker, pending: &Pending<'_>, database: &Identifier) -> Result<()> {
    let step = &pending.step;
    worker.prepare(database, pending.given.sql.as_str());
    let done = Runner::new(std::slice::from_ref(step))
        .set_abort_divergent(true)
        // A rollback brings a list that is shorter than the history.
        .set_abort_missing(false)
        .set_migration_table_name(table(database))
        .run_async(worker)
        .await;
    done.map_err(|error| told(step, worker.stopped(&error)))?;
    info!(migration = %step, "applied a migration");
    Ok(())
}

/// What happened to a migration.
fn told(step: &Step, Stopped { at, failure }: Stopped) -> Error {
    let doing = format!("applying migration {step}");
    match at {
        At::Before => Error::new(failure).context(doing),
        At::Entry if failure.is_loss() => Unrecorded { step: step.clone(), failure }.into(),
        At::Entry => anyhow!("{doing}: its entry in the history: {failure}. {LOOK}"),
        At::Within { statement: Some(number), .. } => {
            let stay = if number > 1 { " (the statements before it may stay)" } else { "" };
            anyhow!("{doing}: statement {number}{stay}: {failure}")
        }
        // Nobody is there who could tell.
        At::Within { answers, statement: None } => {
            let answers = match answers {
                0 => "no answer to a statement of it had".to_owned(),
                1 => "1 answer to a statement of it had".to_owned(),
                _ => format!("{answers} answers to statements of it had"),
            };
            anyhow!(
                "{doing}: the connection to the server was lost ({failure}). Until then {answers} arrived. {LOOK}"
            )
        }
    }
}

/// What somebody has to do about a migration of which anything may have happened.
const LOOK: &str = "Some or all of it may have been done, so db-init does not run it again by itself: look at the database before \
                    the next deployment, which runs it from its first statement";

impl Unrecorded {
    /// What is to be said where the history can't be looked at any more.
    pub(crate) fn unsettled(&self) -> String {
        format!(
            "{self}. Its entry in the history tells whether it is done: the next deployment looks there, and runs it if not"
        )
    }
}

/// Refuses to go on if this migration was done, the connection was lost, and its entry is not in the history.
pub(crate) fn check_recorded(unrecorded: &Unrecorded, pending: &[Pending<'_>]) -> Result<()> {
    if pending.iter().any(|it| it.step.version() == unrecorded.step.version()) {
        bail!("{unrecorded}, and its entry in the history is not there. {LOOK}");
    }
    Ok(())
}

/// Those of the `listed` migrations that are still to be applied, oldest first.
///
/// # Errors
/// If the list rewrites history: it has a migration that was applied as something else, or a new one before one that was
/// applied. (refinery would skip the latter, and nobody would know.)
pub(crate) fn pending<'a>(applied: &[Step], listed: &'a [Migration]) -> Result<Vec<Pending<'a>>> {
    let last = applied.iter().max_by_key(|step| step.version());
    let mut pending = Vec::new();
    for given in listed {
        let step = Step::unapplied(&given.to_string(), &given.sql.canonical())
            .with_context(|| format!("reading migration {given}"))?;
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
                _ => pending.push(Pending { step, given }),
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
    use serde_json::json;

    use super::*;

    fn step(name: &str, sql: &str) -> Step {
        Step::unapplied(name, sql).unwrap()
    }

    fn listed(version: u32, name: &str, sql: &str) -> Migration {
        serde_json::from_value(json!({ "Version": version, "Name": name, "Sql": sql })).unwrap()
    }

    fn pending_names(applied: &[Step], listed: &[Migration]) -> Result<Vec<String>> {
        Ok(pending(applied, listed)?.iter().map(|it| it.step.to_string()).collect())
    }

    fn abc() -> ([Step; 3], [Migration; 3]) {
        let steps = [step("V1__a", "A"), step("V2__b", "B"), step("V3__c", "C")];
        (steps, [listed(1, "a", "A"), listed(2, "b", "B"), listed(3, "c", "C")])
    }

    #[test]
    fn what_was_applied_is_not_pending() {
        let (steps, all) = abc();
        assert_eq!(pending_names(&[], &all).unwrap(), ["V1__a", "V2__b", "V3__c"]);
        assert_eq!(pending_names(&steps[..2], &all).unwrap(), ["V3__c"]);
        assert!(pending_names(&steps, &all).unwrap().is_empty());
    }

    #[test]
    fn a_shorter_list_leaves_the_history_alone() {
        let (steps, all) = abc();
        assert!(pending_names(&steps[..2], &all[..1]).unwrap().is_empty());
        assert!(pending_names(&steps[..2], &[]).unwrap().is_empty());
    }

    #[test]
    fn after_a_rollback_the_list_may_go_on_with_a_higher_version() {
        let (steps, [first, _, third]) = abc();
        assert_eq!(pending_names(&steps[..2], &[first, third]).unwrap(), ["V3__c"]);
    }

    #[test]
    fn rewritten_history_is_refused() {
        let applied = [step("V1__a", "A"), step("V3__c", "C")];
        for (listed, complaint) in [
            (listed(1, "a", "AA"), "V1__a was edited after it was applied"),
            (listed(1, "z", "A"), "V1__z was applied under the name V1__a"),
            (listed(2, "b", "B"), "V2__b comes too late, since V3__c"),
        ] {
            let error = pending_names(&applied, &[listed]).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    fn lost(at: At, failure: Failure) -> Error {
        told(&step("V1__a", "A"), Stopped { at, failure })
    }

    #[test]
    fn only_a_migration_that_was_never_sent_may_run_again_by_itself() {
        let gone = || Failure::Network("gone".to_owned());
        assert!(lost(At::Before, gone()).is::<Failure>());
        for answers in [0, 1, 7] {
            for failure in [gone(), Failure::ReadOnly] {
                let error = lost(At::Within { answers, statement: None }, failure);
                assert!(!error.is::<Failure>(), "{error:#}");
            }
        }
        let told = format!("{:#}", lost(At::Within { answers: 2, statement: None }, gone()));
        assert!(
            told.contains("V1__a: the connection to the server was lost (gone). Until then 2 answers"),
            "{told}"
        );
        assert!(told.contains("look at the database"), "{told}");
    }

    #[test]
    fn a_migration_whose_entry_is_unsure_is_looked_for_in_the_history() {
        let error = lost(At::Entry, Failure::Network("gone".to_owned()));
        let unrecorded = error.downcast_ref::<Unrecorded>().unwrap();
        let all = [listed(1, "a", "A")];
        let refusal = check_recorded(unrecorded, &pending(&[], &all).unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("answered, and its entry in the history is not there"), "{refusal}");
        check_recorded(unrecorded, &pending(&[step("V1__a", "A")], &all).unwrap()).unwrap();
    }

    #[test]
    fn a_failing_statement_is_told_by_its_number() {
        let refused = || Failure::Server { code: 1146, told: "No such table (MySQL error 1146)".to_owned() };
        let told = |number| {
            let at = At::Within { answers: 1, statement: Some(number) };
            format!("{:#}", lost(at, refused()))
        };
        assert_eq!(told(1), "applying migration V1__a: statement 1: No such table (MySQL error 1146)");
        assert_eq!(
            told(2),
            "applying migration V1__a: statement 2 (the statements before it may stay): No such table (MySQL error 1146)"
        );
    }

    #[test]
    fn the_version_of_a_schema_is_the_highest_or_zero() {
        assert_eq!(version([].iter()), 0);
        assert_eq!(version([step("V1__a", "A"), step("V7__b", "B")].iter()), 7);
    }
}

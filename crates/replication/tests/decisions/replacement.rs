//! What is decided about a task that replaces another one, and about the one that it replaces.

use replication::decide::{Aim, Decision, Occasion};
use replication::look::{Predecessor, Replacement};
use replication::succession::{Begin, Successor};
use replication::task::{MigrationType, Source, Task};

use super::{at_once, decided, rows, run, task};

/// The table of tasks that are going to be replaced, that of tasks that take their place, and the reasons of failures in
/// both.
pub(crate) fn tables() -> [String; 3] {
    let mut reasons = Reasons::default();
    let (replaced, replacements) = (replaced(&mut reasons), replacements(&mut reasons));
    [replaced, replacements, reasons.list()]
}

/// The task that takes another one's place, as the columns of the table have it.
fn successors() -> [(&'static str, Successor); 6] {
    let new = |migration_type, has_position, source| Successor {
        migration_type: Some(migration_type),
        has_position,
        source: Some(source),
    };
    let (mysql, postgres) = (Source::new("aurora", None, None), Source::new("postgres", None, None));
    let slot = Source::new("postgres", Some("sluice"), None);
    [
        ("CDC-only", new(MigrationType::Cdc, false, mysql.clone())),
        (
            "CDC-only, with a position that this deployment gives it",
            new(MigrationType::Cdc, true, mysql.clone()),
        ),
        ("CDC-only, from PostgreSQL without `SlotName`", new(MigrationType::Cdc, true, postgres)),
        ("CDC-only, from PostgreSQL with `SlotName`", new(MigrationType::Cdc, false, slot)),
        ("CDC-only, from MongoDB", new(MigrationType::Cdc, false, Source::new("mongodb", None, None))),
        ("full load and CDC", new(MigrationType::FullLoadAndCdc, false, mysql)),
    ]
}

/// The old task as it may be, with a name.
fn olds() -> Vec<(&'static str, Task)> {
    let without = |status: &str| Task { checkpoint: None, ..task(status) };
    let load = Task { migration_type: MigrationType::FullLoad, ..without("stopped") };
    vec![
        ("at rest, with a checkpoint", task("stopped")),
        ("at rest, without a checkpoint", without("stopped")),
        ("a full load", load),
        ("never run", without("ready")),
        ("at work", without("running")),
    ]
}

fn head(first: &str) -> String {
    let names = successors().map(|(name, _)| name);
    format!("| {first} | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

/// The reasons of failures that stand in a table by their numbers.
#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    fn cell(&mut self, decision: &Decision, more: &str) -> String {
        let Decision::Fail(why) = decision else {
            return format!("{decision}{more}");
        };
        let known = self.0.iter().position(|it| *it == **why);
        let number = known.unwrap_or_else(|| {
            self.0.push(why.to_string());
            self.0.len() - 1
        });
        format!("fail ({})", number + 1)
    }

    fn list(&self) -> String {
        self.0.iter().enumerate().map(|(number, why)| format!("{}. {why}\n", number + 1)).collect()
    }
}

/// What dms-pre decides about a task that is going to be replaced.
fn replaced(reasons: &mut Reasons) -> String {
    let rows = rows(olds().into_iter().map(|(name, old)| {
        let cells = successors().map(|(_, new)| {
            let begin = new.begins(Some(&old));
            let aim = Aim::Rest {
                touch: Some("it changes".to_owned()),
                replacement: Some(begin.clone()),
                contested: false,
            };
            reasons.cell(&decided(&old, &aim, None, at_once()), &format!("; {begin}"))
        });
        (name.to_owned(), cells.join(" | "))
    }));
    format!("{}{rows}", head("the task that is going to be replaced"))
}

/// What dms-post decides about a task that takes another one's place.
fn replacements(reasons: &mut Reasons) -> String {
    let found = olds().into_iter().map(|(name, old)| (name, Predecessor::Found(Box::new(old))));
    let others = [
        ("gone", Predecessor::Gone),
        ("not known, as there is no change set", Predecessor::Untold),
        ("of an earlier deployment, maybe", Predecessor::Earlier),
    ];
    let rows = rows(found.chain(others).map(|(name, old)| {
        let cells = successors().map(|(_, new)| {
            let own_position = new.has_position.then(|| "mysql-bin-changelog.000024:373".to_owned());
            let migration_type = new.migration_type.clone().unwrap_or(MigrationType::Cdc);
            let task = Task { migration_type, own_position, ..task("ready") };
            let replacement = Some(Replacement { old: old.clone(), new });
            let aim = Aim::Run { occasion: Occasion::Deployment, witness: None, replacement };
            reasons.cell(&decided(&task, &aim, None, at_once()), "")
        });
        (name.to_owned(), cells.join(" | "))
    }));
    let new = decided(&task("ready"), &run(Occasion::Deployment, None), None, at_once());
    let new = format!("| none: the task is new |{}\n", format!(" {new} |").repeat(successors().len()));
    format!("{}{new}{rows}", head("the task it replaces"))
}

#[test]
fn no_task_begins_where_rows_would_be_lost() {
    let checkpoint = task("stopped").checkpoint;
    let postgres = |slot, attributes| Source::new("aurora-postgresql", slot, attributes);
    let new = |source, has_position| {
        let (migration_type, source) = (Some(MigrationType::Cdc), Some(source));
        Successor { migration_type, has_position, source }.begins(Some(&task("stopped")))
    };
    for has_position in [true, false] {
        for attributes in [None, Some("slotName=;captureDdls=false"), Some("PluginName=pglogical")] {
            let begin = new(postgres(None, attributes), has_position);
            assert!(matches!(begin, Begin::Lost(_)), "{attributes:?} {begin}");
        }
    }
    let named = [
        postgres(Some("sluice"), None),
        postgres(None, Some("captureDdls=false; SlotName=sluice")),
        Source::new("sqlserver", None, None),
        Source::new("oracle", None, None),
    ];
    for source in named {
        assert_eq!(new(source, false), Begin::AtCheckpoint(checkpoint.clone()));
    }
    for engine in ["db2", "sybase", "mongodb", "docdb", "an engine of tomorrow"] {
        let source = Source::new(engine, None, None);
        assert!(matches!(new(source.clone(), false), Begin::Lost(why) if why.contains(engine)));
        assert_eq!(new(source, true), Begin::AtItsOwn);
    }
}

//! What is decided about a task in every state, on every occasion: the table that `docs/decisions.md` shows.

use std::time::{Duration, SystemTime};

use replication::observe::{Predecessor, StackTask};
use replication::plan::{self, LAG, Moment, Occasion};
use replication::task::{Arn, MigrationType, Task, TaskStatus};

const STATUSES: [&str; 13] = [
    "ready",
    "starting",
    "running",
    "stopping",
    "stopped",
    "failed",
    "failed-move",
    "creating",
    "modifying",
    "testing",
    "moving",
    "deleting",
    "a status of tomorrow",
];

const OCCASIONS: [Occasion; 3] = [Occasion::Deployment, Occasion::Rollback, Occasion::Healing];

/// A task that started an hour ago.
fn task(status: &str) -> Task {
    let arn = |kind: &str| Arn::new(format!("arn:aws:dms:eu-west-1:123456789012:{kind}"));
    Task {
        arn: arn("task:T"),
        name: "orders".to_owned(),
        status: TaskStatus::from(status),
        migration_type: MigrationType::Cdc,
        source: arn("endpoint:S"),
        target: arn("endpoint:T"),
        instance: arn("rep:I"),
        stop_reason: Some("Stop Reason NORMAL".to_owned()),
        last_failure: None,
        started_at: Some(now() - Duration::from_secs(3600)),
        stopped_at: None,
        checkpoint: Some("checkpoint:V1#27#mysql-bin-changelog.157832:1975:-1:2002:677883278264080:mysql-bin-changelog.157832:1876#0#0#*#0#93".to_owned()),
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// As soon as the task was read.
fn at_once() -> Moment {
    Moment { now: now(), watched: Duration::ZERO }
}

fn decision(task: Task, marked: bool, occasion: Occasion, moment: Moment) -> String {
    let it = StackTask {
        logical_id: "Task".to_owned(),
        task,
        mark: marked.then(|| "request".to_owned()),
        updated: false,
    };
    plan::run(&it, occasion, None, moment).to_string()
}

/// What is worth a row of its own: every status, and states that a status alone doesn't tell.
fn states() -> Vec<(String, Task, Moment)> {
    let mut states: Vec<_> =
        STATUSES.iter().map(|status| (format!("`{status}`"), task(status), at_once())).collect();
    let mut finished = task("stopped");
    finished.stop_reason = Some("Stop Reason FULL_LOAD_ONLY_FINISHED".to_owned());
    states.push(("`stopped`, as its load has finished".to_owned(), finished, at_once()));
    let mut out_of_disk = task("stopped");
    out_of_disk.stop_reason = Some("Stop Reason STOPPED_DUE_TO_LOW_DISK".to_owned());
    states.push(("`stopped`, for a reason but `NORMAL`".to_owned(), out_of_disk, at_once()));
    for status in ["stopped", "failed"] {
        let mut fresh = task(status);
        fresh.started_at = Some(now() - LAG / 2);
        states.push((format!("`{status}`, last start {} s ago", (LAG / 2).as_secs()), fresh, at_once()));
    }
    let watched = Moment { now: now(), watched: LAG };
    let running = format!("`running`, for {} s since it was first read", LAG.as_secs());
    states.push((running, task("running"), watched));
    states
}

/// The rows of a table, those with the same decisions as one.
fn rows(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let mut merged: Vec<(Vec<String>, String)> = Vec::new();
    for (state, cells) in rows {
        match merged.iter_mut().find(|(_, same)| *same == cells) {
            Some((states, _)) => states.push(state),
            None => merged.push((vec![state], cells)),
        }
    }
    let row = |(states, cells): (Vec<String>, String)| format!("| {} | {cells} |\n", states.join("; "));
    merged.into_iter().map(row).collect()
}

fn pauses() -> String {
    let head =
        "| status | touched | touched, and DmsPost may be at work | not touched |\n|---|---|---|---|\n";
    let rows = rows(states().into_iter().map(|(state, task, moment)| {
        let cells = [(true, false), (true, true), (false, false)]
            .map(|(touched, contested)| plan::pause(&task, touched, contested, moment).to_string());
        (state, cells.join(" | "))
    }));
    format!("{head}{rows}")
}

fn runs() -> String {
    let head = "| status | mark | deployment | rollback | healing |\n|---|---|---|---|---|\n";
    let decided = |task: &Task, marked, moment| {
        OCCASIONS.map(|it| decision(task.clone(), marked, it, moment)).join(" | ")
    };
    let rows = rows(states().into_iter().flat_map(|(state, task, moment)| {
        let [yes, no] = [true, false].map(|marked| decided(&task, marked, moment));
        if yes == no {
            vec![(state, format!("any | {yes}"))]
        } else {
            vec![(state.clone(), format!("yes | {yes}")), (state, format!("no | {no}"))]
        }
    }));
    format!("{head}{rows}")
}

fn replacements() -> String {
    let old = |status: &str, checkpoint: bool| {
        let mut old = task(status);
        old.checkpoint = old.checkpoint.filter(|_| checkpoint);
        Some(Predecessor::Found(Box::new(old)))
    };
    let predecessors = [
        ("none: the task is new", None),
        ("at rest, with a checkpoint", old("stopped", true)),
        ("at rest, without a checkpoint", old("stopped", false)),
        ("never run", old("ready", false)),
        ("at work again", old("running", false)),
        ("gone", Some(Predecessor::Gone)),
        ("not known, as there is no change set", Some(Predecessor::Untold)),
    ];
    let head = "| the task it replaces | CDC-only | full load and CDC |\n|---|---|---|\n";
    let rows = rows(predecessors.map(|(name, predecessor)| {
        let cells = [MigrationType::Cdc, MigrationType::FullLoadAndCdc].map(|migration_type| {
            let mut task = task("ready");
            task.migration_type = migration_type;
            let it = StackTask { logical_id: "Task".to_owned(), task, mark: None, updated: true };
            let moment = at_once();
            plan::run(&it, Occasion::Deployment, predecessor.as_ref(), moment).to_string()
        });
        (name.to_owned(), cells.join(" | "))
    }));
    format!("{head}{rows}")
}

fn page() -> String {
    let [pauses, runs, replacements] = [pauses(), runs(), replacements()];
    format!(
        "# What is decided about a task\n\
         \n\
         <!-- Written by `SLUICE_WRITE_DOCS=1 cargo test --package replication --test decisions`. -->\n\
         \n\
         Every state of a task, on every occasion. The handlers print these words to their logs, with the task's name, before \
         they do anything.\n\
         \n\
         | CloudFormation or EventBridge says | what is decided |\n\
         |---|---|\n\
         | Create or Update of DmsPre | [how it comes to rest](#how-a-task-comes-to-rest) |\n\
         | Create or Update of DmsPost | [how it comes to run](#how-a-task-comes-to-run): deployment, or rollback while one is \
         under way |\n\
         | Delete of DmsPost, and the stack goes | [how it comes to rest](#how-a-task-comes-to-rest), as touched |\n\
         | Delete of DmsPost alone, or of DmsPre | nothing |\n\
         | the stack's status is final | [how it comes to run](#how-a-task-comes-to-run): healing, for tasks with the mark |\n\
         \n\
         ## How a task comes to rest\n\
         \n\
         *stop* puts the pause mark on the task, makes sure that the stack has not moved on, stops the task, and waits until \
         it rests. In a rollback, and where DmsPost may be at work, it looks 2 s later whether that mark is still on, and \
         leaves the stop to whoever has put another one on. *wait* decides again at every poll.\n\
         \n\
         {pauses}\
         \n\
         ## How a task comes to run\n\
         \n\
         *start* and *resume* have both connections tested first, and wait until the task runs; then the mark goes. *leave* \
         changes nothing. *wait* decides again at every poll.\n\
         \n\
         {runs}\
         \n\
         ## How a task begins that has never run\n\
         \n\
         {replacements}"
    )
}

#[test]
fn the_table_in_the_docs_is_what_is_decided() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/decisions.md");
    let page = page();
    if std::env::var_os("SLUICE_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == written, "docs/decisions.md is out of date; SLUICE_WRITE_DOCS=1 writes it anew:\n{page}");
}

#[test]
fn what_somebody_else_stopped_is_never_started() {
    for status in ["stopped", "stopping"] {
        for occasion in OCCASIONS {
            let decided = decision(task(status), false, occasion, at_once());
            assert!(decided.starts_with("leave: somebody else"), "{decided}");
        }
    }
}

#[test]
fn what_is_paused_and_rests_is_resumed_on_every_occasion() {
    for status in ["ready", "stopped", "failed", "failed-move"] {
        for occasion in OCCASIONS {
            let decided = decision(task(status), true, occasion, at_once());
            assert!(decided.starts_with("resume: a deployment paused it"), "{decided}");
        }
    }
}

#[test]
fn nothing_that_is_not_touched_is_stopped() {
    for (_, task, moment) in states() {
        assert!(matches!(plan::pause(&task, false, true, moment), plan::Pause::Leave(_)));
    }
}

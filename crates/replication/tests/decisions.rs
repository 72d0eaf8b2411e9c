//! What is decided about a task in every state, on every occasion: the table that `docs/decisions.md` shows.

use std::time::{Duration, SystemTime};

use replication::decide::{self, Aim, Asked, Decision, LAG, Moment, Occasion, Witness};
use replication::look::StackTask;
use replication::mark::Mark;
use replication::task::{Arn, FINISHED, MigrationType, State, Task, UNASKED};

#[path = "decisions/replacement.rs"]
mod replacement;

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
        state: State::of(status),
        status: status.to_owned(),
        migration_type: MigrationType::Cdc,
        source: arn("endpoint:S"),
        target: arn("endpoint:T"),
        instance: arn("rep:I"),
        stop_reason: Some("Stop Reason NORMAL".to_owned()),
        last_failure: None,
        started_at: Some(now() - Duration::from_secs(3600)),
        stopped_at: None,
        own_position: None,
        checkpoint: Some("checkpoint:V1#27#mysql-bin-changelog.157832:1975:-1:2002:677883278264080:mysql-bin-changelog.157832:1876#0#0#*#0#93".to_owned()),
    }
}

fn stopped(reason: &str) -> Task {
    Task { stop_reason: Some(format!("Stop Reason {reason}")), ..task("stopped") }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// As soon as the task was read.
fn at_once() -> Moment {
    Moment { now: now(), watched: Duration::ZERO }
}

fn decided(task: &Task, aim: &Aim, asked: Option<Asked>, moment: Moment) -> Decision {
    decided_with(Vec::new(), task, aim, asked, moment)
}

fn decided_with(marks: Vec<Mark>, task: &Task, aim: &Aim, asked: Option<Asked>, moment: Moment) -> Decision {
    let it = StackTask { logical_id: "Task".to_owned(), task: task.clone(), marks, tags: 0, updated: false };
    decide::decide(&it, aim, asked, moment)
}

fn rest(touched: bool, contested: bool) -> Aim {
    Aim::Rest { touch: touched.then(|| "it changes".to_owned()), replacement: None, contested }
}

fn run(occasion: Occasion, witness: Option<Witness>) -> Aim {
    Aim::Run { occasion, witness, replacement: None }
}

/// What is worth a row of its own: every status, and states that a status alone doesn't tell.
fn states() -> Vec<(String, Task, Moment)> {
    let mut states: Vec<_> =
        STATUSES.iter().map(|status| (format!("`{status}`"), task(status), at_once())).collect();
    states.push(("`stopped`, as it has finished".to_owned(), stopped(FINISHED[0]), at_once()));
    states.push(("`stopped`, for a reason but `NORMAL`".to_owned(), stopped(UNASKED[0]), at_once()));
    for status in ["stopped", "failed"] {
        let fresh = Task { started_at: Some(now() - LAG / 2), ..task(status) };
        states.push((format!("`{status}`, last start {} s ago", (LAG / 2).as_secs()), fresh, at_once()));
    }
    let rested = Task { stopped_at: Some(now() - LAG / 2), ..task("running") };
    states.push((format!("`running`, last stop {} s ago", (LAG / 2).as_secs()), rested, at_once()));
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
        "| status | touched | touched, and dms-post may be at work | not touched |\n|---|---|---|---|\n";
    let rows = rows(states().into_iter().map(|(state, task, moment)| {
        let cells = [(true, false), (true, true), (false, false)]
            .map(|(touched, contested)| decided(&task, &rest(touched, contested), None, moment).to_string());
        (state, cells.join(" | "))
    }));
    format!("{head}{rows}")
}

fn runs() -> String {
    let head = "| status | paused, as told by | deployment | rollback | healing |\n|---|---|---|---|---|\n";
    let witnesses = [
        ("nothing", [None, None, None]),
        ("a mark", [Some(Witness::Mark); 3]),
        (
            "DmsPre's revision, or DMS's dates",
            [Some(Witness::Revision), Some(Witness::Revision), Some(Witness::Dates)],
        ),
    ];
    let rows = rows(states().into_iter().flat_map(|(state, task, moment)| {
        let cells = witnesses.map(|(name, witnesses)| {
            let aims = [0, 1, 2].map(|it| run(OCCASIONS[it], witnesses[it]));
            (name, aims.map(|aim| decided(&task, &aim, None, moment).to_string()).join(" | "))
        });
        if cells.iter().all(|(_, it)| *it == cells[0].1) {
            vec![(state, format!("any | {}", cells[0].1))]
        } else if cells[1].1 == cells[2].1 {
            let told = format!("a mark, DmsPre's revision, or DMS's dates | {}", cells[1].1);
            vec![(state.clone(), format!("nothing | {}", cells[0].1)), (state, told)]
        } else {
            cells.map(|(name, cells)| (state.clone(), format!("{name} | {cells}"))).to_vec()
        }
    }));
    format!("{head}{rows}")
}

/// The calls of ours that there may have been.
fn calls() -> [(&'static str, Asked); 4] {
    let asked = |ago, taken, moved| Asked { ago, taken, moved };
    [
        ("a moment ago", asked(LAG / 2, true, false)),
        ("30 s ago", asked(LAG, true, false)),
        ("and it was seen at work since", asked(LAG / 2, true, true)),
        ("but the answer was lost", asked(LAG / 2, false, false)),
    ]
}

fn after_our_call(aim: &Aim) -> String {
    let calls = calls();
    let heads: Vec<&str> = calls.iter().map(|(name, _)| *name).collect();
    let head = format!("| status | {} |\n|---|---|---|---|---|\n", heads.join(" | "));
    let mut states: Vec<_> = STATUSES.iter().map(|status| (format!("`{status}`"), task(status))).collect();
    states.push(("`stopped`, as it has finished".to_owned(), stopped(FINISHED[0])));
    let rows = rows(states.into_iter().map(|(state, task)| {
        let cells = calls.map(|(_, asked)| decided(&task, aim, Some(asked), at_once()).to_string());
        (state, cells.join(" | "))
    }));
    format!("{head}{rows}")
}

/// The same for a task that two requests have marked.
fn after_our_start_of_a_disputed_one() -> String {
    let marks = ["r-1", "r-2"].map(Mark::of).to_vec();
    let aim = run(Occasion::Rollback, Some(Witness::Mark));
    rows(["running", "stopped"].map(|status| {
        let cells = calls().map(|(_, asked)| {
            decided_with(marks.clone(), &task(status), &aim, Some(asked), at_once()).to_string()
        });
        (format!("`{status}`, with the marks of two requests"), cells.join(" | "))
    }))
}

fn page() -> String {
    let (pauses, runs) = (pauses(), runs());
    let [replaced, replacements, reasons] = replacement::tables();
    let [stops, starts] = [rest(true, false), run(Occasion::Deployment, Some(Witness::Mark))];
    let disputed = after_our_start_of_a_disputed_one();
    let [after_stop, after_start] = [stops, starts].map(|aim| after_our_call(&aim));
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
         | the stack's status is final | [how it comes to run](#how-a-task-comes-to-run): healing, for tasks that were paused |\n\
         \n\
         ## How a task comes to rest\n\
         \n\
         *stop* puts the pause mark of the request on the task, stops the task, and waits until it rests. Each of these calls \
         follows a look at the stack that is at most a second old. *wait* decides again at every poll.\n\
         \n\
         {pauses}\
         \n\
         ## How a task comes to run\n\
         \n\
         *start* and *resume* have both connections tested first, and wait until the task runs; then the marks that were read \
         come off. A paused task without a mark gets one before it is resumed. *leave* changes nothing. *wait* decides again at \
         every poll.\n\
         \n\
         {runs}\
         \n\
         ## After a stop of ours\n\
         \n\
         {after_stop}\
         \n\
         ## After a start of ours\n\
         \n\
         {after_start}{disputed}\
         \n\
         ## A task that is going to be replaced\n\
         \n\
         Before anything is stopped. The numbers are those of the reasons below.\n\
         \n\
         {replaced}\
         \n\
         ## How a task begins that has never run\n\
         \n\
         {replacements}\
         \n\
         {reasons}"
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
            let decided = decided(&task(status), &run(occasion, None), None, at_once()).to_string();
            assert!(decided.starts_with("leave: somebody else"), "{decided}");
        }
    }
}

#[test]
fn what_is_paused_and_rests_is_resumed_on_every_occasion_whatever_tells_so() {
    for status in ["ready", "stopped", "failed", "failed-move"] {
        for occasion in OCCASIONS {
            for witness in [Witness::Mark, Witness::Revision, Witness::Dates] {
                let decided = decided(&task(status), &run(occasion, Some(witness)), None, at_once());
                assert!(matches!(decided, Decision::Start(decide::Start::Resume, _)), "{decided}");
            }
        }
    }
}

#[test]
fn what_has_finished_is_never_started_and_what_stopped_by_itself_is_told() {
    for reason in FINISHED {
        for occasion in OCCASIONS {
            let aim = run(occasion, Some(Witness::Mark));
            let decided = decided(&stopped(reason), &aim, None, at_once());
            assert_eq!(decided, Decision::Leave("it has finished"), "{reason}");
        }
    }
    assert!(UNASKED.iter().all(|reason| stopped(reason).stopped_by_itself()));
    assert!(!stopped("NORMAL").stopped_by_itself());
}

#[test]
fn nothing_that_is_not_touched_is_stopped() {
    for (_, task, moment) in states() {
        let decided = decided(&task, &rest(false, true), None, moment);
        assert!(matches!(decided, Decision::Leave(_)));
    }
}

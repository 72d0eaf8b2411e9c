//! What is and what happened, for tests to ask and people to read. To ask is not a call.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::{Arn, TaskStatus};
use tokio::time::Instant;

use super::Dms;
use super::refusal::text;
use super::task::Run;
use crate::aws::Clock;

/// The key of the tags by which Sluice marks a task as paused, or the beginning of the key.
pub const PAUSE_MARK: &str = "sluice:paused-by";

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// When, since the stand-in was made.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Somebody called the API.
    Call {
        /// The operation's name.
        operation: String,
        /// The resource the call was about, where it was about one.
        subject: Option<Arn>,
        /// The code of the refusal, if it was refused.
        refused: Option<String>,
    },
    /// A task's true status changed; `None`: the task is gone.
    Status {
        /// The task's identifier.
        task: String,
        /// Its new status.
        status: Option<TaskStatus>,
    },
    /// DMS let somebody do what nobody should.
    Violation(String),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.1} s  ", self.at.as_secs_f64())?;
        match &self.event {
            Event::Call { operation, subject, refused } => {
                write!(f, "{operation}")?;
                if let Some(subject) = subject {
                    write!(f, " {subject}")?;
                }
                match refused {
                    Some(code) => write!(f, ": {code}"),
                    None => Ok(()),
                }
            }
            Event::Status { task, status: Some(status) } => write!(f, "task {task} is {status}"),
            Event::Status { task, status: None } => write!(f, "task {task} is gone"),
            Event::Violation(what) => write!(f, "violation: {what}"),
        }
    }
}

/// What was called and what went wrong. Status changes are not in here: the tasks know them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) entries: Vec<Entry>,
    counts: BTreeMap<String, usize>,
}

impl Ledger {
    pub(super) fn call(
        &mut self,
        at: Duration,
        operation: &str,
        subject: Option<Arn>,
        refused: Option<String>,
    ) {
        *self.counts.entry(operation.to_owned()).or_default() += 1;
        let event = Event::Call { operation: operation.to_owned(), subject, refused };
        self.entries.push(Entry { at, event });
    }

    pub(super) fn violation(&mut self, at: Duration, what: String) {
        let event = Event::Violation(what);
        self.entries.push(Entry { at, event });
    }

    pub(super) fn calls(&self, operation: &str) -> usize {
        self.counts.get(operation).copied().unwrap_or_default()
    }
}

impl Dms {
    /// A task's true status; `None` if there is no such task (any more).
    pub fn status(&self, task: &Arn) -> Option<TaskStatus> {
        let phase = self.model().phase(Instant::now(), task).cloned();
        phase.ok().map(|phase| phase.status)
    }

    /// When the stand-in was made.
    pub fn began(&self) -> SystemTime {
        self.clock().epoch
    }

    /// The clock it goes by.
    pub fn clock(&self) -> Clock {
        self.model().clock
    }

    /// The time since the stand-in was made.
    pub fn time(&self) -> Duration {
        self.model().since_start(Instant::now())
    }

    /// A member of what a task was created and modified with, such as `MigrationType`; empty without.
    pub fn member(&self, task: &Arn, name: &str) -> String {
        let model = self.model();
        let task = model.tasks.get(task);
        task.map_or_else(String::new, |task| text(&task.document, name).to_owned())
    }

    /// A task's runs so far, with the position each began at.
    pub fn runs(&self, task: &Arn) -> Vec<Run> {
        self.model().tasks.get(task).map_or_else(Vec::new, |task| task.runs.clone())
    }

    /// The checkpoint that a task at rest has.
    pub fn checkpoint(&self, task: &Arn) -> Option<String> {
        let phase = self.model().phase(Instant::now(), task).cloned().ok()?;
        if phase.rests() { phase.checkpoint } else { None }
    }

    /// The tags of a resource.
    pub fn tags(&self, resource: &Arn) -> BTreeMap<String, String> {
        self.model().tags.get(resource).cloned().unwrap_or_default()
    }

    /// The pause marks that a task carries: the keys of its tags that are any.
    pub fn marks(&self, task: &Arn) -> Vec<String> {
        self.tags(task).into_keys().filter(|key| key.starts_with(PAUSE_MARK)).collect()
    }

    /// Whether a task carries a pause mark.
    pub fn is_marked(&self, task: &Arn) -> bool {
        !self.marks(task).is_empty()
    }

    /// How often an operation has been called, refusals included.
    pub fn calls(&self, operation: &str) -> usize {
        self.model().ledger.calls(operation)
    }

    /// How often each operation has been called, refusals included.
    pub fn all_calls(&self) -> BTreeMap<String, usize> {
        self.model().ledger.counts.clone()
    }

    /// What DMS allowed and nobody should have done.
    pub fn violations(&self) -> Vec<String> {
        let entries = self.model().ledger.entries.clone();
        let violations = entries.into_iter().filter_map(|entry| match entry.event {
            Event::Violation(what) => Some(what),
            _ => None,
        });
        violations.collect()
    }

    /// The true statuses a task has had, with the time since the stand-in was made.
    pub fn statuses(&self, task: &Arn) -> Vec<(Duration, TaskStatus)> {
        let (model, now) = (self.model(), Instant::now());
        let statuses = model.tasks.get(task).into_iter().flat_map(|task| {
            task.life
                .past(now)
                .filter_map(|(from, phase)| Some((model.since_start(from), phase?.status.clone())))
        });
        statuses.collect()
    }

    /// All that is so of the tasks and their tags, and is going to be if nobody does anything, in words.
    pub fn state(&self) -> String {
        let model = self.model();
        let tasks = model.tasks.values().map(|task| {
            let at = |at: Instant| model.since_start(at);
            let ever = Instant::now() + Duration::from_secs(86_400);
            let life =
                task.life.past(ever).map(|(from, phase)| (at(from), phase.map(|it| it.status.as_str())));
            let runs = task.runs.iter().map(|run| (at(run.started), run.ended.map(at)));
            format!("{}: {:?} {:?}\n", task.name(), life.collect::<Vec<_>>(), runs.collect::<Vec<_>>())
        });
        tasks.collect::<String>() + &format!("{:?} {:?}", model.tags, model.faults)
    }

    /// All that happened, in order: calls, violations, and the tasks' true statuses.
    pub fn history(&self) -> Vec<Entry> {
        let (model, now) = (self.model(), Instant::now());
        let mut entries = model.ledger.entries.clone();
        for task in model.tasks.values() {
            entries.extend(task.life.past(now).map(|(from, phase)| Entry {
                at: model.since_start(from),
                event: Event::Status {
                    task: task.name().to_owned(),
                    status: phase.map(|phase| phase.status.clone()),
                },
            }));
        }
        entries.sort_by_key(|entry| entry.at);
        entries
    }
}

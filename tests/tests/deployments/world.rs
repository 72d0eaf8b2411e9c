//! What is, and what is known of how it came to be.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::{Arc as Shared, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use stage::dms::{Arn, TaskStatus};
use stage::dms::{Dms, Pace, Refusal, Throttle};
use stage::stack::Stack;
use tokio::time::sleep;

use stage::lives::{Dates, Nature};

use crate::gate::{CLOUDFORMATION, Gate};

/// The names of the tasks that a call may stop; `None`: any.
pub(crate) type Rights = Option<BTreeSet<String>>;

/// What is expected of a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    Runs,
    /// An operator stopped it.
    Stopped,
    /// It may run or not, for this reason.
    Either(&'static str),
}

/// Why a task that broke may rest.
pub(crate) const BROKEN: &str =
    "a task that failed, and that nobody paused, is resumed by the next deployment";

/// A handle to all there is.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) dms: Dms,
    pub(crate) stack: Stack,
    /// Where whoever does something waits for leave.
    pub(crate) gate: Gate,
    /// By how much descriptions trail the truth.
    pub(crate) lag: Duration,
    /// Whether they say when a run began and ended.
    pub(crate) tells_dates: bool,
    /// CloudFormation takes off a task's tags that aren't in the template, when it changes the task.
    pub(crate) reconciles_tags: bool,
    /// In a rollback DmsPost is given what it had before.
    pub(crate) swaps_revisions: bool,
    state: Shared<Mutex<State>>,
}

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The stack's resources by name.
    pub(crate) physical: BTreeMap<String, Arn>,
    /// The names of all tasks there ever were.
    pub(crate) names: BTreeMap<Arn, String>,
    /// What each task replaced.
    pub(crate) replaced: BTreeMap<Arn, Arn>,
    pub(crate) wanted: BTreeMap<Arn, Wanted>,
    /// What a deployment touches, from dms-pre's look until dms-post, or healing, has answered.
    pub(crate) in_hand: BTreeSet<Arn>,
    /// An operator has it rest while a rollback is continued, and starts it again where nobody else does.
    pub(crate) rested: BTreeSet<Arn>,
    /// Started by an operator since DmsPre was called, or since the stack lists another task in their place.
    pub(crate) started_by_operator: BTreeSet<Arn>,
    /// Started by an operator while an operation was at work, at any time.
    pub(crate) ever_started_by_operator: BTreeSet<Arn>,
    /// What each invocation that is at work has read as marked.
    pub(crate) read_as_marked: BTreeMap<usize, BTreeSet<Arn>>,
    /// What each invocation that is at work has last read as failed.
    pub(crate) read_as_failed: BTreeMap<usize, BTreeSet<Arn>>,
    /// Taken out of the stack by an update without a change set: they run again when they are deleted.
    pub(crate) removed_unseen: BTreeSet<Arn>,
    /// A start of theirs fails, or has failed.
    pub(crate) doomed: BTreeSet<Arn>,
    pub(crate) has_incidents: bool,
    /// Sluice has joined the stack some minutes ago, and what stops may be stopped by the handlers of before.
    pub(crate) has_just_joined: bool,
    pub(crate) violations_seen: usize,
    pub(crate) faults: Vec<String>,
    /// How many invocations there were.
    pub(crate) processes: usize,
    pub(crate) log: Vec<String>,
}

impl World {
    pub(crate) fn new(nature: &Nature) -> Self {
        let seconds = |s: u8| Duration::from_secs(s.into());
        let lag = seconds(nature.lag);
        let dms = Dms::reproducible(Pace {
            lag,
            start: seconds(nature.start),
            stop: seconds(nature.stop),
            ..Pace::default()
        });
        let tells_dates = nature.dates != Dates::Untold;
        if !tells_dates {
            dms.tells_no_dates();
        }
        if nature.dates == Dates::Moved {
            dms.moves_dates();
        }
        if nature.throttled > 0 {
            dms.throttles(Throttle::documented(f64::from(nature.throttled) / 100.0));
        }
        Self {
            dms,
            stack: Stack::new("REVIEW_IN_PROGRESS"),
            gate: Gate::default(),
            lag,
            tells_dates,
            reconciles_tags: nature.reconciles_tags,
            swaps_revisions: nature.swaps_revisions,
            state: Shared::default(),
        }
    }

    /// CloudFormation takes a task out of the stack, and nobody can see that it does.
    pub(crate) fn removed_unseen(&self, arn: &Arn) {
        self.state().removed_unseen.insert(arn.clone());
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn fault(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("FAULT: {what}"));
        self.state().faults.push(what);
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.state().faults.clone()
    }

    /// Writes a line into the story that a failure tells.
    pub(crate) fn note(&self, line: impl Into<String>) {
        let at = self.dms.time().as_secs_f64();
        let line = format!("{at:7.1} s  {}", line.into());
        self.state().log.push(line);
    }

    pub(crate) fn log(&self) -> String {
        self.state().log.join("\n")
    }

    pub(crate) fn physical(&self) -> BTreeMap<String, Arn> {
        self.state().physical.clone()
    }

    pub(crate) fn tasks(&self) -> Vec<(String, Arn)> {
        let all = self.physical().into_iter();
        all.filter(|(name, _)| name.starts_with("Task")).collect()
    }

    pub(crate) fn arn(&self, name: &str) -> Option<Arn> {
        self.state().physical.get(name).cloned()
    }

    pub(crate) fn put(&self, name: &str, arn: &Arn) {
        let mut state = self.state();
        let before = state.physical.insert(name.to_owned(), arn.clone());
        let is_new = state.names.insert(arn.clone(), name.to_owned()).is_none();
        if let Some(before) = before.filter(|_| is_new) {
            // What takes the place of something that a deployment has in hand is in its hands, too.
            if state.in_hand.contains(&before) {
                state.in_hand.insert(arn.clone());
            }
            state.replaced.insert(arn.clone(), before);
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        self.state().physical.remove(name);
    }

    pub(crate) fn works(&self, arn: &Arn) -> bool {
        let status = self.dms.status(arn);
        matches!(status, Some(TaskStatus::Starting | TaskStatus::Running | TaskStatus::Stopping))
    }

    pub(crate) fn is_marked(&self, arn: &Arn) -> bool {
        self.dms.is_marked(arn)
    }

    pub(crate) fn rolls_back(&self) -> bool {
        self.stack.status() == "UPDATE_ROLLBACK_IN_PROGRESS"
    }

    /// A rollback begins that stops nothing: as if operators had started what runs, or comes to run.
    pub(crate) fn nobody_pauses(&self) {
        let tasks: Vec<Arn> = self.tasks().into_iter().map(|(_, arn)| arn).collect();
        self.state().started_by_operator.extend(tasks);
    }

    /// Healing has looked at what is paused, and all of that runs.
    pub(crate) fn healed(&self) {
        let is_over = !self.stack.is_in_progress() && self.stack.status() != "UPDATE_ROLLBACK_FAILED";
        if is_over && !self.state().has_just_joined {
            self.state().in_hand.clear();
        }
    }

    /// All that is known, in words, but for the story.
    pub(crate) fn text(&self) -> String {
        let mut state = self.state();
        let log = std::mem::take(&mut state.log);
        let text = format!("{state:?}");
        state.log = log;
        text
    }

    /// CloudFormation waits until it may do this.
    pub(crate) async fn asks_leave(&self, what: &str) {
        self.gate.leave(CLOUDFORMATION, what).await;
        self.hears(what);
    }

    /// CloudFormation has come to know this.
    pub(crate) fn hears(&self, what: impl Hash) {
        self.gate.hears(CLOUDFORMATION, (self.dms.time(), what));
    }

    /// A call that CloudFormation makes: it is patient.
    pub(crate) async fn call(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        sleep(Duration::from_millis(50)).await;
        loop {
            match self.dms.call(operation, input) {
                Err(refusal) if refusal == Refusal::throttled() => {
                    sleep(Duration::from_secs(2)).await;
                }
                answer => {
                    let code = answer.as_ref().err().map(|refusal| &refusal.code);
                    self.hears(code);
                    self.note(format!("CloudFormation: {operation} {} {code:?}", subject(input)));
                    return answer;
                }
            }
        }
    }
}

fn subject(input: &Value) -> String {
    ["ReplicationTaskArn", "EndpointArn", "ReplicationInstanceArn", "ReplicationTaskIdentifier"]
        .iter()
        .find_map(|name| input[name].as_str())
        .unwrap_or_default()
        .to_owned()
}

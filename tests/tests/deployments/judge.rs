//! What must be true.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stage::dms::{Arn, TaskStatus};

use crate::world::{BROKEN, Wanted, World};

impl World {
    /// A deployment has succeeded that began when these tasks were broken already: all run, but for those that an
    /// operator stopped.
    pub(crate) fn deployed(&self, broken_before: &BTreeMap<Arn, Duration>) {
        let mut state = self.state();
        if !state.has_just_joined {
            state.in_hand.clear();
        }
        let tasks: Vec<Arn> = state
            .physical
            .iter()
            .filter(|(name, _)| name.starts_with("Task"))
            .map(|(_, arn)| arn.clone())
            .collect();
        for arn in tasks {
            match state.wanted.get(&arn) {
                Some(Wanted::Either(BROKEN)) if self.broke_since(&arn, broken_before) => {}
                None | Some(Wanted::Either(BROKEN)) => {
                    state.wanted.insert(arn, Wanted::Runs);
                }
                Some(_) => {}
            }
        }
    }

    /// Whether a task has broken for the first time, or once more, since these had.
    fn broke_since(&self, arn: &Arn, broken_before: &BTreeMap<Arn, Duration>) -> bool {
        let Some(before) = broken_before.get(arn) else {
            return true;
        };
        let last = self.dms.statuses(arn).pop();
        last.is_some_and(|(since, status)| status == TaskStatus::Failed && since > *before)
    }

    /// The tasks that broke, and that nobody has resumed since, as far as DMS shows it by now; and when they did.
    pub(crate) fn broken(&self) -> BTreeMap<Arn, Duration> {
        let seen = self.dms.time().saturating_sub(self.lag);
        let state = self.state();
        let broken = state.wanted.iter().filter_map(|(arn, it)| {
            let (since, status) = self.dms.statuses(arn).pop()?;
            let is_broken = *it == Wanted::Either(BROKEN) && status == TaskStatus::Failed;
            (is_broken && since <= seen).then(|| (arn.clone(), since))
        });
        broken.collect()
    }

    /// Something was refused to CloudFormation, or done under a running task: nobody but an operator may be the cause.
    pub(crate) fn must_rest(&self, tasks: &[Arn], what: &str) {
        for arn in tasks {
            let state = self.state();
            let excused = state.started_by_operator.contains(arn) || state.removed_unseen.contains(arn);
            drop(state);
            if self.works(arn) && !excused {
                self.fault(format!("{what} while {arn} is {:?}", self.dms.status(arn)));
            }
        }
    }

    /// The dust has settled.
    pub(crate) fn judge(&self) {
        for (name, arn) in self.physical() {
            if !name.starts_with("Task") {
                continue;
            }
            let status = self.dms.status(&arn);
            let runs = status == Some(TaskStatus::Running);
            let wanted = self.state().wanted.get(&arn).copied();
            match wanted {
                Some(Wanted::Runs) if !runs => {
                    self.fault(format!("{name} ({arn}) has to run, and is {status:?}"));
                }
                Some(Wanted::Stopped) if runs => {
                    self.fault(format!("{name} ({arn}) runs, though an operator stopped it"));
                }
                _ => {}
            }
            // A rollback that failed is going to be continued.
            let is_stuck = self.stack.status() == "UPDATE_ROLLBACK_FAILED";
            if runs && self.is_marked(&arn) && !is_stuck {
                self.fault(format!("{name} ({arn}) runs and is marked as paused"));
            }
        }
        let state = self.state();
        let listed: BTreeSet<Arn> = state.physical.values().cloned().collect();
        let all: Vec<Arn> = state.names.keys().cloned().collect();
        let excused: BTreeSet<Arn> =
            state.removed_unseen.union(&state.ever_started_by_operator).cloned().collect();
        drop(state);
        for arn in all {
            if !listed.contains(&arn) && !excused.contains(&arn) && self.works(&arn) {
                self.fault(format!("{arn} runs, though it is no longer in the stack"));
            }
            for before in self.ancestors(&arn) {
                // Started by hand while it was the one that the stack listed: it goes on when the other is put back.
                if !excused.contains(&before) && !excused.contains(&arn) {
                    self.never_both(&arn, &before);
                }
            }
        }
    }

    fn never_both(&self, one: &Arn, other: &Arn) {
        let (ones, others) = (self.times(one), self.times(other));
        for (from, to) in &ones {
            if others.iter().any(|(start, end)| start < to && from < end) {
                self.fault(format!("{one} ran while {other} did, which it replaced"));
                return;
            }
        }
    }

    /// When a task worked.
    fn times(&self, task: &Arn) -> Vec<(Duration, Duration)> {
        let mut times = Vec::new();
        let mut began = None;
        for (at, status) in self.dms.statuses(task) {
            let works = matches!(status, TaskStatus::Starting | TaskStatus::Running | TaskStatus::Stopping);
            match (works, began) {
                (true, None) => began = Some(at),
                (false, Some(from)) => {
                    times.push((from, at));
                    began = None;
                }
                _ => {}
            }
        }
        times.extend(began.map(|from| (from, Duration::MAX)));
        times
    }

    /// What the stand-in wrote down since the last time.
    pub(crate) fn check_violations(&self) {
        let violations = self.dms.violations();
        let seen = std::mem::replace(&mut self.state().violations_seen, violations.len());
        for violation in &violations[seen..] {
            let state = self.state();
            let mut excused = state.started_by_operator.union(&state.removed_unseen);
            let excused = excused.any(|arn| {
                let name = self.dms.member(arn, "ReplicationTaskIdentifier");
                violation.ends_with(&format!("while task {name} ran"))
            });
            drop(state);
            if !excused {
                self.fault(violation.clone());
            }
        }
    }
}

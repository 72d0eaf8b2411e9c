//! What the handlers do, as it is seen from outside.

use replication::task::{Arn, Task, TaskStatus};
use replication::tasks::Start;

use crate::world::{DOUBT, Rights, Wanted, World};

/// An invocation that is at work.
pub(crate) struct AtWork {
    world: World,
    process: usize,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut state = self.world.state();
        state.read_as_marked.remove(&self.process);
        state.read_as_failed.remove(&self.process);
    }
}

impl World {
    /// To be held by an invocation for as long as it works.
    pub(crate) fn at_work(&self, process: usize) -> AtWork {
        let world = self.clone();
        AtWork { world, process }
    }

    /// An invocation has read which tasks are marked.
    pub(crate) fn has_read<'a>(&self, process: usize, marked: impl Iterator<Item = &'a Arn>) {
        let mut state = self.state();
        let read = state.read_as_marked.entry(process).or_default();
        read.extend(marked.cloned());
    }

    pub(crate) fn is_read_as_marked(&self, arn: &Arn) -> bool {
        let state = self.state();
        state.read_as_marked.values().any(|read| read.contains(arn))
    }

    /// An invocation has read whether these tasks have failed. What it read of them before counts no more.
    pub(crate) fn has_described(&self, process: usize, tasks: &[Task]) {
        let mut state = self.state();
        let read = state.read_as_failed.entry(process).or_default();
        for task in tasks {
            if task.status == TaskStatus::Failed {
                read.insert(task.arn.clone());
            } else {
                read.remove(&task.arn);
            }
        }
    }

    /// Whether an invocation may be about to start it, as something that has failed.
    pub(crate) fn is_read_as_failed(&self, arn: &Arn) -> bool {
        let state = self.state();
        state.read_as_failed.values().any(|read| read.contains(arn))
    }

    pub(crate) fn marked(&self, task: &Arn) {
        self.note(format!("mark {task}"));
        self.state().in_doubt.insert(task.clone());
    }

    pub(crate) fn unmarked(&self, task: &Arn) {
        self.note(format!("unmark {task}"));
        if self.dms.status(task) == Some(TaskStatus::Failed) {
            // It broke before it was stopped: nobody has paused it.
            self.breaks(task);
        }
        let mut state = self.state();
        state.in_doubt.remove(task);
        state.mark_stays.remove(task);
    }

    pub(crate) fn not_unmarked(&self, task: &Arn) {
        if self.is_marked(task) {
            self.state().mark_stays.insert(task.clone());
        }
    }

    /// An invocation leaves the marks that it has read on.
    pub(crate) fn does_not_unmark(&self, process: usize) {
        let read = self.state().read_as_marked.get(&process).cloned();
        for task in read.into_iter().flatten() {
            self.not_unmarked(&task);
        }
    }

    /// A handler has stopped a task.
    pub(crate) fn stopped(&self, task: &Arn, rights: &Rights) {
        self.note(format!("stop {task}"));
        let name = {
            let mut state = self.state();
            state.in_doubt.remove(task);
            state.names.get(task).cloned().unwrap_or_default()
        };
        if rights.as_ref().is_some_and(|may| !may.contains(&name)) {
            self.fault(format!("{name} was stopped, though the deployment does not touch it"));
        }
    }

    /// A handler has started a task.
    pub(crate) fn started(&self, task: &Arn, how: &Start) {
        self.note(format!("start {task} {how:?}"));
        {
            let mut state = self.state();
            if state.in_doubt.contains(task) && state.wanted.get(task) == Some(&Wanted::Stopped) {
                state.wanted.insert(task.clone(), Wanted::Either(DOUBT));
            }
        }
        if self.dms.runs(task).len() != 1 || self.loads(task) {
            return;
        }
        let ancestors = self.ancestors(task);
        let ran = |it: &&Arn| !self.dms.runs(it).is_empty();
        let Some(old) = ancestors.iter().find(ran) else {
            return;
        };
        if ancestors.first() != Some(old) {
            crate::saw("a replacement that never ran, and was replaced in turn");
            return;
        }
        let expected = self.dms.checkpoint(old).map(Start::At);
        // Without dates, an operator's start isn't seen before the lag is over.
        let unseen = !self.tells_dates && self.state().ever_started_by_operator.contains(old);
        // An operator has deleted it meanwhile. Its description trails, and told the checkpoint.
        let deleted = matches!(self.dms.status(old), None | Some(TaskStatus::Deleting));
        let gone = deleted && matches!(how, Start::At(_));
        if expected.as_ref() == Some(how) {
            crate::saw("a replacement that began at its predecessor's checkpoint");
        } else if !unseen && !gone {
            self.fault(format!("{task} replaces {old} and began with {how:?} instead of {expected:?}"));
        }
    }

    pub(crate) fn loads(&self, task: &Arn) -> bool {
        self.dms.member(task, "MigrationType") != "cdc"
    }

    pub(crate) fn ancestors(&self, task: &Arn) -> Vec<Arn> {
        let state = self.state();
        let mut ancestors = Vec::new();
        let mut of = task;
        while let Some(before) = state.replaced.get(of) {
            ancestors.push(before.clone());
            of = before;
        }
        ancestors
    }
}

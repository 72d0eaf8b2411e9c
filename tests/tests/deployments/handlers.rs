//! What the handlers do, as it is seen from outside.

use serde_json::Value;
use stage::aws::{Answer, Call};
use stage::dms::{Arn, PAUSE_MARK, TaskStatus};

use crate::functions::Ask;
use crate::lambda::Process;
use crate::world::{Rights, World};

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

    /// What an invocation has asked, and was answered.
    pub(crate) fn observe(&self, process: &Process, call: &Call, answer: &Answer) {
        if !answer.is_success() {
            return;
        }
        let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let arn = |member: &str| Arn::new(asked[member].as_str().unwrap_or_default());
        let unknown = || *process.rights.lock().unwrap() = None;
        match call.operation.as_str() {
            "DescribeStacks" if self.rolls_back() && !process.for_rollback => {
                // It is taken for a request of the rollback, which touches more.
                unknown();
            }
            "DescribeChangeSet" if !self.believes_the_change_set(process.ask) => unknown(),
            "DescribeReplicationTasks" => self.has_described(process, &answer.json()),
            "ListTagsForResource" => self.has_read(process.id, &answer.json()),
            "AddTagsToResource" => self.note(format!("mark {}", arn("ResourceArn"))),
            "RemoveTagsFromResource" => self.unmarked(&arn("ResourceArn")),
            "StopReplicationTask" => {
                let rights = process.rights.lock().unwrap().clone();
                self.stopped(&arn("ReplicationTaskArn"), &rights);
            }
            "StartReplicationTask" => {
                let position = asked["CdcStartPosition"].as_str();
                self.started(&arn("ReplicationTaskArn"), position);
            }
            _ => {}
        }
    }

    /// Whether an invocation that reads the change set now takes it for the one at work.
    fn believes_the_change_set(&self, ask: Ask) -> bool {
        let execution = self.stack.execution();
        execution == "EXECUTE_IN_PROGRESS"
            || execution == "EXECUTE_FAILED" && self.rolls_back()
            || ask == Ask::Heal
    }

    /// An invocation has read which tasks are marked.
    fn has_read(&self, process: usize, answer: &Value) {
        let tags = answer["TagList"].as_array().into_iter().flatten();
        let marks = tags.filter(|tag| tag["Key"].as_str().is_some_and(|key| key.starts_with(PAUSE_MARK)));
        let mut state = self.state();
        let read = state.read_as_marked.entry(process).or_default();
        read.extend(marks.filter_map(|tag| tag["ResourceArn"].as_str()).map(Arn::new));
    }

    pub(crate) fn is_read_as_marked(&self, arn: &Arn) -> bool {
        let state = self.state();
        state.read_as_marked.values().any(|read| read.contains(arn))
    }

    /// An invocation has read the states of tasks. What it read of them before counts no more. From its look on, dms-pre has
    /// in hand what it may stop.
    fn has_described(&self, process: &Process, answer: &Value) {
        let rights = process.rights.lock().unwrap().clone();
        let mut state = self.state();
        for task in answer["ReplicationTasks"].as_array().into_iter().flatten() {
            let arn = Arn::new(task["ReplicationTaskArn"].as_str().unwrap_or_default());
            let failed = state.read_as_failed.entry(process.id).or_default();
            if task["Status"] == "failed" {
                failed.insert(arn.clone());
            } else {
                failed.remove(&arn);
            }
            let name = state.names.get(&arn).cloned().unwrap_or_default();
            if process.ask == Ask::Pre && rights.as_ref().is_none_or(|may| may.contains(&name)) {
                state.in_hand.insert(arn);
            }
        }
    }

    /// Whether an invocation may be about to start it, as something that has failed.
    pub(crate) fn is_read_as_failed(&self, arn: &Arn) -> bool {
        let state = self.state();
        state.read_as_failed.values().any(|read| read.contains(arn))
    }

    fn unmarked(&self, task: &Arn) {
        self.note(format!("unmark {task}"));
        if self.dms.status(task) == Some(TaskStatus::Failed) {
            // It broke as soon as it ran: nobody has paused it.
            self.breaks(task);
        }
    }

    /// A handler has stopped a task.
    fn stopped(&self, task: &Arn, rights: &Rights) {
        self.note(format!("stop {task}"));
        let name = self.state().names.get(task).cloned().unwrap_or_default();
        if rights.as_ref().is_some_and(|may| !may.contains(&name)) {
            self.fault(format!("{name} was stopped, though the deployment does not touch it"));
        }
    }

    /// A handler has started a task.
    fn started(&self, task: &Arn, position: Option<&str>) {
        self.note(format!("start {task} {position:?}"));
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
        let expected = self.dms.checkpoint(old);
        // Without dates, an operator's start isn't seen before the lag is over.
        let unseen = !self.tells_dates && self.state().ever_started_by_operator.contains(old);
        // An operator has deleted it meanwhile. Its description trails, and told the checkpoint.
        let deleted = matches!(self.dms.status(old), None | Some(TaskStatus::Deleting));
        let gone = deleted && position.is_some();
        if position.is_some() && expected.as_deref() == position {
            crate::saw("a replacement that began at its predecessor's checkpoint");
        } else if !unseen && !gone {
            self.fault(format!("{task} replaces {old} and began with {position:?} instead of {expected:?}"));
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

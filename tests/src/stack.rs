//! A stand-in for CloudFormation as the handlers read it: one stack with its status, its change set and its tasks.
//!
//! [`Stack`] is the trait's implementation in process; [`serve`] serves the same stack over CloudFormation's query
//! protocol, for the real binaries.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use replication::change::{Change, ResourceChange, Stage};
use replication::stack::{Resource, StackStatus};
use replication::task::Arn;

use crate::request::UNDER_TEST;

mod wire;

pub use wire::serve;

/// The ARN of the one stack there is.
pub const STACK: &str =
    "arn:aws:cloudformation:eu-west-1:123456789012:stack/stream/0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f";
/// The ARN of its first change set.
pub const CHANGE_SET: &str = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/deploy/6a2d";

/// A stack, as it is now. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Stack(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    status: String,
    execution: String,
    changes: Option<Vec<ResourceChange>>,
    /// How many change sets there have been.
    change_sets: usize,
    /// The change sets of nested stacks.
    nested: HashMap<String, Vec<ResourceChange>>,
    tasks: Vec<Resource>,
    others: Vec<Resource>,
    /// How often each operation was called over HTTP.
    calls: BTreeMap<String, usize>,
}

impl Inner {
    /// The ARN of the last change set, if the stack tells one. Another one has another.
    fn change_set(&self) -> Option<String> {
        self.changes.as_ref()?;
        Some(match self.change_sets {
            1 => CHANGE_SET.to_owned(),
            number => format!("{CHANGE_SET}{number}"),
        })
    }

    fn resources(&self) -> Vec<Resource> {
        self.others.iter().chain(&self.tasks).cloned().collect()
    }
}

impl Stack {
    /// A stack in this status, without tasks, updated without a change set.
    pub fn new(status: &str) -> Self {
        let execution = "EXECUTE_IN_PROGRESS".to_owned();
        let stack = Self(Arc::new(Mutex::new(Inner {
            status: status.to_owned(),
            execution,
            changes: None,
            change_sets: 0,
            nested: HashMap::new(),
            tasks: Vec::new(),
            others: Vec::new(),
            calls: BTreeMap::new(),
        })));
        stack.resource_is("Stream", "AWS::Kinesis::Stream", "CREATE_COMPLETE");
        // By both names that the tests' requests give to the resource that they are about.
        for name in [UNDER_TEST, "DmsPre"] {
            stack.resource_is(name, "Custom::DmsPre", "UPDATE_IN_PROGRESS");
        }
        stack
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Puts a task into the template, under this name.
    pub fn has(&self, logical_id: &str, task: &Arn) {
        self.put(logical_id, task, false);
    }

    /// The resource of this name gets another physical id, as after a replacement.
    pub fn replaces(&self, logical_id: &str, task: &Arn) {
        self.state().tasks.retain(|it| it.logical_id != logical_id);
        self.put(logical_id, task, true);
    }

    fn put(&self, logical_id: &str, task: &Arn, updated: bool) {
        self.state().tasks.push(listed(logical_id, task, updated));
    }

    /// The stack is carrying out a change set with these changes.
    pub fn changes(&self, changes: Vec<ResourceChange>) {
        let mut state = self.state();
        state.changes = Some(changes);
        state.change_sets += 1;
    }

    /// The stack is carried on without a change set that anybody knows.
    pub fn changes_unseen(&self) {
        self.state().changes = None;
    }

    /// The tasks that `ListStackResources` shows from now on, in place of those before.
    pub fn lists(&self, tasks: Vec<Resource>) {
        self.state().tasks = tasks;
    }

    /// A resource that is no task is in this status from now on.
    pub fn resource_is(&self, logical_id: &str, resource_type: &str, status: &str) {
        let others = &mut self.state().others;
        others.retain(|it| it.logical_id != logical_id);
        let physical_id = format!("{logical_id}-1");
        others.push(resource(logical_id, resource_type, &physical_id, status));
    }

    /// A nested stack is carrying out a change set of its own.
    pub fn nests(&self, change_set: &str, changes: Vec<ResourceChange>) {
        self.state().nested.insert(change_set.to_owned(), changes);
    }

    /// The stack's status changes.
    pub fn becomes(&self, status: &str) {
        self.state().status = status.to_owned();
    }

    /// How often each operation has been called over HTTP.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.state().calls.clone()
    }

    /// Whether an operation is under way.
    pub fn is_in_progress(&self) -> bool {
        self.state().status.ends_with("_IN_PROGRESS")
    }

    /// Whether the stack is in this status.
    pub fn status_is(&self, status: &str) -> bool {
        self.state().status == status
    }

    /// The change set's execution status changes.
    pub fn execution_is(&self, status: &str) {
        self.state().execution = status.to_owned();
    }
}

/// A task among the stack's resources. `updated`: the last operation on it was an update.
pub fn listed(logical_id: &str, task: &Arn, updated: bool) -> Resource {
    let status = if updated { "UPDATE_COMPLETE" } else { "CREATE_COMPLETE" };
    resource(logical_id, "AWS::DMS::ReplicationTask", task.as_str(), status)
}

fn resource(logical_id: &str, resource_type: &str, physical_id: &str, status: &str) -> Resource {
    Resource {
        logical_id: logical_id.to_owned(),
        physical_id: Some(physical_id.to_owned()),
        resource_type: resource_type.to_owned(),
        status: status.to_owned(),
    }
}

/// A change of a resource's properties, in place.
pub fn modified(logical_id: &str, resource_type: &str, physical_id: &Arn) -> ResourceChange {
    ResourceChange {
        action: "Modify".to_owned(),
        logical_id: logical_id.to_owned(),
        physical_id: Some(physical_id.as_str().to_owned()),
        resource_type: resource_type.to_owned(),
        replacement: Some("False".to_owned()),
        scope: vec!["Properties".to_owned()],
        details: vec![("Properties".to_owned(), Some("TableMappings".to_owned()))],
        change_set: None,
    }
}

impl replication::Stack for Stack {
    async fn status(&self, stack: &str) -> anyhow::Result<(StackStatus, Option<String>)> {
        anyhow::ensure!(stack == STACK, "describing stack {stack}: ValidationError: it does not exist");
        let state = self.state();
        Ok((StackStatus(state.status.clone()), state.change_set()))
    }

    async fn change(&self, _change_set: &str, stage: Stage) -> anyhow::Result<Change> {
        let state = self.state();
        let at_work = match (stage, state.execution.as_str()) {
            (Stage::Planned, _) | (_, "EXECUTE_IN_PROGRESS") => true,
            (stage, execution) => stage == Stage::Undone && execution == "EXECUTE_FAILED",
        };
        Ok(match (&state.changes, at_work) {
            (Some(changes), true) => Change::Known(changes.clone()),
            _ => Change::Unknown(state.execution.clone()),
        })
    }

    async fn resources(&self, _stack: &str) -> anyhow::Result<Vec<Resource>> {
        Ok(self.state().resources())
    }
}

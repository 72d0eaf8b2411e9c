//! A stand-in for CloudFormation as the handlers read it: one stack with its status, its change set, its resources and its
//! events. [`aws`](crate::aws) brings it to a client.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use serde_json::Value;

use crate::aws::Clock;
use crate::dms::Arn;
use crate::request::UNDER_TEST;

mod wire;

/// The ARN of the one stack there is.
pub const STACK: &str =
    "arn:aws:cloudformation:eu-west-1:123456789012:stack/stream/0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f";
/// The ARN of its first change set.
pub const CHANGE_SET: &str = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/deploy/6a2d";

/// One resource in a change set, in CloudFormation's own terms.
#[derive(Clone, Debug, Default)]
pub struct ResourceChange {
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic`, or a newer one.
    pub action: String,
    /// The name in the template.
    pub logical_id: String,
    /// The physical id before the change; none for an added resource.
    pub physical_id: Option<String>,
    /// Such as `AWS::DMS::Endpoint`.
    pub resource_type: String,
    /// `True`, `False`, `Conditional`, or none where nothing is said.
    pub replacement: Option<String>,
    /// What of the resource changes: `Properties`, `Tags`, `Metadata`, …
    pub scope: Vec<String>,
    /// The changed properties and attributes.
    pub details: Vec<Detail>,
    /// A nested stack's own change set, where it has one.
    pub change_set: Option<String>,
    /// What becomes of a resource that goes: `Delete`, `Retain`, …
    pub policy_action: Option<String>,
    /// Its properties after the change, where CloudFormation tells them.
    pub after: Option<Value>,
}

/// One property or attribute of a resource that changes.
#[derive(Clone, Debug)]
pub struct Detail {
    /// `Properties`, or another scope.
    pub attribute: String,
    /// The property's name.
    pub name: Option<String>,
    /// `Static`: it changes for certain. `Dynamic`: that is known once it is made.
    pub evaluation: String,
    /// `DirectModification`, `ResourceAttribute`, …; none where nothing is said.
    pub source: Option<String>,
    /// What else changes and is the cause, such as `Stream.Arn`.
    pub cause: Option<String>,
}

impl Detail {
    /// Somebody has edited it.
    pub fn edited(attribute: &str, name: Option<&str>) -> Self {
        Self {
            attribute: attribute.to_owned(),
            name: name.map(str::to_owned),
            evaluation: "Static".to_owned(),
            source: Some("DirectModification".to_owned()),
            cause: None,
        }
    }

    /// A property takes the attribute of a resource that changes in place.
    pub fn takes(cause: &str) -> Self {
        Self {
            evaluation: "Dynamic".to_owned(),
            source: Some("ResourceAttribute".to_owned()),
            cause: Some(cause.to_owned()),
            ..Self::edited("Properties", Some("KinesisSettings"))
        }
    }
}

/// A resource of the stack, in CloudFormation's own terms.
#[derive(Clone, Debug)]
pub struct Resource {
    logical_id: String,
    physical_id: String,
    resource_type: String,
    status: String,
}

#[derive(Clone, Debug)]
struct Event {
    at: SystemTime,
    /// Of the stack itself, or of one of its resources.
    of: Resource,
}

/// A stack, as it is now. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Stack(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    status: String,
    execution: String,
    changes: Option<Vec<ResourceChange>>,
    /// How many change sets there have been.
    change_sets: usize,
    /// The change sets of nested stacks.
    nested: HashMap<String, Vec<ResourceChange>>,
    tasks: Vec<Resource>,
    others: Vec<Resource>,
    events: Vec<Event>,
    created: SystemTime,
    updated: Option<SystemTime>,
    /// How often each operation was called.
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

    fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.others.iter().chain(&self.tasks)
    }

    fn becomes(&mut self, status: &str) {
        self.status = status.to_owned();
        let at = self.clock.now();
        if ["UPDATE_IN_PROGRESS", "IMPORT_IN_PROGRESS"].contains(&status) {
            self.updated = Some(at);
        }
        let of = resource("stream", "AWS::CloudFormation::Stack", STACK, status);
        self.events.push(Event { at, of });
    }
}

impl Stack {
    /// A stack in this status, without tasks, updated without a change set.
    pub fn new(status: &str) -> Self {
        let clock = Clock::start();
        let mut inner = Inner {
            clock,
            status: String::new(),
            execution: "EXECUTE_IN_PROGRESS".to_owned(),
            changes: None,
            change_sets: 0,
            nested: HashMap::new(),
            tasks: Vec::new(),
            others: Vec::new(),
            events: Vec::new(),
            created: clock.now(),
            updated: None,
            calls: BTreeMap::new(),
        };
        inner.becomes(status);
        let stack = Self(Arc::new(Mutex::new(inner)));
        stack.resource_is("Stream", "AWS::Kinesis::Stream", "CREATE_COMPLETE");
        // By both names that the tests' requests give to the resource that they are about.
        for name in [UNDER_TEST, "DmsPre"] {
            stack.resource_is(name, "Custom::DmsPre", "UPDATE_IN_PROGRESS");
        }
        stack
    }

    fn state_of(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// From now on, and in what has been, the stack goes by this clock.
    pub(crate) fn goes_by(&self, clock: Clock) {
        let mut state = self.state_of();
        let ours = std::mem::replace(&mut state.clock, clock);
        let adjust = |at: &mut SystemTime| {
            let origin = ours.origin + at.duration_since(ours.epoch).unwrap_or_default();
            *at = clock.epoch + origin.saturating_duration_since(clock.origin);
        };
        adjust(&mut state.created);
        state.updated.iter_mut().for_each(adjust);
        state.events.iter_mut().for_each(|event| adjust(&mut event.at));
    }

    /// Puts a task into the template, under this name.
    pub fn has(&self, logical_id: &str, task: &Arn) {
        self.state_of().tasks.push(listed(logical_id, task, false));
    }

    /// The resource of this name gets another physical id, as after a replacement.
    pub fn replaces(&self, logical_id: &str, task: &Arn) {
        let mut state = self.state_of();
        state.tasks.retain(|it| it.logical_id != logical_id);
        state.tasks.push(listed(logical_id, task, true));
    }

    /// The stack is carrying out a change set with these changes.
    pub fn changes(&self, changes: Vec<ResourceChange>) {
        let mut state = self.state_of();
        state.changes = Some(changes);
        state.change_sets += 1;
    }

    /// The stack is carried on without a change set that anybody knows.
    pub fn changes_unseen(&self) {
        self.state_of().changes = None;
    }

    /// The tasks that `ListStackResources` shows from now on, in place of those before.
    pub fn lists(&self, tasks: Vec<Resource>) {
        self.state_of().tasks = tasks;
    }

    /// A resource that is no task is in this status from now on.
    pub fn resource_is(&self, logical_id: &str, resource_type: &str, status: &str) {
        let mut state = self.state_of();
        state.others.retain(|it| it.logical_id != logical_id);
        let resource = resource(logical_id, resource_type, &format!("{logical_id}-1"), status);
        let event = Event { at: state.clock.now(), of: resource.clone() };
        state.events.push(event);
        state.others.push(resource);
    }

    /// A resource that is no task is gone, as `ListStackResources` shows for a while.
    pub fn resource_goes(&self, logical_id: &str, resource_type: &str) {
        self.resource_is(logical_id, resource_type, "DELETE_COMPLETE");
        self.state_of().others.retain(|it| it.logical_id != logical_id);
    }

    /// A nested stack is carrying out a change set of its own.
    pub fn nests(&self, change_set: &str, changes: Vec<ResourceChange>) {
        self.state_of().nested.insert(change_set.to_owned(), changes);
    }

    /// The stack's status changes.
    pub fn becomes(&self, status: &str) {
        self.state_of().becomes(status);
    }

    /// The stack's status.
    pub fn status(&self) -> String {
        self.state_of().status.clone()
    }

    /// How often each operation has been called.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.state_of().calls.clone()
    }

    /// Whether an operation is under way.
    pub fn is_in_progress(&self) -> bool {
        self.status().ends_with("_IN_PROGRESS")
    }

    /// All that is so of the stack, in words.
    pub fn state(&self) -> String {
        let state = self.state_of();
        let events: Vec<_> =
            state.events.iter().map(|it| (it.at, &it.of.logical_id, &it.of.status)).collect();
        format!("{} {} {:?} {events:?}", state.status, state.execution, state.updated)
    }

    /// The change set's execution status.
    pub fn execution(&self) -> String {
        self.state_of().execution.clone()
    }

    /// The change set's execution status changes.
    pub fn execution_is(&self, status: &str) {
        self.state_of().execution = status.to_owned();
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
        physical_id: physical_id.to_owned(),
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
        details: vec![Detail::edited("Properties", Some("TableMappings"))],
        change_set: None,
        policy_action: None,
        after: None,
    }
}

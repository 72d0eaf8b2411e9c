//! What a deployment changes, and which tasks that concerns.

use std::fmt;

use serde_json::Value;
use tracing::warn;

use crate::succession::Successor;
use crate::task::{MigrationType, Source, Task};

/// One resource in a change set, in CloudFormation's own terms.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResourceChange {
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic`, or a newer one; `Retain` for a removal from the template alone.
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
    /// Its properties after the change, where CloudFormation tells them.
    pub after: Option<Value>,
}

/// One property or attribute that changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Detail {
    /// `Properties`, or another scope.
    pub scope: String,
    /// The property's name.
    pub name: Option<String>,
    /// What else changes and is the cause: a parameter, a resource, or one's attribute such as `Stream.Arn`.
    pub cause: Option<String>,
    /// The cause is an attribute that may come to the same value again.
    pub may_stay: bool,
}

impl Detail {
    /// The resource, by its name in the template, whose attribute `Arn` is all that may give it another value.
    fn arn_of(&self) -> Option<&str> {
        self.cause.as_deref().filter(|_| self.may_stay)?.strip_suffix(".Arn")
    }

    /// The resource, by its name in the template, that is the cause, itself or an attribute of it.
    fn caused_by(&self) -> Option<&str> {
        self.cause.as_deref()?.split('.').next()
    }
}

/// How far a deployment is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Its change set exists, and nobody has executed it.
    Planned,
    /// It is being carried out.
    Underway,
    /// It is being undone.
    Undone,
    /// It has ended, in whatever way.
    Over,
}

impl fmt::Display for ResourceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, logical_id, resource_type, .. } = self;
        write!(f, "{action} {logical_id} ({resource_type})")?;
        match self.replacement.as_deref() {
            Some("True") => f.write_str(", which is replaced"),
            Some("Conditional") => f.write_str(", which may be replaced"),
            _ => Ok(()),
        }
    }
}

/// What is known of the change that a deployment makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// The change set that is being carried out.
    Known(Vec<ResourceChange>),
    /// It can't be told what changes, and why not. It may be anything.
    Unknown(String),
}

/// The scopes that leave a resource as it is for its users.
const HARMLESS: [&str; 6] =
    ["Metadata", "CreationPolicy", "UpdatePolicy", "DeletionPolicy", "UpdateReplacePolicy", "Tags"];

pub(crate) const TASK: &str = "AWS::DMS::ReplicationTask";
const ENDPOINT: &str = "AWS::DMS::Endpoint";
const INSTANCE: &str = "AWS::DMS::ReplicationInstance";
pub(crate) const NESTED_STACK: &str = "AWS::CloudFormation::Stack";

impl ResourceChange {
    /// Whether the resource exists already and gets other properties, another physical id, or goes. Undone, what was added
    /// goes. `all` are the changes that it is one of.
    fn matters(&self, all: &[Self], undoing: bool) -> bool {
        match self.action.as_str() {
            "Add" => undoing,
            "Import" | "Retain" => false,
            "Modify" => !self.is_harmless(all),
            // Remove, Dynamic (decided while the change runs), and what nobody knows yet.
            _ => true,
        }
    }

    fn is_harmless(&self, all: &[Self]) -> bool {
        let tags_only = |Detail { scope, name, .. }: &Detail| {
            HARMLESS.contains(&scope.as_str()) || name.as_deref() == Some("Tags")
        };
        // What takes the ARN of a changed resource is listed as changed, though the value stays. CDK takes ARNs everywhere.
        let same_arn = |detail: &Detail| {
            detail
                .arn_of()
                .is_some_and(|name| all.iter().any(|it| it.logical_id == name && it.keeps_its_arn()))
        };
        // A change that doesn't say what it is may be any.
        let by_scope =
            !self.scope.is_empty() && self.scope.iter().all(|scope| HARMLESS.contains(&scope.as_str()));
        let by_details =
            !self.details.is_empty() && self.details.iter().all(|it| tags_only(it) || same_arn(it));
        match self.replacement.as_deref() {
            None | Some("False") => by_scope || by_details,
            // Only if the value becomes another one.
            Some("Conditional") => by_details && self.details.iter().any(same_arn),
            Some(_) => false,
        }
    }

    /// Whether this property changes.
    fn changes(&self, property: &str) -> bool {
        self.details.iter().any(|it| it.name.as_deref() == Some(property))
    }

    /// Whether it is modified in place, and its attribute `Arn` is AWS's, not a handler's or a nested template's.
    fn keeps_its_arn(&self) -> bool {
        let aws = self.resource_type.starts_with("AWS::")
            && !self.resource_type.starts_with("AWS::CloudFormation::");
        aws && self.action == "Modify" && self.replacement.as_deref() == Some("False")
    }
}

impl Change {
    /// Takes a change that can't be read for one that may be anything.
    pub(crate) fn or_unknown(read: anyhow::Result<Self>) -> Self {
        read.unwrap_or_else(|error| {
            let why = format!("{error:#}");
            warn!("{why}");
            Self::Unknown(why)
        })
    }

    /// Why the change, or its undoing, touches this task; `None` if it doesn't. `logical_id` is the task's name in the
    /// template.
    pub fn touches(&self, logical_id: &str, task: &Task, undoing: bool) -> Option<String> {
        let changes = match self {
            Self::Unknown(why) => return Some(format!("it is not known what changes ({why})")),
            Self::Known(changes) => changes,
        };
        changes
            .iter()
            .filter(|change| change.matters(changes, undoing))
            .find_map(|change| {
                let is =
                    |arn: &crate::task::Arn| change.physical_id.as_deref() == Some(arn.as_str());
                let what = match change.resource_type.as_str() {
                    TASK if change.logical_id == logical_id || is(&task.arn) => "it changes",
                    ENDPOINT if is(&task.source) => "its source endpoint changes",
                    ENDPOINT if is(&task.target) => "its target endpoint changes",
                    INSTANCE if is(&task.instance) => "its replication instance changes",
                    // What has a change set of its own is here with what that changes.
                    NESTED_STACK if change.change_set.is_none() => {
                        "a nested stack changes without a change set of its own, so that anything in it may change"
                    }
                    _ => return None,
                };
                Some(format!(
                    "{what} ({} of {})",
                    change.action, change.logical_id
                ))
            })
    }

    /// Whether the change, or its undoing, takes this task out of the stack.
    pub fn removes(&self, logical_id: &str, undoing: bool) -> bool {
        let Self::Known(changes) = self else {
            return false;
        };
        let taking = if undoing { "Add" } else { "Remove" };
        changes.iter().any(|change| {
            change.resource_type == TASK && change.logical_id == logical_id && change.action == taking
        })
    }

    /// The physical id that a task's resource had before this change, if the change may replace it.
    pub fn predecessor(&self, logical_id: &str) -> Option<&str> {
        let change = self.of_task(logical_id)?;
        change
            .physical_id
            .as_deref()
            .filter(|_| change.action == "Modify" && change.replacement.as_deref() != Some("False"))
    }

    /// Whether the change gives a task another position to begin at; `None` where it doesn't tell.
    pub fn sets_position(&self, logical_id: &str) -> Option<bool> {
        let change = self.of_task(logical_id)?;
        let mut names = ["CdcStartPosition", "CdcStartTime"].into_iter().filter(|name| change.changes(name));
        match &change.after {
            Some(after) => Some(names.any(|name| !after[name].is_null())),
            None if names.next().is_none() => Some(false),
            None => None,
        }
    }

    /// The task that takes this one's place, if the change may replace it, as far as the change tells. `source` is the
    /// endpoint that this one reads from, as it is now.
    pub fn successor(&self, logical_id: &str, task: &Task, source: Option<&Source>) -> Option<Successor> {
        self.predecessor(logical_id).filter(|before| *before == task.arn.as_str())?;
        let change = self.of_task(logical_id)?;
        let told = change.after.as_ref().and_then(|after| after["MigrationType"].as_str());
        let same = (!change.changes("MigrationType")).then(|| task.migration_type.clone());
        Some(Successor {
            migration_type: told.map(MigrationType::from).or(same),
            has_position: self.sets_position(logical_id).unwrap_or(true),
            source: self.source_after(change, task, source),
        })
    }

    /// The endpoint that a task reads from after the change; `None` where the change doesn't tell.
    fn source_after(
        &self,
        task_change: &ResourceChange,
        task: &Task,
        now: Option<&Source>,
    ) -> Option<Source> {
        let Self::Known(changes) = self else {
            return None;
        };
        let mut endpoints = changes.iter().filter(|it| it.resource_type == ENDPOINT);
        let changed = if task_change.changes(SOURCE_ENDPOINT) {
            let details = task_change.details.iter().filter(|it| it.name.as_deref() == Some(SOURCE_ENDPOINT));
            let causes: Vec<&str> = details.filter_map(Detail::caused_by).collect();
            Some(endpoints.find(|it| causes.contains(&it.logical_id.as_str()))?)
        } else {
            endpoints.find(|it| it.physical_id.as_deref() == Some(task.source.as_str()))
        };
        match changed {
            Some(endpoint) => endpoint.after.as_ref().and_then(source),
            None => now.cloned(),
        }
    }

    fn of_task(&self, logical_id: &str) -> Option<&ResourceChange> {
        let Self::Known(changes) = self else {
            return None;
        };
        changes.iter().find(|change| change.resource_type == TASK && change.logical_id == logical_id)
    }
}

const SOURCE_ENDPOINT: &str = "SourceEndpointArn";

/// A source endpoint of these properties.
fn source(properties: &Value) -> Option<Source> {
    let slot = properties["PostgreSqlSettings"]["SlotName"].as_str();
    Some(Source::new(
        properties["EngineName"].as_str()?,
        slot,
        properties["ExtraConnectionAttributes"].as_str(),
    ))
}

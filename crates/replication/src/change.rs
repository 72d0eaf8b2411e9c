//! What a deployment changes, and which tasks that concerns.

use std::fmt;

use tracing::warn;

use crate::task::Task;

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
}

/// One property or attribute that changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Detail {
    /// `Properties`, or another scope.
    pub scope: String,
    /// The property's name.
    pub name: Option<String>,
    /// The resource, by its name in the template, whose attribute `Arn` is all that may give it another value.
    pub arn_of: Option<String>,
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
        let same_arn = |Detail { arn_of, .. }: &Detail| {
            arn_of
                .as_deref()
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
        let Self::Known(changes) = self else {
            return None;
        };
        let change =
            changes.iter().find(|change| change.resource_type == TASK && change.logical_id == logical_id)?;
        change
            .physical_id
            .as_deref()
            .filter(|_| change.action == "Modify" && change.replacement.as_deref() != Some("False"))
    }
}

//! CloudFormation as Sluice reads it, through the SDK, whose types end here. All of it is reading.

use std::fmt;
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types;
use serde_json::Value;

use crate::aws::{moment, words};
use crate::change::{Change, Detail, NESTED_STACK, ResourceChange, Stage};

/// A stack's status, such as `UPDATE_IN_PROGRESS`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StackStatus(pub(crate) String);

impl StackStatus {
    /// Whether an operation of the stack is under way, its cleanup included.
    pub(crate) fn is_in_progress(&self) -> bool {
        self.0.ends_with("_IN_PROGRESS")
    }

    /// Whether a deployment, or its undoing, is at work; a clean-up comes after it.
    pub(crate) fn is_deploying(&self) -> bool {
        self.is_in_progress() && !self.0.contains("CLEANUP")
    }

    /// Whether all of the stack goes: it is being deleted, or its creation is being undone.
    pub(crate) fn is_going(&self) -> bool {
        matches!(self.0.as_str(), "DELETE_IN_PROGRESS" | "ROLLBACK_IN_PROGRESS")
    }

    /// Whether an update of the stack is being undone, or was.
    pub(crate) fn is_rolling_back(&self) -> bool {
        self.0.starts_with("UPDATE_ROLLBACK_") || self.0.starts_with("IMPORT_ROLLBACK_")
    }
}

impl fmt::Display for StackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stack at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// Its ARN.
    pub(crate) id: String,
    pub(crate) status: StackStatus,
    /// The change set that it was last created or updated by, if one is known.
    pub(crate) change_set: Option<String>,
    /// When its last update began; of a stack that was never updated, its creation.
    pub(crate) began: Option<SystemTime>,
}

/// A resource of the stack, in CloudFormation's own terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resource {
    /// Its name in the template.
    pub(crate) logical_id: String,
    /// Its physical id; none while it is being made, and if it could not be made.
    pub(crate) physical_id: Option<String>,
    /// Such as `AWS::DMS::ReplicationTask`.
    pub(crate) resource_type: String,
    /// Its own status, such as `UPDATE_COMPLETE`.
    pub(crate) status: String,
}

/// An event of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: SystemTime,
    /// Such as `Custom::DmsPre`.
    pub(crate) resource_type: String,
    /// Of the stack, or of its resource.
    pub(crate) status: String,
    /// It tells of the stack itself, and not of a resource.
    pub(crate) is_about_the_stack: bool,
}

impl Event {
    /// Whether a create, an update or an import of the stack begins with it. A rollback is none of these.
    pub(crate) fn begins(&self) -> bool {
        let begins = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "IMPORT_IN_PROGRESS"];
        self.is_about_the_stack && begins.contains(&self.status.as_str())
    }
}

/// CloudFormation in the account and region of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct CloudFormation(Client);

impl CloudFormation {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self(Client::new(config))
    }

    /// The stack of this ARN.
    pub(crate) async fn stack(&self, id: &str) -> anyhow::Result<Stack> {
        let answer = self.0.describe_stacks().stack_name(id).send().await.map_err(words);
        let answer = answer.with_context(|| format!("describing stack {id}"))?;
        let Some(found) = answer.stacks.unwrap_or_default().into_iter().next() else {
            bail!("describing stack {id}: there is no such stack");
        };
        let status = found.stack_status.map_or_else(String::new, |status| status.as_str().to_owned());
        ensure!(!status.is_empty(), "describing stack {id}: CloudFormation tells no status");
        Ok(Stack {
            id: id.to_owned(),
            status: StackStatus(status),
            change_set: found.change_set_id,
            began: moment(found.last_updated_time.or(found.creation_time)),
        })
    }

    /// What the change set changes, those of nested stacks included, if it exists and is at this stage.
    ///
    /// # Errors
    /// If it can't be read.
    pub(crate) async fn change(&self, change_set: &str, stage: Stage) -> anyhow::Result<Change> {
        let mut found = match self.changes(change_set, stage).await? {
            Ok(changes) => changes,
            Err(why) => return Ok(Change::Unknown(why)),
        };
        // The list grows while it is read: nested stacks can hold nested stacks.
        let mut read = 0;
        while let Some(change) = found.get(read) {
            read += 1;
            if let (NESTED_STACK, Some(nested)) = (change.resource_type.as_str(), &change.change_set) {
                match self.changes(&nested.clone(), Stage::Planned).await? {
                    Ok(changes) => {
                        // Its resources' names are its own.
                        let of = change.logical_id.clone();
                        let named = |mut it: ResourceChange| {
                            let causes = it.details.iter_mut().filter_map(|detail| detail.cause.as_mut());
                            for name in causes.chain([&mut it.logical_id]) {
                                *name = format!("{of}/{name}");
                            }
                            it
                        };
                        found.extend(changes.into_iter().map(named));
                    }
                    Err(why) => return Ok(Change::Unknown(why)),
                }
            }
        }
        Ok(Change::Known(found))
    }

    /// The stack's resources, those included that are being made and those that are gone.
    pub(crate) async fn resources(&self, stack: &str) -> anyhow::Result<Vec<Resource>> {
        let mut resources = Vec::new();
        let mut pages = self.0.list_stack_resources().stack_name(stack).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(words).with_context(|| format!("listing the resources of stack {stack}"))?;
            let summaries = page.stack_resource_summaries.unwrap_or_default();
            resources.extend(summaries.into_iter().map(resource));
        }
        Ok(resources)
    }

    /// The events since the stack's last create, update or import began, newest first.
    pub(crate) async fn events(&self, stack: &str) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        let mut pages = self.0.describe_stack_events().stack_name(stack).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(words).with_context(|| format!("reading the events of stack {stack}"))?;
            for event in page.stack_events.unwrap_or_default().into_iter().filter_map(event) {
                let begins = event.begins();
                events.push(event);
                if begins {
                    return Ok(events);
                }
            }
        }
        Ok(events)
    }

    /// What a change set changes, page by page; or why that can't be told. One that is only planned is believed whatever
    /// its execution status is, and so is a nested stack's with its parent's.
    async fn changes(
        &self,
        change_set: &str,
        stage: Stage,
    ) -> anyhow::Result<Result<Vec<ResourceChange>, String>> {
        let mut changes = Vec::new();
        let call = self.0.describe_change_set().change_set_name(change_set).include_property_values(true);
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => match error.code() {
                    Some("ChangeSetNotFound" | "ChangeSetNotFoundException") => {
                        return Ok(Err("the stack's change set is gone".to_owned()));
                    }
                    _ => return Err(words(error).context(format!("reading change set {change_set}"))),
                },
            };
            let execution =
                page.execution_status.map_or_else(String::new, |status| status.as_str().to_owned());
            let is_it = match stage {
                Stage::Planned | Stage::Over => true,
                Stage::Underway => execution == "EXECUTE_IN_PROGRESS",
                Stage::Undone => {
                    matches!(execution.as_str(), "EXECUTE_IN_PROGRESS" | "EXECUTE_FAILED")
                }
            };
            if !is_it {
                let why = format!("the stack's last change set is not the one at work ({execution})");
                return Ok(Err(why));
            }
            let found = page.changes.unwrap_or_default();
            changes
                .extend(found.into_iter().filter_map(|change| change.resource_change).map(resource_change));
        }
        Ok(Ok(changes))
    }
}

fn event(event: types::StackEvent) -> Option<Event> {
    Some(Event {
        at: moment(event.timestamp)?,
        is_about_the_stack: event.physical_resource_id.is_some()
            && event.physical_resource_id == event.stack_id,
        resource_type: event.resource_type.unwrap_or_default(),
        status: event.resource_status.map_or_else(String::new, |status| status.as_str().to_owned()),
    })
}

fn resource(resource: types::StackResourceSummary) -> Resource {
    Resource {
        logical_id: resource.logical_resource_id.unwrap_or_default(),
        physical_id: resource.physical_resource_id,
        resource_type: resource.resource_type.unwrap_or_default(),
        status: resource.resource_status.map_or_else(String::new, |status| status.as_str().to_owned()),
    }
}

fn resource_change(change: types::ResourceChange) -> ResourceChange {
    let is_kept = change.policy_action.is_some_and(|policy| policy.as_str() == "Retain");
    let action = change.action.map_or_else(String::new, |action| action.as_str().to_owned());
    ResourceChange {
        action: if action == "Remove" && is_kept { "Retain".to_owned() } else { action },
        logical_id: change.logical_resource_id.unwrap_or_default(),
        physical_id: change.physical_resource_id.filter(|id| !id.is_empty()),
        change_set: change.change_set_id,
        resource_type: change.resource_type.unwrap_or_default(),
        replacement: change.replacement.map(|replacement| replacement.as_str().to_owned()),
        scope: change.scope.unwrap_or_default().iter().map(|scope| scope.as_str().to_owned()).collect(),
        details: change.details.unwrap_or_default().into_iter().filter_map(detail).collect(),
        // JSON, beside the properties with the policies and the like. (assumption: change-set-property-values)
        after: change
            .after_context
            .and_then(|context| serde_json::from_str::<Value>(&context).ok())
            .and_then(|mut context| context.get_mut("Properties").map(Value::take)),
    }
}

fn detail(detail: types::ResourceChangeDetail) -> Option<Detail> {
    let target = detail.target?;
    Some(Detail {
        scope: target.attribute.map_or_else(String::new, |it| it.as_str().to_owned()),
        name: target.name,
        cause: detail.causing_entity,
        // Static is what changes for certain: the attribute of something that is added or replaced.
        may_stay: detail.change_source == Some(types::ChangeSource::ResourceAttribute)
            && detail.evaluation == Some(types::EvaluationType::Dynamic),
    })
}

//! The seam to CloudFormation: what Sluice reads of the stack that calls it.

use std::future::Future;

use anyhow::{Context, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types;

use crate::aws::words;
use crate::change::{Change, NESTED_STACK, ResourceChange, Stage};

/// A stack's status, such as `UPDATE_IN_PROGRESS`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StackStatus(pub String);

impl StackStatus {
    /// Whether an operation of the stack is under way, its cleanup included.
    pub fn is_in_progress(&self) -> bool {
        self.0.ends_with("_IN_PROGRESS")
    }

    /// Whether a deployment, or its undoing, is at work; a clean-up comes after it.
    pub fn is_deploying(&self) -> bool {
        self.is_in_progress() && !self.0.contains("CLEANUP")
    }

    /// Whether all of the stack goes: it is being deleted, or its creation is being undone.
    pub fn is_going(&self) -> bool {
        matches!(self.0.as_str(), "DELETE_IN_PROGRESS" | "ROLLBACK_IN_PROGRESS")
    }

    /// Whether an update of the stack is being undone.
    pub fn is_rolling_back(&self) -> bool {
        self.0.starts_with("UPDATE_ROLLBACK_") || self.0.starts_with("IMPORT_ROLLBACK_")
    }
}

/// A resource of the stack, in CloudFormation's own terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its physical id; none while it is being made, and if it could not be made.
    pub physical_id: Option<String>,
    /// Such as `AWS::DMS::ReplicationTask`.
    pub resource_type: String,
    /// Its own status, such as `UPDATE_COMPLETE`.
    pub status: String,
}

/// What Sluice asks of CloudFormation. All of it is reading. A stack is named by its ARN.
pub trait Stack: Send + Sync {
    /// The stack's status, and the change set that it was last created or updated by, where CloudFormation knows one.
    fn status(
        &self,
        stack: &str,
    ) -> impl Future<Output = anyhow::Result<(StackStatus, Option<String>)>> + Send;

    /// What the change set changes, those of nested stacks included, if it is at this stage.
    fn change(&self, change_set: &str, stage: Stage) -> impl Future<Output = anyhow::Result<Change>> + Send;

    /// The stack's resources, those included that are being made and those that are gone.
    fn resources(&self, stack: &str) -> impl Future<Output = anyhow::Result<Vec<Resource>>> + Send;
}

/// CloudFormation in the account and region of the environment.
#[derive(Clone, Debug)]
pub struct CloudFormation(Client);

impl CloudFormation {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self(Client::new(config))
    }
}

impl CloudFormation {
    /// What a change set changes, page by page; or why that can't be told. One that is only planned is believed whatever
    /// its execution status is, and so is a nested stack's with its parent's.
    async fn changes(&self, change_set: &str, stage: Stage) -> Result<Vec<ResourceChange>, String> {
        let mut changes = Vec::new();
        let mut pages = self.0.describe_change_set().change_set_name(change_set).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| match error.code() {
                Some("ChangeSetNotFound" | "ChangeSetNotFoundException") => {
                    "the stack's change set is gone".to_owned()
                }
                _ => format!("change set {change_set} can't be read: {:#}", words(error)),
            })?;
            let execution =
                page.execution_status.map_or_else(String::new, |status| status.as_str().to_owned());
            let is_it = match stage {
                Stage::Planned => true,
                Stage::Underway => execution == "EXECUTE_IN_PROGRESS",
                Stage::Undone => {
                    matches!(execution.as_str(), "EXECUTE_IN_PROGRESS" | "EXECUTE_FAILED")
                }
            };
            if !is_it {
                return Err(format!("the stack's last change set is not the one at work ({execution})"));
            }
            let found = page.changes.unwrap_or_default();
            changes
                .extend(found.into_iter().filter_map(|change| change.resource_change).map(resource_change));
        }
        Ok(changes)
    }
}

impl Stack for CloudFormation {
    async fn status(&self, stack: &str) -> anyhow::Result<(StackStatus, Option<String>)> {
        let answer = self.0.describe_stacks().stack_name(stack).send().await.map_err(words);
        let answer = answer.with_context(|| format!("describing stack {stack}"))?;
        let Some(found) = answer.stacks.unwrap_or_default().into_iter().next() else {
            bail!("describing stack {stack}: there is no such stack");
        };
        let status = found.stack_status.map_or_else(String::new, |status| status.as_str().to_owned());
        Ok((StackStatus(status), found.change_set_id))
    }

    async fn change(&self, change_set: &str, stage: Stage) -> anyhow::Result<Change> {
        let mut found = match self.changes(change_set, stage).await {
            Ok(changes) => changes,
            Err(why) => return Ok(Change::Unknown(why)),
        };
        // The list grows while it is read: nested stacks can hold nested stacks.
        let mut read = 0;
        while let Some(change) = found.get(read) {
            read += 1;
            if let (NESTED_STACK, Some(nested)) = (change.resource_type.as_str(), &change.change_set) {
                match self.changes(&nested.clone(), Stage::Planned).await {
                    Ok(changes) => found.extend(changes),
                    Err(why) => return Ok(Change::Unknown(why)),
                }
            }
        }
        Ok(Change::Known(found))
    }

    async fn resources(&self, stack: &str) -> anyhow::Result<Vec<Resource>> {
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
    let details = change.details.unwrap_or_default().into_iter().filter_map(|detail| detail.target);
    ResourceChange {
        action: change.action.map_or_else(String::new, |action| action.as_str().to_owned()),
        logical_id: change.logical_resource_id.unwrap_or_default(),
        physical_id: change.physical_resource_id.filter(|id| !id.is_empty()),
        change_set: change.change_set_id,
        resource_type: change.resource_type.unwrap_or_default(),
        replacement: change.replacement.map(|replacement| replacement.as_str().to_owned()),
        scope: change.scope.unwrap_or_default().iter().map(|scope| scope.as_str().to_owned()).collect(),
        details: details
            .map(|target| {
                (target.attribute.map_or_else(String::new, |it| it.as_str().to_owned()), target.name)
            })
            .collect(),
    }
}

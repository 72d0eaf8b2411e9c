//! Deploying and deleting stacks, through change sets, and following what happens.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use aws_sdk_cloudformation::error::DisplayErrorContext;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, Parameter, ResourceChange, Stack, StackEvent,
};

use super::{Cloud, FunctionLine, FunctionLog};

/// Something that happened in the cloud, as somebody who watches sees it.
#[derive(Clone, Debug)]
pub enum Sight {
    /// An event of a stack.
    Stack {
        /// When, in seconds since 1970.
        time: f64,
        /// The resource's name in the template, or the stack's.
        resource: String,
        /// Its type.
        kind: String,
        /// Its new status.
        status: String,
        /// Why, where CloudFormation says it.
        reason: String,
    },
    /// A line that a function wrote.
    Function(FunctionLine),
}

impl Sight {
    /// When, in seconds since 1970.
    pub fn time(&self) -> f64 {
        match self {
            Self::Stack { time, .. } => *time,
            Self::Function(line) => line.time,
        }
    }
}

/// A change that can be carried out.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    id: String,
    stack_id: String,
    /// What it changes, by the names in the template.
    pub changes: BTreeMap<String, ResourceChange>,
}

/// What becomes of an update that fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// It is undone.
    RollsBack,
    /// It stays as far as it came: `--disable-rollback`.
    Stays,
}

/// What one knows already: only what is new is shown.
#[derive(Debug, Default)]
pub struct Watch {
    events: HashSet<String>,
    functions: Option<FunctionLog>,
}

/// The largest template that CloudFormation takes in a call, in bytes. What is larger it fetches from S3.
const LARGEST_BODY: usize = 51_200;

const POLL: Duration = Duration::from_millis(200);

/// Longer than any operation here takes, and shorter than CloudFormation waits for an answer.
const PATIENCE: Duration = Duration::from_secs(600);

impl Cloud {
    /// Creates or updates a stack through a change set, and shows what happens until it has come to an end. The status in
    /// which it ended.
    ///
    /// # Errors
    /// If the change set can't be made, or nothing changes.
    pub async fn deploy(
        &self,
        stack: &str,
        template: &str,
        parameters: &BTreeMap<&str, String>,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        let change_set = self.change_set(stack, template, parameters).await?;
        self.execute(&change_set, Failure::RollsBack, watch, show).await
    }

    /// Makes a change set that creates or updates a stack.
    ///
    /// # Errors
    /// If it can't be made, or nothing changes.
    pub async fn change_set(
        &self,
        stack: &str,
        template: &str,
        parameters: &BTreeMap<&str, String>,
    ) -> anyhow::Result<ChangeSet> {
        let exists = self.client.describe_stacks().stack_name(stack).send().await.is_ok();
        let kind = if exists { ChangeSetType::Update } else { ChangeSetType::Create };
        let parameters = parameters
            .iter()
            .map(|(name, value)| Parameter::builder().parameter_key(*name).parameter_value(value).build());
        let number = self.change_sets.fetch_add(1, Ordering::Relaxed);
        let name = format!("deploy-{number}");
        let (body, url) = if template.len() <= LARGEST_BODY {
            (Some(template.to_owned()), None)
        } else {
            (None, Some(self.upload(template, &name).await?))
        };
        let made = self
            .client
            .create_change_set()
            .stack_name(stack)
            .change_set_name(name)
            .change_set_type(kind)
            .set_template_body(body)
            .set_template_url(url)
            .set_parameters(Some(parameters.collect()))
            .capabilities(Capability::CapabilityNamedIam)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))
            .with_context(|| format!("creating a change set for stack {stack}"))?;
        let id = made.id.context("a change set without an id")?;
        let stack_id = made.stack_id.context("a change set without a stack")?;
        loop {
            let it = self.client.describe_change_set().change_set_name(&id).send().await?;
            match it.status {
                Some(ChangeSetStatus::CreateComplete) => {
                    let changes = it.changes.unwrap_or_default().into_iter();
                    let changes = changes
                        .filter_map(|change| change.resource_change)
                        .map(|it| (it.logical_resource_id.clone().unwrap_or_default(), it));
                    return Ok(ChangeSet { id, stack_id, changes: changes.collect() });
                }
                Some(ChangeSetStatus::Failed) => {
                    bail!("the change set of stack {stack} failed: {}", it.status_reason.unwrap_or_default())
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Carries a change set out, and shows what happens until the stack has come to an end. The status in which it ended.
    ///
    /// # Errors
    /// If it can't be carried out any more.
    pub async fn execute(
        &self,
        change_set: &ChangeSet,
        failure: Failure,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        self.client
            .execute_change_set()
            .change_set_name(&change_set.id)
            .disable_rollback(failure == Failure::Stays)
            .send()
            .await?;
        self.follow(&change_set.stack_id, watch, show).await
    }

    /// Deletes a stack, and shows what happens until it is gone. The status in which it ended.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn delete(
        &self,
        stack: &str,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        let stack_id = self.stack_id(stack).await?;
        self.client.delete_stack().stack_name(&stack_id).send().await?;
        self.follow(&stack_id, watch, show).await
    }

    /// A stack's outputs.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn outputs(&self, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let stack = self.stack(stack).await?;
        let outputs = stack.outputs.unwrap_or_default().into_iter();
        Ok(outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect())
    }

    /// Shows what is new.
    ///
    /// # Errors
    /// If the stack's events can't be read.
    pub async fn look(
        &self,
        stack_id: &str,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<()> {
        let events = self.client.describe_stack_events().stack_name(stack_id).send().await?;
        let functions = watch.functions.get_or_insert_with(|| self.function_log());
        let lines = functions.read().into_iter();
        let mut sights: Vec<Sight> = lines.map(Sight::Function).collect();
        // The newest come first.
        for event in events.stack_events.unwrap_or_default().into_iter().rev() {
            if watch.events.insert(event.event_id.clone().unwrap_or_default()) {
                sights.push(sight(event));
            }
        }
        sights.sort_by(|a, b| a.time().total_cmp(&b.time()));
        sights.into_iter().for_each(show);
        Ok(())
    }

    /// Shows what happens until the stack's operation is over. The cloud here has begun one when it answers the call that
    /// asks for it.
    async fn follow(
        &self,
        stack_id: &str,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        let since = Instant::now();
        loop {
            let status = self.status(stack_id).await?;
            ensure!(since.elapsed() < PATIENCE, "stack {stack_id} is still {status}\n{}", self.log());
            self.look(stack_id, watch, show).await?;
            if !status.ends_with("_IN_PROGRESS") {
                ensure!(!status.is_empty(), "stack {stack_id} has no status\n{}", self.log());
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A stack's status, by its name, or by its id if it may be gone.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn status(&self, stack_id: &str) -> anyhow::Result<String> {
        let status = self.stack(stack_id).await?.stack_status;
        Ok(status.map_or_else(String::new, |status| status.as_str().to_owned()))
    }

    /// A stack's id, under which it can be asked for when it is gone.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn stack_id(&self, stack: &str) -> anyhow::Result<String> {
        let id = self.stack(stack).await?.stack_id;
        id.context("a stack without an id")
    }

    async fn stack(&self, stack: &str) -> anyhow::Result<Stack> {
        let asked = self.client.describe_stacks().stack_name(stack);
        let found = asked.send().await?.stacks.unwrap_or_default();
        found.into_iter().next().context("no such stack")
    }
}

fn sight(event: StackEvent) -> Sight {
    Sight::Stack {
        time: event.timestamp.map_or(0.0, |time| time.as_secs_f64()),
        resource: event.logical_resource_id.unwrap_or_default(),
        kind: event.resource_type.unwrap_or_default(),
        status: event.resource_status.map_or_else(String::new, |status| status.as_str().to_owned()),
        reason: event.resource_status_reason.unwrap_or_default(),
    }
}

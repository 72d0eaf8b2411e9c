//! After the stack's DMS resources changed, when the stack goes, and when a deployment ended without us.

use anyhow::Context;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use custom_resource::{Attributes, Deadline, Request, Resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{info, warn};

use crate::change::Change;
use crate::deployment::Deployment;
use crate::dms::Dms;
use crate::observe::{self, StackTask};
use crate::pause::{self, Candidate};
use crate::plan::Occasion;
use crate::run::{self, Errand};
use crate::stack::{CloudFormation, Stack};
use crate::tasks::Tasks;

/// `Custom::DmsPost`: starts and resumes tasks, and waits until they run.
///
/// # Expected flow
/// - Create and Update start what has never run and resume what dms-pre paused, and answer when it runs. A task that
///   replaces another begins at the other's checkpoint.
/// - Delete stops every running task if the stack goes, since CloudFormation can't delete a task that runs; it does nothing
///   if only the resource goes.
/// - An EventBridge event about the stack's status resumes what is still paused. When a task's own update fails,
///   CloudFormation never calls this resource, and nothing else would.
///
/// # Guarantees
/// - A task that somebody else stopped stays stopped.
/// - The answer is SUCCESS only if every task that is to run runs, or has finished what it was to do.
///
/// # Caveats
/// A task that has failed was stopped by nobody: a deployment tries once to resume it.
#[derive(Debug)]
pub struct DmsPost<S, T> {
    stack: S,
    dms: T,
}

/// The properties of `Custom::DmsPost`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DmsPostProperties {
    /// DmsPre's `Revision`: new whenever dms-pre was called, so that CloudFormation calls this after it.
    #[serde(deserialize_with = "custom_resource::scalar")]
    pub after: String,
}

/// The detail of `CloudFormation Stack Status Change`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct StatusChange {
    stack_id: String,
}

impl DmsPost<CloudFormation, Dms> {
    /// The handler for the account and region of the environment.
    ///
    /// # Errors
    /// None today; constructing is where the services' clients are made.
    pub async fn from_environment() -> anyhow::Result<Self> {
        let config = crate::aws::config();
        Ok(Self::new(CloudFormation::new(&config), Dms::new(&config)))
    }
}

impl<S: Stack, T: Tasks> DmsPost<S, T> {
    /// The handler over any CloudFormation and any DMS.
    pub fn new(stack: S, dms: T) -> Self {
        Self { stack, dms }
    }

    async fn run(&self, request: Request<DmsPostProperties>) -> anyhow::Result<Attributes> {
        let deadline = request.deadline;
        let reading = observe::all(&self.stack, &self.dms, &request.stack_id);
        let sight = deadline.limit(observe::READING, reading).await?;
        let (change, mut tasks) = (sight.change, sight.tasks);
        let undoing = sight.status.is_rolling_back();
        tasks.retain(|it| stays(it, &change, undoing));
        if tasks.is_empty() {
            warn!("the stack has no AWS::DMS::ReplicationTask: there is nothing to run");
        }
        let reading = observe::predecessors(&self.dms, &change, &tasks);
        let predecessors = deadline.limit("reading the replaced tasks", reading).await?;
        let occasion = if undoing { Occasion::Rollback } else { Occasion::Deployment };
        let outcome = run::all(
            &self.dms,
            tasks,
            &Errand::new(&self.stack, &request.stack_id, sight.change_set, occasion),
            &predecessors,
            deadline,
        )
        .await?;
        Ok(Attributes::default()
            .with("RunningTasks", outcome.running)
            .with("StartedTasks", outcome.started)
            .with("ResumedTasks", outcome.resumed))
    }

    async fn heal(&self, stack_id: &str, deadline: Deadline) -> anyhow::Result<()> {
        let (stack, dms) = (&self.stack, &self.dms);
        let reading = observe::status(stack, stack_id);
        let (status, change_set) = deadline.limit(observe::READING, reading).await?;
        if status.is_in_progress() || status.0 == "DELETE_COMPLETE" {
            info!("the stack is {}: nothing to heal", status.0);
            return Ok(());
        }
        let reading = observe::tasks(stack, dms, stack_id);
        let mut tasks = deadline.limit(observe::READING, reading).await?;
        tasks.retain(|it| it.mark.is_some());
        if status.0 == "UPDATE_ROLLBACK_FAILED" && !tasks.is_empty() {
            // That rollback is going to be continued, and what it deletes is not stopped once more.
            let reading = observe::change(stack, &status, change_set.as_deref());
            let change = deadline.limit(observe::READING, reading).await?;
            tasks.retain(|it| stays(it, &change, true));
        }
        if tasks.is_empty() {
            info!("the stack is {}, and no task is paused: nothing to heal", status.0);
            return Ok(());
        }
        info!("the stack is {}, and {} tasks are still paused: they are to run", status.0, tasks.len());
        run::all(
            dms,
            tasks,
            &Errand::new(stack, stack_id, change_set, Occasion::Healing),
            &Default::default(),
            deadline,
        )
        .await?;
        Ok(())
    }
}

/// Whether the stack keeps a task. What it loses, CloudFormation deletes after us, and can't while it runs.
fn stays(it: &StackTask, change: &Change, undoing: bool) -> bool {
    let before = change.predecessor(&it.logical_id);
    let is_replacement = before.is_some_and(|before| before != it.task.arn.as_str());
    let goes = change.removes(&it.logical_id, undoing) || (undoing && is_replacement);
    if goes {
        info!("task {}: the stack loses it, and it is left at rest", it.task.name);
    }
    !goes
}

impl<S, T> Resource for DmsPost<S, T>
where
    S: Stack + 'static,
    T: Tasks + 'static,
{
    type Properties = DmsPostProperties;

    async fn create(&self, request: Request<DmsPostProperties>) -> anyhow::Result<Attributes> {
        self.run(request).await
    }

    async fn update(&self, request: Request<DmsPostProperties>) -> anyhow::Result<Attributes> {
        self.run(request).await
    }

    async fn delete(&self, request: Request<()>) -> anyhow::Result<()> {
        let deadline = request.deadline;
        let reading = observe::status(&self.stack, &request.stack_id);
        let (status, _) = deadline.limit(observe::READING, reading).await?;
        if !status.is_going() {
            info!("the stack is {}: only this resource goes, and the tasks are left as they are", status.0);
            return Ok(());
        }
        let reading = observe::tasks(&self.stack, &self.dms, &request.stack_id);
        let tasks = deadline.limit(observe::READING, reading).await?;
        info!("the stack is {}: its {} tasks are to rest before they are deleted", status.0, tasks.len());
        // CloudFormation may have given up on the Create, which may be at work still.
        let contested = status.0 == "ROLLBACK_IN_PROGRESS";
        let goes = |it| Candidate { it, touch: Some("the stack goes".to_owned()), contested };
        let tasks = tasks.into_iter().map(goes).collect();
        pause::all(&self.dms, tasks, None::<&Deployment<'_, S>>, deadline).await?;
        Ok(())
    }

    async fn notified(&self, event: Value, deadline: Deadline) -> anyhow::Result<Value> {
        let event: EventBridgeEvent<StatusChange> = serde_json::from_value(event).context(
            "reading an event: this function takes custom-resource requests and stack status changes",
        )?;
        self.heal(&event.detail.stack_id, deadline).await?;
        Ok(Value::Null)
    }
}

//! After the stack's DMS resources changed, when the stack goes, and when a deployment ended without us.

use anyhow::{Context, ensure};
use aws_config::SdkConfig;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use custom_resource::{Attributes, Deadline, Request, Resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{Instrument, info, info_span, warn};

use crate::change::{Change, Stage};
use crate::cloudformation::CloudFormation;
use crate::course::Course;
use crate::decide::{Aim, Occasion, Start, Witness};
use crate::dms::Dms;
use crate::look::{self, Operation, READING, StackTask};
use crate::mark::{Mark, Revision};
use crate::pauses::Pauses;
use crate::settle::{Errand, settle};
use crate::task::State;

/// `Custom::DmsPost`: starts and resumes tasks, and waits until they run.
///
/// # Expected flow
/// - Create and Update start what has never run and resume what dms-pre paused, and answer when it runs. A task that
///   replaces another begins at the other's checkpoint.
/// - Delete stops every running task if the stack goes, since CloudFormation can't delete a task that runs; it does nothing
///   if only the resource goes.
/// - An EventBridge event about the stack's status resumes what is still paused. When a task's own update fails,
///   CloudFormation never calls this resource, and nothing else would. The stack need not have this resource any more: an
///   update that brought it and failed takes it away.
///
/// # Guarantees
/// - What was paused is told by the mark on the task; by DmsPre's `Revision`, which comes as `After`; and in healing by DMS's
///   own dates. A task that none of them names stays as it is.
/// - The answer is SUCCESS only if every task that is to run runs, or has finished what it was to do.
///
/// # Caveats
/// A task that has failed was stopped by nobody: a deployment tries once to resume it.
#[derive(Debug)]
pub struct DmsPost {
    cloudformation: CloudFormation,
    dms: Dms,
}

/// The properties of `Custom::DmsPost`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DmsPostProperties {
    /// DmsPre's `Revision`: new whenever dms-pre was called, so that CloudFormation calls this after it; and which tasks
    /// dms-pre paused.
    #[serde(deserialize_with = "custom_resource::scalar")]
    pub after: String,
}

/// The detail of `CloudFormation Stack Status Change`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct StatusChange {
    stack_id: String,
}

impl DmsPost {
    /// The handler for the services that a configuration names.
    pub fn new(config: &SdkConfig) -> Self {
        Self { cloudformation: CloudFormation::new(&crate::aws::reading(config)), dms: Dms::new(config) }
    }

    async fn run(&self, request: Request<DmsPostProperties>) -> anyhow::Result<Attributes> {
        let deadline = request.deadline;
        let reading = look::all(&self.cloudformation, &self.dms, &request.stack_id);
        let look::Sight { operation, change, mut tasks, .. } = deadline.limit(READING, reading).await?;
        let status = &operation.stack.status;
        ensure!(status.is_deploying(), "the stack is {status}: no deployment is at work to start a task for");
        let undoing = status.is_rolling_back();
        tasks.retain(|it| stays(it, &change, undoing));
        if tasks.is_empty() {
            warn!("the stack has no AWS::DMS::ReplicationTask: there is nothing to run");
        }
        let reading = look::replacements(&self.dms, &change, &tasks);
        let mut replacements = deadline.limit("reading the replaced tasks", reading).await?;
        let revision = Revision::read(&request.properties.after);
        let occasion = if undoing { Occasion::Rollback } else { Occasion::Deployment };
        let course = |it: StackTask| {
            let began = operation.stack.began;
            let tells = |revision: &Revision| revision.tells(&it.task.arn, began);
            let witness = match it.marks.is_empty() {
                false => Some(Witness::Mark),
                true => revision.as_ref().filter(|revision| tells(revision)).map(|_| Witness::Revision),
            };
            let replacement = replacements.remove(&it.logical_id);
            Course::new(it, Aim::Run { occasion, witness, replacement })
        };
        let mut courses: Vec<Course> = tasks.into_iter().map(course).collect();
        let errand = Errand {
            dms: &self.dms,
            operation: &operation,
            mark: Some(Mark::of(&request.request_id)),
            unmarks: true,
            doing: "running",
            deadline,
        };
        settle(&errand, &mut courses).await?;
        let running = courses.iter().filter(|it| it.runs()).count();
        let resumed = courses.iter().filter(|it| it.started == Some(Start::Resume)).count();
        let started = courses.iter().filter(|it| it.started.is_some()).count() - resumed;
        info!("{running} of {} tasks run ({started} started, {resumed} resumed)", courses.len());
        Ok(Attributes::default()
            .with("RunningTasks", running)
            .with("StartedTasks", started)
            .with("ResumedTasks", resumed))
    }

    async fn heal(&self, stack_id: &str, event_id: &str, deadline: Deadline) -> anyhow::Result<()> {
        let reading = Operation::of(&self.cloudformation, stack_id);
        let operation = deadline.limit(READING, reading).await?;
        let status = &operation.stack.status;
        if status.is_in_progress() || status.0 == "DELETE_COMPLETE" {
            info!("the stack is {status}: nothing to heal");
            return Ok(());
        }
        let paused = deadline.limit(READING, self.paused(&operation)).await?;
        if paused.is_empty() {
            info!("the stack is {status}, and no task is paused: nothing to heal");
            return Ok(());
        }
        info!("the stack is {status}, and {} tasks are still paused: they are to run", paused.len());
        let course = |(it, witness)| {
            let aim = Aim::Run { occasion: Occasion::Healing, witness: Some(witness), replacement: None };
            Course::new(it, aim)
        };
        let mut courses: Vec<Course> = paused.into_iter().map(course).collect();
        let errand = Errand {
            dms: &self.dms,
            operation: &operation,
            mark: Some(Mark::of(event_id)),
            // That rollback is going to be continued, and its end is an event, too.
            unmarks: status.0 != "UPDATE_ROLLBACK_FAILED",
            doing: "running",
            deadline,
        };
        let healed = settle(&errand, &mut courses).await;
        if let Err(error) = &healed
            && self.cloudformation.stack(stack_id).await?.status.is_in_progress()
        {
            info!("another operation of the stack has begun, and its end is an event, too: {error:#}");
            return Ok(());
        }
        healed
    }

    /// The tasks that the last operation on the stack has left paused, and what tells so.
    async fn paused(&self, operation: &Operation) -> anyhow::Result<Vec<(StackTask, Witness)>> {
        let stack = &operation.stack;
        let resources = self.cloudformation.resources(&stack.id).await?;
        let tasks = look::tasks(&resources, &self.dms).await?;
        let is_unmarked = |it: &StackTask| {
            let rests = matches!(it.task.state, State::Stopped | State::InTransit | State::Ready);
            it.marks.is_empty() && rests && it.task.stopped_at.is_some() && !it.task.has_finished()
        };
        let has_joined = look::post_is(&resources, |status| status.starts_with("CREATE_"));
        let is_stuck = stack.status.0 == "UPDATE_ROLLBACK_FAILED" && !tasks.is_empty();
        let (mut pauses, mut change) = (Pauses::default(), Change::Known(Vec::new()));
        if has_joined && !tasks.is_empty() || tasks.iter().any(is_unmarked) {
            pauses = Pauses::read(&self.cloudformation.events(&stack.id).await?);
        }
        if pauses.any() || is_stuck {
            // One that is going to be continued is not over.
            change = operation.change(if is_stuck { Stage::Undone } else { Stage::Over }).await?;
        }
        let witness = |it: StackTask| {
            let touches = || match &change {
                Change::Known(_) => change.touches(&it.logical_id, &it.task, true).is_some(),
                // Without the change set, marks alone tell.
                Change::Unknown(_) => false,
            };
            // What a rollback deletes once it is continued is not stopped once more.
            let goes = is_stuck && !stays(&it, &change, true);
            let witness = match it.marks.is_empty() {
                _ if goes => None,
                false => Some(Witness::Mark),
                true if it.task.has_finished() => None,
                true => pauses.stopped(&it.task, touches(), self.dms.now()).then_some(Witness::Dates),
            };
            Some((it, witness?))
        };
        Ok(tasks.into_iter().filter_map(witness).collect())
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

impl Resource for DmsPost {
    type Properties = DmsPostProperties;

    async fn create(&self, request: Request<DmsPostProperties>) -> anyhow::Result<Attributes> {
        self.run(request).await
    }

    async fn update(&self, request: Request<DmsPostProperties>) -> anyhow::Result<Attributes> {
        self.run(request).await
    }

    async fn delete(&self, request: Request<()>) -> anyhow::Result<()> {
        let deadline = request.deadline;
        let reading = Operation::of(&self.cloudformation, &request.stack_id);
        let operation = deadline.limit(READING, reading).await?;
        let status = &operation.stack.status;
        if !status.is_going() {
            info!("the stack is {status}: only this resource goes, and the tasks are left as they are");
            return Ok(());
        }
        let reading = async {
            let resources = self.cloudformation.resources(&request.stack_id).await?;
            look::tasks(&resources, &self.dms).await
        };
        let tasks = deadline.limit(READING, reading).await?;
        info!("the stack is {status}: its {} tasks are to rest before they are deleted", tasks.len());
        // CloudFormation may have given up on the Create, which may be at work still.
        let contested = status.0 == "ROLLBACK_IN_PROGRESS";
        let goes = |it| {
            let touch = Some("the stack goes".to_owned());
            Course::new(it, Aim::Rest { touch, replacement: None, contested })
        };
        let mut courses: Vec<Course> = tasks.into_iter().map(goes).collect();
        let (dms, operation) = (&self.dms, &operation);
        let errand = Errand { dms, operation, mark: None, unmarks: false, doing: "stopping", deadline };
        settle(&errand, &mut courses).await
    }

    async fn notified(&self, event: Value, deadline: Deadline) -> anyhow::Result<Value> {
        let event: EventBridgeEvent<StatusChange> = serde_json::from_value(event).context(
            "reading an event: this function takes custom-resource requests and stack status changes",
        )?;
        let event_id = event.id.as_deref().unwrap_or("healing");
        let stack_id = &event.detail.stack_id;
        // The function heals many stacks: each line of its log says which.
        let span = info_span!("healing", "stack.name" = stack_id.split('/').nth(1));
        self.heal(stack_id, event_id, deadline).instrument(span).await?;
        Ok(Value::Null)
    }
}

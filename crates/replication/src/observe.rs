//! Reading the state of things: the stack, its change, its tasks. Nothing here changes anything.

use std::collections::HashMap;

use anyhow::{Context, bail};
use tracing::{info, warn};

use crate::change::{Change, Stage, TASK};
use crate::stack::{Resource, Stack, StackStatus};
use crate::task::{Arn, Task};
use crate::tasks::{Tasks, TasksError};

/// A replication task of the stack, at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StackTask {
    /// Its name in the template.
    pub logical_id: String,
    /// The task as DMS describes it.
    pub task: Task,
    /// The pause mark that it carries: the id of the request that paused it.
    pub mark: Option<String>,
    /// Whether the stack's last operation on it was an update, which may have replaced it.
    pub updated: bool,
}

/// The type of the resource that brings tasks to run.
const POST: &str = "Custom::DmsPost";

/// What reading all of it is called in a reason.
pub(crate) const READING: &str = "reading the stack and its replication tasks";

/// All that a decision is made of.
pub(crate) struct Sight {
    /// The stack's status.
    pub(crate) status: StackStatus,
    /// The change set that it was last created or updated by, if one is known.
    pub(crate) change_set: Option<String>,
    /// What its deployment changes.
    pub(crate) change: Change,
    /// Its tasks.
    pub(crate) tasks: Vec<StackTask>,
    /// Its resources.
    pub(crate) resources: Vec<Resource>,
}

impl Sight {
    /// Whether CloudFormation's last request to DmsPost has not been answered with success: it may be at work still.
    pub(crate) fn post_is_unfinished(&self) -> bool {
        post_is(&self.resources, |status| !status.ends_with("_COMPLETE"))
    }
}

/// Whether the request about this resource, which comes before DmsPost, has been answered: DmsPost is at work by now.
pub(crate) fn is_answered(resources: &[Resource], logical_id: &str) -> bool {
    let post_works = post_is(resources, |status| status.ends_with("_IN_PROGRESS"));
    post_works && status_of(resources, logical_id).ends_with("_COMPLETE")
}

fn post_is(resources: &[Resource], so: impl Fn(&str) -> bool) -> bool {
    let mut all = resources.iter();
    all.any(|it| it.resource_type == POST && so(&it.status))
}

/// The status of a resource; empty if the stack doesn't list it.
pub(crate) fn status_of<'a>(resources: &'a [Resource], logical_id: &str) -> &'a str {
    let found = resources.iter().find(|it| it.logical_id == logical_id);
    found.map_or("", |it| &it.status)
}

/// The stack's status, what its deployment changes, and its tasks.
pub(crate) async fn all(stack: &impl Stack, dms: &impl Tasks, stack_id: &str) -> anyhow::Result<Sight> {
    let both = async {
        let resources = stack.resources(stack_id).await?;
        anyhow::Ok((tasks_among(&resources, dms).await?, resources))
    };
    let (deployment, both) = futures::join!(deployment(stack, stack_id), both);
    // If both fail, then with the same reason every time: the one of the stack, without which nothing is known.
    let (status, change_set, change) = deployment?;
    let (tasks, resources) = both?;
    Ok(Sight { status, change_set, change, tasks, resources })
}

/// The stack's status, its change set, and what its deployment changes.
async fn deployment(
    stack: &impl Stack,
    stack_id: &str,
) -> anyhow::Result<(StackStatus, Option<String>, Change)> {
    let (status, change_set) = stack.status(stack_id).await?;
    let change = change(stack, &status, change_set.as_deref()).await?;
    Ok((status, change_set, change))
}

/// What the deployment of this change set changes, or the rollback of it, if that is what the stack's status says.
pub(crate) async fn change(
    stack: &impl Stack,
    status: &StackStatus,
    change_set: Option<&str>,
) -> anyhow::Result<Change> {
    let stage = if status.is_rolling_back() { Stage::Undone } else { Stage::Underway };
    let change = match change_set {
        Some(change_set) => stack.change(change_set, stage).await?,
        None => Change::Unknown("the stack was updated without a change set".to_owned()),
    };
    match &change {
        Change::Known(changes) => {
            info!(resources = changes.len(), "the stack is {}; its change set is known", status.0)
        }
        Change::Unknown(why) => {
            info!("the stack is {}; what changes is not known ({why}), so it may be anything", status.0)
        }
    }
    Ok(change)
}

/// The stack's tasks with their marks, in the template's order of names. A task that DMS doesn't know any more is left
/// out, with a line in the log.
pub(crate) async fn tasks(
    stack: &impl Stack,
    dms: &impl Tasks,
    stack_id: &str,
) -> anyhow::Result<Vec<StackTask>> {
    tasks_among(&stack.resources(stack_id).await?, dms).await
}

async fn tasks_among(resources: &[Resource], dms: &impl Tasks) -> anyhow::Result<Vec<StackTask>> {
    let mut resources: Vec<(&Resource, Arn)> =
        resources.iter().filter_map(|it| Some((it, task(it)?))).collect();
    if resources.is_empty() {
        return Ok(Vec::new());
    }
    resources.sort_by(|(a, _), (b, _)| a.logical_id.cmp(&b.logical_id));
    let arns: Vec<Arn> = resources.iter().map(|(_, arn)| arn.clone()).collect();
    let found = dms.describe(&arns).await.context("describing the stack's replication tasks")?;
    let mut found: HashMap<Arn, Task> = found.into_iter().map(|task| (task.arn.clone(), task)).collect();
    let known: Vec<Arn> = arns.into_iter().filter(|arn| found.contains_key(arn)).collect();
    if known.is_empty() {
        warn!("DMS knows none of the stack's {} tasks", resources.len());
        return Ok(Vec::new());
    }
    let mut marks = marks(dms, &known).await.context("reading the tags of the stack's replication tasks")?;
    let mut tasks = Vec::new();
    for (resource, arn) in resources {
        match found.remove(&arn) {
            Some(task) => tasks.push(StackTask {
                mark: marks.remove(&arn),
                updated: resource.status.starts_with("UPDATE_"),
                logical_id: resource.logical_id.clone(),
                task,
            }),
            None => warn!("{}: DMS does not know {arn}; it is gone", resource.logical_id),
        }
    }
    Ok(tasks)
}

/// The pause marks of those of these tasks that exist. DMS refuses to tell any, if one is gone meanwhile.
pub(crate) async fn marks(dms: &impl Tasks, tasks: &[Arn]) -> Result<HashMap<Arn, String>, TasksError> {
    let mut marks = HashMap::new();
    let mut parts = vec![tasks];
    while let Some(part) = parts.pop() {
        match dms.marks(part).await {
            Ok(found) => marks.extend(found),
            Err(TasksError::NotFound(_)) if part.len() > 1 => {
                parts.extend(part.chunks(part.len().div_ceil(2)));
            }
            Err(TasksError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(marks)
}

/// The ARN of a resource that is a task. One that is being made, or that could not be made, has none yet.
fn task(resource: &Resource) -> Option<Arn> {
    let arn = resource.physical_id.as_ref()?;
    let is_task = resource.resource_type == TASK && arn.starts_with("arn:");
    (is_task && resource.status != "DELETE_COMPLETE").then(|| Arn::new(arn))
}

/// The tasks that this change replaced, by their names in the template. They still exist, stopped, until the stack's
/// clean-up.
pub(crate) async fn predecessors(
    dms: &impl Tasks,
    change: &Change,
    tasks: &[StackTask],
) -> anyhow::Result<HashMap<String, Predecessor>> {
    if let Change::Unknown(_) = change {
        let maybe = tasks.iter().filter(|it| it.updated);
        return Ok(maybe.map(|it| (it.logical_id.clone(), Predecessor::Untold)).collect());
    }
    let replaced: HashMap<&str, Arn> = tasks
        .iter()
        .filter_map(|it| Some((it, change.predecessor(&it.logical_id)?)))
        .filter(|(it, before)| it.task.arn.as_str() != *before)
        .map(|(it, before)| (it.logical_id.as_str(), Arn::new(before)))
        .collect();
    // What an earlier deployment replaced before it failed, without a rollback, is in no change set any more.
    let earlier = tasks.iter().filter(|it| it.updated);
    let mut predecessors: HashMap<String, Predecessor> =
        earlier.map(|it| (it.logical_id.clone(), Predecessor::Earlier)).collect();
    if replaced.is_empty() {
        return Ok(predecessors);
    }
    let arns: Vec<Arn> = replaced.values().cloned().collect();
    let found = dms.describe(&arns).await.context("describing the tasks that were replaced")?;
    let found: HashMap<&Arn, &Task> = found.iter().map(|task| (&task.arn, task)).collect();
    let predecessor = |arn: &Arn| {
        found.get(arn).map_or(Predecessor::Gone, |task| Predecessor::Found(Box::new((*task).clone())))
    };
    let replaced = replaced.into_iter();
    predecessors.extend(replaced.map(|(name, arn)| (name.to_owned(), predecessor(&arn))));
    Ok(predecessors)
}

/// What became of the task that a new task replaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Predecessor {
    /// It is still there, with its checkpoint.
    Found(Box<Task>),
    /// It is gone, and its checkpoint with it.
    Gone,
    /// It can't be told whether there is one.
    Untold,
    /// There may be one, of a deployment before this one.
    Earlier,
}

/// The stack's status, and the change set that it was last created or updated by, if one is known.
///
/// # Errors
/// If the stack can't be described, or CloudFormation tells no status.
pub(crate) async fn status(
    stack: &impl Stack,
    stack_id: &str,
) -> anyhow::Result<(StackStatus, Option<String>)> {
    let (status, change_set) = stack.status(stack_id).await?;
    if status.0.is_empty() {
        bail!("describing stack {stack_id}: CloudFormation tells no status");
    }
    Ok((status, change_set))
}

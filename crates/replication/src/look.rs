//! Reading the state of things: the operation on the stack, its change, its tasks. Nothing here changes anything.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::change::{Change, Stage, TASK};
use crate::cloudformation::{CloudFormation, Resource, Stack};
use crate::dms::{Dms, Sent};
use crate::mark::Mark;
use crate::succession::Successor;
use crate::task::{Arn, Source, Task};

/// A replication task of the stack, at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StackTask {
    /// Its name in the template.
    pub logical_id: String,
    /// The task as DMS describes it.
    pub task: Task,
    /// The pause marks that it carries.
    pub marks: Vec<Mark>,
    /// How many tags it has, the marks included.
    pub tags: usize,
    /// Whether the stack's last operation on it was an update, which may have replaced it.
    pub updated: bool,
}

/// A task that takes another one's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replacement {
    /// The task in whose place it comes.
    pub old: Predecessor,
    /// What is known of the new one.
    pub new: Successor,
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

/// What reading all of it is called in a reason.
pub(crate) const READING: &str = "reading the stack and its replication tasks";

pub(crate) const PRE: &str = "Custom::DmsPre";

pub(crate) const POST: &str = "Custom::DmsPost";

/// All that decisions in a deployment are made of.
pub(crate) struct Sight {
    pub(crate) operation: Operation,
    pub(crate) change: Change,
    pub(crate) tasks: Vec<StackTask>,
    pub(crate) resources: Vec<Resource>,
}

/// Looks at the operation on the stack, what it changes, and the stack's tasks.
pub(crate) async fn all(cloudformation: &CloudFormation, dms: &Dms, stack_id: &str) -> anyhow::Result<Sight> {
    let both = async {
        let resources = cloudformation.resources(stack_id).await?;
        anyhow::Ok((tasks(&resources, dms).await?, resources))
    };
    let operation = async {
        let operation = Operation::of(cloudformation, stack_id).await?;
        let stage = if operation.stack.status.is_rolling_back() { Stage::Undone } else { Stage::Underway };
        let change = operation.change(stage).await;
        anyhow::Ok((Change::or_unknown(change), operation))
    };
    let (operation, both) = futures::join!(operation, both);
    // If both fail, then with the same reason every time: the one of the stack, without which nothing is known.
    let (change, operation) = operation?;
    let (tasks, resources) = both?;
    Ok(Sight { operation, change, tasks, resources })
}

impl Sight {
    /// Whether CloudFormation's last request to DmsPost has not been answered with success: it may be at work still.
    pub(crate) fn post_is_unfinished(&self) -> bool {
        post_is(&self.resources, |status| !status.ends_with("_COMPLETE"))
    }

    /// From here on, the operation is over once CloudFormation does not wait for this resource any more. That may be so
    /// already: of a request that was delivered twice, the other one has been answered, and DmsPost is at work by now.
    pub(crate) fn awaits(&mut self, logical_id: &str) -> anyhow::Result<()> {
        let status = status_of(&self.resources, logical_id);
        ensure!(!is_answered(&self.resources, status), ANSWERED);
        self.operation.awaited = Some((logical_id.to_owned(), status.to_owned()));
        Ok(())
    }
}

/// Whether the request about a resource of this status, which comes before DmsPost, has been answered: DmsPost is at work.
fn is_answered(resources: &[Resource], status: &str) -> bool {
    post_is(resources, |post| post.ends_with(IN_PROGRESS)) && status.ends_with("_COMPLETE")
}

/// Whether DmsPost has such a status.
pub(crate) fn post_is(resources: &[Resource], so: impl Fn(&str) -> bool) -> bool {
    resources.iter().any(|it| it.resource_type == POST && so(&it.status))
}

const ANSWERED: &str =
    "CloudFormation does not wait for this request any more, and no further task is stopped or started";

const IN_PROGRESS: &str = "_IN_PROGRESS";

/// The longest pause before a throttled call is made again. Eight calls a second apart take what DMS's bucket takes in, and
/// rarer ones would leave some of it.
const THROTTLED: Duration = Duration::from_secs(1);

/// For how long a look at the stack is believed.
const FRESH: Duration = Duration::from_secs(1);

/// A look that takes longer is made anew. Listing hundreds of resources takes a second or two.
const SLOW: Duration = Duration::from_secs(5);

/// The operation on the stack that tasks are stopped or started for.
pub(crate) struct Operation {
    cloudformation: CloudFormation,
    /// The stack, when it was first read.
    pub(crate) stack: Stack,
    /// The resource that a request is about, and its status then.
    awaited: Option<(String, String)>,
    /// When the stack was last read.
    looked: Mutex<Instant>,
}

impl Operation {
    /// The operation that is on the stack now, or the last one.
    pub(crate) async fn of(cloudformation: &CloudFormation, stack_id: &str) -> anyhow::Result<Self> {
        let looked = Mutex::new(Instant::now());
        let stack = cloudformation.stack(stack_id).await?;
        Ok(Self { cloudformation: cloudformation.clone(), stack, awaited: None, looked })
    }

    /// Makes sure that the operation is what it was, at most a second ago. Whoever changes anything asks this first:
    /// CloudFormation goes on without our answer when another resource fails or somebody cancels the update, and whoever
    /// works on the stack then has its own look at the tasks.
    ///
    /// # Errors
    /// If the stack has moved on, or can't be read.
    pub(crate) async fn is_on(&self) -> anyhow::Result<()> {
        let asked = Instant::now();
        let mut looked = self.looked.lock().await;
        // Another caller may have looked while this one waited.
        if asked.saturating_duration_since(*looked) < FRESH {
            return Ok(());
        }
        let stack_id = &self.stack.id;
        let (at, now, resources) = loop {
            let at = Instant::now();
            let resources = async {
                match self.awaited {
                    Some(_) => self.cloudformation.resources(stack_id).await,
                    None => Ok(Vec::new()),
                }
            };
            let (now, resources) = futures::join!(self.cloudformation.stack(stack_id), resources);
            let (now, resources) = (now?, resources?);
            // What one of the calls told may be long past when the other is answered.
            if at.elapsed() < SLOW {
                break (at, now, resources);
            }
        };
        if let Some((logical_id, before)) = &self.awaited {
            let status = status_of(&resources, logical_id);
            let is_over = before.ends_with(IN_PROGRESS) && !status.ends_with(IN_PROGRESS);
            ensure!(!is_over && !is_answered(&resources, status), ANSWERED);
        }
        let is_same = now.status == self.stack.status
            && now.change_set == self.stack.change_set
            // A whole deployment may have come and gone.
            && (now.status.is_in_progress() || now.began == self.stack.began);
        ensure!(is_same, "the stack is {} by now, and no further task is stopped or started", now.status);
        *looked = at;
        Ok(())
    }

    /// Makes a call that changes something, as long as DMS throttles it: with hundreds of tasks that is how DMS sets the
    /// pace. Each time it follows a look at the stack.
    ///
    /// # Errors
    /// If the operation isn't what it was.
    pub(crate) async fn send<F: Future<Output = Sent>>(&self, call: impl Fn() -> F) -> anyhow::Result<Sent> {
        let mut pause = THROTTLED / 4;
        loop {
            self.is_on().await?;
            match call().await {
                Sent::Throttled => sleep(pause).await,
                sent => return Ok(sent),
            }
            pause = THROTTLED.min(pause * 2);
        }
    }

    /// What the operation changes, or its undoing.
    ///
    /// # Errors
    /// If its change set can't be read.
    pub(crate) async fn change(&self, stage: Stage) -> anyhow::Result<Change> {
        let change = match &self.stack.change_set {
            Some(change_set) => self.cloudformation.change(change_set, stage).await?,
            None => Change::Unknown("the stack was updated without a change set".to_owned()),
        };
        let status = &self.stack.status;
        match &change {
            Change::Known(changes) => {
                info!(resources = changes.len(), "the stack is {status}; its change set is known");
            }
            Change::Unknown(why) => {
                warn!("the stack is {status}; what changes is not known ({why}), so it may be anything");
            }
        }
        Ok(change)
    }
}

/// The status of a resource; empty if the stack doesn't list it.
fn status_of<'a>(resources: &'a [Resource], logical_id: &str) -> &'a str {
    let found = resources.iter().find(|it| it.logical_id == logical_id);
    found.map_or("", |it| &it.status)
}

/// The tasks among a stack's resources with their marks, in the order of their names in the template. A task that DMS
/// doesn't know any more is left out, with a line in the log.
pub(crate) async fn tasks(resources: &[Resource], dms: &Dms) -> anyhow::Result<Vec<StackTask>> {
    let mut resources: Vec<(&Resource, Arn)> =
        resources.iter().filter_map(|it| Some((it, task(it)?))).collect();
    if resources.is_empty() {
        return Ok(Vec::new());
    }
    resources.sort_by(|(a, _), (b, _)| a.logical_id.cmp(&b.logical_id));
    let arns: Vec<Arn> = resources.iter().map(|(_, arn)| arn.clone()).collect();
    let mut found = dms.describe(&arns).await.context("describing the stack's replication tasks")?;
    let known: Vec<Arn> = arns.into_iter().filter(|arn| found.contains_key(arn)).collect();
    let mut tags = dms.tags(&known).await.context("reading the tags of the stack's replication tasks")?;
    let mut tasks = Vec::new();
    for (resource, arn) in resources {
        let Some(task) = found.remove(&arn) else {
            warn!("{}: DMS does not know {arn}; it is gone", resource.logical_id);
            continue;
        };
        let keys = tags.remove(&arn).unwrap_or_default();
        tasks.push(StackTask {
            marks: keys.iter().filter_map(|key| Mark::read(key)).collect(),
            tags: keys.len(),
            updated: resource.status.starts_with("UPDATE_"),
            logical_id: resource.logical_id.clone(),
            task,
        });
    }
    Ok(tasks)
}

/// The ARN of a resource that is a task. One that is being made, or that could not be made, has none yet.
fn task(resource: &Resource) -> Option<Arn> {
    let arn = resource.physical_id.as_ref()?;
    let is_task = resource.resource_type == TASK && arn.starts_with("arn:");
    (is_task && resource.status != "DELETE_COMPLETE").then(|| Arn::new(arn))
}

/// The tasks that this change has put in the place of others, by their names in the template. The others still exist,
/// stopped, until the stack's clean-up.
pub(crate) async fn replacements(
    dms: &Dms,
    change: &Change,
    tasks: &[StackTask],
) -> anyhow::Result<HashMap<String, Replacement>> {
    // What an earlier deployment replaced before it failed, without a rollback, is in no change set any more.
    let unnamed = match change {
        Change::Unknown(_) => Predecessor::Untold,
        Change::Known(_) => Predecessor::Earlier,
    };
    let replacement = |it: &StackTask, old: Predecessor, source: Option<Source>| {
        let has_position = change.sets_position(&it.logical_id);
        let new = Successor {
            migration_type: Some(it.task.migration_type.clone()),
            has_position: has_position.unwrap_or(it.task.own_position.is_some()),
            source,
        };
        (it.logical_id.clone(), Replacement { old, new })
    };
    let updated = tasks.iter().filter(|it| it.updated);
    let mut replacements: HashMap<_, _> = updated.map(|it| replacement(it, unnamed.clone(), None)).collect();
    let replaced = tasks.iter().filter_map(|it| Some((it, change.predecessor(&it.logical_id)?)));
    let replaced: Vec<(&StackTask, Arn)> = replaced
        .filter(|(it, before)| it.task.arn.as_str() != *before)
        .map(|(it, before)| (it, Arn::new(before)))
        .collect();
    if replaced.is_empty() {
        return Ok(replacements);
    }
    let arns: Vec<Arn> = replaced.iter().map(|(_, arn)| arn.clone()).collect();
    let new = replaced.iter().map(|(it, _)| &it.task);
    let (found, sources) = futures::join!(dms.describe(&arns), sources(dms, new));
    let (mut found, sources) = (found.context("describing the tasks that were replaced")?, sources?);
    for (it, arn) in replaced {
        let old = found.remove(&arn).map_or(Predecessor::Gone, |task| Predecessor::Found(Box::new(task)));
        replacements.extend([replacement(it, old, sources.get(&it.task.source).cloned())]);
    }
    Ok(replacements)
}

/// The endpoints that these tasks read from.
pub(crate) async fn sources(
    dms: &Dms,
    tasks: impl IntoIterator<Item = &Task>,
) -> anyhow::Result<HashMap<Arn, Source>> {
    let endpoints: BTreeSet<Arn> = tasks.into_iter().map(|task| task.source.clone()).collect();
    let endpoints: Vec<Arn> = endpoints.into_iter().collect();
    dms.sources(&endpoints).await.context("describing the source endpoints of replaced tasks")
}

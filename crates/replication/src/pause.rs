//! Bringing tasks to rest.

use anyhow::Context;
use custom_resource::Deadline;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio::time::Instant;
use tracing::info;

use crate::apply::{CONCURRENCY, FRESH, by_arn, patience};
use crate::deployment::Deployment;
use crate::observe::StackTask;
use crate::plan::{self, LAG, Moment, Pause};
use crate::stack::Stack;
use crate::task::Arn;
use crate::tasks::{Tasks, TasksError};
use crate::wait::{Poll, few};

mod marks;

/// A task that may have to be stopped.
pub(crate) struct Candidate {
    pub(crate) it: StackTask,
    /// What touches it, if anything does.
    pub(crate) touch: Option<String>,
    /// Another call of DmsPost may be at work, and has decided to start it.
    pub(crate) contested: bool,
}

struct Pausing {
    it: StackTask,
    contested: bool,
    /// This call has put the mark on that it carries, and there was none before.
    is_fresh: bool,
    /// When DMS took our request to stop it. What it reports as running for a while after that is old; later, somebody has
    /// started it again.
    asked: Option<Instant>,
    /// DMS said that it isn't running: what it reports as running is old, or it will be once it runs.
    not_before: Instant,
    refusals: u32,
    refused: Option<String>,
}

impl Pausing {
    fn new(candidate: Candidate) -> Self {
        Self {
            it: candidate.it,
            contested: candidate.contested,
            is_fresh: false,
            asked: None,
            not_before: Instant::now(),
            refusals: 0,
            refused: None,
        }
    }

    fn decision(&self, poll: &Poll) -> Pause {
        plan::pause(&self.it.task, true, self.contested, poll.moment())
    }

    fn rests(&self, poll: &Poll) -> bool {
        // What rests after our stop doesn't owe it to an old status.
        self.asked.is_some() && self.it.task.status.rests() || matches!(self.decision(poll), Pause::Leave(_))
    }

    fn is_due(&self, poll: &Poll) -> bool {
        let is_over = self.asked.is_none_or(|asked| asked.elapsed() >= LAG);
        is_over && Instant::now() >= self.not_before && self.decision(poll) == Pause::Stop
    }
}

/// Stops what runs among the touched tasks, for a deployment or because the stack goes, and waits until all of those
/// rest. The number of tasks that this call stopped.
///
/// # Errors
/// If DMS refuses for good, or the deadline comes first; then with each task's state.
pub(crate) async fn all<S: Stack, T: Tasks>(
    dms: &T,
    tasks: Vec<Candidate>,
    deployment: Option<&Deployment<'_, S>>,
    deadline: Deadline,
) -> anyhow::Result<usize> {
    let mut poll = Poll::until(deadline, tasks.iter().map(|task| &task.it.task)).await;
    for task in &tasks {
        info!("task {}", words(task, poll.moment()));
    }
    let touched = tasks.into_iter().filter(|task| task.touch.is_some());
    let mut pending: Vec<Pausing> = touched.map(Pausing::new).collect();
    let total = pending.len();
    let mut stopped = Vec::new();
    let rested = rest(dms, &mut pending, deployment, &mut poll, &mut stopped).await;
    if let Some(deployment) = deployment {
        // Also if not all of them rest: what was stopped is to run again.
        let kept = marks::keep(dms, &stopped, deployment.request_id);
        let kept = deadline.limit("reading the pause marks back", kept).await;
        rested.and(kept)?;
    } else {
        rested?;
    }
    if total > 0 {
        info!(
            wait_ms = poll.waited().as_millis(),
            "{total} of {total} tasks rest ({} stopped for it)",
            stopped.len()
        );
    }
    Ok(stopped.len())
}

/// Stops tasks, and waits until all of them rest. Those that this call stopped go to `stopped`, also if it fails.
async fn rest<S: Stack, T: Tasks>(
    dms: &T,
    pending: &mut Vec<Pausing>,
    deployment: Option<&Deployment<'_, S>>,
    poll: &mut Poll,
    stopped: &mut Vec<Arn>,
) -> anyhow::Result<()> {
    let total = pending.len();
    loop {
        pending.retain(|pausing| !pausing.rests(poll));
        if !stop(dms, pending, deployment, poll, stopped).await? {
            return Err(late(pending, total, poll));
        }
        if pending.is_empty() {
            return Ok(());
        }
        poll.say(|| format!("{} of {total} tasks stopped", total - pending.len()));
        if !poll.next().await {
            return Err(late(pending, total, poll));
        }
        match poll.limit(refresh(dms, pending)).await {
            Some(refreshed) => refreshed?,
            None => return Err(late(pending, total, poll)),
        }
    }
}

/// A task, what is to be done to it, and why.
pub(crate) fn words(task: &Candidate, moment: Moment) -> String {
    let Candidate { it, touch, contested } = task;
    let (name, status, logical_id) = (&it.task.name, &it.task.status, &it.logical_id);
    let decision = plan::pause(&it.task, touch.is_some(), *contested, moment);
    let since = touch.as_ref().map_or_else(String::new, |touch| format!(" (since {touch})"));
    format!("{name} ({logical_id}) is {status}: {decision}{since}")
}

/// What to say when the deadline has come.
fn late(pending: &[Pausing], total: usize, poll: &Poll) -> anyhow::Error {
    let late: Vec<String> = pending
        .iter()
        .map(|late| {
            let task = &late.it.task;
            let refused = late.refused.as_ref().filter(|_| late.asked.is_none());
            let refused = refused.map_or_else(String::new, |said| format!(" (DMS says: {said})"));
            format!("{} is {}{refused}", task.name, task.status)
        })
        .collect();
    anyhow::anyhow!(
        "stopping replication tasks: {} of {total} still did not rest after {} s: {}",
        late.len(),
        poll.waited().as_secs(),
        few(&late, ", ")
    )
}

/// Asks DMS to stop those that run and weren't asked for yet; `false` if the deadline came first.
async fn stop<S: Stack, T: Tasks>(
    dms: &T,
    pending: &mut [Pausing],
    deployment: Option<&Deployment<'_, S>>,
    poll: &mut Poll,
    stopped: &mut Vec<Arn>,
) -> anyhow::Result<bool> {
    let due = pending.iter_mut().filter(|pausing| pausing.is_due(poll));
    let mut due: Vec<&mut Pausing> = due.collect();
    if due.is_empty() {
        return Ok(true);
    }
    if let Some(deployment) = deployment {
        let marked = marks::put_on(dms, due, deployment, poll.waited() >= FRESH);
        match poll.limit(marked).await {
            Some(marked) => due = marked?,
            None => return Ok(false),
        }
    }
    let total = due.len();
    let stops: Vec<_> = due.into_iter().map(|pausing| stop_one(dms, pausing, deployment)).collect();
    let mut asked = 0;
    let mut stops = iter(stops).buffer_unordered(CONCURRENCY);
    loop {
        match poll.limit(stops.try_next()).await {
            None => return Ok(false),
            Some(next) => match next? {
                None => return Ok(true),
                Some(taken) => stopped.extend(taken),
            },
        }
        asked += 1;
        poll.say(|| format!("{asked} of {total} tasks were asked to stop"));
    }
}

/// The task, if DMS takes the request for the first time.
async fn stop_one<S: Stack, T: Tasks>(
    dms: &T,
    pausing: &mut Pausing,
    deployment: Option<&Deployment<'_, S>>,
) -> anyhow::Result<Option<Arn>> {
    let (arn, name) = (pausing.it.task.arn.clone(), pausing.it.task.name.clone());
    match dms.stop(&arn).await {
        Ok(()) => {
            info!("task {name}: stopping");
            let is_first = pausing.asked.replace(Instant::now()).is_none();
            Ok(is_first.then_some(arn))
        }
        Err(TasksError::InvalidState(message)) => {
            info!("task {name}: DMS does not stop it now: {message}");
            pausing.not_before = Instant::now() + patience(pausing.refusals);
            pausing.refusals += 1;
            pausing.refused = Some(message);
            if let Some(deployment) = deployment
                && pausing.is_fresh
            {
                // Somebody else has stopped it: not ours to resume, unless it was the rollback that didn't wait for us.
                deployment.is_under_way().await?;
                marks::take_off(dms, &arn, &name).await?;
                pausing.it.mark = None;
            }
            Ok(None)
        }
        Err(TasksError::NotFound(_)) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("stopping replication task {name} ({arn})")),
    }
}

/// Reads the states anew. A task that is gone needs no stop.
async fn refresh<T: Tasks>(dms: &T, pending: &mut Vec<Pausing>) -> anyhow::Result<()> {
    let arns: Vec<Arn> = pending.iter().map(|pausing| pausing.it.task.arn.clone()).collect();
    let mut found = by_arn(dms.describe(&arns).await.context("describing the tasks that are to rest")?);
    pending.retain_mut(|pausing| match found.remove(&pausing.it.task.arn) {
        Some(task) => {
            pausing.it.task = task;
            true
        }
        None => {
            info!("task {}: it is gone", pausing.it.task.name);
            false
        }
    });
    Ok(())
}

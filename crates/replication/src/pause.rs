//! Bringing tasks to rest.

use anyhow::{Context, bail};
use custom_resource::Deadline;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::{CONCURRENCY, by_arn, patience};
use crate::observe::StackTask;
use crate::plan::{self, Moment, Pause};
use crate::task::Arn;
use crate::tasks::{Tasks, TasksError};
use crate::wait::{Poll, few};

/// Who stops the tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why<'a> {
    /// A deployment, which is to resume them: the mark's value.
    Deployment(&'a str),
    /// The stack goes, and the tasks with it.
    Deletion,
}

struct Pausing {
    it: StackTask,
    /// DMS has taken our request to stop it: what it now reports as running is old.
    asked: bool,
    /// DMS said that it isn't running: what it reports as running is old, or it will be once it runs.
    not_before: Instant,
    refusals: u32,
    refused: Option<String>,
}

impl Pausing {
    fn new(it: StackTask) -> Self {
        Self {
            it,
            asked: false,
            not_before: Instant::now(),
            refusals: 0,
            refused: None,
        }
    }

    fn decision(&self, poll: &Poll) -> Pause {
        plan::pause(&self.it.task, true, poll.moment())
    }

    fn rests(&self, poll: &Poll) -> bool {
        // What rests after our stop doesn't owe it to an old status.
        self.asked && self.it.task.status.rests() || matches!(self.decision(poll), Pause::Leave(_))
    }

    fn is_due(&self, poll: &Poll) -> bool {
        !self.asked && Instant::now() >= self.not_before && self.decision(poll) == Pause::Stop
    }
}

/// Stops what runs among the touched tasks and waits until all of those rest. `tasks` come with what touches them, if
/// anything does. The number of tasks that this call stopped.
///
/// # Errors
/// If DMS refuses for good, or the deadline comes first; then with each task's state.
pub(crate) async fn all<T: Tasks>(
    dms: &T,
    tasks: Vec<(StackTask, Option<String>)>,
    why: Why<'_>,
    deadline: Deadline,
) -> anyhow::Result<usize> {
    let mut poll = Poll::until(deadline, tasks.iter().map(|(it, _)| &it.task)).await;
    for (it, touch) in &tasks {
        info!("task {}", words(it, touch.as_deref(), poll.moment()));
    }
    let touched = tasks.into_iter().filter(|(_, touch)| touch.is_some());
    let mut pending: Vec<Pausing> = touched.map(|(it, _)| Pausing::new(it)).collect();
    let total = pending.len();
    let mut stopped = Vec::new();
    loop {
        pending.retain(|pausing| !pausing.rests(&poll));
        if !stop(dms, &mut pending, why, &mut poll, &mut stopped).await? {
            return Err(late(&pending, total, &poll));
        }
        if pending.is_empty() {
            break;
        }
        poll.say(|| format!("{} of {total} tasks stopped", total - pending.len()));
        if !poll.next().await {
            return Err(late(&pending, total, &poll));
        }
        match poll.limit(refresh(dms, &mut pending)).await {
            Some(refreshed) => refreshed?,
            None => return Err(late(&pending, total, &poll)),
        }
    }
    if let Why::Deployment(request_id) = why {
        let kept = keep_marks(dms, &stopped, request_id);
        deadline.limit("reading the pause marks back", kept).await?;
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

/// A task, what is to be done to it, and why.
pub(crate) fn words(it: &StackTask, touch: Option<&str>, moment: Moment) -> String {
    let (name, status, logical_id) = (&it.task.name, &it.task.status, &it.logical_id);
    let decision = plan::pause(&it.task, touch.is_some(), moment);
    let since = touch.map_or_else(String::new, |touch| format!(" (since {touch})"));
    format!("{name} ({logical_id}) is {status}: {decision}{since}")
}

/// What to say when the deadline has come.
fn late(pending: &[Pausing], total: usize, poll: &Poll) -> anyhow::Error {
    let late: Vec<String> = pending
        .iter()
        .map(|late| {
            let task = &late.it.task;
            let refused = late.refused.as_ref().filter(|_| !late.asked);
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
async fn stop<T: Tasks>(
    dms: &T,
    pending: &mut [Pausing],
    why: Why<'_>,
    poll: &mut Poll,
    stopped: &mut Vec<Arn>,
) -> anyhow::Result<bool> {
    let due = pending.iter_mut().filter(|pausing| pausing.is_due(poll));
    let stops: Vec<_> = due.map(|pausing| stop_one(dms, pausing, why)).collect();
    let total = stops.len();
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

/// The task, if DMS takes the request.
async fn stop_one<T: Tasks>(
    dms: &T,
    pausing: &mut Pausing,
    why: Why<'_>,
) -> anyhow::Result<Option<Arn>> {
    let (arn, name) = (pausing.it.task.arn.clone(), pausing.it.task.name.clone());
    let mut fresh_mark = false;
    if let Why::Deployment(request_id) = why {
        // Before the stop, so that a crash between the two leaves a running task with a mark, which is harmless, and never
        // a stopped one without.
        match dms.mark(&arn, request_id).await {
            Err(TasksError::NotFound(_)) => return Ok(None),
            marked => marked.with_context(|| format!("marking replication task {name}"))?,
        }
        fresh_mark = pausing.it.mark.replace(request_id.to_owned()).is_none();
    }
    match dms.stop(&arn).await {
        Ok(()) => {
            info!("task {name}: stopping");
            pausing.asked = true;
            Ok(Some(arn))
        }
        Err(TasksError::InvalidState(message)) => {
            info!("task {name}: DMS does not stop it now: {message}");
            pausing.not_before = Instant::now() + patience(pausing.refusals);
            pausing.refusals += 1;
            pausing.refused = Some(message);
            if fresh_mark {
                // Somebody else may have stopped it: not ours to resume.
                unmark(dms, &arn, &name).await?;
                pausing.it.mark = None;
            }
            Ok(None)
        }
        Err(TasksError::NotFound(_)) => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("stopping replication task {name} ({arn})"))
        }
    }
}

async fn unmark<T: Tasks>(dms: &T, arn: &Arn, name: &str) -> anyhow::Result<()> {
    match dms.unmark(arn).await {
        Err(TasksError::NotFound(_)) => Ok(()),
        unmarked => {
            unmarked.with_context(|| format!("taking the mark off replication task {name}"))
        }
    }
}

/// Puts marks back that were taken off what we stopped. A request that Lambda delivers twice at the same time does that:
/// its second run is refused the stop, and takes the task for one that somebody else has stopped.
async fn keep_marks<T: Tasks>(dms: &T, stopped: &[Arn], request_id: &str) -> anyhow::Result<()> {
    if stopped.is_empty() {
        return Ok(());
    }
    let reading = "reading the pause marks back";
    let marks = dms.marks(stopped).await.context(reading)?;
    for arn in stopped.iter().filter(|arn| !marks.contains_key(arn)) {
        match dms.mark(arn, request_id).await {
            Ok(()) => warn!("task {arn}: its pause mark was gone, and is put on again"),
            Err(TasksError::NotFound(_)) => {}
            Err(error) => bail!(anyhow::Error::new(error).context(format!("marking {arn} again"))),
        }
    }
    Ok(())
}

/// Reads the states anew. A task that is gone needs no stop.
async fn refresh<T: Tasks>(dms: &T, pending: &mut Vec<Pausing>) -> anyhow::Result<()> {
    let arns: Vec<Arn> = pending
        .iter()
        .map(|pausing| pausing.it.task.arn.clone())
        .collect();
    let mut found = by_arn(
        dms.describe(&arns)
            .await
            .context("describing the tasks that are to rest")?,
    );
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

//! Bringing tasks to rest.

use anyhow::{Context, bail};
use custom_resource::Deadline;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio::time::Instant;
use tracing::info;

use crate::apply::{CONCURRENCY, by_arn, patience};
use crate::observe::StackTask;
use crate::plan::{self, Pause};
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
}

/// Stops what runs among `tasks` and waits until all of them rest. The number of tasks that this call stopped.
///
/// # Errors
/// If DMS refuses for good, or the deadline comes first; then with each task's state.
pub(crate) async fn all<T: Tasks>(
    dms: &T,
    tasks: Vec<StackTask>,
    why: Why<'_>,
    deadline: Deadline,
) -> anyhow::Result<usize> {
    let total = tasks.len();
    let mut stopped = 0;
    let now = Instant::now();
    let mut pending: Vec<Pausing> = tasks
        .into_iter()
        .map(|it| Pausing {
            it,
            asked: false,
            not_before: now,
            refusals: 0,
        })
        .collect();
    let mut poll = Poll::until(deadline).await;
    loop {
        pending.retain(|pausing| plan::pause(&pausing.it.task.status) != Pause::Rests);
        stopped += stop(dms, &mut pending, why).await?;
        if pending.is_empty() {
            info!(
                wait_ms = poll.waited().as_millis(),
                "{total} of {total} tasks rest ({stopped} stopped for it)"
            );
            return Ok(stopped);
        }
        if !poll
            .next(|| format!("{} of {total} tasks rest", total - pending.len()))
            .await
        {
            let late: Vec<String> = pending
                .iter()
                .map(|late| format!("{} is {}", late.it.task.name, late.it.task.status))
                .collect();
            bail!(
                "stopping replication tasks: {} of {total} still did not rest after {} s: {}",
                late.len(),
                poll.waited().as_secs(),
                few(&late, ", ")
            );
        }
        refresh(dms, &mut pending).await?;
    }
}

/// Asks DMS to stop those that run and weren't asked for yet.
async fn stop<T: Tasks>(dms: &T, pending: &mut [Pausing], why: Why<'_>) -> anyhow::Result<usize> {
    let due = pending.iter_mut().filter(|pausing| {
        !pausing.asked
            && Instant::now() >= pausing.not_before
            && plan::pause(&pausing.it.task.status) == Pause::Stop
    });
    iter(
        due.map(|pausing| stop_one(dms, pausing, why))
            .collect::<Vec<_>>(),
    )
    .buffer_unordered(CONCURRENCY)
    .try_fold(0, |stopped, asked| async move {
        Ok(stopped + usize::from(asked))
    })
    .await
}

async fn stop_one<T: Tasks>(dms: &T, pausing: &mut Pausing, why: Why<'_>) -> anyhow::Result<bool> {
    let (arn, name) = (pausing.it.task.arn.clone(), pausing.it.task.name.clone());
    let mut fresh_mark = false;
    if let Why::Deployment(request_id) = why {
        // Before the stop, so that a crash between the two leaves a running task with a mark, which is harmless, and never
        // a stopped one without.
        match dms.mark(&arn, request_id).await {
            Err(TasksError::NotFound(_)) => return Ok(false),
            marked => marked.with_context(|| format!("marking replication task {name}"))?,
        }
        fresh_mark = !pausing.it.marked;
        pausing.it.marked = true;
    }
    match dms.stop(&arn).await {
        Ok(()) => {
            info!("task {name}: stopping");
            pausing.asked = true;
            Ok(true)
        }
        Err(TasksError::InvalidState(message)) => {
            info!("task {name}: DMS does not stop it now: {message}");
            pausing.not_before = Instant::now() + patience(pausing.refusals);
            pausing.refusals += 1;
            if fresh_mark {
                // Somebody else may have stopped it: not ours to resume.
                dms.unmark(&arn)
                    .await
                    .with_context(|| format!("taking the mark off replication task {name}"))?;
                pausing.it.marked = false;
            }
            Ok(false)
        }
        Err(TasksError::NotFound(_)) => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("stopping replication task {name} ({arn})"))
        }
    }
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

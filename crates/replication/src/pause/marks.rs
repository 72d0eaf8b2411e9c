//! The pause marks of tasks that are being stopped.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::Pausing;
use crate::apply::CONCURRENCY;
use crate::deployment::Deployment;
use crate::observe;
use crate::plan::LAG;
use crate::stack::Stack;
use crate::task::Arn;
use crate::tasks::{Tasks, TasksError};

/// Longer than it takes anybody to put a mark on, or to take one off, once it has read what is there.
const SETTLING: Duration = Duration::from_secs(2);

/// Puts the mark on tasks that are about to be stopped. Those of them that this call is to stop now.
///
/// The marks come before the first stop, so that a crash leaves running tasks with a mark, which is harmless, and never a
/// stopped one without.
///
/// Nobody is to take the mark of another call for its own, and off again when its own stop is refused. If the stack has not
/// moved on once the marks are on, then the rollback's call reads them when it comes. In a rollback, the call that it didn't
/// wait for may have begun no earlier than its own: whoever was the last to mark a task stops it. And where DmsPost may be
/// at work, the mark has to outlast what that one takes off.
pub(super) async fn put_on<'a, S: Stack, T: Tasks>(
    dms: &T,
    mut due: Vec<&'a mut Pausing>,
    deployment: &Deployment<'_, S>,
    has_waited: bool,
) -> anyhow::Result<Vec<&'a mut Pausing>> {
    if has_waited {
        deployment.is_awaited().await?;
        read(dms, &mut due).await?;
    }
    let settles = deployment.is_rolling_back() || due.iter().any(|pausing| pausing.contested);
    let marking = due.into_iter().map(|pausing| put_on_one(dms, pausing, deployment.request_id));
    let marking: Vec<_> = marking.collect();
    let marked = iter(marking).buffer_unordered(CONCURRENCY);
    let marked: Vec<_> = marked.try_collect().await?;
    let mut marked: Vec<&mut Pausing> = marked.into_iter().flatten().collect();
    deployment.is_under_way().await?;
    if settles {
        sleep(SETTLING).await;
        read(dms, &mut marked).await?;
        marked.retain_mut(|pausing| is_ours(pausing, deployment.request_id));
    }
    Ok(marked)
}

/// The task, if it exists.
async fn put_on_one<'a, T: Tasks>(
    dms: &T,
    pausing: &'a mut Pausing,
    request_id: &str,
) -> anyhow::Result<Option<&'a mut Pausing>> {
    let it = &mut pausing.it;
    match dms.mark(&it.task.arn, request_id).await {
        Err(TasksError::NotFound(_)) => return Ok(None),
        marked => marked.with_context(|| format!("marking replication task {}", it.task.name))?,
    }
    pausing.is_fresh = it.mark.replace(request_id.to_owned()).is_none();
    Ok(Some(pausing))
}

/// Whether the mark is still the one that this call has put on. If it isn't, the task is not stopped now.
fn is_ours(pausing: &mut Pausing, request_id: &str) -> bool {
    let name = &pausing.it.task.name;
    match &pausing.it.mark {
        Some(mark) if mark == request_id => return true,
        Some(mark) => {
            info!("task {name}: request {mark} has marked it meanwhile, and is to stop it");
            pausing.not_before = Instant::now() + LAG;
        }
        // A DmsPost that was at work still has done that.
        None => info!("task {name}: its mark was taken off, and is put on once more"),
    }
    false
}

/// Reads the marks anew.
async fn read<T: Tasks>(dms: &T, all: &mut [&mut Pausing]) -> anyhow::Result<()> {
    let arns: Vec<Arn> = all.iter().map(|it| it.it.task.arn.clone()).collect();
    let mut marks = observe::marks(dms, &arns).await.context("reading the pause marks again")?;
    for pausing in all {
        pausing.it.mark = marks.remove(&pausing.it.task.arn);
    }
    Ok(())
}

pub(super) async fn take_off<T: Tasks>(dms: &T, arn: &Arn, name: &str) -> anyhow::Result<()> {
    match dms.unmark(arn).await {
        Err(TasksError::NotFound(_)) => Ok(()),
        unmarked => unmarked.with_context(|| format!("taking the mark off replication task {name}")),
    }
}

/// Puts marks back that were taken off what we stopped. A request that Lambda delivers twice at the same time does that:
/// its second run is refused the stop, and takes the task for one that somebody else has stopped.
pub(super) async fn keep<T: Tasks>(dms: &T, stopped: &[Arn], request_id: &str) -> anyhow::Result<()> {
    if stopped.is_empty() {
        return Ok(());
    }
    let reading = "reading the pause marks back";
    let marks = observe::marks(dms, stopped).await.context(reading)?;
    for arn in stopped.iter().filter(|arn| !marks.contains_key(arn)) {
        match dms.mark(arn, request_id).await {
            Ok(()) => warn!("task {arn}: its pause mark was gone, and is put on again"),
            Err(TasksError::NotFound(_)) => {}
            Err(error) => bail!(anyhow::Error::new(error).context(format!("marking {arn} again"))),
        }
    }
    Ok(())
}

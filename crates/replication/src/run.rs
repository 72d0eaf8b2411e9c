//! Bringing tasks to run.

use std::collections::HashMap;

use anyhow::{Context, bail};
use custom_resource::Deadline;
use futures::stream::{StreamExt, iter};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::apply::{CONCURRENCY, FRESH, by_arn};
use crate::attempt::{Attempt, Phase};
use crate::connections::{Connections, Readiness};
use crate::hints;
use crate::observe::{self, Predecessor, StackTask};
use crate::plan::{self, Occasion};
use crate::stack::{Stack, StackStatus};
use crate::task::{Arn, Task};
use crate::tasks::{Start, Tasks};
use crate::wait::{Poll, few};

/// How many tasks ended in which way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Outcome {
    /// Those that run, the ones below included.
    pub(crate) running: usize,
    /// Those that this call started for the first time.
    pub(crate) started: usize,
    /// Those that this call resumed.
    pub(crate) resumed: usize,
}

/// What tasks are to run for.
#[derive(Debug)]
pub(crate) struct Errand<'a, S> {
    stack: &'a S,
    stack_id: &'a str,
    change_set: Option<String>,
    occasion: Occasion,
    /// When the stack was last read for a start, and its status then if it had moved on.
    read: Mutex<Option<(Instant, Option<StackStatus>)>>,
}

impl<'a, S: Stack> Errand<'a, S> {
    /// `change_set` is the one that the stack was last updated by when the tasks were read.
    pub(crate) fn new(
        stack: &'a S,
        stack_id: &'a str,
        change_set: Option<String>,
        occasion: Occasion,
    ) -> Self {
        Self { stack, stack_id, change_set, occasion, read: Mutex::default() }
    }

    /// The stack's status, if the stack has moved on: it goes, the deployment is over or is being undone, or another one has
    /// begun since, and may have replaced what we know. Then nothing may be started any more, and no mark taken off.
    /// CloudFormation goes on without our answer when another resource fails or somebody cancels the update.
    async fn is_over(&self) -> anyhow::Result<Option<StackStatus>> {
        let (status, change_set) = observe::status(self.stack, self.stack_id).await?;
        let is_over = match self.occasion {
            _ if change_set != self.change_set => true,
            Occasion::Healing => status.is_in_progress(),
            // What comes after a deployment deletes what it has taken out of the stack.
            _ if !status.is_deploying() => true,
            Occasion::Deployment => status.is_going() || status.is_rolling_back(),
            Occasion::Rollback => status.is_going(),
        };
        Ok(is_over.then_some(status))
    }

    /// The same, as it was a moment ago, for what is done to many tasks one after the other.
    async fn was_over(&self) -> anyhow::Result<Option<StackStatus>> {
        let mut read = self.read.lock().await;
        if let Some((at, over)) = &*read
            && at.elapsed() < FRESH
        {
            return Ok(over.clone());
        }
        let at = Instant::now();
        let over = self.is_over().await?;
        *read = Some((at, over.clone()));
        Ok(over)
    }

    /// Starts a task, unless the stack has moved on. The task, if DMS says that its connections aren't tested.
    async fn start<T: Tasks>(&self, dms: &T, attempt: &mut Attempt) -> Option<Task> {
        let why = match self.was_over().await {
            Ok(None) => return attempt.start(dms).await,
            Ok(Some(status)) => {
                format!("it is not started, since the stack is {} by now", status.0)
            }
            Err(error) => format!("it is not started: {error:#}"),
        };
        attempt.phase = Phase::Failed(why);
        None
    }
}

/// Runs every task that is to run on this occasion, and waits until each does. The failure of one doesn't keep the others
/// from being attempted.
///
/// # Errors
/// If at least one task that is to run doesn't; it names each and says why.
pub(crate) async fn all<S: Stack, T: Tasks>(
    dms: &T,
    tasks: Vec<StackTask>,
    errand: &Errand<'_, S>,
    predecessors: &HashMap<String, Predecessor>,
    deadline: Deadline,
) -> anyhow::Result<Outcome> {
    let mut all: Vec<Attempt> = tasks.into_iter().map(Attempt::new).collect();
    let mut connections = Connections::default();
    let mut poll = Poll::until(deadline, all.iter().map(|attempt| &attempt.it.task)).await;
    loop {
        for attempt in &mut all {
            attempt.advance(errand.occasion, predecessors, poll.moment());
        }
        let begun = begin(dms, &mut all, &mut connections, errand, &mut poll);
        if let Ok(begun) = timeout_at(deadline.instant(), begun).await {
            begun?;
            let pending = all.iter().filter(|attempt| attempt.is_pending()).count();
            if pending == 0 {
                return outcome(&all);
            }
            let total = all.len();
            poll.say(|| format!("{} of {total} tasks are settled", total - pending));
            if poll.next().await
                && let Some(refreshed) = poll.limit(refresh(dms, &mut all)).await
            {
                refreshed?;
                continue;
            }
        }
        for attempt in all.iter_mut().filter(|attempt| attempt.is_pending()) {
            attempt.give_up(poll.waited());
        }
        return outcome(&all);
    }
}

/// Starts what can be started, and takes the marks off what runs.
async fn begin<S: Stack, T: Tasks>(
    dms: &T,
    all: &mut [Attempt],
    connections: &mut Connections,
    errand: &Errand<'_, S>,
    poll: &mut Poll,
) -> anyhow::Result<()> {
    start(dms, all, connections, errand, poll).await?;
    unmark(dms, all, errand).await;
    Ok(())
}

/// Starts those that are due and whose connections are tested.
async fn start<S: Stack, T: Tasks>(
    dms: &T,
    all: &mut [Attempt],
    connections: &mut Connections,
    errand: &Errand<'_, S>,
    poll: &mut Poll,
) -> anyhow::Result<()> {
    let due = all.iter_mut().filter(|attempt| attempt.is_due());
    let due: Vec<&mut Attempt> = due.collect();
    let tasks: Vec<_> = due.iter().map(|attempt| attempt.it.task.clone()).collect();
    let mut ready = Vec::new();
    for (attempt, readiness) in due.into_iter().zip(connections.check(dms, &tasks).await?) {
        match readiness {
            Readiness::Ready => ready.push(attempt),
            Readiness::Testing => {}
            Readiness::Failed(why) => attempt.phase = Phase::Failed(hints::with_hint(&why)),
        }
    }
    let total = ready.len();
    let starts: Vec<_> = ready.into_iter().map(|attempt| errand.start(dms, attempt)).collect();
    let mut starts = iter(starts).buffer_unordered(CONCURRENCY);
    let (mut asked, mut untested) = (0, Vec::new());
    while let Some(refused) = starts.next().await {
        untested.extend(refused);
        asked += 1;
        poll.say(|| format!("{asked} of {total} tasks were asked to start"));
    }
    connections.test_again(dms, &untested).await;
    Ok(())
}

/// Takes the marks off what runs, or has finished. A mark that stays on a running task harms nothing, so this never fails
/// a request.
async fn unmark<S: Stack, T: Tasks>(dms: &T, all: &mut [Attempt], errand: &Errand<'_, S>) {
    let settled = |attempt: &Attempt| match &attempt.phase {
        Phase::Done { runs, .. } => *runs || plan::has_finished(&attempt.it.task),
        _ => false,
    };
    let settled = all.iter_mut().filter(|attempt| settled(attempt));
    let marked: Vec<(&mut Attempt, String)> =
        settled.filter_map(|attempt| attempt.it.mark.take().map(|mark| (attempt, mark))).collect();
    if marked.is_empty() {
        return;
    }
    let arns: Vec<Arn> = marked.iter().map(|(attempt, _)| attempt.it.task.arn.clone()).collect();
    let (now, over) = futures::join!(observe::marks(dms, &arns), errand.is_over());
    let now = match (now, over) {
        (Ok(now), Ok(None)) => now,
        // Whoever works on the stack by now may be about to pause the tasks again.
        (_, Ok(Some(status))) => {
            return info!("the stack is {}: the pause marks stay on", status.0);
        }
        (Err(error), _) => {
            let error = anyhow::Error::new(error);
            return warn!("the pause marks could not be read, and stay on: {error:#}");
        }
        (_, Err(error)) => {
            return warn!("the stack could not be read, and the pause marks stay on: {error:#}");
        }
    };
    iter(marked)
        .for_each_concurrent(CONCURRENCY, |(attempt, mark)| {
            let now = now.get(&attempt.it.task.arn);
            take_off(dms, &attempt.it.task, mark, now)
        })
        .await;
}

/// Takes off the mark that was on the task when this call began. Another one, which is there `now`, is of somebody who has
/// paused the task again, while DMS still shows that it runs: of the rollback that didn't wait for this call, or of the
/// next deployment.
async fn take_off<T: Tasks>(dms: &T, task: &Task, mark: String, now: Option<&String>) {
    let name = &task.name;
    match now {
        None => {}
        Some(now) if *now == mark => {
            if let Err(error) = dms.unmark(&task.arn).await {
                let error = anyhow::Error::new(error);
                warn!("task {name}: its pause mark could not be taken off: {error:#}");
            }
        }
        Some(now) => info!("task {name}: request {now} has paused it again; that mark stays"),
    }
}

/// Reads the states of the pending tasks anew.
async fn refresh<T: Tasks>(dms: &T, all: &mut [Attempt]) -> anyhow::Result<()> {
    let pending = all.iter_mut().filter(|attempt| attempt.is_pending());
    let mut pending: Vec<&mut Attempt> = pending.collect();
    let arns: Vec<Arn> = pending.iter().map(|attempt| attempt.it.task.arn.clone()).collect();
    let mut found = by_arn(dms.describe(&arns).await.context("describing the tasks that are to run")?);
    for attempt in &mut pending {
        match found.remove(&attempt.it.task.arn) {
            Some(task) => attempt.it.task = task,
            None => attempt.phase = Phase::Failed("DMS does not know it any more".to_owned()),
        }
    }
    Ok(())
}

fn outcome(all: &[Attempt]) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut failures = Vec::new();
    for attempt in all {
        match &attempt.phase {
            Phase::Done { runs, by } => {
                outcome.running += usize::from(*runs);
                outcome.resumed += usize::from(matches!(by, Some(Start::Resume)));
                outcome.started += usize::from(matches!(by, Some(Start::First | Start::At(_))));
            }
            Phase::Failed(why) => {
                failures.push(format!("{} ({}): {why}", attempt.it.task.name, attempt.it.logical_id))
            }
            Phase::Deciding | Phase::Due { .. } | Phase::Started { .. } => {}
        }
    }
    if !failures.is_empty() {
        bail!(
            "running replication tasks: {} of {} failed: {}",
            failures.len(),
            all.len(),
            few(&failures, "; ")
        );
    }
    let Outcome { running, started, resumed } = outcome;
    info!("{running} of {} tasks run ({started} started, {resumed} resumed)", all.len());
    Ok(outcome)
}

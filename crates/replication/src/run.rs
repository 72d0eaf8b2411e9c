//! Bringing tasks to run.

use std::collections::HashMap;

use anyhow::{Context, bail};
use custom_resource::Deadline;
use futures::stream::{StreamExt, iter};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::{CONCURRENCY, LAG, PATIENCE, by_arn};
use crate::connections::{Connections, Readiness};
use crate::hints;
use crate::observe::{Predecessor, StackTask};
use crate::plan::{self, Occasion, Run};
use crate::task::{Arn, Task, TaskStatus};
use crate::tasks::{Start, Tasks, TasksError};
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

#[derive(Clone, Debug)]
enum Phase {
    /// It isn't decided yet what to do.
    Deciding,
    /// It is to be started, as soon as its connections are tested.
    Due {
        how: Start,
        not_before: Instant,
        other_tried: bool,
    },
    /// DMS has taken the start.
    Started {
        how: Start,
        at: Instant,
        moved: bool,
    },
    /// Nothing is left to do. Whether it runs, and how it was started by this call, if it was.
    Done { runs: bool, by: Option<Start> },
    /// It does not run.
    Failed(String),
}

struct Running {
    it: StackTask,
    phase: Phase,
}

/// Runs every task that is to run on this occasion, and waits until each does. The failure of one doesn't keep the others
/// from running.
///
/// # Errors
/// If at least one task that is to run doesn't; it names each and says why.
pub(crate) async fn all<T: Tasks>(
    dms: &T,
    tasks: Vec<StackTask>,
    occasion: Occasion,
    predecessors: &HashMap<String, Predecessor>,
    deadline: Deadline,
) -> anyhow::Result<Outcome> {
    let mut all: Vec<Running> = tasks
        .into_iter()
        .map(|it| Running {
            it,
            phase: Phase::Deciding,
        })
        .collect();
    let mut connections = Connections::default();
    let mut poll = Poll::until(deadline).await;
    loop {
        for running in &mut all {
            running.advance(occasion, predecessors);
        }
        start(dms, &mut all, &mut connections).await?;
        unmark(dms, &mut all).await;
        let pending = all.iter().filter(|running| running.is_pending()).count();
        if pending == 0 {
            return outcome(&all);
        }
        if !poll
            .next(|| format!("{} of {} tasks are settled", all.len() - pending, all.len()))
            .await
        {
            for running in all.iter_mut().filter(|running| running.is_pending()) {
                let state = hints::state(&running.it.task);
                running.phase = Phase::Failed(format!(
                    "{state} after {} s of waiting",
                    poll.waited().as_secs()
                ));
            }
            return outcome(&all);
        }
        refresh(dms, &mut all).await?;
    }
}

impl Running {
    fn is_pending(&self) -> bool {
        !matches!(self.phase, Phase::Done { .. } | Phase::Failed(_))
    }

    /// Takes note of the task's present state.
    fn advance(&mut self, occasion: Occasion, predecessors: &HashMap<String, Predecessor>) {
        let task = &self.it.task;
        match &mut self.phase {
            Phase::Deciding => {
                let decision = plan::run(&self.it, occasion, predecessors.get(&self.it.logical_id));
                self.phase = match &decision {
                    Run::Wait => return,
                    Run::Runs => Phase::Done {
                        runs: true,
                        by: None,
                    },
                    Run::Start(how, _) => Phase::Due {
                        how: how.clone(),
                        not_before: Instant::now(),
                        other_tried: false,
                    },
                    Run::Leave(_) => Phase::Done {
                        runs: false,
                        by: None,
                    },
                    Run::Fail(why) => Phase::Failed((*why).to_owned()),
                };
                match (&decision, &task.status) {
                    (Run::Leave(_), TaskStatus::Failed | TaskStatus::FailedMove) => {
                        warn!("task {}: {decision}; {}", task.name, hints::state(task));
                    }
                    _ => info!("task {} is {}: {decision}", task.name, task.status),
                }
            }
            Phase::Started { how, at, moved } => match &task.status {
                TaskStatus::Running => {
                    info!("task {}: it runs", task.name);
                    self.phase = Phase::Done {
                        runs: true,
                        by: Some(how.clone()),
                    };
                }
                TaskStatus::Stopped
                    if plan::has_finished(task) && (*moved || at.elapsed() >= LAG) =>
                {
                    info!("task {}: it has finished", task.name);
                    self.phase = Phase::Done {
                        runs: false,
                        by: Some(how.clone()),
                    };
                }
                // Just after a start this may be what it was before.
                TaskStatus::Stopped
                | TaskStatus::Failed
                | TaskStatus::FailedMove
                | TaskStatus::Ready => {
                    if *moved || at.elapsed() >= LAG {
                        self.phase =
                            Phase::Failed(format!("it was started, and {}", hints::state(task)));
                    }
                }
                TaskStatus::Deleting => {
                    self.phase = Phase::Failed("it is being deleted".to_owned())
                }
                _ => *moved = true,
            },
            Phase::Due { .. } | Phase::Done { .. } | Phase::Failed(_) => {}
        }
    }
}

/// Starts those that are due and whose connections are tested.
async fn start<T: Tasks>(
    dms: &T,
    all: &mut [Running],
    connections: &mut Connections,
) -> anyhow::Result<()> {
    let now = Instant::now();
    let is_due = |running: &&mut Running| matches!(running.phase, Phase::Due { not_before, .. } if now >= not_before);
    let due: Vec<&mut Running> = all.iter_mut().filter(is_due).collect();
    let tasks: Vec<_> = due.iter().map(|running| running.it.task.clone()).collect();
    let mut ready = Vec::new();
    for (running, readiness) in due.into_iter().zip(connections.check(dms, &tasks).await?) {
        match readiness {
            Readiness::Ready => ready.push(running),
            Readiness::Testing => {}
            Readiness::Failed(why) => running.phase = Phase::Failed(hints::with_hint(&why)),
        }
    }
    let starts: Vec<_> = ready
        .into_iter()
        .map(|running| start_one(dms, running))
        .collect();
    let untested: Vec<_> = iter(starts).buffer_unordered(CONCURRENCY).collect().await;
    for task in untested.into_iter().flatten() {
        connections.test_again(dms, &task).await?;
    }
    Ok(())
}

/// Asks DMS to start one task. The task, if DMS says that its connections aren't tested.
async fn start_one<T: Tasks>(dms: &T, running: &mut Running) -> Option<Task> {
    let Phase::Due {
        how, other_tried, ..
    } = running.phase.clone()
    else {
        return None;
    };
    let task = &running.it.task;
    let retry = |how, other_tried| Phase::Due {
        how,
        not_before: Instant::now() + PATIENCE,
        other_tried,
    };
    match dms.start(&task.arn, &how).await {
        Ok(()) => {
            info!(
                "task {}: {}",
                task.name,
                if how == Start::Resume {
                    "resuming"
                } else {
                    "starting"
                }
            );
            running.phase = Phase::Started {
                how,
                at: Instant::now(),
                moved: false,
            };
        }
        Err(TasksError::WrongStart(message)) if !other_tried && !matches!(how, Start::At(_)) => {
            info!(
                "task {}: DMS wants the other way to start: {message}",
                task.name
            );
            let other = if how == Start::Resume {
                Start::First
            } else {
                Start::Resume
            };
            running.phase = Phase::Due {
                how: other,
                not_before: Instant::now(),
                other_tried: true,
            };
        }
        Err(TasksError::InvalidState(message)) => {
            info!("task {}: DMS does not start it now: {message}", task.name);
            running.phase = retry(how, other_tried);
            if message.contains("Test connection") {
                return Some(task.clone());
            }
        }
        Err(error) => {
            running.phase = Phase::Failed(hints::with_hint(&format!(
                "{:#}",
                anyhow::Error::new(error)
            )))
        }
    }
    None
}

/// Takes the marks off what runs, or has finished. A mark that stays on a running task harms nothing, so this never fails
/// a request.
async fn unmark<T: Tasks>(dms: &T, all: &mut [Running]) {
    let settled = |running: &&mut Running| {
        let settled = match &running.phase {
            Phase::Done { runs, .. } => *runs || plan::has_finished(&running.it.task),
            _ => false,
        };
        settled && running.it.marked
    };
    iter(all.iter_mut().filter(settled))
        .for_each_concurrent(CONCURRENCY, |running| async {
            running.it.marked = false;
            if let Err(error) = dms.unmark(&running.it.task.arn).await {
                warn!(
                    "task {}: its pause mark could not be taken off: {:#}",
                    running.it.task.name,
                    anyhow::Error::new(error)
                );
            }
        })
        .await;
}

/// Reads the states of the pending tasks anew.
async fn refresh<T: Tasks>(dms: &T, all: &mut [Running]) -> anyhow::Result<()> {
    let pending = all.iter_mut().filter(|running| running.is_pending());
    let mut pending: Vec<&mut Running> = pending.collect();
    let arns: Vec<Arn> = pending
        .iter()
        .map(|running| running.it.task.arn.clone())
        .collect();
    let mut found = by_arn(
        dms.describe(&arns)
            .await
            .context("describing the tasks that are to run")?,
    );
    for running in &mut pending {
        match found.remove(&running.it.task.arn) {
            Some(task) => running.it.task = task,
            None => running.phase = Phase::Failed("DMS does not know it any more".to_owned()),
        }
    }
    Ok(())
}

fn outcome(all: &[Running]) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut failures = Vec::new();
    for running in all {
        match &running.phase {
            Phase::Done { runs, by } => {
                outcome.running += usize::from(*runs);
                outcome.resumed += usize::from(matches!(by, Some(Start::Resume)));
                outcome.started += usize::from(matches!(by, Some(Start::First | Start::At(_))));
            }
            Phase::Failed(why) => failures.push(format!(
                "{} ({}): {why}",
                running.it.task.name, running.it.logical_id
            )),
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
    info!(
        "{} tasks run; {} were started, {} resumed",
        outcome.running, outcome.started, outcome.resumed
    );
    Ok(outcome)
}

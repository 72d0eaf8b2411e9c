//! One task on its way to run.

use std::collections::HashMap;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::{LAG, patience};
use crate::hints;
use crate::observe::{Predecessor, StackTask};
use crate::plan::{self, Occasion, Run};
use crate::task::{Task, TaskStatus};
use crate::tasks::{Start, Tasks, TasksError};

/// How far bringing one task to run has come.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// It isn't decided yet what to do.
    Deciding,
    /// It is to be started, as soon as its connections are tested.
    Due {
        how: Start,
        not_before: Instant,
        refusals: u32,
        other_tried: bool,
    },
    /// DMS has taken the start.
    Started {
        how: Start,
        at: Instant,
        before: TaskStatus,
        moved: bool,
    },
    /// Nothing is left to do. Whether it runs, and how it was started by this call, if it was.
    Done { runs: bool, by: Option<Start> },
    /// It does not run.
    Failed(String),
}

/// One task that is being brought to run.
pub(crate) struct Attempt {
    pub(crate) it: StackTask,
    pub(crate) phase: Phase,
}

impl Attempt {
    pub(crate) fn new(it: StackTask) -> Self {
        Self {
            it,
            phase: Phase::Deciding,
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        !matches!(self.phase, Phase::Done { .. } | Phase::Failed(_))
    }

    /// Takes note of the task's present state.
    pub(crate) fn advance(
        &mut self,
        occasion: Occasion,
        predecessors: &HashMap<String, Predecessor>,
    ) {
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
                        refusals: 0,
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
            Phase::Started {
                how,
                at,
                before,
                moved,
            } => {
                // What it was before the start may be read for a while after it.
                *moved |= task.status != *before;
                let is_present = *moved || at.elapsed() >= LAG;
                let done = |runs| Phase::Done {
                    runs,
                    by: Some(how.clone()),
                };
                self.phase = match &task.status {
                    TaskStatus::Running if is_present => {
                        info!("task {}: it runs", task.name);
                        done(true)
                    }
                    TaskStatus::Stopped if is_present && plan::has_finished(task) => {
                        info!("task {}: it has finished", task.name);
                        done(false)
                    }
                    TaskStatus::Stopped
                    | TaskStatus::Failed
                    | TaskStatus::FailedMove
                    | TaskStatus::Ready
                        if is_present =>
                    {
                        Phase::Failed(format!("it was started, and {}", hints::state(task)))
                    }
                    TaskStatus::Deleting => Phase::Failed("it is being deleted".to_owned()),
                    _ => return,
                };
            }
            Phase::Due { .. } | Phase::Done { .. } | Phase::Failed(_) => {}
        }
    }

    /// Asks DMS to start the task, if that is due. The task, if DMS says that its connections aren't tested.
    pub(crate) async fn start<T: Tasks>(&mut self, dms: &T) -> Option<Task> {
        let Phase::Due {
            how,
            refusals,
            other_tried,
            ..
        } = self.phase.clone()
        else {
            return None;
        };
        let task = &self.it.task;
        let mut untested = None;
        self.phase = match dms.start(&task.arn, &how).await {
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
                Phase::Started {
                    how,
                    at: Instant::now(),
                    before: task.status.clone(),
                    moved: false,
                }
            }
            Err(TasksError::WrongStart(message))
                if !other_tried && !matches!(how, Start::At(_)) =>
            {
                info!(
                    "task {}: DMS wants the other way to start: {message}",
                    task.name
                );
                let how = if how == Start::Resume {
                    Start::First
                } else {
                    Start::Resume
                };
                Phase::Due {
                    how,
                    not_before: Instant::now(),
                    refusals,
                    other_tried: true,
                }
            }
            Err(TasksError::InvalidState(message)) => {
                info!("task {}: DMS does not start it now: {message}", task.name);
                untested = message.contains("Test connection").then(|| task.clone());
                let not_before = Instant::now() + patience(refusals);
                Phase::Due {
                    how,
                    not_before,
                    refusals: refusals + 1,
                    other_tried,
                }
            }
            Err(error) => Phase::Failed(hints::with_hint(&format!(
                "{:#}",
                anyhow::Error::new(error)
            ))),
        };
        untested
    }
}

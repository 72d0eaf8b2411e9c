//! One task on its way to run.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::patience;
use crate::hints;
use crate::observe::{Predecessor, StackTask};
use crate::plan::{self, LAG, Moment, Occasion, Run};
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
        /// What DMS said when it last refused.
        refused: Option<String>,
        other_tried: bool,
    },
    /// DMS has taken the start.
    Started { how: Start, at: Instant, moved: bool },
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
        Self { it, phase: Phase::Deciding }
    }

    pub(crate) fn is_pending(&self) -> bool {
        !matches!(self.phase, Phase::Done { .. } | Phase::Failed(_))
    }

    /// Whether it is to be started now.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self.phase, Phase::Due { not_before, .. } if Instant::now() >= not_before)
            && self.it.task.status.rests()
    }

    /// Gives up: the time is over.
    pub(crate) fn give_up(&mut self, waited: Duration) {
        let mut state = hints::state(&self.it.task);
        if let Phase::Due { refused: Some(said), .. } = &self.phase {
            state = format!("{state}, and DMS does not start it: {}", hints::with_hint(said));
        }
        self.phase = Phase::Failed(format!("{state} after {} s of waiting", waited.as_secs()));
    }

    /// Takes note of the task's present state.
    pub(crate) fn advance(
        &mut self,
        occasion: Occasion,
        predecessors: &HashMap<String, Predecessor>,
        moment: Moment,
    ) {
        let task = &self.it.task;
        match &mut self.phase {
            Phase::Deciding => {
                let predecessor = predecessors.get(&self.it.logical_id);
                let decision = plan::run(&self.it, occasion, predecessor, moment);
                self.phase = match &decision {
                    Run::Wait(_) => {
                        if moment.watched.is_zero() {
                            info!("task {} is {}: {decision}", task.name, task.status);
                        }
                        return;
                    }
                    Run::Runs => Phase::Done { runs: true, by: None },
                    Run::Start(how, _) => Phase::Due {
                        how: how.clone(),
                        not_before: Instant::now(),
                        refusals: 0,
                        refused: None,
                        other_tried: false,
                    },
                    Run::Leave(_) => Phase::Done { runs: false, by: None },
                    Run::Fail(why) => Phase::Failed((*why).to_owned()),
                };
                match (&decision, &task.status) {
                    (Run::Leave(_), TaskStatus::Failed | TaskStatus::FailedMove) => {
                        warn!("task {}: {decision}; {}", task.name, hints::state(task));
                    }
                    (Run::Leave(_), TaskStatus::Stopped) if plan::stopped_by_itself(task) => {
                        warn!("task {}: {decision}; {}", task.name, hints::state(task));
                    }
                    _ => info!("task {} is {}: {decision}", task.name, task.status),
                }
            }
            Phase::Started { how, at, moved } => {
                // What it was before the start may be read for a while after it, a modification included.
                *moved |= matches!(task.status, TaskStatus::Starting | TaskStatus::Running);
                let is_present = *moved || at.elapsed() >= LAG;
                let done = |runs| Phase::Done { runs, by: Some(how.clone()) };
                self.phase = match &task.status {
                    TaskStatus::Running if is_present => {
                        info!("task {}: it runs", task.name);
                        done(true)
                    }
                    TaskStatus::Stopped if is_present && plan::has_finished(task) => {
                        info!("task {}: it has finished", task.name);
                        done(false)
                    }
                    TaskStatus::Stopped | TaskStatus::Failed | TaskStatus::FailedMove | TaskStatus::Ready
                        if is_present =>
                    {
                        Phase::Failed(format!("it was started, and {}", hints::state(task)))
                    }
                    TaskStatus::Deleting => Phase::Failed("it is being deleted".to_owned()),
                    _ => return,
                };
            }
            Phase::Due { .. } => match task.status {
                TaskStatus::Running => {
                    info!("task {}: it runs; somebody else has started it", task.name);
                    self.phase = Phase::Done { runs: true, by: None };
                }
                TaskStatus::Deleting => {
                    self.phase = Phase::Failed("it is being deleted".to_owned());
                }
                _ => {}
            },
            Phase::Done { .. } | Phase::Failed(_) => {}
        }
    }

    /// Asks DMS to start the task, if that is due. The task, if DMS says that its connections aren't tested.
    pub(crate) async fn start<T: Tasks>(&mut self, dms: &T) -> Option<Task> {
        let Phase::Due { how, refusals, refused, other_tried, .. } = self.phase.clone() else {
            return None;
        };
        let task = &self.it.task;
        let mut untested = None;
        self.phase = match dms.start(&task.arn, &how).await {
            Ok(()) => {
                info!("task {}: {}", task.name, if how == Start::Resume { "resuming" } else { "starting" });
                Phase::Started { how, at: Instant::now(), moved: false }
            }
            Err(TasksError::WrongStart(message)) => match other_way(&how, task) {
                Some(other) if !other_tried => {
                    info!("task {}: DMS wants the other way to start: {message}", task.name);
                    Phase::Due {
                        how: other,
                        not_before: Instant::now(),
                        refusals,
                        refused,
                        other_tried: true,
                    }
                }
                _ => Phase::Failed(hints::with_hint(&message)),
            },
            Err(TasksError::InvalidState(message)) => {
                info!("task {}: DMS does not start it now: {message}", task.name);
                untested = message.contains("Test connection").then(|| task.clone());
                let not_before = Instant::now() + patience(refusals);
                Phase::Due { how, not_before, refusals: refusals + 1, refused: Some(message), other_tried }
            }
            Err(error) => Phase::Failed(hints::with_hint(&format!("{:#}", anyhow::Error::new(error)))),
        };
        untested
    }
}

/// The other start type: a task that has a position keeps it.
fn other_way(how: &Start, task: &Task) -> Option<Start> {
    match how {
        Start::First => Some(Start::Resume),
        // Where a task that replaces another resumes, if it ran without coming up, nobody can tell.
        Start::At(_) => None,
        Start::Resume => Some(task.checkpoint.clone().map_or(Start::First, Start::At)),
    }
}

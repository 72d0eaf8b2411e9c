//! What to do about a task, given its state: pure and total functions. [`Display`](std::fmt::Display) is what the log says
//! before anything is done.

use std::fmt;

use crate::observe::{Predecessor, StackTask};
use crate::task::{MigrationType, Task, TaskStatus};
use crate::tasks::Start;

/// What it takes until a task can be modified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pause {
    /// It runs: stop it.
    Stop,
    /// It is on its way to somewhere: see where.
    Wait,
    /// It rests, or goes: it can be modified as it is.
    Rests,
}

/// Decides how a task comes to rest.
pub fn pause(status: &TaskStatus) -> Pause {
    match status {
        TaskStatus::Running => Pause::Stop,
        TaskStatus::Ready
        | TaskStatus::Stopped
        | TaskStatus::Failed
        | TaskStatus::FailedMove
        | TaskStatus::Deleting => Pause::Rests,
        // A task that is starting can't be stopped before it runs.
        TaskStatus::Starting
        | TaskStatus::Stopping
        | TaskStatus::Creating
        | TaskStatus::Modifying
        | TaskStatus::Testing
        | TaskStatus::Moving
        | TaskStatus::Unknown(_) => Pause::Wait,
    }
}

/// On what occasion tasks are to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occasion {
    /// A deployment, at its end.
    Deployment,
    /// A deployment that is being undone.
    Rollback,
    /// A deployment has ended in any way, and what it paused has to run.
    Healing,
}

/// What it takes until a task runs again, with the cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Run {
    /// It runs.
    Runs,
    /// Start it.
    Start(Start, &'static str),
    /// It is on its way to somewhere: see where.
    Wait,
    /// It is none of ours.
    Leave(&'static str),
    /// It can't run.
    Fail(&'static str),
}

/// Decides how a task comes to run. `predecessor` is the task that it replaced in this deployment, if it did.
pub fn run(it: &StackTask, occasion: Occasion, predecessor: Option<&Predecessor>) -> Run {
    match &it.task.status {
        TaskStatus::Running => Run::Runs,
        TaskStatus::Ready if occasion == Occasion::Healing => {
            Run::Leave("it has never run, and nobody paused it")
        }
        TaskStatus::Ready => first_start(&it.task, predecessor),
        TaskStatus::Stopped if has_finished(&it.task) => Run::Leave("it has finished"),
        TaskStatus::Stopped if it.marked => Run::Start(Start::Resume, "a deployment paused it"),
        TaskStatus::Stopped => Run::Leave("somebody else stopped it"),
        TaskStatus::Failed | TaskStatus::FailedMove if it.marked => Run::Start(
            Start::Resume,
            "a deployment paused it, and its last run failed",
        ),
        // Nobody stops a task into this state: the stream is dead without anybody having wanted it.
        TaskStatus::Failed | TaskStatus::FailedMove if occasion == Occasion::Deployment => {
            Run::Start(Start::Resume, "its last run failed; nobody stopped it")
        }
        TaskStatus::Failed | TaskStatus::FailedMove => {
            Run::Leave("it had failed before this deployment")
        }
        TaskStatus::Stopping if !it.marked => Run::Leave("somebody else is stopping it"),
        TaskStatus::Deleting => Run::Fail("it is being deleted"),
        TaskStatus::Starting
        | TaskStatus::Stopping
        | TaskStatus::Creating
        | TaskStatus::Modifying
        | TaskStatus::Testing
        | TaskStatus::Moving
        | TaskStatus::Unknown(_) => Run::Wait,
    }
}

/// How a task that never ran begins: where the one it replaces ended, if there is one.
fn first_start(task: &Task, predecessor: Option<&Predecessor>) -> Run {
    let old = match predecessor {
        None => return Run::Start(Start::First, "it has never run"),
        Some(_) if task.migration_type != MigrationType::Cdc => {
            return Run::Start(
                Start::First,
                "it replaces a task, and as it isn't CDC-only it loads everything again",
            );
        }
        Some(Predecessor::Untold) => return Run::Fail(UNTOLD),
        Some(Predecessor::Gone) => return Run::Fail(NO_CHECKPOINT),
        Some(Predecessor::Found(old)) => old,
    };
    match (&old.checkpoint, &old.status) {
        (Some(checkpoint), _) => Run::Start(
            Start::At(checkpoint.clone()),
            "it replaces a task and begins at its checkpoint",
        ),
        (None, TaskStatus::Ready) => Run::Start(Start::First, "it replaces a task that never ran"),
        _ => Run::Fail(NO_CHECKPOINT),
    }
}

const NO_CHECKPOINT: &str = "it replaces a task whose checkpoint can't be read, and a start from now would lose what came \
                             between: deploy with --disable-rollback, start it yourself with a CdcStartPosition (aws dms \
                             start-replication-task), and deploy again";

const UNTOLD: &str = "it was updated without a change set and has never run, so it may replace a task, and a start from \
                      now would lose what came between: deploy it through a change set (aws cloudformation deploy)";

/// Whether a stopped task has done all it was to do.
pub fn has_finished(task: &Task) -> bool {
    const FINISHED: [&str; 4] = [
        "FULL_LOAD_ONLY_FINISHED",
        "STOPPED_AFTER_FULL_LOAD",
        "STOPPED_AFTER_CACHED_EVENTS",
        "STOPPED_AT_",
    ];
    let reason = task.stop_reason.as_deref().unwrap_or_default();
    FINISHED.iter().any(|finished| reason.contains(finished))
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("runs"),
            Self::Start(Start::Resume, why) => write!(f, "resume: {why}"),
            Self::Start(Start::First | Start::At(_), why) => write!(f, "start: {why}"),
            Self::Wait => f.write_str("wait: it is in transit"),
            Self::Leave(why) => write!(f, "leave: {why}"),
            Self::Fail(why) => f.write_str(why),
        }
    }
}

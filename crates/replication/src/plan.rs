//! What to do about a task, given its state: pure and total functions. [`Display`](std::fmt::Display) is what the log says
//! before anything is done. `docs/decisions.md` is the table of them all.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::observe::{Predecessor, StackTask};
use crate::task::{MigrationType, Task, TaskStatus};
use crate::tasks::Start;

/// For how long after a start or a stop DMS may still report the status before it.
pub const LAG: Duration = Duration::from_secs(30);

/// When a decision is made.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time, on DMS's clock as far as it is known.
    pub now: SystemTime,
    /// For how long the tasks have been watched until then.
    pub watched: Duration,
}

impl Moment {
    /// When tasks have just been read, at `now` on this machine's clock. DMS's may be ahead of it.
    pub fn first<'a>(tasks: impl IntoIterator<Item = &'a Task>, now: SystemTime) -> Self {
        let dates = tasks.into_iter().filter_map(|task| task.started_at.max(task.stopped_at));
        Self { now: dates.fold(now, SystemTime::max), watched: Duration::ZERO }
    }

    /// The moment `watched` after the first.
    #[must_use]
    pub fn after(self, watched: Duration) -> Self {
        Self { now: self.now + watched, watched }
    }
}

/// What it takes until a task can be modified, with the cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pause {
    /// It runs: stop it.
    Stop,
    /// It is on its way to somewhere: see where.
    Wait(&'static str),
    /// It can be modified as it is, or nobody is going to.
    Leave(&'static str),
}

/// Decides how a task comes to rest. `touched` is whether the deployment, or the deletion, concerns it; `contested` is
/// whether another call of DmsPost may be at work, and has decided to start it.
pub fn pause(task: &Task, touched: bool, contested: bool, moment: Moment) -> Pause {
    if !touched {
        return Pause::Leave("the deployment does not touch it");
    }
    match &task.status {
        TaskStatus::Running => Pause::Stop,
        status if status.rests() && has_just_started(task, moment.now) => Pause::Wait(JUST_STARTED),
        status if status.rests() && contested && moment.watched < LAG => Pause::Wait(CONTESTED),
        TaskStatus::Ready | TaskStatus::Stopped | TaskStatus::Failed | TaskStatus::FailedMove => {
            Pause::Leave("it rests")
        }
        TaskStatus::Deleting => Pause::Leave("it is being deleted"),
        TaskStatus::Starting => Pause::Wait("it can't be stopped before it runs"),
        TaskStatus::Stopping
        | TaskStatus::Creating
        | TaskStatus::Modifying
        | TaskStatus::Testing
        | TaskStatus::Moving
        | TaskStatus::Unknown(_) => Pause::Wait(IN_TRANSIT),
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
    Wait(&'static str),
    /// It is none of ours.
    Leave(&'static str),
    /// It can't run.
    Fail(&'static str),
}

/// Decides how a task comes to run. `predecessor` is the task that it replaced in this deployment, if it did.
pub fn run(it: &StackTask, occasion: Occasion, predecessor: Option<&Predecessor>, moment: Moment) -> Run {
    match &it.task.status {
        // Whoever paused it may have died before the stop, or right after it.
        TaskStatus::Running if it.mark.is_some() && moment.watched < LAG => {
            Run::Wait("it is marked as paused, so that a stop may be under way")
        }
        TaskStatus::Running => Run::Runs,
        status if status.rests() && has_just_started(&it.task, moment.now) => Run::Wait(JUST_STARTED),
        // DMS calls a task ready that was modified; one with the mark has run.
        TaskStatus::Ready | TaskStatus::Stopped if it.mark.is_some() && !has_finished(&it.task) => {
            Run::Start(Start::Resume, "a deployment paused it")
        }
        TaskStatus::Ready if occasion == Occasion::Healing => {
            Run::Leave("it has never run, and nobody paused it")
        }
        TaskStatus::Ready => first_start(&it.task, predecessor, moment),
        TaskStatus::Stopped if has_finished(&it.task) => Run::Leave("it has finished"),
        TaskStatus::Stopped if stopped_by_itself(&it.task) => {
            Run::Leave("it had stopped by itself before this deployment")
        }
        TaskStatus::Stopped => Run::Leave("somebody else stopped it"),
        TaskStatus::Failed | TaskStatus::FailedMove if it.mark.is_some() => {
            Run::Start(Start::Resume, "a deployment paused it, and its last run failed")
        }
        // Nobody stops a task into this state: the stream is dead without anybody having wanted it.
        TaskStatus::Failed | TaskStatus::FailedMove if occasion == Occasion::Deployment => {
            Run::Start(Start::Resume, "its last run failed; nobody stopped it")
        }
        TaskStatus::Failed | TaskStatus::FailedMove => Run::Leave("it had failed before this deployment"),
        TaskStatus::Stopping if it.mark.is_none() => Run::Leave("somebody else is stopping it"),
        TaskStatus::Deleting => Run::Fail("it is being deleted"),
        TaskStatus::Starting
        | TaskStatus::Stopping
        | TaskStatus::Creating
        | TaskStatus::Modifying
        | TaskStatus::Testing
        | TaskStatus::Moving
        | TaskStatus::Unknown(_) => Run::Wait(IN_TRANSIT),
    }
}

/// How a task that never ran begins: where the one it replaces ended, if there is one.
fn first_start(task: &Task, predecessor: Option<&Predecessor>, moment: Moment) -> Run {
    let old = match predecessor {
        None => return Run::Start(Start::First, "it has never run"),
        Some(Predecessor::Found(old)) if works(old) || has_just_started(old, moment.now) => {
            return Run::Fail(OLD_WORKS);
        }
        Some(_) if task.migration_type != MigrationType::Cdc => {
            return Run::Start(
                Start::First,
                "it replaces a task, and as it isn't CDC-only it loads everything again",
            );
        }
        Some(Predecessor::Untold) => return Run::Fail(UNTOLD),
        Some(Predecessor::Earlier) => return Run::Fail(EARLIER),
        Some(Predecessor::Gone) => return Run::Fail(NO_CHECKPOINT),
        Some(Predecessor::Found(old)) => old,
    };
    match (&old.checkpoint, &old.status) {
        (Some(checkpoint), _) => {
            Run::Start(Start::At(checkpoint.clone()), "it replaces a task and begins at its checkpoint")
        }
        (None, TaskStatus::Ready) => Run::Start(Start::First, "it replaces a task that never ran"),
        _ => Run::Fail(NO_CHECKPOINT),
    }
}

/// Whether a task has its endpoints in use.
fn works(task: &Task) -> bool {
    matches!(task.status, TaskStatus::Starting | TaskStatus::Running | TaskStatus::Stopping)
}

/// Whether a status at rest may be the one from before a start. DMS tells when it last started and stopped a task, where
/// it does, at once.
fn has_just_started(task: &Task, now: SystemTime) -> bool {
    task.started_at.is_some_and(|started| task.stopped_at < Some(started) && now < started + LAG)
}

const CONTESTED: &str = "it rests, but DmsPost may be about to start it";

const IN_TRANSIT: &str = "it is in transit";

const JUST_STARTED: &str = "it was started a moment ago, so that this may be an old status";

const OLD_WORKS: &str = "it replaces a task that somebody has started again, and two would write to the same stream: deploy \
                         again";

const NO_CHECKPOINT: &str = "it replaces a task whose checkpoint can't be read, and a start from now would lose what came \
                             between: deploy with --disable-rollback, start it yourself with a CdcStartPosition (aws dms \
                             start-replication-task), and deploy again";

const EARLIER: &str = "it was updated and has never run, so a deployment that failed may have put it in the place of another \
                       task, and a start from now would lose what came between: roll the stack back (aws cloudformation \
                       rollback-stack), or start it yourself with a CdcStartPosition (aws dms start-replication-task), \
                       and deploy again";

const UNTOLD: &str = "it was updated without a change set and has never run, so it may replace a task, and a start from \
                      now would lose what came between: deploy it through a change set (aws cloudformation deploy)";

/// Whether a stopped task has done all it was to do.
pub fn has_finished(task: &Task) -> bool {
    const FINISHED: [&str; 4] =
        ["FULL_LOAD_ONLY_FINISHED", "STOPPED_AFTER_FULL_LOAD", "STOPPED_AFTER_CACHED_EVENTS", "STOPPED_AT_"];
    let reason = task.stop_reason.as_deref().unwrap_or_default();
    FINISHED.iter().any(|finished| reason.contains(finished))
}

/// Whether a stopped task was stopped by nobody, as far as DMS tells, before it had finished.
pub fn stopped_by_itself(task: &Task) -> bool {
    let reason = task.stop_reason.as_deref();
    reason.is_some_and(|reason| !reason.contains("NORMAL")) && !has_finished(task)
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Wait(why) => write!(f, "wait: {why}"),
            Self::Leave(why) => write!(f, "leave: {why}"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("runs"),
            Self::Start(Start::Resume, why) => write!(f, "resume: {why}"),
            Self::Start(Start::First | Start::At(_), why) => write!(f, "start: {why}"),
            Self::Wait(why) => write!(f, "wait: {why}"),
            Self::Leave(why) => write!(f, "leave: {why}"),
            Self::Fail(why) => write!(f, "fail: {why}"),
        }
    }
}

//! What to do about a task, given what is known of it: one pure and total function. [`Display`](std::fmt::Display) is what
//! the log says before anything is done, and `docs/decisions.md` is the table of it all.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::hints;
use crate::look::{Predecessor, Replacement, StackTask};
use crate::succession::Begin;
use crate::task::{State, Task};

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

/// What is wanted of a task.
#[derive(Clone, Debug)]
pub enum Aim {
    /// It is to rest, if something touches it.
    Rest {
        /// What touches it.
        touch: Option<String>,
        /// How the task begins that takes its place in this deployment, if one may.
        replacement: Option<Begin>,
        /// Another call of dms-post may be at work, and has decided to start it.
        contested: bool,
    },
    /// It is to run, unless somebody wants it to rest.
    Run {
        /// What for.
        occasion: Occasion,
        /// What tells that a deployment paused it.
        witness: Option<Witness>,
        /// In whose place it comes in this deployment, if in any.
        replacement: Option<Replacement>,
    },
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

/// What tells that a deployment paused a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Witness {
    /// The mark on it.
    Mark,
    /// DmsPre's revision.
    Revision,
    /// DMS's own dates: it stopped while dms-pre was at work.
    Dates,
}

/// How to start a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Start {
    /// `start-replication`: the first run of a task.
    First,
    /// `start-replication` from a position, as `CdcStartPosition` takes it.
    At(String),
    /// `resume-processing`: a further run, from the task's own checkpoint.
    Resume,
}

/// A call of ours to start or to stop the task, which may have gone through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    /// How long ago.
    pub ago: Duration,
    /// DMS has said that it takes it, or shows that it did. Otherwise the answer was lost.
    pub taken: bool,
    /// The task was at work since, so that what DMS reports is no old status.
    pub moved: bool,
}

/// What is to be done about a task, with the cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It runs: stop it.
    Stop,
    /// Start it.
    Start(Start, &'static str),
    /// It is on its way to somewhere: see where.
    Wait(&'static str),
    /// It runs, as it is to.
    Runs,
    /// It is to stay as it is.
    Leave(&'static str),
    /// It can't become what it is to be.
    Fail(Cow<'static, str>),
}

/// Decides about a task. `asked` is the last call of ours about it.
pub fn decide(it: &StackTask, aim: &Aim, asked: Option<Asked>, moment: Moment) -> Decision {
    match aim {
        Aim::Rest { touch: None, .. } => Decision::Leave("the deployment does not touch it"),
        // Before anything is stopped for a deployment that would lose rows.
        Aim::Rest { replacement: Some(Begin::Lost(why)), .. } => Decision::Fail(why.clone()),
        Aim::Rest { contested, .. } => rest(&it.task, *contested, asked, moment),
        Aim::Run { occasion, witness, replacement } => {
            // Each of the two may have a stop under way that it sent before the stack moved on.
            let is_disputed = it.marks.len() > 1 && moment.watched < LAG;
            let started = asked.and_then(|asked| started(&it.task, asked, is_disputed));
            started.unwrap_or_else(|| run(&it.task, *occasion, *witness, replacement.as_ref(), moment))
        }
    }
}

fn rest(task: &Task, contested: bool, asked: Option<Asked>, moment: Moment) -> Decision {
    match task.state {
        State::Running if asked.is_some_and(|asked| asked.taken && asked.ago < LAG) => {
            Decision::Wait("it was asked to stop a moment ago")
        }
        State::Running if has_just_stopped(task, moment.now) => Decision::Wait(JUST_STOPPED),
        State::Running => Decision::Stop,
        // What rests after our stop doesn't owe it to an old status.
        state if state.rests() && asked.is_some() => Decision::Leave(RESTS),
        state if state.rests() && has_just_started(task, moment.now) => Decision::Wait(JUST_STARTED),
        state if state.rests() && contested && moment.watched < LAG => {
            Decision::Wait("it rests, but dms-post may be about to start it")
        }
        State::Ready | State::Stopped | State::Failed => Decision::Leave(RESTS),
        State::Deleting => Decision::Leave("it is being deleted"),
        State::Starting => Decision::Wait("it can't be stopped before it runs"),
        State::Stopping | State::InTransit => Decision::Wait(IN_TRANSIT),
    }
}

/// What became of our start; `None` if nothing did.
fn started(task: &Task, asked: Asked, is_disputed: bool) -> Option<Decision> {
    let is_present = asked.moved || asked.taken && asked.ago >= LAG;
    match task.state {
        State::Running if is_disputed => {
            Some(Decision::Wait("two requests paused it, so that a stop of one may be under way"))
        }
        State::Stopped if is_disputed && asked.moved && !task.has_finished() => None,
        State::Running => Some(Decision::Runs),
        State::Deleting => Some(Decision::Fail(GOES.into())),
        State::Starting | State::Stopping | State::InTransit => Some(Decision::Wait(IN_TRANSIT)),
        _ if is_present && task.has_finished() => Some(Decision::Leave(FINISHED)),
        _ if is_present => Some(Decision::Fail(format!("it was started, and {}", hints::state(task)).into())),
        _ if asked.taken => Some(Decision::Wait("it was asked to start a moment ago")),
        _ => None,
    }
}

fn run(
    task: &Task,
    occasion: Occasion,
    witness: Option<Witness>,
    replacement: Option<&Replacement>,
    moment: Moment,
) -> Decision {
    let paused = witness.map(|witness| match witness {
        Witness::Mark => "a deployment paused it",
        Witness::Revision => "DmsPre paused it, and its mark is gone",
        Witness::Dates => "it stopped while a deployment paused what it touched, and it has no mark",
    });
    match (task.state, paused) {
        // Whoever paused it may have died before the stop, or right after it.
        (State::Running, Some(_)) if moment.watched < LAG => {
            Decision::Wait("a deployment paused it, so that a stop may be under way")
        }
        (State::Running, _) if has_just_stopped(task, moment.now) => Decision::Wait(JUST_STOPPED),
        (State::Running, _) => Decision::Runs,
        (state, _) if state.rests() && has_just_started(task, moment.now) => Decision::Wait(JUST_STARTED),
        (State::Stopped, _) if task.has_finished() => Decision::Leave(FINISHED),
        // DMS calls a task ready that was modified; one that was paused has run.
        (State::Ready | State::Stopped | State::Failed, Some(paused)) => {
            Decision::Start(Start::Resume, paused)
        }
        (State::Ready, None) if occasion == Occasion::Healing => {
            Decision::Leave("it has never run, and nobody paused it")
        }
        (State::Ready, None) => first_start(task, replacement, moment),
        (State::Stopped, None) if task.stopped_by_itself() => {
            Decision::Leave("it had stopped by itself before this deployment")
        }
        (State::Stopped, None) => Decision::Leave("somebody else stopped it"),
        // Nobody stops a task into this state: the stream is dead without anybody having wanted it.
        (State::Failed, None) if occasion == Occasion::Deployment => {
            Decision::Start(Start::Resume, "its last run failed; nobody stopped it")
        }
        (State::Failed, None) => Decision::Leave("it had failed before this deployment"),
        (State::Stopping, None) => Decision::Leave("somebody else is stopping it"),
        (State::Deleting, _) => Decision::Fail(GOES.into()),
        (State::Stopping, Some(_)) | (State::Starting | State::InTransit, _) => Decision::Wait(IN_TRANSIT),
    }
}

/// How a task that never ran begins: where the one it replaces ended, if there is one.
fn first_start(task: &Task, replacement: Option<&Replacement>, moment: Moment) -> Decision {
    let Some(Replacement { old, new }) = replacement else {
        return Decision::Start(Start::First, "it has never run");
    };
    let begin = match old {
        // It was read at the first moment, and not since: what may have been an old status then says nothing later.
        Predecessor::Found(old)
            if old.state.works() || has_just_started(old, moment.now - moment.watched) =>
        {
            return Decision::Fail(OLD_WORKS.into());
        }
        Predecessor::Found(old) => new.begins(Some(old)),
        Predecessor::Gone => new.begins(None),
        Predecessor::Untold | Predecessor::Earlier if new.loads() => Begin::Anew,
        Predecessor::Untold => return Decision::Fail(UNTOLD.into()),
        Predecessor::Earlier => return Decision::Fail(EARLIER.into()),
    };
    match (begin, &task.own_position) {
        (Begin::Anew, _) => {
            let why = "it replaces a task, and as it isn't CDC-only it loads everything again";
            Decision::Start(Start::First, why)
        }
        (Begin::AtItsOwn, Some(position)) => Decision::Start(
            Start::At(position.clone()),
            "it begins at the position that this deployment gives it",
        ),
        (Begin::AtItsOwn, None) => {
            Decision::Start(Start::First, "it begins at the time that this deployment gives it")
        }
        (Begin::First, _) => Decision::Start(Start::First, "it replaces a task that never ran"),
        (Begin::AtCheckpoint(Some(checkpoint)), _) => {
            Decision::Start(Start::At(checkpoint), "it replaces a task and begins at its checkpoint")
        }
        (Begin::AtCheckpoint(None) | Begin::Untold, _) => Decision::Fail(OLD_IN_TRANSIT.into()),
        (Begin::Lost(why), _) => Decision::Fail(why),
    }
}

/// Whether a status at rest may be the one from before a start. DMS tells when it last started and stopped a task, where
/// it does, at once.
fn has_just_started(task: &Task, now: SystemTime) -> bool {
    task.started_at.is_some_and(|started| task.stopped_at < Some(started) && now < started + LAG)
}

/// Whether `running` may be the status from before a stop. Where DMS tells when it last stopped a task, it does so at once.
fn has_just_stopped(task: &Task, now: SystemTime) -> bool {
    task.stopped_at.is_some_and(|stopped| task.started_at < Some(stopped) && now < stopped + LAG)
}

const RESTS: &str = "it rests";

const FINISHED: &str = "it has finished";

const GOES: &str = "it is being deleted";

const IN_TRANSIT: &str = "it is in transit";

const JUST_STARTED: &str = "it was started a moment ago, so that this may be an old status";

const JUST_STOPPED: &str = "it was stopped a moment ago, so that this may be an old status";

const OLD_WORKS: &str = "it replaces a task that somebody has started again, and two would write to the same stream: deploy \
                         again";

const OLD_IN_TRANSIT: &str = "it replaces a task that is on its way to somewhere, whose checkpoint can't be read yet: deploy \
                              again";

const EARLIER: &str = "it was updated and has never run, so a deployment that failed may have put it in the place of another \
                       task, and a start from now would lose what came between: roll the stack back (aws cloudformation \
                       rollback-stack), or start it yourself with a CdcStartPosition (aws dms start-replication-task), \
                       and deploy again";

const UNTOLD: &str = "it was updated without a change set and has never run, so it may replace a task, and a start from \
                      now would lose what came between: deploy it through a change set (aws cloudformation deploy)";

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Start(Start::Resume, why) => write!(f, "resume: {why}"),
            Self::Start(Start::First | Start::At(_), why) => write!(f, "start: {why}"),
            Self::Wait(why) => write!(f, "wait: {why}"),
            Self::Runs => f.write_str("runs"),
            Self::Leave(why) => write!(f, "leave: {why}"),
            Self::Fail(why) => write!(f, "fail: {why}"),
        }
    }
}

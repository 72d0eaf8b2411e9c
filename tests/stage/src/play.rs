//! A stack's whole life, act by act, in the local cloud, with the templates and the binaries that ship. The demo shows it;
//! the lifecycle test demands it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;

use crate::cloud::Cloud;
use crate::cloud::stacks::Sight;
use crate::dms::{Dms, TaskStatus};
use crate::traffic::count::Count;
use crate::traffic::subscriber::Sighting;
use crate::traffic::writer::Written;

mod rows;
mod scenes;

pub use scenes::{Play, architecture, mappings};

/// What somebody who watches is told.
#[derive(Debug)]
pub enum Line {
    /// An act begins.
    Act(usize, &'static str),
    /// Something happened in the cloud.
    Sight(Sight),
    /// Something that the play itself did or saw.
    Note(String),
    /// Something that a command said: which, and the words.
    Said(&'static str, String),
    /// What the stream carried, however the play ended.
    Carried {
        /// Where its tasks were.
        dms: Dms,
        /// What was written.
        written: Vec<Written>,
        /// What came out.
        seen: Vec<Sighting>,
    },
}

/// An act that is over.
#[derive(Clone, Debug)]
pub struct Act {
    /// What it was about.
    pub title: &'static str,
    /// The status in which the stack ended.
    pub ended: String,
    /// How long the operation took.
    pub took: Duration,
    /// How often and for how long the task rested in it.
    pub rests: Vec<Duration>,
    /// The task's status at its end; none before it exists and after it is gone.
    pub task: Option<TaskStatus>,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rests: Vec<String> =
            self.rests.iter().map(|rest| format!("{:.1} s", rest.as_secs_f64())).collect();
        let task = match &self.task {
            None => "-".to_owned(),
            Some(status) if rests.is_empty() => format!("not paused, {status}"),
            Some(status) => format!("paused {}, then {status}", rests.join(" and ")),
        };
        write!(f, "{:<46} {:<26} {:>5.1} s   {task}", self.title, self.ended, self.took.as_secs_f64())
    }
}

/// A play that is over.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its acts.
    pub acts: Vec<Act>,
    /// What became of the rows that were written meanwhile.
    pub count: Count,
}

/// Performs the play. What happens goes to `tell`, as it happens.
///
/// # Errors
/// If anything comes out differently than Sluice promises; it says what, and in which act.
pub async fn perform(tell: &mut dyn FnMut(Line)) -> anyhow::Result<Played> {
    let mut play = Play::new(Cloud::start().await?).await?;
    let acts = perform_acts(&mut play, tell).await;
    tell(play.carried());
    let acts = acts?;
    let violations = play.cloud.dms.violations();
    ensure!(violations.is_empty(), "something was done to DMS that must not be: {violations:?}");
    let count = play.counted.context("nothing was counted")?;
    Ok(Played { acts, count })
}

async fn perform_acts(play: &mut Play, tell: &mut dyn FnMut(Line)) -> anyhow::Result<Vec<Act>> {
    let mut acts = Vec::new();
    for (number, (title, scene)) in SCENES.iter().enumerate() {
        tell(Line::Act(number + 1, title));
        let began = Instant::now();
        let seen = play.statuses().len();
        let ended = match scene {
            Scene::Handlers => play.handlers(tell).await,
            Scene::Database => play.database(tell).await,
            Scene::DbInit => play.db_init(tell).await,
            Scene::Stream => play.stream(tell).await,
            Scene::Examples => play.examples(tell).await,
            Scene::Rows => play.rows(tell).await,
            Scene::Mappings => play.mappings(tell).await,
            Scene::Retention => play.retention(tell).await,
            Scene::Replacement => play.replacement(tell).await,
            Scene::Failure => play.failure(tell).await,
            Scene::Count => play.count(tell).await,
            Scene::Deletion => play.deletion(tell).await,
        }
        .with_context(|| format!("act {}, {title}", number + 1))?;
        let rests = rests(&play.statuses()[seen..]);
        let task = play.task.as_ref().and_then(|task| play.cloud.dms.status(task));
        acts.push(Act { title, ended, took: began.elapsed(), rests, task });
        scene.check(acts.last().context("the act just played")?)?;
    }
    Ok(acts)
}

#[derive(Clone, Copy)]
enum Scene {
    Handlers,
    Database,
    DbInit,
    Stream,
    Examples,
    Rows,
    Mappings,
    Retention,
    Replacement,
    Failure,
    Count,
    Deletion,
}

const SCENES: [(&str, Scene); 12] = [
    ("deploy the handlers", Scene::Handlers),
    ("create the database stack", Scene::Database),
    ("deploy db-init: the database becomes ready", Scene::DbInit),
    ("create the stream stack", Scene::Stream),
    ("deploy the examples: a consumer, a row writer", Scene::Examples),
    ("write rows from now on", Scene::Rows),
    ("update: change the table mappings", Scene::Mappings),
    ("update: change nothing of DMS", Scene::Retention),
    ("update: replace an endpoint and the task", Scene::Replacement),
    ("update: a DMS change that fails, rolled back", Scene::Failure),
    ("count the rows", Scene::Count),
    ("delete the stacks", Scene::Deletion),
];

impl Scene {
    /// What Sluice promises of the act: how often the task pauses, and how it ends.
    fn check(self, act: &Act) -> anyhow::Result<()> {
        let (ended, pauses, task) = match self {
            Self::Handlers | Self::Database | Self::DbInit => ("CREATE_COMPLETE", 0, None),
            Self::Stream | Self::Examples => ("CREATE_COMPLETE", 0, Some(TaskStatus::Running)),
            Self::Rows | Self::Count => ("-", 0, Some(TaskStatus::Running)),
            Self::Mappings | Self::Replacement => ("UPDATE_COMPLETE", 1, Some(TaskStatus::Running)),
            Self::Retention => ("UPDATE_COMPLETE", 0, Some(TaskStatus::Running)),
            Self::Failure => ("UPDATE_ROLLBACK_COMPLETE", 1, Some(TaskStatus::Running)),
            Self::Deletion => ("DELETE_COMPLETE", 0, None),
        };
        ensure!(act.ended == ended, "{}: the stack ended in {}, not in {ended}", act.title, act.ended);
        ensure!(act.task == task, "{}: the task is {:?}, not {task:?}", act.title, act.task);
        ensure!(
            act.rests.len() == pauses,
            "{}: the task paused {} times, not {pauses}",
            act.title,
            act.rests.len()
        );
        Ok(())
    }
}

/// The stretches between the moment a task stopped and the moment it ran again.
fn rests(statuses: &[(Duration, TaskStatus)]) -> Vec<Duration> {
    let mut rests = Vec::new();
    let mut stopped = None;
    for (at, status) in statuses {
        match status {
            TaskStatus::Stopping => stopped = Some(*at),
            TaskStatus::Running => rests.extend(stopped.take().map(|since| *at - since)),
            _ => {}
        }
    }
    rests
}

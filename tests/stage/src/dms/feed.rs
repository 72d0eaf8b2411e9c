//! The engine that moves rows, where there is one: what it is told, and what it says.

use std::sync::{Arc as Shared, Mutex, Weak};

use super::{Arn, TaskStatus};
use serde_json::Value;
use tokio::time::Instant;

use super::Dms;
use super::model::Model;
use super::refusal::{Input, Refusal, text};
use super::task::{Phase, StartType};
use crate::replica::binlog::Position;
use crate::replica::{Job, Progress, Replica, Report};

/// An engine, and the way back to the model.
#[derive(Debug)]
pub(super) struct Feed {
    replica: Replica,
    model: Weak<Mutex<Model>>,
}

impl Dms {
    /// Lets all runs that begin from now on move rows: from MySQL and its kin, as the secret of the source says, to
    /// Kinesis. These are the URLs of Kinesis and of Secrets Manager.
    pub fn replicates(&self, kinesis: &str, secrets: &str) {
        self.model().replica =
            Some(Feed { replica: Replica::new(kinesis, secrets), model: Shared::downgrade(&self.model) });
    }
}

impl Model {
    /// Lets the run that has just begun move rows, if rows can be moved: it then goes on as the engine says.
    pub(super) fn feed(&mut self, now: Instant, arn: &Arn) {
        let Some(job) = self.job(arn) else { return };
        let (Some(feed), Some(task)) = (&mut self.replica, self.tasks.get_mut(arn)) else {
            return;
        };
        if let Some(run) = task.runs.last_mut() {
            run.ended = None;
        }
        task.life.turn(now, Phase::new(TaskStatus::Starting));
        let (model, number, of) = (feed.model.clone(), task.runs.len(), arn.clone());
        let tell = move |report| {
            if let Some(model) = model.upgrade() {
                model.lock().unwrap().reported(&of, number, report);
            }
        };
        feed.replica.begin(arn, job, tell);
    }

    /// Tells the engine to stop a run; whether it will say when it has.
    pub(super) fn stop_feed(&self, arn: &Arn) -> bool {
        let feed = self.replica.as_ref();
        feed.is_some_and(|feed| feed.replica.stop(arn))
    }

    /// Ends a run at once; where another one would have to begin.
    pub(super) fn abort_feed(&mut self, arn: &Arn) -> Option<String> {
        let progress = self.replica.as_mut()?.replica.abort(arn)?;
        Some(progress.checkpoint?.to_string())
    }

    /// What can't be read must not become "now".
    pub(super) fn check_position(&self, input: Input<'_>) -> Result<(), Refusal> {
        if self.replica.is_none() {
            return Ok(());
        }
        let why = if input.0.get("CdcStartTime").is_some_and(|it| !it.is_null()) {
            "CdcStartTime: the engine here finds no time in a log; give a CdcStartPosition".to_owned()
        } else if let Some(Err(why)) = input.text("CdcStartPosition").map(str::parse::<Position>) {
            format!("Invalid CdcStartPosition: {why}")
        } else {
            return Ok(());
        };
        Err(Refusal::bad_value(why))
    }

    fn job(&self, arn: &Arn) -> Option<Job> {
        self.replica.as_ref()?;
        let task = self.tasks.get(arn)?;
        let run = task.runs.last()?;
        let endpoint = |side: &str| {
            let arn = Arn::new(text(&task.document, side));
            let endpoint = self.endpoints.get(&arn)?;
            Some(Value::Object(endpoint.document.clone()))
        };
        // Where the log ends is for the engine to see.
        let from = run.from.as_ref().filter(|_| !run.from_now);
        let from = Progress {
            checkpoint: from.and_then(|from| from.parse().ok()),
            loaded: task.loaded && run.start_type == StartType::Resume,
        };
        Job::new(
            &Value::Object(task.document.clone()),
            &endpoint("SourceEndpointArn")?,
            &endpoint("TargetEndpointArn")?,
            from,
            task.runs.len() == 1,
            (self.pace.start, self.pace.stop),
        )
    }

    /// Takes down what a task's `number`th run has to say.
    fn reported(&mut self, arn: &Arn, number: usize, report: Report) {
        let now = Instant::now();
        let Ok(task) = self.task_mut(now, arn) else {
            return;
        };
        if task.runs.len() != number {
            return;
        }
        let mut checkpoint = |progress: Progress| {
            task.loaded = progress.loaded;
            let position = progress.checkpoint?;
            task.checkpoint(&position.to_string())
        };
        let phase = match report {
            Report::Runs(from) => {
                if let Some(run) = task.runs.last_mut() {
                    run.from = from.map(|from| from.to_string());
                }
                task.life.turn(now, Phase::new(TaskStatus::Running));
                return;
            }
            Report::Stopped(progress) => Phase::stopped("NORMAL", checkpoint(progress)),
            Report::Finished => Phase::stopped("FULL_LOAD_ONLY_FINISHED", None),
            Report::Failed(message, progress) => Phase::failed(&message, checkpoint(progress)),
        };
        task.life.turn(now, phase);
        task.run_ends(now);
    }
}

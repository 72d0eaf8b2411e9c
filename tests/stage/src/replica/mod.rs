//! The engine behind the stand-in for DMS: tasks that run move real rows, from a database's binary log to Kinesis.
//!
//! # Layout
//! - `binlog`: the log as transactions; `columns`: tables and values; `rules`: which tables a task takes; `statement`:
//!   what is done to tables; `records`: DMS's JSON
//! - `job`: what a task is to do, read from DMS's documents; `engine`: one run of it; `target`: what is put into Kinesis
//!
//! # Guarantees
//! - A checkpoint is never ahead of what Kinesis has taken: what is read again is written again, and nothing is lost.
//! - It lies before the last transaction written, so a task that resumes repeats that one, as DMS may.

pub mod binlog;
pub mod columns;
mod engine;
mod job;
pub mod records;
pub mod rules;
mod statement;
mod target;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::dms::Arn;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::service::Service;

use binlog::Position;
pub(crate) use job::Job;

/// How far a run has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Where another run would have to begin; none as long as nobody knows.
    pub(crate) checkpoint: Option<Position>,
    /// Whether all rows that were there before are written.
    pub(crate) loaded: bool,
}

/// What a run has to say.
#[derive(Debug)]
pub(crate) enum Report {
    /// It reads, from there on; none if it only loads.
    Runs(Option<Position>),
    /// It has stopped, as it was told to.
    Stopped(Progress),
    /// It has loaded all there was to load, and follows no log.
    Finished,
    /// It can't go on.
    Failed(String, Progress),
}

/// The tasks that move rows.
#[derive(Debug)]
pub(crate) struct Replica {
    services: Arc<Services>,
    runs: HashMap<Arn, Run>,
}

/// What tasks talk to besides the database.
#[derive(Debug)]
pub(crate) struct Services {
    kinesis: Service,
    secrets: Service,
}

#[derive(Debug)]
struct Run {
    stop: watch::Sender<bool>,
    progress: Arc<Mutex<Progress>>,
    task: AbortHandle,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replica {
    /// One whose tasks find these services at these URLs.
    pub(crate) fn new(kinesis: &str, secrets: &str) -> Self {
        Self {
            services: Arc::new(Services {
                kinesis: Service::kinesis(kinesis),
                secrets: Service::secrets_manager(secrets),
            }),
            runs: HashMap::new(),
        }
    }

    /// Begins a run. What it has to say goes to `tell`.
    pub(crate) fn begin(&mut self, task: &Arn, job: Job, tell: impl Fn(Report) + Send + Sync + 'static) {
        let (stop, told) = watch::channel(false);
        let progress = Arc::new(Mutex::new(job.from.clone()));
        let run = engine::run(job, Arc::clone(&self.services), told, Arc::clone(&progress), tell);
        let run = Run { stop, progress, task: tokio::spawn(run).abort_handle() };
        self.runs.insert(task.clone(), run);
    }

    /// Tells a run to stop, if there is one. It reports when it has.
    pub(crate) fn stop(&self, task: &Arn) -> bool {
        let run = self.runs.get(task);
        run.is_some_and(|run| run.stop.send(true).is_ok())
    }

    /// Ends a run at once, as a crash would; how far it had come.
    pub(crate) fn abort(&mut self, task: &Arn) -> Option<Progress> {
        let run = self.runs.remove(task)?;
        let progress = run.progress.lock().unwrap().clone();
        Some(progress)
    }
}

//! A stand-in for AWS DMS: one model of it, that refuses what DMS refuses, lags as DMS lags, and can be told to fail.
//!
//! [`Dms`] is the model. The SDK's client reaches it through [`aws`](crate::aws); [`DmsServer`] serves it alone over DMS's
//! own protocol. All ends in [`Dms::call`], so each rule has one place.
//!
//! # Layout
//! - `model`: what exists, and which operation does what; `tasks`, `endpoints`, `instances`, `tags`: the operations
//! - `status`: names and statuses; `task`: a task's phases and runs; `timeline`: states by the moment they begin, computed when they are asked for
//! - `listing`: filters and pages; `settings`: the JSON inside a task; `refusal`: errors and requests; `throttle`: too
//!   many of these
//! - `scene`: what there is when a test begins; `incidents`: what goes wrong in it; `history`: what is and what happened
//! - `server`: DMS's own protocol
//! - `feed`: the engine that moves rows, where there is one
//!
//! # What it does not do
//! By itself it moves no rows: a run begins at a position and leaves a checkpoint that has grown with time. With an engine
//! behind it ([`Dms::replicates`]) it does, and a task runs, stops and fails when the engine says so.

mod endpoints;
mod feed;
mod history;
mod incidents;
mod instances;
mod listing;
mod model;
mod pace;
mod refusal;
mod scene;
mod server;
mod settings;
mod status;
mod tags;
mod task;
mod tasks;
mod throttle;
mod timeline;

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

pub use history::{Entry, Event, PAUSE_MARK};
pub use pace::Pace;
pub use refusal::Refusal;
pub use scene::Wiring;
pub use server::DmsServer;
pub use status::{Arn, TaskStatus};
pub use task::{Run, StartType};
pub use throttle::Throttle;

use crate::aws::Clock;
use model::Model;

/// The stand-in. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Dms {
    model: Arc<Mutex<Model>>,
}

impl Dms {
    /// One with nothing in it.
    pub fn new(pace: Pace) -> Self {
        Self { model: Arc::new(Mutex::new(Model::new(pace))) }
    }

    /// The same, by a clock that shows the same time in every run.
    pub fn reproducible(pace: Pace) -> Self {
        let dms = Self::new(pace);
        dms.model().clock = Clock::fixed();
        dms
    }

    /// Calls an operation by its API name, with its input as JSON.
    pub fn call(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        self.model().call(operation, input)
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }
}

impl Default for Dms {
    fn default() -> Self {
        Self::new(Pace::default())
    }
}

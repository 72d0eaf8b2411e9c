//! The seam to DMS: what Sluice needs of it, and the ways in which it says no.

use std::collections::HashMap;
use std::future::Future;

use crate::task::{Arn, Task};

/// The key of the tag that says that Sluice, and nobody else, stopped a task. Its value is the CloudFormation request id
/// of the request that did.
pub const PAUSE_MARK: &str = "sluice:paused-by";

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

/// The state of the connection test between an endpoint and an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The endpoint.
    pub endpoint: Arn,
    /// The replication instance.
    pub instance: Arn,
    /// The test's status: `successful`, `testing`, `failed`, `deleting`, or a newer one.
    pub status: String,
    /// Why the test failed.
    pub last_failure: Option<String>,
}

/// Why DMS did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// There is no such task, endpoint or instance (`ResourceNotFoundFault`).
    #[error("{0}")]
    NotFound(String),
    /// Not in its present state (`InvalidResourceStateFault`).
    #[error("{0}")]
    InvalidState(String),
    /// The start type doesn't fit a task that has run, or that hasn't (`InvalidParameterCombinationException`).
    #[error("{0}")]
    WrongStart(String),
    /// Anything else: no permission, no connection.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// What Sluice asks of DMS. Implemented by [`Dms`](crate::dms::Dms) for the service.
pub trait Tasks: Send + Sync {
    /// Describes the tasks among `tasks` that exist; the others are left out, without an error.
    fn describe(&self, tasks: &[Arn]) -> impl Future<Output = Result<Vec<Task>, TasksError>> + Send;

    /// The pause marks: for each task that carries [`PAUSE_MARK`], the mark's value.
    fn marks(&self, tasks: &[Arn]) -> impl Future<Output = Result<HashMap<Arn, String>, TasksError>> + Send;

    /// Puts the pause mark on a task.
    fn mark(&self, task: &Arn, request_id: &str) -> impl Future<Output = Result<(), TasksError>> + Send;

    /// Takes the pause mark off a task; fine if it has none.
    fn unmark(&self, task: &Arn) -> impl Future<Output = Result<(), TasksError>> + Send;

    /// Asks for a task to be stopped; returns as soon as DMS has taken the request.
    fn stop(&self, task: &Arn) -> impl Future<Output = Result<(), TasksError>> + Send;

    /// Asks for a task to be started; returns as soon as DMS has taken the request.
    fn start(&self, task: &Arn, how: &Start) -> impl Future<Output = Result<(), TasksError>> + Send;

    /// Asks for the connection of an endpoint to be tested from an instance; returns as soon as the test has begun.
    fn test_connection(
        &self,
        endpoint: &Arn,
        instance: &Arn,
    ) -> impl Future<Output = Result<(), TasksError>> + Send;

    /// The connections of these endpoints that have been tested, from any instance.
    fn connections(
        &self,
        endpoints: &[Arn],
    ) -> impl Future<Output = Result<Vec<Connection>, TasksError>> + Send;
}

//! DMS itself, through the SDK, whose types end here.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_config::SdkConfig;
use aws_sdk_databasemigration::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_databasemigration::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_databasemigration::primitives::DateTime;
use aws_sdk_databasemigration::types::{self, Filter, StartReplicationTaskTypeValue, Tag};
use aws_sdk_databasemigration::{Client, config};

use tokio::time::sleep;

use crate::aws::words;
use crate::task::{Arn, MigrationType, Task, TaskStatus};
use crate::tasks::{Connection, PAUSE_MARK, Start, Tasks, TasksError};

/// How many ARNs one call is asked about: what DMS returns in a page.
const PAGE: usize = 100;

/// Before a call is made again that the SDK has given up.
const PAUSE: Duration = Duration::from_secs(1);

/// DMS in the account and region of the environment.
#[derive(Clone, Debug)]
pub struct Dms(Client);

impl Dms {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        // Without this the SDK doesn't retry, and so doesn't pause, when too many calls of a process were throttled.
        let unbounded = RetryPartition::custom("dms").token_bucket(TokenBucket::unlimited()).build();
        let config = config::Builder::from(config).retry_partition(unbounded);
        Self(Client::from_conf(config.build()))
    }
}

impl Tasks for Dms {
    async fn describe(&self, tasks: &[Arn]) -> Result<Vec<Task>, TasksError> {
        let mut found = Vec::new();
        for arns in tasks.chunks(PAGE) {
            let call = self
                .0
                .describe_replication_tasks()
                .filters(filter("replication-task-arn", arns)?)
                .without_settings(true);
            let pages = patiently(|| call.clone().into_paginator().send().try_collect()).await;
            let pages: Vec<_> = or_none(pages)?;
            let tasks = pages.into_iter().filter_map(|page| page.replication_tasks);
            found.extend(tasks.flatten().map(task));
        }
        Ok(found)
    }

    async fn marks(&self, tasks: &[Arn]) -> Result<HashMap<Arn, String>, TasksError> {
        let mut marks = HashMap::new();
        for arns in tasks.chunks(PAGE) {
            let arns = arns.iter().map(|arn| arn.as_str().to_owned()).collect();
            let call = self.0.list_tags_for_resource();
            let call = call.set_resource_arn_list(Some(arns));
            let answer = patiently(|| call.clone().send()).await?;
            for tag in answer.tag_list.unwrap_or_default() {
                if let (Some(PAUSE_MARK), Some(arn)) = (tag.key.as_deref(), tag.resource_arn) {
                    marks.insert(Arn::new(arn), tag.value.unwrap_or_default());
                }
            }
        }
        Ok(marks)
    }

    async fn mark(&self, task: &Arn, request_id: &str) -> Result<(), TasksError> {
        let tag = Tag::builder().key(PAUSE_MARK).value(request_id).build();
        let call = self.0.add_tags_to_resource().resource_arn(task.as_str()).tags(tag);
        patiently(|| call.clone().send()).await.map(drop)
    }

    async fn unmark(&self, task: &Arn) -> Result<(), TasksError> {
        let call = self.0.remove_tags_from_resource().resource_arn(task.as_str()).tag_keys(PAUSE_MARK);
        patiently(|| call.clone().send()).await.map(drop)
    }

    async fn stop(&self, task: &Arn) -> Result<(), TasksError> {
        let call = self.0.stop_replication_task().replication_task_arn(task.as_str());
        patiently(|| call.clone().send()).await.map(drop)
    }

    async fn start(&self, task: &Arn, how: &Start) -> Result<(), TasksError> {
        let (kind, position) = match how {
            Start::First => (StartReplicationTaskTypeValue::StartReplication, None),
            Start::At(position) => (StartReplicationTaskTypeValue::StartReplication, Some(position.clone())),
            Start::Resume => (StartReplicationTaskTypeValue::ResumeProcessing, None),
        };
        let call = self.0.start_replication_task().replication_task_arn(task.as_str());
        let call = call.start_replication_task_type(kind).set_cdc_start_position(position);
        patiently(|| call.clone().send()).await.map(drop)
    }

    async fn test_connection(&self, endpoint: &Arn, instance: &Arn) -> Result<(), TasksError> {
        let call = self.0.test_connection().endpoint_arn(endpoint.as_str());
        let call = call.replication_instance_arn(instance.as_str());
        patiently(|| call.clone().send()).await.map(drop)
    }

    async fn connections(&self, endpoints: &[Arn]) -> Result<Vec<Connection>, TasksError> {
        let mut found = Vec::new();
        for arns in endpoints.chunks(PAGE) {
            let call = self.0.describe_connections();
            let call = call.filters(filter("endpoint-arn", arns)?);
            let pages = patiently(|| call.clone().into_paginator().send().try_collect()).await;
            let pages: Vec<_> = or_none(pages)?;
            let connections = pages.into_iter().filter_map(|page| page.connections);
            found.extend(connections.flatten().map(connection));
        }
        Ok(found)
    }
}

/// Makes a call, again and again for as long as DMS throttles it: with hundreds of tasks that is how DMS sets the pace. The
/// deadline, under which all work is done, is the bound.
async fn patiently<T, E, R, F>(call: impl Fn() -> F) -> Result<T, TasksError>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    loop {
        match call().await {
            // The SDK has made some attempts already, with pauses between them.
            Err(error) if error.code().is_some_and(is_throttling) => sleep(PAUSE).await,
            done => return done.map_err(refusal),
        }
    }
}

/// Whether a refusal of this code is for having called too often.
fn is_throttling(code: &str) -> bool {
    code.contains("Throttl") || matches!(code, "RequestLimitExceeded" | "TooManyRequestsException")
}

/// What is found by a filter; one that matches nothing gets an error.
fn or_none<T>(found: Result<Vec<T>, TasksError>) -> Result<Vec<T>, TasksError> {
    match found {
        Err(TasksError::NotFound(_)) => Ok(Vec::new()),
        found => found,
    }
}

fn filter(name: &str, arns: &[Arn]) -> anyhow::Result<Filter> {
    let values = arns.iter().map(|arn| arn.as_str().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build().context("building a filter")
}

fn task(task: types::ReplicationTask) -> Task {
    let stats = task.replication_task_stats.as_ref();
    let moment = |date: Option<DateTime>| date.and_then(|date| SystemTime::try_from(date).ok());
    Task {
        started_at: moment(stats.and_then(|stats| stats.start_date).max(task.replication_task_start_date)),
        stopped_at: moment(stats.and_then(|stats| stats.stop_date)),
        arn: Arn::new(task.replication_task_arn.unwrap_or_default()),
        name: task.replication_task_identifier.unwrap_or_default(),
        status: TaskStatus::from(task.status.as_deref().unwrap_or_default()),
        migration_type: MigrationType::from(task.migration_type.as_ref().map_or("", |kind| kind.as_str())),
        source: Arn::new(task.source_endpoint_arn.unwrap_or_default()),
        target: Arn::new(task.target_endpoint_arn.unwrap_or_default()),
        instance: Arn::new(task.replication_instance_arn.unwrap_or_default()),
        stop_reason: said(task.stop_reason),
        last_failure: said(task.last_failure_message),
        checkpoint: said(task.recovery_checkpoint),
    }
}

fn connection(connection: types::Connection) -> Connection {
    Connection {
        endpoint: Arn::new(connection.endpoint_arn.unwrap_or_default()),
        instance: Arn::new(connection.replication_instance_arn.unwrap_or_default()),
        status: connection.status.unwrap_or_default(),
        last_failure: said(connection.last_failure_message),
    }
}

/// DMS leaves some fields out and some empty; both say nothing.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Sorts DMS's refusals by its error codes. Not all of them are in the SDK's models of the operations that send them.
fn refusal<E, R>(error: SdkError<E, R>) -> TasksError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let message = error.message().unwrap_or_default().to_owned();
    match error.code() {
        Some("ResourceNotFoundFault") => TasksError::NotFound(message),
        Some("InvalidResourceStateFault") => TasksError::InvalidState(message),
        Some("InvalidParameterCombinationException") => TasksError::WrongStart(message),
        _ => TasksError::Other(words(error)),
    }
}

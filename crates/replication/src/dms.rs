//! DMS through the SDK, whose types end here.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_config::SdkConfig;
use aws_sdk_databasemigration::config::http::HttpResponse;
use aws_sdk_databasemigration::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_databasemigration::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_databasemigration::types::{self, Filter, StartReplicationTaskTypeValue, Tag};
use aws_sdk_databasemigration::{Client, config};
use aws_types::sdk_config::SharedTimeSource;
use backon::{ConstantBuilder, Retryable};

use crate::aws::{self, is_throttling, moment, words};
use crate::decide::Start;
use crate::mark::Mark;
use crate::task::{Arn, MigrationType, Source, State, Task};

pub(crate) mod connections;

/// How many ARNs one call is asked about: what DMS returns in a page.
const PAGE: usize = 100;

/// DMS in the account and region of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Dms {
    reads: Client,
    /// What changes something goes by this.
    sends: Client,
    clock: SharedTimeSource,
}

/// What became of a call that changes something.
#[derive(Debug)]
pub(crate) enum Sent {
    /// DMS takes it.
    Taken,
    /// DMS has done nothing: there were too many calls.
    Throttled,
    /// The answer was lost, or DMS failed on the way: it may have gone through.
    Unsure(anyhow::Error),
    /// There is no such task, endpoint or instance (`ResourceNotFoundFault`).
    NotFound,
    /// Not in its present state (`InvalidResourceStateFault`).
    NotNow(String),
    /// The start type doesn't fit a task that has run, or that hasn't (`InvalidParameterCombinationException`).
    WrongStart(String),
    /// Never: no permission, a bad value.
    Denied(anyhow::Error),
}

/// The state of the connection test between an endpoint and an instance.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    endpoint: Arn,
    instance: Arn,
    /// The test's status: `successful`, `testing`, `failed`, `deleting`, or a newer one.
    status: String,
    /// Why the test failed.
    last_failure: Option<String>,
}

/// A mark's value. DMS takes letters, digits, spaces and `_.:/=+-` in it.
const WHOSE: &str = concat!("Sluice ", env!("CARGO_PKG_VERSION"), " until the task runs again");

impl Dms {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        // Without this the SDK doesn't retry, and so doesn't pause, when too many calls of a process were throttled.
        let unbounded = RetryPartition::custom("dms").token_bucket(TokenBucket::unlimited()).build();
        let reads = config::Builder::from(&aws::reading(config)).retry_partition(unbounded);
        Self {
            reads: Client::from_conf(reads.build()),
            sends: Client::new(&aws::changing(config)),
            clock: config.time_source().unwrap_or_default(),
        }
    }

    /// The time on this machine's clock.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Describes those of these tasks that exist.
    pub(crate) async fn describe(&self, tasks: &[Arn]) -> anyhow::Result<HashMap<Arn, Task>> {
        let mut found = HashMap::new();
        for arns in tasks.chunks(PAGE) {
            let call = self.reads.describe_replication_tasks();
            let call = call.filters(filter("replication-task-arn", arns)?).without_settings(true);
            let pages: Vec<_> = found_by(|| call.clone().into_paginator().send().try_collect()).await?;
            let tasks = pages.into_iter().filter_map(|page| page.replication_tasks).flatten().map(task);
            found.extend(tasks.map(|task| (task.arn.clone(), task)));
        }
        Ok(found)
    }

    /// The keys of the tags of those of these tasks that exist. DMS refuses to tell any if one is gone meanwhile.
    pub(crate) async fn tags(&self, tasks: &[Arn]) -> anyhow::Result<HashMap<Arn, Vec<String>>> {
        let mut tags: HashMap<Arn, Vec<String>> = HashMap::new();
        let mut parts: Vec<&[Arn]> = tasks.chunks(PAGE).collect();
        while let Some(part) = parts.pop() {
            let arns = part.iter().map(|arn| arn.as_str().to_owned()).collect();
            let call = self.reads.list_tags_for_resource().set_resource_arn_list(Some(arns));
            match patiently(|| call.clone().send()).await {
                Ok(answer) => {
                    for tag in answer.tag_list.unwrap_or_default() {
                        // A tag may come without an ARN where one task was asked about.
                        // (assumption: list-tags-by-arn-list)
                        let arn = tag.resource_arn.map(Arn::new).or_else(|| match part {
                            [one] => Some(one.clone()),
                            _ => None,
                        });
                        if let (Some(arn), Some(key)) = (arn, tag.key) {
                            tags.entry(arn).or_default().push(key);
                        }
                    }
                }
                Err(error) if error.code() == Some(NOT_FOUND) => {
                    if part.len() > 1 {
                        parts.extend(part.chunks(part.len().div_ceil(2)));
                    }
                }
                Err(error) => return Err(words(error)),
            }
        }
        Ok(tags)
    }

    /// Those of these source endpoints that exist.
    pub(crate) async fn sources(&self, endpoints: &[Arn]) -> anyhow::Result<HashMap<Arn, Source>> {
        let mut found = HashMap::new();
        for arns in endpoints.chunks(PAGE) {
            let call = self.reads.describe_endpoints().filters(filter("endpoint-arn", arns)?);
            let pages: Vec<_> = found_by(|| call.clone().into_paginator().send().try_collect()).await?;
            let endpoints = pages.into_iter().filter_map(|page| page.endpoints).flatten();
            found.extend(endpoints.filter_map(source));
        }
        Ok(found)
    }

    /// The connections of these endpoints that have been tested, from any instance.
    async fn connections(&self, endpoints: &[Arn]) -> anyhow::Result<Vec<Connection>> {
        let mut found = Vec::new();
        for arns in endpoints.chunks(PAGE) {
            let call = self.reads.describe_connections().filters(filter("endpoint-arn", arns)?);
            let pages: Vec<_> = found_by(|| call.clone().into_paginator().send().try_collect()).await?;
            let connections = pages.into_iter().filter_map(|page| page.connections);
            found.extend(connections.flatten().map(connection));
        }
        Ok(found)
    }

    /// Puts a mark on a task. Its value tells people whose it is, and of which version.
    /// (assumption: invocation-keeps-its-code)
    pub(crate) async fn mark(&self, task: &Arn, mark: &Mark) -> Sent {
        let tag = Tag::builder().key(mark.key()).value(WHOSE).build();
        sent(self.sends.add_tags_to_resource().resource_arn(task.as_str()).tags(tag).send().await)
    }

    /// Takes marks off a task; fine if they aren't there.
    pub(crate) async fn unmark(&self, task: &Arn, marks: &[Mark]) -> Sent {
        let keys = marks.iter().map(|mark| mark.key().to_owned()).collect();
        let call = self.sends.remove_tags_from_resource().resource_arn(task.as_str());
        sent(call.set_tag_keys(Some(keys)).send().await)
    }

    /// Asks for a task to be stopped.
    pub(crate) async fn stop(&self, task: &Arn) -> Sent {
        sent(self.sends.stop_replication_task().replication_task_arn(task.as_str()).send().await)
    }

    /// Asks for a task to be started.
    pub(crate) async fn start(&self, task: &Arn, how: &Start) -> Sent {
        let (kind, position) = match how {
            Start::First => (StartReplicationTaskTypeValue::StartReplication, None),
            Start::At(position) => (StartReplicationTaskTypeValue::StartReplication, Some(position.clone())),
            Start::Resume => (StartReplicationTaskTypeValue::ResumeProcessing, None),
        };
        let call = self.sends.start_replication_task().replication_task_arn(task.as_str());
        sent(call.start_replication_task_type(kind).set_cdc_start_position(position).send().await)
    }

    /// Asks for the connection of an endpoint to be tested from an instance.
    async fn test_connection(&self, endpoint: &Arn, instance: &Arn) -> Sent {
        let call = self.sends.test_connection().endpoint_arn(endpoint.as_str());
        sent(call.replication_instance_arn(instance.as_str()).send().await)
    }
}

const NOT_FOUND: &str = "ResourceNotFoundFault";

/// Makes a call that reads, again and again for as long as DMS throttles it. The deadline, under which all work is done, is
/// the bound.
async fn patiently<T, E, R, F>(call: impl Fn() -> F) -> Result<T, SdkError<E, R>>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata,
{
    // The SDK has made some attempts already, with pauses between them.
    let pauses = ConstantBuilder::default().with_delay(Duration::from_secs(1)).without_max_times();
    let throttled = |error: &SdkError<E, R>| error.code().is_some_and(is_throttling);
    call.retry(pauses).when(throttled).await
}

/// What a call finds by a filter. DMS answers one that matches nothing with an error.
async fn found_by<T, E, R, F>(call: impl Fn() -> F) -> anyhow::Result<Vec<T>>
where
    F: Future<Output = Result<Vec<T>, SdkError<E, R>>>,
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match patiently(call).await {
        Err(error) if error.code() == Some(NOT_FOUND) => Ok(Vec::new()),
        found => found.map_err(words),
    }
}

/// Sorts DMS's answers by its error codes. Not all of them are in the SDK's models of the operations that send them.
fn sent<T, E>(answer: Result<T, SdkError<E, HttpResponse>>) -> Sent
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Err(error) = answer else {
        return Sent::Taken;
    };
    let message = || error.message().unwrap_or_default().to_owned();
    match (&error, error.code()) {
        (_, Some(code)) if is_throttling(code) => Sent::Throttled,
        (SdkError::ServiceError(failure), _) if failure.raw().status().is_server_error() => {
            Sent::Unsure(words(error))
        }
        (_, Some(NOT_FOUND)) => Sent::NotFound,
        (_, Some("InvalidResourceStateFault")) => Sent::NotNow(message()),
        (_, Some("InvalidParameterCombinationException")) => Sent::WrongStart(message()),
        (SdkError::ServiceError(_) | SdkError::ConstructionFailure(_), _) => Sent::Denied(words(error)),
        _ => Sent::Unsure(words(error)),
    }
}

fn filter(name: &str, arns: &[Arn]) -> anyhow::Result<Filter> {
    let values = arns.iter().map(|arn| arn.as_str().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build().context("building a filter")
}

fn task(task: types::ReplicationTask) -> Task {
    let stats = task.replication_task_stats.as_ref();
    let status = task.status.unwrap_or_default();
    Task {
        started_at: moment(stats.and_then(|stats| stats.start_date).max(task.replication_task_start_date)),
        stopped_at: moment(stats.and_then(|stats| stats.stop_date)),
        arn: Arn::new(task.replication_task_arn.unwrap_or_default()),
        name: task.replication_task_identifier.unwrap_or_default(),
        state: State::of(&status),
        status,
        migration_type: MigrationType::from(task.migration_type.as_ref().map_or("", |kind| kind.as_str())),
        source: Arn::new(task.source_endpoint_arn.unwrap_or_default()),
        target: Arn::new(task.target_endpoint_arn.unwrap_or_default()),
        instance: Arn::new(task.replication_instance_arn.unwrap_or_default()),
        stop_reason: said(task.stop_reason),
        last_failure: said(task.last_failure_message),
        own_position: said(task.cdc_start_position),
        checkpoint: said(task.recovery_checkpoint),
    }
}

fn source(endpoint: types::Endpoint) -> Option<(Arn, Source)> {
    let slot = endpoint.postgre_sql_settings.and_then(|it| it.slot_name);
    let attributes = endpoint.extra_connection_attributes;
    let source = Source::new(&endpoint.engine_name?, slot.as_deref(), attributes.as_deref());
    Some((Arn::new(endpoint.endpoint_arn?), source))
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

//! The stand-in as what Sluice asks of DMS, without a network between.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use replication::task::{Arn, MigrationType, Task, TaskStatus};
use replication::tasks::{Connection, PAUSE_MARK, Start, Tasks, TasksError};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Dms;
use super::refusal::Refusal;

impl Tasks for Dms {
    async fn describe(&self, tasks: &[Arn]) -> Result<Vec<Task>, TasksError> {
        let found =
            self.described("DescribeReplicationTasks", "replication-task-arn", tasks, "ReplicationTasks");
        let found = found.await?;
        Ok(found.iter().map(task).collect())
    }

    async fn marks(&self, tasks: &[Arn]) -> Result<HashMap<Arn, String>, TasksError> {
        let mut marks = HashMap::new();
        for some in tasks.chunks(100) {
            let input = json!({ "ResourceArnList": texts(some) });
            let answer = self.sent("ListTagsForResource", &input).await?;
            let tags = answer["TagList"].as_array().into_iter().flatten();
            for tag in tags.filter(|tag| tag["Key"] == PAUSE_MARK) {
                marks.insert(arn(tag, "ResourceArn"), text(tag, "Value").unwrap_or_default());
            }
        }
        Ok(marks)
    }

    async fn mark(&self, task: &Arn, request_id: &str) -> Result<(), TasksError> {
        let tags = [json!({ "Key": PAUSE_MARK, "Value": request_id })];
        let input = json!({ "ResourceArn": task.as_str(), "Tags": tags });
        self.sent("AddTagsToResource", &input).await?;
        Ok(())
    }

    async fn unmark(&self, task: &Arn) -> Result<(), TasksError> {
        let input = json!({ "ResourceArn": task.as_str(), "TagKeys": [PAUSE_MARK] });
        self.sent("RemoveTagsFromResource", &input).await?;
        Ok(())
    }

    async fn stop(&self, task: &Arn) -> Result<(), TasksError> {
        let input = json!({ "ReplicationTaskArn": task.as_str() });
        self.sent("StopReplicationTask", &input).await?;
        Ok(())
    }

    async fn start(&self, task: &Arn, how: &Start) -> Result<(), TasksError> {
        let start_type = match how {
            Start::First | Start::At(_) => "start-replication",
            Start::Resume => "resume-processing",
        };
        let mut input =
            json!({ "ReplicationTaskArn": task.as_str(), "StartReplicationTaskType": start_type });
        if let Start::At(position) = how {
            input["CdcStartPosition"] = json!(position);
        }
        self.sent("StartReplicationTask", &input).await?;
        Ok(())
    }

    async fn test_connection(&self, endpoint: &Arn, instance: &Arn) -> Result<(), TasksError> {
        let input = json!({ "EndpointArn": endpoint.as_str(), "ReplicationInstanceArn": instance.as_str() });
        self.sent("TestConnection", &input).await?;
        Ok(())
    }

    async fn connections(&self, endpoints: &[Arn]) -> Result<Vec<Connection>, TasksError> {
        let found = self.described("DescribeConnections", "endpoint-arn", endpoints, "Connections");
        let found = found.await?;
        let connections = found.iter().map(|connection| Connection {
            endpoint: arn(connection, "EndpointArn"),
            instance: arn(connection, "ReplicationInstanceArn"),
            status: text(connection, "Status").unwrap_or_default(),
            last_failure: text(connection, "LastFailureMessage"),
        });
        Ok(connections.collect())
    }
}

impl Dms {
    /// A call as the SDK makes it for the handlers: up to eight attempts while DMS throttles, with growing pauses. Where it
    /// is but one call that a test makes fail, that stands for all of them.
    async fn sent(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        let attempts = if self.model().throttle.is_some() { 8 } else { 1 };
        for attempt in 1..attempts {
            match self.call(operation, input) {
                Err(refusal) if refusal == Refusal::throttled() => {
                    sleep(Duration::from_secs(8).min(Duration::from_secs(1 << attempt) / 2)).await;
                }
                answer => return answer,
            }
        }
        self.call(operation, input)
    }

    /// All pages of a Describe call for these ARNs; nothing for those that match nothing.
    async fn described(
        &self,
        operation: &str,
        filter: &str,
        arns: &[Arn],
        list: &str,
    ) -> Result<Vec<Value>, TasksError> {
        let mut found = Vec::new();
        for some in arns.chunks(100) {
            let mut input = json!({ "Filters": [{ "Name": filter, "Values": texts(some) }] });
            loop {
                let mut answer = match self.sent(operation, &input).await {
                    Err(refusal) if refusal.code == "ResourceNotFoundFault" => break,
                    answer => answer?,
                };
                if let Some(page) = answer[list].as_array_mut() {
                    found.append(page);
                }
                match answer.get("Marker") {
                    Some(marker) => input["Marker"] = marker.clone(),
                    None => break,
                }
            }
        }
        Ok(found)
    }
}

impl From<Refusal> for TasksError {
    fn from(refusal: Refusal) -> Self {
        match refusal.code.as_str() {
            "ResourceNotFoundFault" => Self::NotFound(refusal.message),
            "InvalidResourceStateFault" => Self::InvalidState(refusal.message),
            "InvalidParameterCombinationException" => Self::WrongStart(refusal.message),
            _ => Self::Other(anyhow!(refusal)),
        }
    }
}

fn task(document: &Value) -> Task {
    let stats = &document["ReplicationTaskStats"];
    Task {
        started_at: moment(&stats["StartDate"]).max(moment(&document["ReplicationTaskStartDate"])),
        stopped_at: moment(&stats["StopDate"]),
        arn: arn(document, "ReplicationTaskArn"),
        name: text(document, "ReplicationTaskIdentifier").unwrap_or_default(),
        status: TaskStatus::from(text(document, "Status").unwrap_or_default().as_str()),
        migration_type: MigrationType::from(text(document, "MigrationType").unwrap_or_default().as_str()),
        source: arn(document, "SourceEndpointArn"),
        target: arn(document, "TargetEndpointArn"),
        instance: arn(document, "ReplicationInstanceArn"),
        stop_reason: text(document, "StopReason"),
        last_failure: text(document, "LastFailureMessage"),
        checkpoint: text(document, "RecoveryCheckpoint"),
    }
}

/// Seconds since 1970, as a moment.
fn moment(date: &Value) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_secs_f64(date.as_f64()?))
}

fn arn(document: &Value, member: &str) -> Arn {
    Arn::new(text(document, member).unwrap_or_default())
}

fn text(document: &Value, member: &str) -> Option<String> {
    document.get(member).and_then(Value::as_str).map(str::to_owned)
}

fn texts(arns: &[Arn]) -> Vec<&str> {
    arns.iter().map(Arn::as_str).collect()
}

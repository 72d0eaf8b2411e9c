//! The stand-in as what Sluice asks of DMS, without a network between.

use std::collections::HashMap;

use anyhow::anyhow;
use replication::task::{Arn, MigrationType, Task, TaskStatus};
use replication::tasks::{Connection, PAUSE_MARK, Start, Tasks, TasksError};
use serde_json::{Value, json};

use super::Dms;
use super::refusal::Refusal;

impl Tasks for Dms {
    async fn describe(&self, tasks: &[Arn]) -> Result<Vec<Task>, TasksError> {
        let found = self.described(
            "DescribeReplicationTasks",
            "replication-task-arn",
            tasks,
            "ReplicationTasks",
        )?;
        Ok(found.iter().map(task).collect())
    }

    async fn marks(&self, tasks: &[Arn]) -> Result<HashMap<Arn, String>, TasksError> {
        let mut marks = HashMap::new();
        for some in tasks.chunks(100) {
            let answer = self.call(
                "ListTagsForResource",
                &json!({ "ResourceArnList": texts(some) }),
            )?;
            let tags = answer["TagList"].as_array().into_iter().flatten();
            for tag in tags.filter(|tag| tag["Key"] == PAUSE_MARK) {
                marks.insert(
                    arn(tag, "ResourceArn"),
                    text(tag, "Value").unwrap_or_default(),
                );
            }
        }
        Ok(marks)
    }

    async fn mark(&self, task: &Arn, request_id: &str) -> Result<(), TasksError> {
        let tags = [json!({ "Key": PAUSE_MARK, "Value": request_id })];
        self.call(
            "AddTagsToResource",
            &json!({ "ResourceArn": task.as_str(), "Tags": tags }),
        )?;
        Ok(())
    }

    async fn unmark(&self, task: &Arn) -> Result<(), TasksError> {
        let input = json!({ "ResourceArn": task.as_str(), "TagKeys": [PAUSE_MARK] });
        self.call("RemoveTagsFromResource", &input)?;
        Ok(())
    }

    async fn stop(&self, task: &Arn) -> Result<(), TasksError> {
        self.call(
            "StopReplicationTask",
            &json!({ "ReplicationTaskArn": task.as_str() }),
        )?;
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
        self.call("StartReplicationTask", &input)?;
        Ok(())
    }

    async fn test_connection(&self, endpoint: &Arn, instance: &Arn) -> Result<(), TasksError> {
        let input = json!({ "EndpointArn": endpoint.as_str(), "ReplicationInstanceArn": instance.as_str() });
        self.call("TestConnection", &input)?;
        Ok(())
    }

    async fn connections(&self, endpoints: &[Arn]) -> Result<Vec<Connection>, TasksError> {
        let found = self.described(
            "DescribeConnections",
            "endpoint-arn",
            endpoints,
            "Connections",
        )?;
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
    /// All pages of a Describe call for these ARNs; nothing for those that match nothing.
    fn described(
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
                let mut answer = match self.call(operation, &input) {
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
    Task {
        arn: arn(document, "ReplicationTaskArn"),
        name: text(document, "ReplicationTaskIdentifier").unwrap_or_default(),
        status: TaskStatus::from(text(document, "Status").unwrap_or_default().as_str()),
        migration_type: MigrationType::from(
            text(document, "MigrationType").unwrap_or_default().as_str(),
        ),
        source: arn(document, "SourceEndpointArn"),
        target: arn(document, "TargetEndpointArn"),
        instance: arn(document, "ReplicationInstanceArn"),
        stop_reason: text(document, "StopReason"),
        last_failure: text(document, "LastFailureMessage"),
        checkpoint: text(document, "RecoveryCheckpoint"),
    }
}

fn arn(document: &Value, member: &str) -> Arn {
    Arn::new(text(document, member).unwrap_or_default())
}

fn text(document: &Value, member: &str) -> Option<String> {
    document
        .get(member)
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn texts(arns: &[Arn]) -> Vec<&str> {
    arns.iter().map(Arn::as_str).collect()
}

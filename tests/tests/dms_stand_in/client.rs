//! What the tests ask of the stand-in, by the operations it has.

use serde_json::{Value, json};
use stage::dms::{Arn, Dms, Refusal, TaskStatus};

/// What an operation answers.
pub(super) type Answer = Result<Value, Refusal>;

/// The types of a start, as DMS spells them.
pub(super) const FIRST: &str = "start-replication";
pub(super) const RESUME: &str = "resume-processing";

/// A task as it is described.
pub(super) struct Seen {
    pub(super) status: TaskStatus,
    pub(super) stop_reason: Option<String>,
    pub(super) last_failure: Option<String>,
    pub(super) checkpoint: Option<String>,
}

/// A task as it is described now.
pub(super) fn seen(dms: &Dms, task: &Arn) -> Seen {
    let found = tasks(dms, std::slice::from_ref(task)).unwrap();
    let text = |name: &str| found[0][name].as_str().map(str::to_owned);
    Seen {
        status: TaskStatus::from(found[0]["Status"].as_str().unwrap()),
        stop_reason: text("StopReason"),
        last_failure: text("LastFailureMessage"),
        checkpoint: text("RecoveryCheckpoint"),
    }
}

/// When a task was first started, last started, and last stopped, in seconds.
pub(super) fn dates(dms: &Dms, task: &Arn) -> [Option<f64>; 3] {
    let found = tasks(dms, std::slice::from_ref(task)).unwrap();
    let stats = &found[0]["ReplicationTaskStats"];
    ["FreshStartDate", "StartDate", "StopDate"].map(|date| stats[date].as_f64())
}

/// The descriptions of tasks.
pub(super) fn tasks(dms: &Dms, arns: &[Arn]) -> Answer {
    found(dms, "DescribeReplicationTasks", "replication-task-arn", arns, "ReplicationTasks")
}

/// The connections of endpoints that were tested.
pub(super) fn connections(dms: &Dms, endpoints: &[Arn]) -> Answer {
    found(dms, "DescribeConnections", "endpoint-arn", endpoints, "Connections")
}

fn found(dms: &Dms, operation: &str, filter: &str, arns: &[Arn], list: &str) -> Answer {
    let arns: Vec<&str> = arns.iter().map(Arn::as_str).collect();
    let input = json!({ "Filters": [{ "Name": filter, "Values": arns }] });
    dms.call(operation, &input).map(|answer| answer[list].clone())
}

pub(super) fn stop(dms: &Dms, task: &Arn) -> Answer {
    dms.call("StopReplicationTask", &json!({ "ReplicationTaskArn": task.as_str() }))
}

pub(super) fn start(dms: &Dms, task: &Arn, how: &str) -> Answer {
    let input = json!({ "ReplicationTaskArn": task.as_str(), "StartReplicationTaskType": how });
    dms.call("StartReplicationTask", &input)
}

/// A first start from a position.
pub(super) fn start_at(dms: &Dms, task: &Arn, position: &str) -> Answer {
    let input = json!({
        "ReplicationTaskArn": task.as_str(), "StartReplicationTaskType": FIRST, "CdcStartPosition": position,
    });
    dms.call("StartReplicationTask", &input)
}

/// Changes a task's settings.
pub(super) fn modify(dms: &Dms, task: &Arn) -> Answer {
    let input = json!({ "ReplicationTaskArn": task.as_str(), "ReplicationTaskSettings": "{}" });
    dms.call("ModifyReplicationTask", &input)
}

pub(super) fn test_connection(dms: &Dms, endpoint: &Arn, instance: &Arn) -> Answer {
    let input = json!({ "EndpointArn": endpoint.as_str(), "ReplicationInstanceArn": instance.as_str() });
    dms.call("TestConnection", &input)
}

/// Takes a refusal with this code, and no other answer; its message.
pub(super) fn refused(answer: Answer, code: &str) -> String {
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.code, code, "{}", refusal.message);
    refusal.message
}

pub(super) const INVALID_STATE: &str = "InvalidResourceStateFault";
pub(super) const WRONG_START: &str = "InvalidParameterCombinationException";

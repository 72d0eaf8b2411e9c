//! Somebody who looks at a stack's tasks and does what is left to people.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use stage::dms::{Arn, TaskStatus};
use tokio::time::Instant;

use stage::dms::Dms;

/// What is left to people after an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Left {
    /// The task has never run.
    Start,
    /// The task rests.
    Resume,
    /// The replaced task runs on, outside of the stack, and the one in its place has never run.
    HandOver,
    /// The task runs with the endpoint as it was before.
    Restart,
    /// The change has not been made, and has to be made around the task that runs.
    Change,
    /// The change has not been made.
    Deploy,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start the task",
            Self::Resume => "notice, and resume the task",
            Self::HandOver => {
                "notice that the old task runs on, outside of the stack; stop it, and start the new one where it stopped"
            }
            Self::Restart => "stop and resume the task, so that the change has an effect",
            Self::Change => "stop the task, deploy again, and resume it",
            Self::Deploy => "deploy again",
        })
    }
}

const POLL: Duration = Duration::from_millis(200);

/// Longer than anything that somebody waits for here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be done so that the stack's own task, and no other, runs.
pub(super) fn look(dms: &Dms, own: &Arn) -> anyhow::Result<Option<Left>> {
    let runs = dms.status(own) == Some(TaskStatus::Running);
    let others = other_running(dms, own)?;
    ensure!(!runs || others.is_empty(), "two tasks run at once");
    Ok(match (runs, others.is_empty(), dms.runs(own).is_empty()) {
        (true, ..) => None,
        (false, false, _) => Some(Left::HandOver),
        (false, true, true) => Some(Left::Start),
        (false, true, false) => Some(Left::Resume),
    })
}

/// Does it, without losing a change if that can be helped, and waits until the task runs.
pub(super) async fn help(dms: &Dms, own: &Arn, left: Left) -> anyhow::Result<()> {
    let mut start = json!({ "ReplicationTaskArn": own.as_str(),
        "StartReplicationTaskType": "start-replication" });
    match left {
        Left::Resume => start["StartReplicationTaskType"] = json!("resume-processing"),
        Left::HandOver => {
            let others = other_running(dms, own)?;
            let old = others.first().context("no other task runs")?;
            let this = json!({ "ReplicationTaskArn": old.as_str() });
            dms.call("StopReplicationTask", &this)?;
            until(|| Ok(dms.status(old) == Some(TaskStatus::Stopped))).await?;
            let checkpoint = dms.checkpoint(old).context("no checkpoint")?;
            start["CdcStartPosition"] = json!(checkpoint);
            dms.call("DeleteReplicationTask", &this)?;
        }
        Left::Start => {}
        Left::Restart | Left::Change | Left::Deploy => return Ok(()),
    }
    test_connections(dms, own).await?;
    dms.call("StartReplicationTask", &start)?;
    until(|| Ok(dms.status(own) == Some(TaskStatus::Running))).await
}

async fn test_connections(dms: &Dms, task: &Arn) -> anyhow::Result<()> {
    for side in ["SourceEndpointArn", "TargetEndpointArn"] {
        let [endpoint, instance] = [side, "ReplicationInstanceArn"].map(|name| dms.member(task, name));
        let named = |name: &str, arn: &str| json!({ "Name": name, "Values": [arn] });
        let which = json!({ "Filters": [named("endpoint-arn", &endpoint),
            named("replication-instance-arn", &instance)] });
        let is = |status: &str| match dms.call("DescribeConnections", &which) {
            Ok(found) => found["Connections"][0]["Status"] == status,
            Err(_) => false,
        };
        if !is("successful") {
            let this = json!({ "EndpointArn": endpoint, "ReplicationInstanceArn": instance });
            // One that is already being made will do.
            let _: Result<Value, _> = dms.call("TestConnection", &this);
            until(|| Ok(is("successful"))).await?;
        }
    }
    Ok(())
}

/// The tasks that run but are not the stack's own.
fn other_running(dms: &Dms, own: &Arn) -> anyhow::Result<Vec<Arn>> {
    let tasks = tasks(dms)?.into_iter();
    let running = |it: &Arn| it != own && dms.status(it) == Some(TaskStatus::Running);
    Ok(tasks.filter(running).collect())
}

/// All tasks there are.
pub(super) fn tasks(dms: &Dms) -> anyhow::Result<Vec<Arn>> {
    let described = dms.call("DescribeReplicationTasks", &json!({}))?;
    let tasks = described["ReplicationTasks"].as_array();
    let arns = tasks.into_iter().flatten();
    Ok(arns.filter_map(|task| task["ReplicationTaskArn"].as_str().map(Arn::new)).collect())
}

/// Waits until this is so.
pub(super) async fn until(mut is: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is()? {
        ensure!(began.elapsed() < PATIENCE, "nothing comes of it in {} s", PATIENCE.as_secs());
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

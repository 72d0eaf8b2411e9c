//! What goes wrong while a stack is being updated.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use stage::dms::Arn;
use tokio::process::Command;
use tokio::sync::Mutex as AsyncMutex;

use super::plan::Trouble;
use stage::cloud::FunctionLine;
use stage::dms::{Dms, Refusal, Throttle};
use stage::mysql::MysqlServer;
use stage::service::Service;

/// What trouble needs to reach.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) dms: Dms,
    pub(super) server: Arc<AsyncMutex<MysqlServer>>,
    pub(super) cloudformation: Service,
    pub(super) stack: &'static str,
    pub(super) task: Arn,
    /// The last line of a handler, while it is at work.
    pub(super) at_work: Arc<Mutex<Option<FunctionLine>>>,
}

impl Reach {
    /// Makes it happen, when its time has come. What can't happen now doesn't.
    pub(super) async fn happen(self, trouble: Trouble) -> anyhow::Result<()> {
        tokio::time::sleep(trouble.after()).await;
        let task = json!({ "ReplicationTaskArn": self.task.as_str() });
        match trouble {
            Trouble::KillHandler(_) => self.kill_handler().await,
            Trouble::Throttle => self.dms.throttles(Throttle::new(100, 20, 0.2)),
            Trouble::FailCall(operation) => {
                let why = Refusal::new("InternalFailure", "Something in DMS broke");
                self.dms.fail_next(operation, why);
            }
            Trouble::CrashDatabase(_) | Trouble::RestartDatabase(_) => {
                let mut server = self.server.lock().await;
                if matches!(trouble, Trouble::CrashDatabase(_)) {
                    server.kill().await?;
                } else {
                    server.stop().await?;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                server.restart().await?;
            }
            Trouble::OperatorStops(_) => {
                let _ = self.dms.call("StopReplicationTask", &task);
            }
            Trouble::OperatorResumes(_) => {
                let mut input = task;
                input["StartReplicationTaskType"] = json!("resume-processing");
                let _ = self.dms.call("StartReplicationTask", &input);
            }
            Trouble::Cancel(_) => {
                let _ = self.cloudformation.ask("CancelUpdateStack", &[("StackName", self.stack)]).await;
            }
        }
        Ok(())
    }

    /// Kills the process that wrote the last line of a handler, if it is still one of ours.
    async fn kill_handler(&self) {
        let Some(line) = self.at_work.lock().unwrap().clone() else {
            return;
        };
        let program = Path::new("/proc").join(line.pid.to_string()).join("exe");
        let program = tokio::fs::read_link(program).await.unwrap_or_default();
        if program.ends_with("bootstrap") {
            let mut kill = Command::new("kill");
            let _ = kill.args(["-9", &line.pid.to_string()]).status().await;
        }
    }
}

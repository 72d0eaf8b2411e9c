//! What others do, and what goes wrong by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use replication::task::{Arn, TaskStatus};
use replication::tasks::PAUSE_MARK;
use serde_json::json;
use tokio::time::sleep;

use crate::plan::Incident;
use crate::world::{BROKEN, Wanted, World};

impl World {
    /// DmsPre is called: what an operator has started until now is in its hands, if the stack still lists it. A rollback
    /// that is continued doesn't call it again.
    pub(crate) fn is_to_pause(&self) {
        self.check_violations();
        let listed: BTreeSet<Arn> = self.physical().into_values().collect();
        let started = &mut self.state().started_by_operator;
        started.retain(|arn| !listed.contains(arn));
    }

    /// Whether a start may fail because of something that happened, now or before.
    pub(crate) fn has_incidents(&self) -> bool {
        self.state().has_incidents
    }

    pub(crate) fn happens(&self, incident: Incident) {
        let (Incident::OperatorStops(n)
        | Incident::OperatorStarts(n)
        | Incident::Breaks(n)
        | Incident::WillFail(n)
        | Incident::OperatorDeletes(n)
        | Incident::Forgets(n)) = incident;
        let tasks = self.tasks();
        let Some((name, arn)) = tasks.get(usize::from(n) % tasks.len().max(1)) else {
            return;
        };
        let status = self.dms.status(arn);
        match incident {
            Incident::OperatorStops(_) if status == Some(TaskStatus::Running) => {
                let wanted = if self.is_marked(arn) {
                    Wanted::Either("the operator stopped it while it was marked as paused")
                } else if self.is_read_as_marked(arn) {
                    Wanted::Either("the operator stopped it after an invocation at work had read its mark")
                } else if self.is_read_as_failed(arn) {
                    Wanted::Either("the operator stopped it while an invocation was about to start it")
                } else {
                    Wanted::Stopped
                };
                self.dms.operator_stops(arn);
                self.state().wanted.insert(arn.clone(), wanted);
                crate::saw("a task that an operator stopped");
            }
            Incident::OperatorStarts(_)
                if matches!(status, Some(TaskStatus::Stopped | TaskStatus::Failed))
                    && !self.state().doomed.contains(arn) =>
            {
                let input = json!({
                    "ReplicationTaskArn": arn.as_str(),
                    "StartReplicationTaskType": "resume-processing",
                });
                if self.dms.call("StartReplicationTask", &input).is_err() {
                    return;
                }
                let mut state = self.state();
                state.started_by_operator.insert(arn.clone());
                if self.stack.is_in_progress() {
                    state.ever_started_by_operator.insert(arn.clone());
                }
                state.wanted.insert(arn.clone(), Wanted::Runs);
                crate::saw("a task that an operator started");
            }
            Incident::Breaks(_) if status == Some(TaskStatus::Running) => {
                // An invocation at work may have seen it run, and take the mark off.
                let marked = self.is_marked(arn) && !self.is_read_as_marked(arn);
                self.dms.fail_run(arn, "Last Error. Task error notification received.");
                if !marked {
                    self.breaks(arn);
                }
            }
            Incident::WillFail(_) if self.dms.status(arn).is_some() => {
                self.dms.fail_next_run(arn, "no route to host");
                self.state().doomed.insert(arn.clone());
            }
            Incident::OperatorDeletes(_) => {
                let input = json!({ "ReplicationTaskArn": arn.as_str() });
                if self.dms.call("DeleteReplicationTask", &input).is_err() {
                    return;
                }
                let deleted = Wanted::Either("an operator deleted it");
                self.state().wanted.insert(arn.clone(), deleted);
                crate::saw("a task that an operator deleted");
            }
            Incident::Forgets(_) => {
                let source = Arn::new(self.dms.member(arn, "SourceEndpointArn"));
                self.dms.forget_connections(&source);
            }
            _ => return,
        }
        self.state().has_incidents = true;
        self.note(format!("{incident:?}: {name} ({arn})"));
    }

    /// An operator stops a task in such a way that it is resumed later, if it works at all.
    pub(crate) async fn rest(&self, arn: &Arn) {
        while self.dms.status(arn) == Some(TaskStatus::Starting) {
            sleep(Duration::from_secs(1)).await;
        }
        if self.dms.status(arn) != Some(TaskStatus::Running) {
            return;
        }
        let tags = [json!({ "Key": PAUSE_MARK, "Value": "an operator" })];
        let mark = json!({ "ResourceArn": arn.as_str(), "Tags": tags });
        self.call("AddTagsToResource", &mark).await.unwrap();
        self.dms.operator_stops(arn);
        self.note(format!("an operator has {arn} rest"));
        while self.works(arn) {
            sleep(Duration::from_secs(1)).await;
        }
    }

    pub(crate) fn breaks(&self, arn: &Arn) {
        let mut state = self.state();
        if matches!(state.wanted.get(arn), None | Some(Wanted::Runs)) {
            let either = Wanted::Either(BROKEN);
            state.wanted.insert(arn.clone(), either);
        }
    }
}

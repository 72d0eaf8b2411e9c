//! What others do, and what goes wrong by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use stage::dms::{Arn, TaskStatus};
use tokio::time::{Instant, sleep, sleep_until};

use crate::gate::OPERATOR;
use crate::world::{BROKEN, Wanted, World};
use stage::lives::Incident;

/// For how long somebody waits until what he wants can be done.
const A_WHILE: Duration = Duration::from_secs(240);

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

    /// Things happen, each at its time in seconds. Where it takes leave, somebody waits with it until it can be done.
    pub(crate) async fn happen(&self, mut incidents: Vec<(u8, Incident)>) {
        incidents.sort_by_key(|(after_s, _)| *after_s);
        let began = Instant::now();
        for (after_s, incident) in incidents {
            sleep_until(began + Duration::from_secs(after_s.into())).await;
            loop {
                self.gate.leave(OPERATOR, format!("{incident:?}")).await;
                self.gate.hears(OPERATOR, self.dms.time());
                if self.happens(incident) || !self.gate.is_closed() || began.elapsed() > A_WHILE {
                    break;
                }
                sleep(Duration::from_secs(5)).await;
            }
        }
    }

    /// Whether it has come to happen.
    pub(crate) fn happens(&self, incident: Incident) -> bool {
        let (Incident::OperatorStops(n)
        | Incident::OperatorStarts(n)
        | Incident::Breaks(n)
        | Incident::WillFail(n)
        | Incident::OperatorDeletes(n)
        | Incident::Forgets(n)) = incident;
        let tasks = self.tasks();
        let Some((name, arn)) = tasks.get(usize::from(n) % tasks.len().max(1)) else {
            return false;
        };
        let status = self.dms.status(arn);
        match incident {
            Incident::OperatorStops(_) if status == Some(TaskStatus::Running) => {
                let is_in_hand = {
                    let state = self.state();
                    state.has_just_joined || state.in_hand.contains(arn)
                };
                let wanted = if is_in_hand {
                    Wanted::Either("the operator stopped it while a deployment had it in hand")
                } else if self.is_marked(arn) {
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
                if self.dms.call("StartReplicationTask", &resumption(arn)).is_err() {
                    return false;
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
                if self.reconciles_tags {
                    self.fails_if_doomed(arn);
                }
            }
            Incident::OperatorDeletes(_) => {
                let input = json!({ "ReplicationTaskArn": arn.as_str() });
                if self.dms.call("DeleteReplicationTask", &input).is_err() {
                    return false;
                }
                let deleted = Wanted::Either("an operator deleted it");
                self.state().wanted.insert(arn.clone(), deleted);
                crate::saw("a task that an operator deleted");
            }
            Incident::Forgets(_) => {
                let source = Arn::new(self.dms.member(arn, "SourceEndpointArn"));
                self.dms.forget_connections(&source);
            }
            _ => return false,
        }
        self.state().has_incidents = true;
        self.note(format!("{incident:?}: {name} ({arn})"));
        true
    }

    /// An operator stops a task for as long as a rollback is continued, if it works at all.
    pub(crate) async fn rest(&self, arn: &Arn) {
        while self.dms.status(arn) == Some(TaskStatus::Starting) {
            sleep(Duration::from_secs(1)).await;
        }
        if self.dms.status(arn) != Some(TaskStatus::Running) {
            return;
        }
        self.state().rested.insert(arn.clone());
        self.dms.operator_stops(arn);
        self.note(format!("an operator has {arn} rest"));
        while self.works(arn) {
            sleep(Duration::from_secs(1)).await;
        }
    }

    pub(crate) async fn all_rest(&self) {
        for (_, arn) in self.tasks() {
            self.rest(&arn).await;
        }
    }

    /// The operator starts again what he has had rest, if nobody else has done so.
    pub(crate) async fn wakes_what_rested(&self) {
        let rested = std::mem::take(&mut self.state().rested);
        for arn in rested {
            if self.dms.status(&arn) == Some(TaskStatus::Stopped) && !self.is_marked(&arn) {
                self.connect(&arn);
                let _ = self.call("StartReplicationTask", &resumption(&arn)).await;
                self.fails_if_doomed(&arn);
            }
        }
    }

    /// Handlers that were there before Sluice have started all tasks.
    pub(crate) async fn others_start_tasks(&self) {
        for (_, arn) in self.tasks() {
            let input = json!({
                "ReplicationTaskArn": arn.as_str(), "StartReplicationTaskType": "start-replication",
            });
            self.connect(&arn);
            self.call("StartReplicationTask", &input).await.unwrap();
        }
        sleep(Duration::from_secs(120)).await;
    }

    fn connect(&self, arn: &Arn) {
        let member = |name| Arn::new(self.dms.member(arn, name));
        for endpoint in ["SourceEndpointArn", "TargetEndpointArn"] {
            self.dms.connect(&member(endpoint), &member("ReplicationInstanceArn"));
        }
    }

    /// The operation that brought Sluice has come to its end.
    pub(crate) fn has_joined(&self) {
        self.state().has_just_joined = true;
        let world = self.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(400)).await;
            world.state().has_just_joined = false;
            world.healed();
        });
    }

    /// They stop them on their way out.
    pub(crate) fn others_stop_tasks(&self) {
        for (_, arn) in self.tasks() {
            if self.dms.status(&arn) == Some(TaskStatus::Running) {
                self.dms.operator_stops(&arn);
                self.note(format!("the handlers of before stop {arn}"));
            }
        }
    }

    /// A deployment begins. Only what rests by then is sure to stay as it is.
    pub(crate) fn what_is_stopping_does_not_rest(&self) {
        for (_, arn) in self.tasks() {
            if self.dms.status(&arn) == Some(TaskStatus::Stopping) {
                let either = Wanted::Either("it had not come to rest when the deployment began");
                self.state().wanted.insert(arn, either);
            }
        }
    }

    /// A start of this task may fail, as something else is wrong with it. Without a mark nobody tries again by himself.
    fn fails_if_doomed(&self, arn: &Arn) {
        if self.state().doomed.contains(arn) {
            self.breaks(arn);
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

fn resumption(arn: &Arn) -> Value {
    json!({ "ReplicationTaskArn": arn.as_str(), "StartReplicationTaskType": "resume-processing" })
}

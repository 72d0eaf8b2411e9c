//! What CloudFormation, Lambda and the operator do in a scenario, with leave for each step.

use std::sync::Arc;
use std::time::Duration;

use custom_resource::{Deadline, Request, Resource as _};
use replication::post::DmsPostProperties;
use replication::pre::DmsPreProperties;
use replication::{DmsPost, DmsPre};
use serde_json::json;
use stage::aws::Aws;
use stage::dms::{Arn, Dms, Pace, TaskStatus};
use stage::request::{self, UNDER_TEST};
use stage::stack::{Stack, modified};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::gate::{Actor, Gate, Line};
use crate::scenario::Scenario;

pub(crate) const CLOUDFORMATION: Actor = 0;
pub(crate) const OPERATOR: Actor = 1;
const HANDLERS: Actor = 2;

/// All there is in one run.
pub(crate) struct Play {
    pub(crate) gate: Gate,
    pub(crate) dms: Dms,
    pub(crate) stack: Stack,
    pub(crate) task: Arn,
    scenario: Scenario,
    /// How many handlers were called.
    calls: usize,
    handlers: JoinSet<()>,
    /// DmsPre's last answer.
    revision: String,
    /// Whether CloudFormation has changed the task.
    changed: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ask {
    Pre,
    Post,
    Heal,
}

impl Play {
    /// A stack with a task that runs, or rests as an operator wanted.
    pub(crate) fn new(gate: Gate, scenario: Scenario) -> Self {
        let seconds = Duration::from_secs;
        let pace = Pace {
            start: seconds(3),
            stop: seconds(2),
            modify: seconds(2),
            lag: seconds(2),
            ..Pace::default()
        };
        let dms = Dms::reproducible(pace);
        let status = if scenario.rests { TaskStatus::Stopped } else { TaskStatus::Running };
        let task = dms.add_task("orders", status);
        let stack = Stack::new("CREATE_COMPLETE");
        stack.has("Orders", &task);
        for (name, resource_type) in [(UNDER_TEST, "Custom::DmsPre"), ("DmsPost", "Custom::DmsPost")] {
            stack.resource_is(name, resource_type, "UPDATE_COMPLETE");
        }
        if scenario.moves_dates {
            dms.moves_dates();
        }
        let revision = "r-0-0".to_owned();
        let handlers = JoinSet::new();
        Self { gate, dms, stack, task, scenario, calls: 0, handlers, revision, changed: false }
    }

    async fn step(&self, what: &str) {
        self.gate.leave(CLOUDFORMATION, what).await;
        self.gate.hears(CLOUDFORMATION, (self.dms.time(), what));
    }

    /// All of it, until nobody does anything any more.
    pub(crate) async fn goes(mut self) -> Self {
        let operator = self.operator();
        sleep(Duration::from_secs(60)).await;
        for _ in 0..self.scenario.updates {
            self.update().await;
        }
        if self.stack.status() == "UPDATE_ROLLBACK_FAILED" {
            self.step("the rollback is continued").await;
            self.undo().await;
            self.heal().await;
        }
        while self.handlers.join_next().await.is_some() {}
        operator.await.unwrap();
        // Whatever happened, the last event comes once more, and all that was late has come.
        sleep(Duration::from_secs(60)).await;
        self.heal().await;
        while self.handlers.join_next().await.is_some() {}
        self.gate.arrives();
        self
    }

    async fn update(&mut self) {
        self.changed = false;
        self.step("an update begins").await;
        self.stack.changes(vec![modified("Orders", "AWS::DMS::ReplicationTask", &self.task)]);
        self.stack.execution_is("EXECUTE_IN_PROGRESS");
        self.stack.becomes("UPDATE_IN_PROGRESS");
        let done = match self.scenario.cancelled {
            true => {
                let gate = self.gate.clone();
                tokio::select! {
                    done = self.forward() => done,
                    _ = gate.leave(CLOUDFORMATION, "the update is cancelled") => false,
                }
            }
            false => self.forward().await,
        };
        if done {
            self.stack.execution_is("EXECUTE_COMPLETE");
            self.stack.becomes("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");
            self.stack.becomes("UPDATE_COMPLETE");
        } else {
            self.undo().await;
        }
        self.heal().await;
    }

    async fn forward(&mut self) -> bool {
        if !self.ask(Ask::Pre, "pre", self.scenario.pre_twice).await {
            return false;
        }
        self.step("the task changes").await;
        if !self.modify().await || self.scenario.fails {
            return false;
        }
        self.ask(Ask::Post, "post", self.scenario.post_twice).await
    }

    /// The way back.
    async fn undo(&mut self) {
        self.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
        let mut undone = self.ask(Ask::Pre, "pre, undoing", false).await;
        if undone && self.changed {
            self.step("the task changes back").await;
            undone = self.modify().await;
        }
        undone = undone && self.ask(Ask::Post, "post, undoing", false).await;
        self.stack.becomes(match undone {
            true => "UPDATE_ROLLBACK_COMPLETE",
            false => "UPDATE_ROLLBACK_FAILED",
        });
    }

    async fn modify(&mut self) -> bool {
        let rule = json!({
            "rule-type": "selection", "rule-id": "1", "rule-name": "v", "rule-action": "include",
            "object-locator": { "schema-name": "%", "table-name": "%" },
        });
        let mappings = json!({ "rules": [rule] }).to_string();
        let input = json!({ "ReplicationTaskArn": self.task.as_str(), "TableMappings": mappings });
        // A call takes its time.
        sleep(Duration::from_millis(50)).await;
        let modified = self.dms.call("ModifyReplicationTask", &input);
        self.gate.note(format!("{:?} the task is changed: {}", self.dms.time(), modified.is_ok()));
        if modified.is_err() {
            return false;
        }
        self.changed = true;
        if self.scenario.reconciles_tags {
            self.dms.unmark(&self.task);
        }
        while self.dms.status(&self.task) == Some(TaskStatus::Modifying) {
            sleep(Duration::from_secs(1)).await;
        }
        true
    }

    /// EventBridge tells of the end, and Lambda tries again what fails.
    async fn heal(&mut self) {
        if self.scenario.next_does_not_wait && self.calls < 4 {
            self.call(Ask::Heal, "healing");
            return;
        }
        for _ in 0..3 {
            if self.ask(Ask::Heal, "healing", false).await {
                return;
            }
            sleep(Duration::from_secs(60)).await;
        }
    }

    /// Has a handler called, and waits for the first answer: whether it succeeds.
    async fn ask(&mut self, ask: Ask, name: &'static str, twice: bool) -> bool {
        let resource = match ask {
            Ask::Pre => Some((UNDER_TEST, "Custom::DmsPre")),
            Ask::Post => Some(("DmsPost", "Custom::DmsPost")),
            Ask::Heal => None,
        };
        if let Some((name, kind)) = resource {
            self.stack.resource_is(name, kind, "UPDATE_IN_PROGRESS");
        }
        let first = self.call(ask, name);
        let answer = if twice {
            let second = self.call(ask, "its duplicate");
            tokio::select! {
                biased;
                answer = first => answer,
                answer = second => answer,
            }
        } else {
            first.await
        };
        let revision = answer.unwrap_or_default();
        if let Some((name, kind)) = resource {
            let status = if revision.is_some() { "UPDATE_COMPLETE" } else { "UPDATE_FAILED" };
            self.stack.resource_is(name, kind, status);
        }
        self.gate.note(format!("{:?} {name} has answered: {revision:?}", self.dms.time()));
        if let (Ask::Pre, Some(revision)) = (ask, &revision) {
            self.revision.clone_from(revision);
        }
        revision.is_some()
    }

    /// A call of a handler as Lambda makes it. What it answers: DmsPre's revision, or nothing; none if it fails.
    fn call(&mut self, ask: Ask, name: &'static str) -> oneshot::Receiver<Option<String>> {
        let actor = HANDLERS + self.calls;
        self.calls += 1;
        let (answer, answered) = oneshot::channel();
        let dead = Arc::new(Notify::new());
        let (gate, dms) = (self.gate.clone(), self.dms.clone());
        let line = Line {
            gate: gate.clone(),
            actor,
            name,
            dms: dms.clone(),
            dead: dead.clone(),
            polled: Arc::default(),
        };
        let config = plays::config(&Aws::behind(&dms, &self.stack, line));
        // Both deliveries of a request are the same request.
        let request_id = match name {
            "its duplicate" => format!("r-{}", actor - 1),
            _ => format!("r-{actor}"),
        };
        let after = self.revision.clone();
        self.handlers.spawn(async move {
            let work = async {
                match ask {
                    Ask::Pre => {
                        let deployment_id = request_id.clone();
                        let request = named(DmsPreProperties { deployment_id }, request_id);
                        let done = DmsPre::new(&config).update(request).await;
                        done.map(|it| it.get("Revision").unwrap_or_default().to_owned())
                    }
                    Ask::Post => {
                        let request = named(DmsPostProperties { after }, request_id);
                        let request = Request { logical_id: "DmsPost".to_owned(), ..request };
                        DmsPost::new(&config).update(request).await.map(|_| String::new())
                    }
                    Ask::Heal => {
                        let mut event = request::status_change("whatever it was");
                        event["id"] = json!(request_id);
                        let deadline = Deadline::after(Duration::from_secs(885));
                        DmsPost::new(&config).notified(event, deadline).await.map(|_| String::new())
                    }
                }
            };
            let done = tokio::select! {
                biased;
                () = dead.notified() => {
                    // Until Lambda has noticed, and the last words have answered.
                    sleep(Duration::from_secs(3)).await;
                    Err(anyhow::anyhow!("it has died"))
                }
                done = work => done,
            };
            gate.note(format!("{:?} {name}: {done:?}", dms.time()));
            gate.hears(actor, dms.time());
            let _ = answer.send(done.ok());
            gate.arrives();
        });
        answered
    }

    /// The operator stops the task once it runs, and starts it once it is stopped, as far as the scenario has him do so.
    fn operator(&self) -> JoinHandle<()> {
        let (gate, dms, task) = (self.gate.clone(), self.dms.clone(), self.task.clone());
        let Scenario { operator_stops, operator_starts, .. } = self.scenario;
        tokio::spawn(async move {
            sleep(Duration::from_secs(61)).await;
            let stops = operator_stops.then_some(TaskStatus::Running);
            let starts = operator_starts.then_some(TaskStatus::Stopped);
            for wanted in stops.into_iter().chain(starts) {
                while dms.time() < Duration::from_secs(300) {
                    gate.leave(OPERATOR, "the operator").await;
                    gate.hears(OPERATOR, dms.time());
                    if dms.status(&task) == Some(wanted.clone()) {
                        match wanted {
                            TaskStatus::Running => dms.operator_stops(&task),
                            _ => dms.operator_resumes(&task),
                        }
                        gate.note(format!("{:?} the operator has done so", dms.time()));
                        break;
                    }
                    sleep(Duration::from_secs(5)).await;
                }
            }
        })
    }

    /// What is wrong in the end.
    pub(crate) fn judge(&self) -> Option<String> {
        let status = self.dms.status(&self.task);
        let runs = status == Some(TaskStatus::Running);
        if self.scenario.rests && runs {
            return Some("it runs, though it rested before the deployment".to_owned());
        }
        if !self.scenario.rests && !runs && !self.scenario.operator_stops {
            return Some(format!("it is {status:?}, and ran before the deployment"));
        }
        let is_stuck = self.stack.status() == "UPDATE_ROLLBACK_FAILED";
        (runs && self.dms.is_marked(&self.task) && !is_stuck)
            .then(|| format!("it runs and is marked: {:?}", self.dms.marks(&self.task)))
    }
}

fn named<P>(properties: P, request_id: String) -> Request<P> {
    Request { request_id, ..plays::decoded(properties) }
}

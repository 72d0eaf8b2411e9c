//! A stream's stack under test: its template, which a case changes, and what is seen of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use stage::cloud::Cloud;
use stage::cloud::stacks::{ChangeSet, Failure, Mode, Sight, Watch, text};
use stage::dms::{Arn, Dms, Event, TaskStatus};
use stage::play::mappings;
use tokio::time::{sleep, timeout};

use crate::shared::Stage;

const POLL: Duration = Duration::from_millis(50);

/// A stack made from `cfn/stream.yaml`.
pub(crate) struct Stream<'a> {
    pub(crate) dms: &'a Dms,
    pub(crate) cloud: &'a Cloud,
    name: &'static str,
    template: Value,
    parameters: BTreeMap<&'static str, String>,
    mode: Mode,
    deployments: u32,
    watch: Watch,
    /// What was seen since the last operation began.
    sights: Vec<Sight>,
}

/// Mappings that DMS refuses.
pub(crate) const REFUSED: &str = r#"{"rules": []}"#;

impl<'a> Stream<'a> {
    /// One that is not there yet. No name may end like another one's.
    pub(crate) fn new(stage: &'a Stage, name: &'static str) -> Self {
        Self {
            dms: &stage.cloud.dms,
            cloud: &stage.cloud,
            name,
            template: stage.template.clone(),
            parameters: stage.parameters.clone(),
            mode: Mode::Standard,
            deployments: 0,
            watch: Watch::default(),
            sights: Vec::new(),
        }
    }

    /// A stack with two tasks, the second of which is changed after the first one and in a way that DMS refuses: it wants at
    /// least one rule, which CloudFormation doesn't know. Both tasks, and the stack after its update was rolled back.
    pub(crate) async fn rolled_back(stage: &'a Stage, name: &'static str) -> (Self, [Arn; 2]) {
        let mut stream = Self::new(stage, name);
        stream.add_task("Other");
        stream.resource("Other")["DependsOn"] = json!(["DmsPre", "ReplicationTask"]);
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let tasks = [stream.task("ReplicationTask").await, stream.task("Other").await];
        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("examples"));
        *stream.property("Other", "TableMappings") = json!(REFUSED);
        assert_eq!(stream.deploy().await, "UPDATE_ROLLBACK_COMPLETE");
        (stream, tasks)
    }

    /// A resource of the template, to be changed; null where there is none.
    pub(crate) fn resource(&mut self, name: &str) -> &mut Value {
        &mut self.template["Resources"][name]
    }

    /// A property of a resource of the template, to be changed; null where there is none.
    pub(crate) fn property(&mut self, resource: &str, name: &str) -> &mut Value {
        &mut self.resource(resource)["Properties"][name]
    }

    /// Gives parameters other values, from the next deployment on.
    pub(crate) fn give(&mut self, parameters: BTreeMap<&'static str, String>) {
        self.parameters.extend(parameters);
    }

    /// It is deployed and deleted in this mode from now on.
    pub(crate) fn goes(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Adds a task beside the template's own: the same, but for its tables.
    pub(crate) fn add_task(&mut self, name: &str) {
        *self.resource(name) = self.resource("ReplicationTask").clone();
        *self.property(name, "TableMappings") = json!(mappings("comments"));
        self.waited_for().push(json!(name));
    }

    /// Takes a task out of the template.
    pub(crate) fn remove_task(&mut self, name: &str) {
        self.waited_for().retain(|it| it != name);
        let resources = self.template["Resources"].as_object_mut();
        resources.unwrap().remove(name).unwrap();
    }

    /// What DmsPost depends on.
    fn waited_for(&mut self) -> &mut Vec<Value> {
        let list = &mut self.resource("DmsPost")["DependsOn"];
        if list.is_string() {
            *list = json!([list.take()]);
        }
        list.as_array_mut().unwrap()
    }

    /// Makes the change set of a deployment, whose id is a fresh one.
    pub(crate) async fn change_set(&mut self) -> ChangeSet {
        self.deployments += 1;
        let id = self.deployments.to_string();
        self.parameters.insert("DeploymentId", id);
        let template = self.template.to_string();
        let made = self.cloud.change_set_in(self.mode, self.name, &template, &self.parameters);
        made.await.unwrap()
    }

    /// Carries it out. The status in which the stack ended.
    pub(crate) async fn execute(&mut self, change_set: &ChangeSet, failure: Failure) -> String {
        self.sights.clear();
        let mut show = |sight| self.sights.push(sight);
        let ended = self.cloud.execute(change_set, failure, &mut self.watch, &mut show);
        ended.await.unwrap()
    }

    /// Creates or updates the stack. The status in which it ended.
    pub(crate) async fn deploy(&mut self) -> String {
        let change_set = self.change_set().await;
        self.execute(&change_set, Failure::RollsBack).await
    }

    /// Deletes the stack, and demands that it is gone, and that nothing was ever done to its tasks that must not be.
    pub(crate) async fn delete(&mut self) {
        self.sights.clear();
        let mut show = |sight| self.sights.push(sight);
        let ended = self.cloud.delete_in(self.mode, self.name, &mut self.watch, &mut show);
        assert_eq!(ended.await.unwrap(), "DELETE_COMPLETE");
        let violations = self.dms.violations();
        let name = format!("{}-", self.name);
        let of_this = violations.iter().filter(|what| what.contains(&name));
        assert_eq!(of_this.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    /// The task behind a resource of the stack.
    pub(crate) async fn task(&self, name: &str) -> Arn {
        let found = self.cloud.resource(self.name, name).await.unwrap();
        Arn::new(found["PhysicalResourceId"].as_str().unwrap())
    }

    /// The status in which CloudFormation lists a resource.
    pub(crate) async fn listed(&self, name: &str) -> String {
        let found = self.cloud.resource(self.name, name).await.unwrap();
        text(&found["ResourceStatus"])
    }

    /// All statuses a task has had.
    pub(crate) fn life(&self, task: &Arn) -> Vec<TaskStatus> {
        let statuses = self.dms.statuses(task).into_iter();
        statuses.map(|(_, status)| status).collect()
    }

    /// When a task had a status for the last time.
    pub(crate) fn last(&self, task: &Arn, status: &TaskStatus) -> Duration {
        let statuses = self.dms.statuses(task).into_iter().rev();
        let mut had = statuses.filter(|(_, it)| it == status);
        had.next().unwrap().0
    }

    /// Waits for a status of a task.
    pub(crate) async fn reaches(&self, task: &Arn, status: TaskStatus) {
        let reached = async {
            while self.dms.status(task).as_ref() != Some(&status) {
                sleep(POLL).await;
            }
        };
        patiently(status.as_str(), reached).await;
    }

    /// Whether a task carries the mark of a pause.
    pub(crate) fn is_marked(&self, task: &Arn) -> bool {
        self.dms.is_marked(task)
    }

    /// Waits until tasks run without a mark, though the stack's operation is over, and until the healing event's call has
    /// said that it is its doing.
    pub(crate) async fn healed(&mut self, status: &str, tasks: &[&Arn]) {
        let count = tasks.len();
        let text = format!("the stack is {status}, and {count} tasks are still paused");
        self.said("DmsPost", &text).await;
        for task in tasks {
            self.runs(task).await;
        }
    }

    /// Waits until a task runs without a mark.
    pub(crate) async fn runs(&self, task: &Arn) {
        self.reaches(task, TaskStatus::Running).await;
        let unmarked = async {
            while self.is_marked(task) {
                sleep(POLL).await;
            }
        };
        patiently("the mark's removal", unmarked).await;
    }

    /// What was done to a task, by whoever it was, in DMS's words for it.
    pub(crate) fn done_to(&self, task: &Arn) -> Vec<String> {
        let history = self.dms.history().into_iter();
        let calls = history.filter_map(|entry| match entry.event {
            Event::Call { operation, subject, refused: None } if subject.as_ref() == Some(task) => {
                Some(operation)
            }
            _ => None,
        });
        calls.filter(|it| !it.starts_with("Describe") && !it.starts_with("List")).collect()
    }

    /// Waits until a function has said this in the last operation, or after it: its log may come late.
    pub(crate) async fn said(&mut self, function: &str, text: &str) {
        let function = if function == "DmsPre" { "sluice-dms-pre" } else { "sluice-dms-post" };
        let of_this = format!("stack.name=\"{}\"", self.name);
        let is_it = |sight: &Sight| match sight {
            Sight::Function(it) => {
                it.function == function && it.line.contains(&of_this) && it.line.contains(text)
            }
            Sight::Stack { .. } => false,
        };
        let said = async {
            while !self.sights.iter().any(is_it) {
                sleep(POLL).await;
                let mut show = |sight| self.sights.push(sight);
                let look = self.cloud.look(self.name, &mut self.watch, &mut show);
                look.await.unwrap();
            }
        };
        patiently(text, said).await;
    }

    /// The processes of a function that have written to its log since the last operation began.
    pub(crate) fn processes(&self, function: &str) -> BTreeSet<u32> {
        let lines = self.sights.iter().filter_map(|sight| match sight {
            Sight::Function(it) if it.function == function => Some(it.pid),
            _ => None,
        });
        lines.collect()
    }

    /// The statuses of a resource in the last operation's events.
    pub(crate) fn events(&self, of: &str) -> Vec<&str> {
        let events = self.sights.iter().filter_map(|sight| match sight {
            Sight::Stack { resource, status, .. } if resource == of => Some(status.as_str()),
            _ => None,
        });
        events.collect()
    }

    /// The reason that the last operation's events give for a resource's status.
    pub(crate) fn reason(&self, of: &str, in_status: &str) -> &str {
        let mut reasons = self.sights.iter().filter_map(|sight| match sight {
            Sight::Stack { resource, status, reason, .. } if resource == of && status == in_status => {
                Some(reason.as_str())
            }
            _ => None,
        });
        reasons.next().unwrap()
    }

    /// Demands that the last operation's events hold these, each a resource and a status, in this order. The stack's own
    /// have no resource's name.
    pub(crate) fn happened(&self, expected: &[(&str, &str)]) {
        let mut left = expected.iter().peekable();
        for sight in &self.sights {
            let Some((of, in_status)) = left.peek() else {
                return;
            };
            let of = if of.is_empty() { self.name } else { of };
            match sight {
                Sight::Stack { resource, status, .. } if resource == of && status == in_status => left.next(),
                _ => continue,
            };
        }
        assert!(left.peek().is_none(), "missing from {left:?} on, in this order");
    }
}

/// Waits for what comes within seconds, unless it never comes.
async fn patiently(what: &str, it: impl Future<Output = ()>) {
    let waited = timeout(Duration::from_secs(120), it).await;
    assert!(waited.is_ok(), "waited in vain for {what:?}");
}

impl Drop for Stream<'_> {
    /// Tells what happened, if it is not as it should be.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for sight in &self.sights {
                eprintln!("{sight:?}");
            }
            for entry in self.dms.history() {
                let entry = entry.to_string();
                if !entry.contains("Describe") {
                    eprintln!("{entry}");
                }
            }
            eprintln!("{}", self.cloud.log());
        }
    }
}

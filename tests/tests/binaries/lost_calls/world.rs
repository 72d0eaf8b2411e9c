//! A stack with its tasks, and the two functions over it, each on a way of its own on which a call meets its fate.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use stage::aws::{self, Aws, Trouble, Troubles};
use stage::callback::Callback;
use stage::dms::{Arn, Dms, Entry, Event, Pace, Refusal, StartType, TaskStatus};
use stage::http::Server;
use stage::lambda::Function;
use stage::request;
use stage::stack::{Stack, modified};
use tokio::time::sleep;

use super::{Calls, Fate, Hitch, Step};

/// What Lambda grants.
const TIME: Duration = Duration::from_secs(120);

/// Between a caller's giving up and what it has given up on.
const LATE: Duration = Duration::from_millis(1_500);

/// A handler that waits for half a minute polls more often. Only a task that is marked and runs is watched so long.
const POLLS: usize = 20;

/// Less than the time between two polls.
const PACE: Duration = Duration::from_millis(100);

const DENIED: &str = "AccessDeniedFault";

fn pace() -> Pace {
    Pace {
        create: PACE,
        start: PACE,
        load: PACE,
        stop: PACE,
        modify: PACE,
        delete: PACE,
        connection_test: PACE,
        lag: PACE / 2,
    }
}

/// A function and the way from it to AWS.
struct Party {
    function: Function,
    troubles: Troubles,
    _aws: Server,
}

pub(super) struct World {
    pub(super) dms: Dms,
    pub(super) stack: Stack,
    /// It runs, and the update changes it.
    pub(super) orders: Arn,
    /// The same.
    users: Arn,
    /// An operator has stopped it, and the update changes it.
    billing: Arn,
    /// It runs, and the update doesn't touch it.
    audit: Arn,
    callback: Callback,
    pre: Party,
    post: Party,
    hitch: Option<Hitch>,
    /// The calls of each step.
    pub(super) calls: BTreeMap<Step, Calls>,
    /// What a handler said that answered FAILED.
    pub(super) failed: Option<String>,
    wrong: Vec<String>,
}

impl Party {
    async fn new(name: &str, dms: &Dms, stack: &Stack) -> Self {
        let troubles = Troubles::default();
        let aws = aws::serve(Aws::behind(dms, stack, troubles.clone())).await.unwrap();
        let environment = [("AWS_ENDPOINT_URL", aws.endpoint()), ("RUST_LOG", "info")];
        let function = Function::start(name, &environment).await.unwrap();
        Self { function, troubles, _aws: aws }
    }
}

impl World {
    /// A stack that was created some time ago.
    pub(super) async fn new(hitch: Option<Hitch>) -> Self {
        let dms = Dms::new(pace());
        let stack = Stack::new("CREATE_IN_PROGRESS");
        let [orders, users, billing, audit] = ["orders", "users", "billing", "audit"].map(|name| {
            let task = dms.add_task(name, TaskStatus::Running);
            stack.has(&format!("Task-{name}"), &task);
            task
        });
        let (pre, post) =
            tokio::join!(Party::new("dms-pre", &dms, &stack), Party::new("dms-post", &dms, &stack));
        stack.resource_goes(request::UNDER_TEST, "Custom::DmsPre");
        stack.resource_is("DmsPre", "Custom::DmsPre", "CREATE_COMPLETE");
        stack.resource_is("DmsPost", "Custom::DmsPost", "CREATE_COMPLETE");
        stack.becomes("CREATE_COMPLETE");
        dms.operator_stops(&billing);
        sleep(PACE * 2).await;
        let callback = Callback::start().await.unwrap();
        let (calls, failed, wrong) = (BTreeMap::new(), None, Vec::new());
        Self { dms, stack, orders, users, billing, audit, callback, pre, post, hitch, calls, failed, wrong }
    }

    /// An update of the stack begins, which changes three of the tasks.
    pub(super) fn begins(&self) {
        let changed = [("orders", &self.orders), ("users", &self.users), ("billing", &self.billing)];
        let changes =
            changed.map(|(name, task)| modified(&format!("Task-{name}"), "AWS::DMS::ReplicationTask", task));
        self.stack.changes(changes.into());
        self.stack.becomes("UPDATE_IN_PROGRESS");
    }

    /// CloudFormation calls dms-pre. Its revision, if it succeeds.
    pub(super) async fn pause(&mut self, step: Step, deployment: &str) -> Option<Value> {
        self.stack.resource_is("DmsPre", "Custom::DmsPre", "UPDATE_IN_PROGRESS");
        let data = self.ask(step, "DmsPre", "Update", &json!({ "DeploymentId": deployment })).await;
        let status = if data.is_some() { "UPDATE_COMPLETE" } else { "UPDATE_FAILED" };
        self.stack.resource_is("DmsPre", "Custom::DmsPre", status);
        data.map(|data| data["Revision"].clone())
    }

    pub(super) fn post_is(&self, status: &str) {
        self.stack.resource_is("DmsPost", "Custom::DmsPost", status);
    }

    /// CloudFormation changes the tasks that the update changes, and waits until that is done.
    pub(super) async fn changes_tasks(&mut self) {
        // Dates are told in milliseconds, and CloudFormation has never been so quick.
        sleep(PACE).await;
        for task in [&self.orders, &self.users, &self.billing].map(Arn::clone) {
            let input = json!({ "ReplicationTaskArn": task.as_str(), "ReplicationTaskSettings": "{}" });
            if let Err(refusal) = self.dms.call("ModifyReplicationTask", &input) {
                self.wrong.push(format!("{task} can't be changed: {refusal}"));
            }
        }
        sleep(PACE * 2).await;
    }

    /// The operation ends in this status, and dms-post is told.
    pub(super) async fn ends(&mut self, status: &str) {
        self.stack.becomes(&format!("{status}_CLEANUP_IN_PROGRESS"));
        self.stack.becomes(status);
        self.heal().await;
    }

    /// The stack's status is told to dms-post.
    pub(super) async fn heal(&mut self) {
        let event = request::status_change(&self.stack.status());
        let before = self.begin(Step::Heal);
        let healed = self.post.function.invoke_within(event, TIME).await;
        self.end(Step::Heal, &before);
        self.expects(healed.is_ok(), format!("healing fails: {healed:?}"));
    }

    /// CloudFormation makes a request. The attributes, if it succeeds.
    pub(super) async fn ask(
        &mut self,
        step: Step,
        resource: &str,
        kind: &str,
        with: &Value,
    ) -> Option<Value> {
        let mut event = request::event(kind, resource, self.callback.url(), with);
        event["RequestId"] = json!(format!("request-{step:?}"));
        let puts = self.callback.puts().len();
        let before = self.begin(step);
        let returned = self.party(step).function.invoke_within(event, TIME).await;
        self.end(step, &before);
        self.expects(returned.is_ok(), format!("{step} ends with {returned:?}"));
        let answers: Vec<Value> = self.callback.puts()[puts..].iter().map(|put| put.json()).collect();
        self.expects(answers.len() == 1, format!("{step} has {} answers", answers.len()));
        let answer = answers.into_iter().next()?;
        if answer["Status"] == "SUCCESS" {
            return Some(answer["Data"].clone());
        }
        self.failed = Some(format!("{step}: {}", answer["Reason"]));
        None
    }

    /// What is to happen in a step happens from now on. How often each operation was called before.
    fn begin(&self, step: Step) -> Calls {
        if let Some(hitch) = self.hitch.as_ref().filter(|hitch| hitch.step == step) {
            let Hitch { operation, number, fate, .. } = hitch;
            match fate {
                Fate::Lost(trouble) => self.party(step).troubles.plan(operation, *number, *trouble),
                Fate::Refused => {
                    let number = self.dms.calls(operation) + number;
                    let refusal = Refusal::new(DENIED, "not authorized");
                    self.dms.fail_nth(operation, number, refusal);
                }
            }
        }
        self.all_calls()
    }

    fn end(&mut self, step: Step, before: &Calls) {
        let mut calls = self.all_calls();
        calls.retain(|operation, count| {
            *count -= before.get(operation).copied().unwrap_or_default();
            *count > 0
        });
        let polls = calls.get("DescribeReplicationTasks").copied().unwrap_or_default();
        if self.fate() != Some(Fate::Refused) {
            self.expects(polls < POLLS, format!("{step} polls {polls} times"));
        }
        self.calls.insert(step, calls);
    }

    fn party(&self, step: Step) -> &Party {
        match step {
            Step::Pause | Step::PauseInRollback => &self.pre,
            Step::Run | Step::Heal | Step::Delete => &self.post,
        }
    }

    /// Whether what was to happen has not happened.
    fn is_waiting(&self) -> bool {
        let refused = |entry: &Entry| match &entry.event {
            Event::Call { refused, .. } => refused.as_deref() == Some(DENIED),
            _ => false,
        };
        match self.fate() {
            Some(Fate::Refused) => !self.dms.history().iter().any(refused),
            _ => [&self.pre, &self.post].iter().any(|party| party.troubles.is_waiting()),
        }
    }

    pub(super) fn fate(&self) -> Option<Fate> {
        self.hitch.as_ref().map(|hitch| hitch.fate)
    }

    fn all_calls(&self) -> Calls {
        [self.stack.calls(), self.dms.all_calls()].into_iter().flatten().collect()
    }

    /// What is late has come.
    pub(super) async fn settles(&self) {
        if self.fate() == Some(Fate::Lost(Trouble::Late)) {
            sleep(LATE).await;
        }
    }

    pub(super) fn expects(&mut self, is_so: bool, otherwise: impl Into<String>) {
        if !is_so {
            self.wrong.push(otherwise.into());
        }
    }

    /// Makes sure that the stack goes with all tasks at rest.
    pub(super) fn rests(&mut self) {
        for task in [&self.orders, &self.users, &self.billing, &self.audit].map(Arn::clone) {
            let is = self.dms.status(&task);
            self.expects(is == Some(TaskStatus::Stopped), format!("{task} is {is:?}"));
        }
    }

    /// Makes sure that the update has left no trace but itself.
    pub(super) fn runs_as_before(&mut self) {
        for (task, status, runs) in [
            (self.orders.clone(), TaskStatus::Running, 2),
            (self.users.clone(), TaskStatus::Running, 2),
            (self.billing.clone(), TaskStatus::Stopped, 1),
            (self.audit.clone(), TaskStatus::Running, 1),
        ] {
            let (is, ran) = (self.dms.status(&task), self.dms.runs(&task).len());
            self.expects(is.as_ref() == Some(&status), format!("{task} is {is:?}, not {status}"));
            self.expects(ran <= runs, format!("{task} has run {ran} times, not {runs}"));
            let resumed = self.dms.runs(&task).iter().skip(1).all(|run| run.start_type == StartType::Resume);
            self.expects(resumed, format!("{task} was not resumed"));
            let marks = self.dms.marks(&task);
            self.expects(marks.is_empty(), format!("{task} carries {marks:?}"));
        }
    }

    /// What was wrong, with what happened; `None` if nothing was.
    pub(super) fn problems(&self) -> Option<String> {
        let mut wrong = self.wrong.clone();
        wrong.extend(self.dms.violations());
        if self.is_waiting() {
            wrong.push("there was no such call".to_owned());
        }
        if wrong.is_empty() {
            return None;
        }
        wrong.extend(self.failed.clone());
        let logs = [self.pre.function.log(), self.post.function.log()].join("\n");
        let logs = logs.lines().map(|line| line.rsplit_once("}: ").map_or(line, |(_, said)| said));
        wrong.extend(logs.map(|line| format!("    {line}")));
        wrong.extend(self.dms.history().iter().map(|entry| format!("    {entry}")));
        Some(wrong.iter().map(|line| format!("  {line}\n")).collect())
    }
}

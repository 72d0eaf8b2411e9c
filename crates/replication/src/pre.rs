//! Before the stack's DMS resources change.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use custom_resource::{Attributes, Deadline, Request, Resource};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::change::{Change, Stage};
use crate::deployment::{ANSWERED, Deployment};
use crate::dms::Dms;
use crate::observe::{self, StackTask};
use crate::pause::{self, Candidate};
use crate::plan::Moment;
use crate::stack::{CloudFormation, Stack};
use crate::tasks::Tasks;

/// `Custom::DmsPre`: stops the running tasks that a deployment touches, and waits until they rest.
///
/// # Expected flow
/// Create and Update read the stack's change set and its tasks, mark and stop those that the change touches, and answer
/// when they rest. In a rollback the same happens for what the rollback touches. Delete does nothing: by then the tasks are
/// gone.
///
/// # Guarantees
/// - A task that the change doesn't touch is never stopped. A change that can't be known touches all.
/// - A task is marked before it is stopped, and what was at rest already is not marked. What another request has marked
///   stays marked.
///
/// # Assumptions
/// Every DMS resource of the template depends on this one.
///
/// # Plans
/// Invoked with `{"plan": {"StackId": …, "ChangeSetId": …}}` (both ARNs) it changes nothing and returns, in words, what
/// the change set changes (`Resources`) and what would be decided about each task now (`Tasks`): the same decisions, by the
/// same code.
#[derive(Debug)]
pub struct DmsPre<S, T> {
    stack: S,
    dms: T,
}

/// The properties of `Custom::DmsPre`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DmsPreProperties {
    /// Any text. A fresh one makes CloudFormation call the handler.
    #[serde(deserialize_with = "custom_resource::scalar")]
    pub deployment_id: String,
}

/// A request to say what a change set would do.
#[derive(Debug, Deserialize)]
struct PlanRequest {
    plan: PlanOf,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PlanOf {
    stack_id: String,
    change_set_id: String,
}

impl DmsPre<CloudFormation, Dms> {
    /// The handler for the account and region of the environment.
    ///
    /// # Errors
    /// None today; constructing is where the services' clients are made.
    pub async fn from_environment() -> anyhow::Result<Self> {
        let config = crate::aws::config();
        Ok(Self::new(CloudFormation::new(&config), Dms::new(&config)))
    }
}

impl<S: Stack, T: Tasks> DmsPre<S, T> {
    /// The handler over any CloudFormation and any DMS.
    pub fn new(stack: S, dms: T) -> Self {
        Self { stack, dms }
    }

    async fn pause(&self, request: Request<DmsPreProperties>) -> anyhow::Result<Attributes> {
        let (stack, dms) = (&self.stack, &self.dms);
        let reading = observe::all(stack, dms, &request.stack_id);
        let sight = request.deadline.limit(observe::READING, reading).await?;
        let is_answered = observe::is_answered(&sight.resources, &request.logical_id);
        ensure!(!is_answered, ANSWERED);
        let own_status = observe::status_of(&sight.resources, &request.logical_id).to_owned();
        let post_is_unfinished = sight.post_is_unfinished();
        let (status, tasks) = (&sight.status, sight.tasks);
        let mut paused = 0;
        if !status.is_deploying() {
            // A request that is delivered again, long after its deployment: nobody would resume what it stops.
            warn!("the stack is {}: no deployment is at work, and no task is stopped for one", status.0);
        } else if tasks.is_empty() {
            warn!("the stack has no AWS::DMS::ReplicationTask yet: there is nothing to stop");
        } else {
            let undoing = status.is_rolling_back();
            let candidate = |it: StackTask| {
                let touch = sight.change.touches(&it.logical_id, &it.task, undoing);
                // CloudFormation may have given up on DmsPost before it answered. Healing of an earlier deployment isn't
                // over as long as the mark of that one is on. What this request itself has paused, nobody starts.
                let contested = match &it.mark {
                    Some(mark) if *mark == request.request_id => false,
                    Some(_) => post_is_unfinished || !undoing,
                    None => post_is_unfinished,
                };
                Candidate { it, touch, contested }
            };
            let tasks = tasks.into_iter().map(candidate).collect();
            let deployment = Deployment {
                stack,
                stack_id: &request.stack_id,
                logical_id: &request.logical_id,
                request_id: &request.request_id,
                operation: (sight.status.clone(), sight.change_set.clone()),
                status: own_status,
            };
            paused = pause::all(dms, tasks, Some(&deployment), request.deadline).await?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("reading the clock")?;
        // CloudFormation may repeat a request's id, and DmsPost has to run whenever this did.
        let revision = format!("{}-{}", request.request_id, now.as_millis());
        Ok(Attributes::default().with("Revision", revision).with("PausedTasks", paused))
    }
}

impl<S: Stack, T: Tasks> DmsPre<S, T> {
    async fn plan(&self, of: &PlanOf) -> anyhow::Result<Value> {
        let (change, tasks) = futures::join!(
            self.stack.change(&of.change_set_id, Stage::Planned),
            observe::tasks(&self.stack, &self.dms, &of.stack_id)
        );
        let (change, tasks) = (change?, tasks?);
        let resources: Vec<String> = match &change {
            Change::Known(changes) => changes.iter().map(ToString::to_string).collect(),
            Change::Unknown(why) => vec![format!("it is not known what changes ({why})")],
        };
        let moment = Moment::first(tasks.iter().map(|it| &it.task), SystemTime::now());
        let tasks = tasks.into_iter().map(|it| {
            let candidate =
                Candidate { touch: change.touches(&it.logical_id, &it.task, false), contested: false, it };
            pause::words(&candidate, moment)
        });
        Ok(json!({ "Resources": resources, "Tasks": tasks.collect::<Vec<_>>() }))
    }
}

impl<S, T> Resource for DmsPre<S, T>
where
    S: Stack + 'static,
    T: Tasks + 'static,
{
    type Properties = DmsPreProperties;

    /// As an Update: the resource may join a stack that lives.
    async fn create(&self, request: Request<DmsPreProperties>) -> anyhow::Result<Attributes> {
        self.pause(request).await
    }

    async fn update(&self, request: Request<DmsPreProperties>) -> anyhow::Result<Attributes> {
        self.pause(request).await
    }

    async fn delete(&self, _request: Request<()>) -> anyhow::Result<()> {
        info!("nothing to do: when the stack goes, its tasks are gone by now");
        Ok(())
    }

    async fn notified(&self, event: Value, deadline: Deadline) -> anyhow::Result<Value> {
        let PlanRequest { plan } = serde_json::from_value(event)
            .context("reading an event: this function takes custom-resource requests and plan requests")?;
        deadline.limit(observe::READING, self.plan(&plan)).await
    }
}

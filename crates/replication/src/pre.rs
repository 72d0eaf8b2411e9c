//! Before the stack's DMS resources change.

use std::collections::HashMap;

use anyhow::Context;
use aws_config::SdkConfig;
use custom_resource::{Attributes, Deadline, Request, Resource};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::change::{Change, NESTED_STACK, Stage};
use crate::cloudformation::{CloudFormation, Event};
use crate::course::Course;
use crate::decide::{Aim, Moment};
use crate::dms::Dms;
use crate::look::{self, PRE, READING};
use crate::mark::{Mark, Revision};
use crate::settle::{Errand, settle};
use crate::succession::Begin;
use crate::task::Arn;

/// `Custom::DmsPre`: stops the running tasks that a deployment touches, and waits until they rest.
///
/// # Expected flow
/// Create and Update read the stack's change set and its tasks, mark and stop those that the change touches, and answer
/// when they rest. In a rollback the same happens for what the rollback touches. Delete does nothing: by then the tasks are
/// gone.
///
/// # Guarantees
/// - A task that the change doesn't touch is never stopped. A change that can't be known touches all.
/// - A deployment that would replace a task and lose its position fails before anything is stopped.
/// - A task is marked before it is stopped, and what was at rest already is not marked.
/// - `Revision` is new at every call, and tells DmsPost which tasks were paused.
///
/// # Assumptions
/// Every DMS resource of the template depends on this one.
///
/// # Caveats
/// A task that somebody stops when this has read it as running counts as paused by the deployment.
///
/// # Plans
/// Invoked with `{"plan": {"StackId": …, "ChangeSetId": …}}` (both ARNs) it changes nothing and returns, in words, what
/// the change set changes (`Resources`), what would be decided about each task now (`Tasks`), and why the deployment would
/// fail (`Refused`): the same decisions, by the same code.
#[derive(Debug)]
pub struct DmsPre {
    cloudformation: CloudFormation,
    dms: Dms,
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

impl DmsPre {
    /// The handler for the services that a configuration names.
    pub fn new(config: &SdkConfig) -> Self {
        Self { cloudformation: CloudFormation::new(&crate::aws::reading(config)), dms: Dms::new(config) }
    }

    async fn pause(&self, request: Request<DmsPreProperties>) -> anyhow::Result<Attributes> {
        let Self { cloudformation, dms } = self;
        let reading = look::all(cloudformation, dms, &request.stack_id);
        let mut sight = request.deadline.limit(READING, reading).await?;
        sight.awaits(&request.logical_id)?;
        let status = sight.operation.stack.status.clone();
        let mark = Mark::of(&request.request_id);
        let mut paused = Vec::new();
        if !status.is_deploying() {
            // A request that is delivered again, long after its deployment: nobody would resume what it stops.
            warn!("the stack is {status}: no deployment is at work, and no task is stopped for one");
        } else if sight.tasks.is_empty() {
            warn!("the stack has no AWS::DMS::ReplicationTask yet: there is nothing to stop");
        } else {
            let undoing = status.is_rolling_back();
            let post_is_unfinished = sight.post_is_unfinished();
            let nothing_changed = undoing
                && request.deadline.limit(READING, self.failed_before_any_change(&request.stack_id)).await?;
            let reading = replacements(dms, &sight.change, &sight.tasks, undoing);
            let mut replacements = request.deadline.limit(READING, reading).await?;
            let course = |it: look::StackTask| {
                let touch = sight.change.touches(&it.logical_id, &it.task, undoing);
                let touch = touch.filter(|_| !nothing_changed);
                let replacement = replacements.remove(&it.logical_id);
                // CloudFormation may have given up on DmsPost before it answered. Healing of an earlier deployment isn't
                // over as long as the mark of that one is on. What this request itself has paused, nobody starts.
                let contested = match it.marks.iter().any(|other| *other != mark) {
                    true => post_is_unfinished || !undoing,
                    false => post_is_unfinished && it.marks.is_empty(),
                };
                Course::new(it, Aim::Rest { touch, replacement, contested })
            };
            let mut courses: Vec<Course> = sight.tasks.into_iter().map(course).collect();
            let errand = Errand {
                dms,
                operation: &sight.operation,
                mark: Some(mark),
                unmarks: false,
                doing: "stopping",
                deadline: request.deadline,
            };
            settle(&errand, &mut courses).await?;
            let touched = courses.iter().filter(|it| matches!(it.aim, Aim::Rest { touch: Some(_), .. }));
            let is_paused = |it: &&Course| it.stopped || !it.it.marks.is_empty();
            paused = touched.filter(is_paused).map(|course| course.it.task.arn.clone()).collect::<Vec<Arn>>();
            info!("tasks that are paused for this deployment: {}", paused.len());
        }
        // CloudFormation may repeat a request's id, and DmsPost has to run whenever this did.
        let revision = Revision::new(&request.request_id, dms.now(), &paused);
        Ok(Attributes::default().with("Revision", revision).with("PausedTasks", paused.len()))
    }

    /// Whether the update that is being undone failed in DmsPre, before which nothing of DMS changes.
    async fn failed_before_any_change(&self, stack_id: &str) -> anyhow::Result<bool> {
        let events = self.cloudformation.events(stack_id).await?;
        let is_on_its_way = |it: &&Event| !it.is_about_the_stack || it.begins();
        let failed = |it: &Event| it.resource_type == PRE && it.status.ends_with("_FAILED");
        let has_failed = events.iter().rev().take_while(is_on_its_way).any(failed);
        // A rollback that somebody has asked for later may undo more than the last update.
        let then = events.iter().rev().find(|it| !is_on_its_way(it));
        let is_undone_at_once = then.is_some_and(|it| it.status.ends_with("ROLLBACK_IN_PROGRESS"));
        // What is in a nested stack has its events there.
        let changed = |it: &Event| {
            let is_nested = it.resource_type == NESTED_STACK && !it.is_about_the_stack;
            it.resource_type.starts_with("AWS::DMS::") || is_nested
        };
        let nothing_changed = has_failed && is_undone_at_once && !events.iter().any(changed);
        if nothing_changed {
            info!("the update failed before anything of DMS changed: there is nothing to undo");
        }
        Ok(nothing_changed)
    }

    async fn plan(&self, of: &PlanOf) -> anyhow::Result<Value> {
        let tasks = async {
            let resources = self.cloudformation.resources(&of.stack_id).await?;
            look::tasks(&resources, &self.dms).await
        };
        let change = self.cloudformation.change(&of.change_set_id, Stage::Planned);
        let (change, tasks) = futures::join!(change, tasks);
        let (change, tasks) = (Change::or_unknown(change), tasks?);
        let resources: Vec<String> = match &change {
            Change::Known(changes) => changes.iter().map(ToString::to_string).collect(),
            Change::Unknown(why) => vec![format!("it is not known what changes ({why})")],
        };
        let moment = Moment::first(tasks.iter().map(|it| &it.task), self.dms.now());
        let mut replacements = replacements(&self.dms, &change, &tasks, false).await?;
        let tasks = tasks.into_iter().map(|it| {
            let touch = change.touches(&it.logical_id, &it.task, false);
            let replacement = replacements.remove(&it.logical_id);
            let mut course = Course::new(it, Aim::Rest { touch, replacement, contested: false });
            course.advance(moment);
            (course.words(moment), course.failure())
        });
        let (tasks, refused): (Vec<_>, Vec<_>) = tasks.unzip();
        let refused: Vec<String> = refused.into_iter().flatten().collect();
        Ok(json!({ "Resources": resources, "Tasks": tasks, "Refused": refused }))
    }
}

/// How the tasks begin that take the place of some of these, by their names in the template. A rollback replaces none.
async fn replacements(
    dms: &Dms,
    change: &Change,
    tasks: &[look::StackTask],
    undoing: bool,
) -> anyhow::Result<HashMap<String, Begin>> {
    let replaced = tasks.iter().filter(|it| !undoing && change.predecessor(&it.logical_id).is_some());
    let replaced: Vec<&look::StackTask> = replaced.collect();
    let sources = look::sources(dms, replaced.iter().map(|it| &it.task)).await?;
    let begins = replaced.into_iter().filter_map(|it| {
        let source = sources.get(&it.task.source);
        let new = change.successor(&it.logical_id, &it.task, source)?;
        Some((it.logical_id.clone(), new.begins(Some(&it.task))))
    });
    Ok(begins.collect())
}

impl Resource for DmsPre {
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
        deadline.limit(READING, self.plan(&plan)).await
    }
}

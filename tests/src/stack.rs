//! A stand-in for CloudFormation as the handlers read it: one stack with its status, its change set and its tasks.
//!
//! [`Stack`] is the trait's implementation in process; [`serve`] serves the same stack over CloudFormation's query
//! protocol, for the real binaries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::http::Server;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::post;
use replication::change::{Change, ResourceChange, Stage};
use replication::stack::{StackStatus, TaskResource};
use replication::task::Arn;

/// The ARN of the one stack there is.
pub const STACK: &str = "arn:aws:cloudformation:eu-west-1:123456789012:stack/stream/0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f";
/// How many resources, or changes, CloudFormation lists at once.
const PAGE: usize = 100;
/// The ARN of its change set.
pub const CHANGE_SET: &str = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/deploy/6a2d";

/// A stack, as it is now. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Stack(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    status: String,
    execution: String,
    changes: Option<Vec<ResourceChange>>,
    /// The change sets of nested stacks.
    nested: HashMap<String, Vec<ResourceChange>>,
    tasks: Vec<TaskResource>,
}

impl Stack {
    /// A stack in this status, without tasks, updated without a change set.
    pub fn new(status: &str) -> Self {
        let execution = "EXECUTE_IN_PROGRESS".to_owned();
        Self(Arc::new(Mutex::new(Inner {
            status: status.to_owned(),
            execution,
            changes: None,
            nested: HashMap::new(),
            tasks: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Puts a task into the template, under this name.
    pub fn has(&self, logical_id: &str, task: &Arn) {
        self.put(logical_id, task, false);
    }

    /// The resource of this name gets another physical id, as after a replacement.
    pub fn replaces(&self, logical_id: &str, task: &Arn) {
        self.state().tasks.retain(|it| it.logical_id != logical_id);
        self.put(logical_id, task, true);
    }

    fn put(&self, logical_id: &str, task: &Arn, updated: bool) {
        let (logical_id, arn) = (logical_id.to_owned(), task.clone());
        self.state().tasks.push(TaskResource {
            logical_id,
            arn,
            updated,
        });
    }

    /// The stack is carrying out a change set with these changes.
    pub fn changes(&self, changes: Vec<ResourceChange>) {
        self.state().changes = Some(changes);
    }

    /// The stack is carried on without a change set that anybody knows.
    pub fn changes_unseen(&self) {
        self.state().changes = None;
    }

    /// The tasks that `ListStackResources` shows from now on, in place of those before.
    pub fn lists(&self, tasks: Vec<TaskResource>) {
        self.state().tasks = tasks;
    }

    /// A nested stack is carrying out a change set of its own.
    pub fn nests(&self, change_set: &str, changes: Vec<ResourceChange>) {
        self.state().nested.insert(change_set.to_owned(), changes);
    }

    /// The stack's status changes.
    pub fn becomes(&self, status: &str) {
        self.state().status = status.to_owned();
    }

    /// Whether an operation is under way.
    pub fn is_in_progress(&self) -> bool {
        self.state().status.ends_with("_IN_PROGRESS")
    }

    /// Whether the stack is in this status.
    pub fn status_is(&self, status: &str) -> bool {
        self.state().status == status
    }

    /// The change set's execution status changes.
    pub fn execution_is(&self, status: &str) {
        self.state().execution = status.to_owned();
    }
}

/// A change of a resource's properties, in place.
pub fn modified(logical_id: &str, resource_type: &str, physical_id: &Arn) -> ResourceChange {
    ResourceChange {
        action: "Modify".to_owned(),
        logical_id: logical_id.to_owned(),
        physical_id: Some(physical_id.as_str().to_owned()),
        resource_type: resource_type.to_owned(),
        replacement: Some("False".to_owned()),
        scope: vec!["Properties".to_owned()],
        details: vec![("Properties".to_owned(), Some("TableMappings".to_owned()))],
        change_set: None,
    }
}

impl replication::Stack for Stack {
    async fn status(&self, stack: &str) -> anyhow::Result<(StackStatus, Option<String>)> {
        anyhow::ensure!(
            stack == STACK,
            "describing stack {stack}: ValidationError: it does not exist"
        );
        let state = self.state();
        Ok((
            StackStatus(state.status.clone()),
            state.changes.as_ref().map(|_| CHANGE_SET.to_owned()),
        ))
    }

    async fn change(&self, _change_set: &str, stage: Stage) -> anyhow::Result<Change> {
        let state = self.state();
        let at_work = match (stage, state.execution.as_str()) {
            (Stage::Planned, _) | (_, "EXECUTE_IN_PROGRESS") => true,
            (stage, execution) => stage == Stage::Undone && execution == "EXECUTE_FAILED",
        };
        Ok(match (&state.changes, at_work) {
            (Some(changes), true) => Change::Known(changes.clone()),
            _ => Change::Unknown(state.execution.clone()),
        })
    }

    async fn tasks(&self, _stack: &str) -> anyhow::Result<Vec<TaskResource>> {
        Ok(self.state().tasks.clone())
    }
}

/// Serves a stack as CloudFormation's endpoint.
///
/// # Errors
/// If no port can be opened.
pub async fn serve(stack: Stack) -> std::io::Result<Server> {
    Server::start(
        axum::Router::new()
            .route("/", post(answer))
            .with_state(stack),
    )
    .await
}

async fn answer(
    State(stack): State<Stack>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, String) {
    let action = form.get("Action").map_or("", String::as_str);
    let wanted = form.get("StackName").map_or(STACK, String::as_str);
    if wanted != STACK {
        let message = format!("Stack with id {wanted} does not exist");
        return refusal("ValidationError", &message);
    }
    let state = stack.state();
    let page = form.get("NextToken").map_or(0, |it| it.parse().unwrap());
    let change_set = form.get("ChangeSetName").map_or("", String::as_str);
    let result = match action {
        "DescribeStacks" => state.describe_stacks(),
        "DescribeChangeSet" => match state.describe_change_set(change_set, page) {
            Some(result) => result,
            None => return refusal("ChangeSetNotFound", "ChangeSet does not exist"),
        },
        "ListStackResources" => state.list_stack_resources(page),
        other => {
            return (
                StatusCode::BAD_REQUEST,
                format!("no such action here: {other}"),
            );
        }
    };
    let xmlns = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
    let body = format!(
        "<{action}Response xmlns=\"{xmlns}\"><{action}Result>{result}</{action}Result></{action}Response>"
    );
    (StatusCode::OK, body)
}

fn refusal(code: &str, message: &str) -> (StatusCode, String) {
    let error = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    );
    (StatusCode::BAD_REQUEST, error)
}

/// A page of members, and the token of the next one, if there is one.
fn paged(list: &str, members: &[String], page: usize) -> String {
    let on_page: String = members
        .iter()
        .skip(page * PAGE)
        .take(PAGE)
        .cloned()
        .collect();
    let next = match members.len() > (page + 1) * PAGE {
        true => element("NextToken", &(page + 1).to_string()),
        false => String::new(),
    };
    element(list, &on_page) + &next
}

impl Inner {
    fn describe_stacks(&self) -> String {
        let change_set = if self.changes.is_some() {
            element("ChangeSetId", CHANGE_SET)
        } else {
            String::new()
        };
        let stack = [
            element("StackId", STACK),
            element("StackName", "stream"),
            element("CreationTime", "2026-01-01T00:00:00Z"),
            element("StackStatus", &self.status),
            change_set,
        ];
        element("Stacks", &element("member", &stack.concat()))
    }

    fn describe_change_set(&self, name: &str, page: usize) -> Option<String> {
        let changes = match name {
            CHANGE_SET => self.changes.as_ref(),
            nested => self.nested.get(nested),
        };
        let mut members = Vec::new();
        for change in changes? {
            let scope: String = change
                .scope
                .iter()
                .map(|scope| element("member", scope))
                .collect();
            let details: String = change.details.iter().map(detail).collect();
            let parts = [
                element("Action", &change.action),
                element("LogicalResourceId", &change.logical_id),
                element(
                    "PhysicalResourceId",
                    change.physical_id.as_deref().unwrap_or_default(),
                ),
                element("ResourceType", &change.resource_type),
                change
                    .replacement
                    .as_deref()
                    .map(|it| element("Replacement", it))
                    .unwrap_or_default(),
                element("Scope", &scope),
                element("Details", &details),
                change
                    .change_set
                    .as_deref()
                    .map(|it| element("ChangeSetId", it))
                    .unwrap_or_default(),
            ];
            let change = element("ResourceChange", &parts.concat());
            members.push(element("member", &change));
        }
        let execution = element("ExecutionStatus", &self.execution);
        Some(execution + &paged("Changes", &members, page))
    }

    fn list_stack_resources(&self, page: usize) -> String {
        let resource = |logical: &str, physical: &str, kind: &str, status: &str| {
            let parts = [
                element("LogicalResourceId", logical),
                element("PhysicalResourceId", physical),
                element("ResourceType", kind),
                element("LastUpdatedTimestamp", "2026-01-01T00:00:00Z"),
                element("ResourceStatus", status),
            ];
            element("member", &parts.concat())
        };
        let kind = "AWS::Kinesis::Stream";
        let mut members = vec![resource("Stream", "stream-1", kind, "CREATE_COMPLETE")];
        for task in &self.tasks {
            let status = if task.updated {
                "UPDATE_COMPLETE"
            } else {
                "CREATE_COMPLETE"
            };
            let kind = "AWS::DMS::ReplicationTask";
            members.push(resource(&task.logical_id, task.arn.as_str(), kind, status));
        }
        paged("StackResourceSummaries", &members, page)
    }
}

fn detail((attribute, name): &(String, Option<String>)) -> String {
    let name = name
        .as_deref()
        .map(|name| element("Name", name))
        .unwrap_or_default();
    element(
        "member",
        &element("Target", &[element("Attribute", attribute), name].concat()),
    )
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

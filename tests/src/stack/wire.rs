//! The stack over CloudFormation's query protocol.

use std::collections::HashMap;

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::post;
use replication::stack::Resource;

use super::{CHANGE_SET, Inner, STACK, Stack};
use crate::http::Server;

/// How many resources, or changes, CloudFormation lists at once.
const PAGE: usize = 100;

/// Serves a stack as CloudFormation's endpoint.
///
/// # Errors
/// If no port can be opened.
pub async fn serve(stack: Stack) -> std::io::Result<Server> {
    Server::start(axum::Router::new().route("/", post(answer)).with_state(stack)).await
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
    let mut state = stack.state();
    *state.calls.entry(action.to_owned()).or_default() += 1;
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
            return (StatusCode::BAD_REQUEST, format!("no such action here: {other}"));
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
    let on_page: String = members.iter().skip(page * PAGE).take(PAGE).cloned().collect();
    let next = match members.len() > (page + 1) * PAGE {
        true => element("NextToken", &(page + 1).to_string()),
        false => String::new(),
    };
    element(list, &on_page) + &next
}

impl Inner {
    fn describe_stacks(&self) -> String {
        let change_set = self.change_set();
        let change_set = change_set.map_or_else(String::new, |it| element("ChangeSetId", &it));
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
            own if own.starts_with(CHANGE_SET) => self.changes.as_ref(),
            nested => self.nested.get(nested),
        };
        let mut members = Vec::new();
        for change in changes? {
            let scope: String = change.scope.iter().map(|scope| element("member", scope)).collect();
            let details: String = change.details.iter().map(detail).collect();
            let parts = [
                element("Action", &change.action),
                element("LogicalResourceId", &change.logical_id),
                element("PhysicalResourceId", change.physical_id.as_deref().unwrap_or_default()),
                element("ResourceType", &change.resource_type),
                change.replacement.as_deref().map(|it| element("Replacement", it)).unwrap_or_default(),
                element("Scope", &scope),
                element("Details", &details),
                change.change_set.as_deref().map(|it| element("ChangeSetId", it)).unwrap_or_default(),
            ];
            let change = element("ResourceChange", &parts.concat());
            members.push(element("member", &change));
        }
        let execution = element("ExecutionStatus", &self.execution);
        Some(execution + &paged("Changes", &members, page))
    }

    fn list_stack_resources(&self, page: usize) -> String {
        let member = |resource: Resource| {
            let physical_id = resource.physical_id.unwrap_or_default();
            let parts = [
                element("LogicalResourceId", &resource.logical_id),
                element("PhysicalResourceId", &physical_id),
                element("ResourceType", &resource.resource_type),
                element("LastUpdatedTimestamp", "2026-01-01T00:00:00Z"),
                element("ResourceStatus", &resource.status),
            ];
            element("member", &parts.concat())
        };
        let members: Vec<String> = self.resources().into_iter().map(member).collect();
        paged("StackResourceSummaries", &members, page)
    }
}

fn detail((attribute, name): &(String, Option<String>)) -> String {
    let name = name.as_deref().map(|name| element("Name", name)).unwrap_or_default();
    element("member", &element("Target", &[element("Attribute", attribute), name].concat()))
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

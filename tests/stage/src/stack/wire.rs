//! The stack over CloudFormation's query protocol.

use std::collections::HashMap;
use std::time::SystemTime;

use axum::http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{CHANGE_SET, Detail, Inner, Resource, STACK, Stack};
use crate::aws::Answer;

/// How many resources, changes or events CloudFormation lists at once.
const PAGE: usize = 100;

impl Stack {
    /// Answers a request, which is a form.
    pub(crate) fn answer(&self, form: &[u8]) -> Answer {
        let form: HashMap<String, String> = form_urlencoded::parse(form).into_owned().collect();
        let action = form.get("Action").map_or("", String::as_str);
        let wanted = form.get("StackName").map_or(STACK, String::as_str);
        if wanted != STACK {
            return refusal("ValidationError", &format!("Stack with id {wanted} does not exist"));
        }
        let mut state = self.state_of();
        *state.calls.entry(action.to_owned()).or_default() += 1;
        let page = form.get("NextToken").map_or(0, |it| it.parse().unwrap());
        let change_set = form.get("ChangeSetName").map_or("", String::as_str);
        let result = match action {
            "DescribeStacks" => state.describe_stacks(),
            "DescribeStackEvents" => state.describe_stack_events(page),
            "DescribeChangeSet" => match state.describe_change_set(change_set, page) {
                Some(result) => result,
                None => return refusal("ChangeSetNotFound", "ChangeSet does not exist"),
            },
            "ListStackResources" => state.list_stack_resources(page),
            other => return refusal("InvalidAction", &format!("no such action here: {other}")),
        };
        let xmlns = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
        let body = format!(
            "<{action}Response xmlns=\"{xmlns}\"><{action}Result>{result}</{action}Result></{action}Response>"
        );
        Answer { status: StatusCode::OK, body }
    }
}

fn refusal(code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    );
    Answer { status: StatusCode::BAD_REQUEST, body }
}

fn date(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap()
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
            element("CreationTime", &date(self.created)),
            self.updated.map_or_else(String::new, |at| element("LastUpdatedTime", &date(at))),
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
                change.policy_action.as_deref().map(|it| element("PolicyAction", it)).unwrap_or_default(),
                element("Action", &change.action),
                element("LogicalResourceId", &change.logical_id),
                element("PhysicalResourceId", change.physical_id.as_deref().unwrap_or_default()),
                element("ResourceType", &change.resource_type),
                change.replacement.as_deref().map(|it| element("Replacement", it)).unwrap_or_default(),
                element("Scope", &scope),
                element("Details", &details),
                change.change_set.as_deref().map(|it| element("ChangeSetId", it)).unwrap_or_default(),
                change.after.as_ref().map(context).unwrap_or_default(),
            ];
            let change = element("ResourceChange", &parts.concat());
            members.push(element("member", &change));
        }
        let execution = element("ExecutionStatus", &self.execution);
        Some(execution + &paged("Changes", &members, page))
    }

    /// The newest come first.
    fn describe_stack_events(&self, page: usize) -> String {
        let members = self.events.iter().enumerate().rev().map(|(number, event)| {
            let parts = [
                element("StackId", STACK),
                element("EventId", &number.to_string()),
                element("StackName", "stream"),
                element("LogicalResourceId", &event.of.logical_id),
                element("PhysicalResourceId", &event.of.physical_id),
                element("ResourceType", &event.of.resource_type),
                element("Timestamp", &date(event.at)),
                element("ResourceStatus", &event.of.status),
            ];
            element("member", &parts.concat())
        });
        paged("StackEvents", &members.collect::<Vec<_>>(), page)
    }

    fn list_stack_resources(&self, page: usize) -> String {
        let member = |resource: &Resource| {
            let parts = [
                element("LogicalResourceId", &resource.logical_id),
                element("PhysicalResourceId", &resource.physical_id),
                element("ResourceType", &resource.resource_type),
                element("LastUpdatedTimestamp", "2026-01-01T00:00:00Z"),
                element("ResourceStatus", &resource.status),
            ];
            element("member", &parts.concat())
        };
        let members: Vec<String> = self.resources().map(member).collect();
        paged("StackResourceSummaries", &members, page)
    }
}

/// A resource's properties, as JSON in XML.
fn context(properties: &Value) -> String {
    let context = json!({ "Properties": properties }).to_string();
    element("AfterContext", &context.replace('&', "&amp;").replace('<', "&lt;"))
}

fn detail(detail: &Detail) -> String {
    let optional = |name: &str, content: &Option<String>| {
        content.as_deref().map(|content| element(name, content)).unwrap_or_default()
    };
    let parts = [
        element(
            "Target",
            &[element("Attribute", &detail.attribute), optional("Name", &detail.name)].concat(),
        ),
        element("Evaluation", &detail.evaluation),
        optional("ChangeSource", &detail.source),
        optional("CausingEntity", &detail.cause),
    ];
    element("member", &parts.concat())
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

//! What has to come of a case, read off the event and the facts of the protocol alone.

use std::time::Duration;

use serde_json::Value;

use super::case::{Case, Place};
use super::handler::Properties;

/// What an event is.
#[derive(Debug)]
pub(crate) enum Expected {
    /// No request: the handler is told, nobody is answered.
    Notice,
    /// Nobody can be answered, or nobody listens any more: nothing happens.
    Nothing,
    /// A request that is answered, if the callback takes it.
    Answer(To, Work),
}

/// Whom the answer is for.
#[derive(Debug)]
pub(crate) struct To {
    pub(crate) stack_id: String,
    pub(crate) request_id: String,
    pub(crate) logical_id: String,
    /// The id that came, if one came.
    pub(crate) physical_id: Option<String>,
    /// Whether so little time is left that nobody can say whether it is answered.
    pub(crate) is_late: bool,
}

/// What there is to do for it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// The record of a function that died.
    LastWords,
    /// It can't be decoded.
    Refused,
    /// A Delete of what was not created.
    NothingToDelete,
    /// The handler is called for this.
    Called(&'static str),
}

impl Expected {
    /// What an event with this URL in it is.
    pub(crate) fn of(case: &Case, event: &Value, url: &str) -> Self {
        let is_request = |event: &&Value| event.get("ResponseURL").is_some();
        let record = event.get("requestPayload").filter(is_request);
        let (request, work) = match (Some(event).filter(is_request), record) {
            (Some(request), _) => (request, Work::of(request)),
            (None, Some(request)) => (request, Work::LastWords),
            (None, None) => return Self::Notice,
        };
        let Place::Url { age, expires, .. } = &case.place else {
            return Self::Nothing;
        };
        if request["ResponseURL"] != url {
            return Self::Nothing;
        }
        let timeout = &request["ResourceProperties"]["ServiceTimeout"];
        let timeout = timeout
            .as_u64()
            .or_else(|| timeout.as_str()?.parse().ok())
            .filter(|seconds| (1..=3600).contains(seconds))
            .unwrap_or(3600);
        let left = age.map_or(i64::MAX, |age| {
            (timeout.min(expires.unwrap_or(u64::MAX)).cast_signed()) - age.cast_signed()
        });
        if left < -60 {
            return Self::Nothing;
        }
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let to = To {
            stack_id: text("StackId"),
            request_id: text("RequestId"),
            logical_id: text("LogicalResourceId"),
            physical_id: Some(text("PhysicalResourceId")).filter(|id| !id.is_empty()),
            is_late: case.is_late || left < 70,
        };
        Self::Answer(to, work)
    }
}

impl Work {
    fn of(request: &Value) -> Self {
        let is_text = |name: &str| request[name].is_string();
        let is_whole = ["StackId", "RequestId", "LogicalResourceId", "ResourceType"].into_iter().all(is_text)
            && (request["ServiceToken"].is_null() || is_text("ServiceToken"));
        let id = request["PhysicalResourceId"].as_str().unwrap_or_default();
        let is_readable = || {
            request.get("ResourceProperties").is_some_and(|properties| {
                let mut properties = properties.clone();
                if let Some(properties) = properties.as_object_mut() {
                    properties.remove("ServiceToken");
                    properties.remove("ServiceTimeout");
                }
                serde_json::from_value::<Properties>(properties).is_ok()
            })
        };
        match request["RequestType"].as_str() {
            _ if !is_whole => Self::Refused,
            Some("Create") if is_readable() => Self::Called("Create"),
            Some("Update") if is_readable() && !id.is_empty() => Self::Called("Update"),
            Some("Delete") if id.ends_with("-not-created") => Self::NothingToDelete,
            Some("Delete") if !id.is_empty() => Self::Called("Delete"),
            _ => Self::Refused,
        }
    }
}

/// How the sending has to end.
#[derive(Debug)]
pub(crate) struct Sending {
    /// How many requests are made for it, at most.
    pub(crate) attempts: usize,
    pub(crate) end: End,
    /// Whether there is time for all of it.
    pub(crate) is_in_time: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Accepted,
    Refused,
    Unreachable,
}

impl Sending {
    pub(crate) fn of(case: &Case) -> Self {
        const ATTEMPTS: usize = 6;
        let is_open = matches!(case.place, Place::Url { is_open: true, .. });
        let end = case.replies.iter().position(|reply| !is_worth_a_retry(reply.status));
        let attempts = end.unwrap_or(case.replies.len()) + 1;
        let end = match end.map(|at| &case.replies[at]) {
            _ if !is_open || attempts > ATTEMPTS => End::Unreachable,
            Some(reply) if !reply.is_accepted() => End::Refused,
            _ => End::Accepted,
        };
        let attempts = attempts.min(ATTEMPTS);
        let delays: Duration = case.replies.iter().take(attempts).map(|reply| reply.delay).sum();
        // The pauses double from 0.2 s on.
        let pauses = Duration::from_millis(200) * ((1 << (attempts - 1)) - 1);
        // Of an invocation's time a quarter is kept back; a fifth of that is the handler's too, a tenth nobody's.
        let of_time = if case.behaviour.never_ends() { 0.175 } else { 0.975 };
        let margin = Duration::from_millis(450);
        let is_in_time = delays + pauses + margin <= case.time().mul_f64(of_time);
        Self { attempts, end, is_in_time }
    }
}

fn is_worth_a_retry(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 429)
}

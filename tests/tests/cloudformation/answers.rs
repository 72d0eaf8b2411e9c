//! Where CloudFormation listens: a callback that knows every URL it gave out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use stage::http::Server;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::sync::Notify;

use crate::handler::World;
use crate::lambda::Ends;
use crate::plan::Signed;

/// What an id ends with if its Create failed before the handler was called.
pub(crate) const NOT_CREATED: &str = "-not-created";

/// One answer that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) physical_id: String,
    pub(crate) data: Value,
}

/// What came in at one URL.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The event that named the URL, less the URL.
    pub(crate) event: Value,
    pub(crate) is_listened_to: bool,
    pub(crate) answers: Vec<Answer>,
    busy: u8,
}

impl Line {
    /// What is wrong with what came in, after invocations that ended so. Collects the ids that Creates answer.
    pub(crate) fn faults(&self, ends: Ends, ids: &mut BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        let count = self.answers.len();
        let may_be =
            if self.is_listened_to { ends.returned.max(1)..=ends.returned + ends.unknown } else { 0..=0 };
        if !may_be.contains(&count) {
            faults.push(format!("{count} answers from {ends:?}"));
        }
        let given = self.event["PhysicalResourceId"].as_str();
        for Answer { physical_id, .. } in &self.answers {
            let marked = physical_id.strip_suffix(NOT_CREATED);
            let is_right = match given {
                Some(given) => physical_id == given,
                None => marked.is_none() || ends.entered == 0,
            };
            if !is_right {
                faults.push(format!("{physical_id} answers {}", self.event));
            }
            if given.is_none() {
                ids.insert(marked.unwrap_or(physical_id).to_owned());
            }
        }
        faults
    }
}

#[derive(Debug)]
struct Lines {
    by_path: Mutex<BTreeMap<String, Line>>,
    heard: Notify,
    world: Arc<World>,
}

#[derive(Debug)]
pub(crate) struct Answers {
    lines: Arc<Lines>,
    server: Server,
}

impl Answers {
    pub(crate) async fn start(world: Arc<World>) -> Self {
        let lines = Arc::new(Lines { by_path: Mutex::default(), heard: Notify::new(), world });
        let router = axum::Router::new().fallback(take).with_state(Arc::clone(&lines));
        let server = Server::start(router).await.unwrap();
        Self { lines, server }
    }

    /// Opens a line for the event, and puts its URL into it. The path of the line.
    pub(crate) fn open(&self, event: &mut Value, signed: Signed, busy: u8) -> String {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let date = OffsetDateTime::now_utc() - time::Duration::seconds(signed.seconds_ago.into());
        let mut lines = self.lines.by_path.lock().unwrap();
        let mut path = format!("/stack%7CThing%7C{}", event["RequestId"].as_str().unwrap());
        // The signature tells one URL from another.
        write!(
            path,
            "?X-Amz-Date={}&X-Amz-Expires={}&X-Amz-Signature=%2B{}",
            date.format(format).unwrap(),
            signed.expires,
            lines.len()
        )
        .unwrap();
        let line =
            Line { event: event.clone(), is_listened_to: signed.is_listened_to(), answers: Vec::new(), busy };
        lines.insert(path.clone(), line);
        event["ResponseURL"] = format!("{}{path}", self.server.endpoint()).into();
        path
    }

    /// The first answer at this path. What comes after it is ignored, as CloudFormation has gone on by then.
    pub(crate) fn first(&self, path: &str) -> Option<Answer> {
        self.lines.by_path.lock().unwrap()[path].answers.first().cloned()
    }

    /// Waits for the first answer at this path.
    pub(crate) async fn heard(&self, path: &str) -> Answer {
        loop {
            let next = self.lines.heard.notified();
            if let Some(answer) = self.first(path) {
                return answer;
            }
            next.await;
        }
    }

    /// Everything that came in, by path.
    pub(crate) fn all(&self) -> BTreeMap<String, Line> {
        self.lines.by_path.lock().unwrap().clone()
    }
}

async fn take(
    State(lines): State<Arc<Lines>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut by_path = lines.by_path.lock().unwrap();
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let Some(line) = by_path.get_mut(path) else {
        lines.world.fault(format!("no such URL was given: {path}"));
        return StatusCode::FORBIDDEN;
    };
    if !line.is_listened_to {
        lines.world.fault(format!("an answer where nobody listens: {body:?}"));
        return StatusCode::FORBIDDEN;
    }
    if line.busy > 0 {
        line.busy -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if method != Method::PUT || headers.contains_key("content-type") {
        lines.world.fault(format!("the signature covers no such request: {method}"));
    }
    match read(&body, &line.event) {
        Ok(answer) => {
            if !line.answers.is_empty() {
                crate::saw("a second answer, ignored");
            }
            line.answers.push(answer);
            lines.heard.notify_waiters();
        }
        Err(why) => lines.world.fault(format!("{why}: {body:?}")),
    }
    StatusCode::OK
}

/// Reads an answer as CloudFormation does.
fn read(body: &[u8], event: &Value) -> Result<Answer, &'static str> {
    if body.len() > 4096 {
        return Err("Response object is too long.");
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| "no JSON")?;
    if ["StackId", "RequestId", "LogicalResourceId"].iter().any(|name| body[name] != event[name]) {
        return Err("the ids aren't the request's");
    }
    let physical_id = body["PhysicalResourceId"].as_str().unwrap_or_default();
    if physical_id.is_empty() || physical_id.len() > 1024 {
        return Err("Invalid PhysicalResourceId");
    }
    let success = match (body["Status"].as_str(), body["Reason"].as_str()) {
        (Some("SUCCESS"), _) => true,
        (Some("FAILED"), Some(reason)) if !reason.is_empty() => false,
        _ => return Err("no Status, or no Reason"),
    };
    Ok(Answer { success, physical_id: physical_id.to_owned(), data: body["Data"].clone() })
}

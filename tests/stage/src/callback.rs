//! A stand-in for the pre-signed URLs that CloudFormation hands out: each has a line of its own, which keeps every request as
//! it came, answers as told, and is read as CloudFormation reads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, LOCATION, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::net::TcpSocket;
use tokio::sync::Notify;

use crate::http::Server;

/// The secret part of a URL: it must be in no log.
pub const SIGNATURE: &str = "X-Amz-Signature=8f3a%2Bc0ffee";

/// The longest body that CloudFormation takes, in bytes.
pub const MAX_BYTES: usize = 4096;

/// A URL's date and time to live, as they stand in its query; the signature comes after them.
pub fn signed(ago: Option<Duration>, expires: Option<u64>) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = ago.map(|ago| (OffsetDateTime::now_utc() - ago).format(format).unwrap());
    let date = date.map(|date| format!("X-Amz-Date={date}&")).unwrap_or_default();
    let expires = expires.map(|expires| format!("X-Amz-Expires={expires}&")).unwrap_or_default();
    date + &expires + SIGNATURE
}

/// What is said to one request.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The HTTP status. A redirect leads to a place of the line's own, where it is noticed.
    pub status: u16,
    /// How long that takes.
    pub delay: Duration,
}

impl Reply {
    /// Whether it says that all is well.
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl From<u16> for Reply {
    fn from(status: u16) -> Self {
        Self { status, delay: Duration::ZERO }
    }
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Put {
    /// The method, which should be PUT.
    pub method: Method,
    /// Path and query, as they came.
    pub path_and_query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
}

/// An answer that CloudFormation takes.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether the request succeeded.
    pub success: bool,
    /// The resource's physical id.
    pub physical_id: String,
    /// The attributes.
    pub data: Value,
}

impl Put {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Reads it as S3 does, to which the URL leads, and CloudFormation, which waits for an answer to this request.
    ///
    /// # Errors
    /// What S3 or CloudFormation has against it.
    pub fn read(&self, request: &Value) -> Result<Answer, String> {
        let answer = self.read_at_any_length(request)?;
        if self.body.len() > MAX_BYTES {
            return Err("Response object is too long.".to_owned());
        }
        if answer.physical_id.len() > 1024 {
            return Err("Invalid PhysicalResourceId".to_owned());
        }
        Ok(answer)
    }

    /// The same, without a look at how long the answer and its id are.
    ///
    /// # Errors
    /// What S3 or CloudFormation has against it.
    pub fn read_at_any_length(&self, request: &Value) -> Result<Answer, String> {
        let text = |name| self.headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if self.method != Method::PUT {
            return Err(format!("the signature covers no {}", self.method));
        }
        if let Some(name) =
            [CONTENT_TYPE, TRANSFER_ENCODING, EXPECT].iter().find(|name| text(*name).is_some())
        {
            return Err(format!("the signature covers no header {name}"));
        }
        if text(&CONTENT_LENGTH) != Some(self.body.len().to_string().as_str()) {
            return Err(format!("its length is {:?}", text(&CONTENT_LENGTH)));
        }
        let body: Value = serde_json::from_slice(&self.body).map_err(|error| error.to_string())?;
        for name in ["StackId", "RequestId", "LogicalResourceId"] {
            if body[name] != request[name].as_str().unwrap_or_default() {
                return Err(format!("its {name} is not the request's"));
            }
        }
        let physical_id = body["PhysicalResourceId"].as_str().unwrap_or_default();
        if physical_id.is_empty() {
            return Err("Invalid PhysicalResourceId".to_owned());
        }
        let success = match (body["Status"].as_str(), body["Reason"].as_str()) {
            (Some("SUCCESS"), None) => true,
            (Some("FAILED"), Some(reason)) if !reason.trim().is_empty() => false,
            _ => return Err("neither a success nor a failure with its reason".to_owned()),
        };
        Ok(Answer { success, physical_id: physical_id.to_owned(), data: body["Data"].clone() })
    }
}

/// What came for one URL.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The requests.
    pub puts: Vec<Put>,
    /// Those of them that were told that all is well, and lived to hear it.
    pub accepted: Vec<Put>,
    /// How many followed a redirect.
    pub followed: usize,
    replies: VecDeque<Reply>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Mutex<Vec<Line>>,
    /// Where requests came that are on no line.
    strays: Mutex<Vec<String>>,
    heard: Notify,
}

impl Lines {
    fn of<T>(&self, number: usize, f: impl FnOnce(&mut Line) -> T) -> Option<T> {
        self.lines.lock().unwrap().get_mut(number).map(f)
    }
}

/// The place that all URLs lead to, on a free port of the loopback interface. The first line is there from the start.
#[derive(Debug)]
pub struct Callback {
    url: String,
    server: Server,
    lines: Arc<Lines>,
    nobody: (TcpSocket, String),
}

impl Callback {
    /// Starts one that takes everything.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start() -> std::io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let server = Server::start(axum::Router::new().fallback(take).with_state(Arc::clone(&lines))).await?;
        // Bound, so that the port is nobody else's, and not listening.
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let nobody = format!("http://{}", socket.local_addr()?);
        let mut callback = Self { url: String::new(), server, lines, nobody: (socket, nobody) };
        let number = callback.open([]);
        let path = "arn%3Aaws%3Acloudformation%3Aeu-west-1%3A123456789012%3Astack/stream/0b6a%7CDmsPre%7Cr-1";
        let query = signed(Some(Duration::ZERO), Some(7200));
        callback.url = format!("{}/{number}/{path}?{query}", callback.endpoint());
        Ok(callback)
    }

    /// Where all URLs begin.
    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Where connections are refused.
    pub fn nobody(&self) -> &str {
        &self.nobody.1
    }

    /// Opens a line, whose next requests get these replies, and the ones after them 200. Its number, which is the first part
    /// of its URL's path; the rest, and the query, can be anything.
    pub fn open(&self, replies: impl IntoIterator<Item = Reply>) -> usize {
        let mut lines = self.lines.lines.lock().unwrap();
        lines.push(Line { replies: replies.into_iter().collect(), ..Line::default() });
        lines.len() - 1
    }

    /// What came on a line so far.
    pub fn line(&self, number: usize) -> Line {
        self.lines.of(number, |line| line.clone()).unwrap_or_default()
    }

    /// What came on a line, which forgets it.
    pub fn take(&self, number: usize) -> Line {
        self.lines.of(number, std::mem::take).unwrap_or_default()
    }

    /// Waits for the first request on a line that is accepted.
    pub async fn heard(&self, number: usize) -> Put {
        loop {
            let next = self.lines.heard.notified();
            if let Some(put) = self.line(number).accepted.into_iter().next() {
                return put;
            }
            next.await;
        }
    }

    /// Where requests came that are on no line: a URL that nobody was given.
    pub fn strays(&self) -> Vec<String> {
        self.lines.strays.lock().unwrap().clone()
    }

    /// The first line's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Path and query of the first line's URL.
    pub fn path_and_query(&self) -> &str {
        &self.url[self.endpoint().len()..]
    }

    /// The next requests on the first line get these statuses; the ones after them 200.
    pub fn answers(&self, statuses: impl IntoIterator<Item = u16>) {
        self.lines.of(0, |line| line.replies.extend(statuses.into_iter().map(Reply::from)));
    }

    /// All requests on the first line so far.
    pub fn puts(&self) -> Vec<Put> {
        self.line(0).puts
    }

    /// Waits for the first answer on the first line.
    ///
    /// # Panics
    /// If none comes within a minute.
    pub async fn answer(&self) -> Value {
        let heard = tokio::time::timeout(Duration::from_mins(1), self.heard(0)).await;
        heard.expect("no answer within a minute").json()
    }
}

async fn take(
    State(lines): State<Arc<Lines>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut parts = uri.path().splitn(3, '/').skip(1);
    let number = parts.next().and_then(|part| part.parse::<usize>().ok()).unwrap_or(usize::MAX);
    if parts.next() == Some("elsewhere") {
        lines.of(number, |line| line.followed += 1);
        return StatusCode::OK.into_response();
    }
    let path_and_query = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let put = Put { method, path_and_query, headers, body };
    let reply = lines.of(number, |line| {
        line.puts.push(put.clone());
        line.replies.pop_front().unwrap_or(Reply::from(200))
    });
    let Some(reply) = reply else {
        lines.strays.lock().unwrap().push(uri.to_string());
        return StatusCode::FORBIDDEN.into_response();
    };
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if reply.is_accepted() {
        lines.of(number, |line| line.accepted.push(put));
        lines.heard.notify_waiters();
    }
    let status = StatusCode::from_u16(reply.status).unwrap();
    if status.is_redirection() {
        return (status, [(LOCATION, format!("/{number}/elsewhere"))]).into_response();
    }
    status.into_response()
}

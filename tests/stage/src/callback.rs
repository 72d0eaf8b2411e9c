//! A stand-in for the pre-signed URL: it keeps every PUT as it came, and answers as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::http::Server;

/// The secret part of the URL: it must be in no log.
pub const SIGNATURE: &str = "X-Amz-Signature=8f3a%2Bc0ffee";

/// One request to the callback.
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

impl Put {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug, Default)]
struct Seen {
    puts: Vec<Put>,
    next: VecDeque<StatusCode>,
}

/// The callback, on a free port of the loopback interface.
#[derive(Debug)]
pub struct Callback {
    url: String,
    _server: Server,
    seen: Arc<Mutex<Seen>>,
}

impl Callback {
    /// Starts one that takes everything.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start() -> std::io::Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = axum::Router::new().fallback(take).with_state(Arc::clone(&seen));
        let server = Server::start(router).await?;
        let endpoint = server.endpoint();
        let path = "arn%3Aaws%3Acloudformation%3Aeu-west-1%3A123456789012%3Astack/stream/0b6a%7CDmsPre%7Cr-1";
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let now = OffsetDateTime::now_utc().format(format).unwrap();
        let url = format!("{endpoint}/{path}?X-Amz-Date={now}&X-Amz-Expires=7200&{SIGNATURE}");
        Ok(Self { url, _server: server, seen })
    }

    /// The URL that a request names.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Path and query of the URL.
    pub fn path_and_query(&self) -> &str {
        self.url.splitn(4, '/').nth(3).unwrap()
    }

    /// The next requests get these statuses; the ones after them 200.
    pub fn answers(&self, statuses: impl IntoIterator<Item = u16>) {
        let statuses = statuses.into_iter().map(|status| StatusCode::from_u16(status).unwrap());
        self.seen.lock().unwrap().next.extend(statuses);
    }

    /// All requests so far.
    pub fn puts(&self) -> Vec<Put> {
        self.seen.lock().unwrap().puts.clone()
    }

    /// Waits for the first answer.
    ///
    /// # Panics
    /// If none comes within a minute.
    pub async fn answer(&self) -> Value {
        for _ in 0..1200 {
            if let Some(put) = self.puts().first() {
                return put.json();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no answer within a minute");
    }
}

async fn take(
    State(seen): State<Arc<Mutex<Seen>>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let path_and_query = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut seen = seen.lock().unwrap();
    seen.puts.push(Put { method, path_and_query, headers, body });
    seen.next.pop_front().unwrap_or(StatusCode::OK)
}

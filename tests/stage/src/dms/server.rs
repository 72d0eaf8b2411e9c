//! The stand-in behind DMS's own protocol: JSON 1.1 over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Dms;
use super::refusal::Refusal;
use crate::aws::Answer;
use crate::http::Server;

const TARGET: &str = "AmazonDMSv20160101.";

/// A server for a stand-in. It ends when it is dropped.
#[derive(Debug)]
pub struct DmsServer(Server);

impl DmsServer {
    /// Serves a stand-in.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(dms: Dms) -> std::io::Result<Self> {
        let routes = Router::new().fallback(answer).with_state(dms);
        Ok(Self(Server::start(routes).await?))
    }

    /// Where it listens: what `AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE` takes.
    pub fn endpoint(&self) -> &str {
        self.0.endpoint()
    }
}

async fn answer(State(dms): State<Dms>, headers: HeaderMap, body: Bytes) -> Response {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let answer = match target.and_then(|target| target.strip_prefix(TARGET)) {
        Some(operation) => dms.answer(operation, &body),
        None => {
            let got = target.unwrap_or("none");
            let why = format!("X-Amz-Target must be {TARGET}<Operation>, got {got}");
            Err(Refusal::new("UnknownOperationException", why)).into()
        }
    };
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let headers = [
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("x-amzn-requestid", format!("00000000-0000-4000-8000-{request:012x}")),
    ];
    (answer.status, headers, answer.body).into_response()
}

impl Dms {
    /// Answers a request about an operation in DMS's own protocol.
    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> Answer {
        let body = if body.is_empty() { b"{}" } else { body };
        let input = serde_json::from_slice(body).map_err(|err| {
            let why = format!("The body is not JSON: {err}");
            Refusal::new("SerializationException", why)
        });
        input.and_then(|input| self.call(operation, &input)).into()
    }
}

impl From<Result<Value, Refusal>> for Answer {
    fn from(answer: Result<Value, Refusal>) -> Self {
        let (status, body) = match answer {
            Ok(answer) => (StatusCode::OK, answer),
            Err(Refusal { code, message }) => {
                let status = match code.as_str() {
                    "InternalFailure" => StatusCode::INTERNAL_SERVER_ERROR,
                    "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::BAD_REQUEST,
                };
                (status, json!({ "__type": code, "message": message }))
            }
        };
        Self { status, body: body.to_string() }
    }
}

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
    let (status, answer) = match call(&dms, &headers, &body) {
        Ok(answer) => (StatusCode::OK, answer),
        Err(refusal) => {
            let status = match refusal.code.as_str() {
                "InternalFailure" => StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            let Refusal { code, message } = refusal;
            (status, json!({ "__type": code, "message": message }))
        }
    };
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let headers = [
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("x-amzn-requestid", format!("00000000-0000-4000-8000-{request:012x}")),
    ];
    (status, headers, answer.to_string()).into_response()
}

fn call(dms: &Dms, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix(TARGET));
    let operation = operation.ok_or_else(|| {
        let got = target.unwrap_or("none");
        let why = format!("X-Amz-Target must be {TARGET}<Operation>, got {got}");
        Refusal::new("UnknownOperationException", why)
    })?;
    let body = if body.is_empty() { b"{}" } else { body };
    let input = serde_json::from_slice(body).map_err(|err| {
        let why = format!("The body is not JSON: {err}");
        Refusal::new("SerializationException", why)
    })?;
    dms.call(operation, &input)
}

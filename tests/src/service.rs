//! A client of services that speak JSON over HTTP as AWS's do, under the name that the local cloud lets
//! do everything. It looks at the name of a signature alone.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longer than the local cloud takes for anything asked of it here.
const PATIENCE: Duration = Duration::from_secs(20);

/// The access key of whoever may do everything.
pub(crate) const ROOT: &str = "local";

/// One service, such as Kinesis.
#[derive(Clone, Debug)]
pub struct Service {
    client: Client<HttpConnector, Full<axum::body::Bytes>>,
    endpoint: String,
    name: &'static str,
}

/// Why a call brought nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The service said no: its code and its message.
    #[error("{0}: {1}")]
    Refused(String, String),
    /// It said nothing that can be understood.
    #[error("{0}")]
    Unreachable(String),
}

impl CallError {
    /// Whether the same call can't go well later.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused(code, _) if code == "ResourceNotFoundException")
    }
}

impl Service {
    /// Kinesis, at this URL.
    pub fn kinesis(endpoint: &str) -> Self {
        Self::new(endpoint, "Kinesis_20131202")
    }

    /// Secrets Manager, at this URL.
    pub fn secrets_manager(endpoint: &str) -> Self {
        Self::new(endpoint, "secretsmanager")
    }

    fn new(endpoint: &str, name: &'static str) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            endpoint: endpoint.to_owned(),
            name,
        }
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// If the service refuses, or can't be reached.
    pub async fn call(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        let lost = |error: &dyn std::fmt::Display| {
            CallError::Unreachable(format!("{}.{operation}: {error}", self.name))
        };
        let request = axum::http::Request::post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{}.{operation}", self.name))
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={ROOT}/"))
            .body(Full::from(input.to_string()))
            .map_err(|error| lost(&error))?;
        let exchange = async {
            let response = self.client.request(request).await;
            let (head, body) = response.map_err(|error| lost(&error))?.into_parts();
            let body = body.collect().await.map_err(|error| lost(&error))?;
            Ok((head.status, body.to_bytes()))
        };
        let exchanged = tokio::time::timeout(PATIENCE, exchange).await;
        let (status, body) = exchanged.map_err(|error| lost(&error))??;
        if body.is_empty() && status.is_success() {
            return Ok(Value::Null);
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|error| lost(&error))?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let code = text("__type").unwrap_or_default();
        let message = text("message").or(text("Message")).unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        Err(CallError::Refused(code.to_owned(), message.to_owned()))
    }
}

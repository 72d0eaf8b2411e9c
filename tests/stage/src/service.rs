//! A client of AWS's services, in JSON or in CloudFormation's query protocol, under the name that the local cloud lets do
//! everything. The local cloud looks at the name in a signature alone.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use roxmltree::{Document, Node};
use serde_json::Value;

/// Longer than the local cloud takes for anything asked of it here.
const PATIENCE: Duration = Duration::from_secs(20);

/// The access key of whoever may do everything.
pub(crate) const ROOT: &str = "local";

/// The version of CloudFormation's API.
const CLOUDFORMATION: &str = "2010-05-15";

/// One service, such as Kinesis.
#[derive(Clone, Debug)]
pub struct Service {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: String,
    /// What stands before an operation in `X-Amz-Target`; CloudFormation's name otherwise.
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

    /// CloudFormation, at this URL. It is [asked](Self::ask).
    pub fn cloudformation(endpoint: &str) -> Self {
        Self::new(endpoint, "cloudformation")
    }

    fn new(endpoint: &str, name: &'static str) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            endpoint: endpoint.to_owned(),
            name,
        }
    }

    /// Calls an operation of a service that speaks JSON.
    ///
    /// # Errors
    /// If the service refuses, or can't be reached.
    pub async fn call(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        let target = format!("{}.{operation}", self.name);
        let request = Request::post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", &target);
        let (status, body) = self.exchange(&target, request, input.to_string()).await?;
        if body.is_empty() && status.is_success() {
            return Ok(Value::Null);
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|error| unreachable(&target, &error))?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let code = text("__type").unwrap_or_default();
        let message = text("message").or(text("Message")).unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        Err(CallError::Refused(code.to_owned(), message.to_owned()))
    }

    /// Asks CloudFormation to do something, with the parameters of its query protocol. The result: an element is an object
    /// of its parts, a list an array, and every value a string.
    ///
    /// # Errors
    /// If the service refuses, or can't be reached.
    pub async fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Value, CallError> {
        let fixed = [("Action", action), ("Version", CLOUDFORMATION)];
        let all = fixed.iter().chain(parameters);
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        let send = || {
            let request = Request::post(&self.endpoint);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            self.exchange(action, request, form.clone())
        };
        let mut asked = send().await;
        // A question can be asked again: an idle connection may have been closed just then.
        if matches!(asked, Err(CallError::Unreachable(_))) && action.starts_with("Describe") {
            asked = send().await;
        }
        let (status, body) = asked?;
        let text = String::from_utf8_lossy(&body);
        let document = Document::parse(&text).map_err(|error| unreachable(action, &error))?;
        let answer = value(document.root_element());
        if status.is_success() {
            return Ok(answer[format!("{action}Result")].clone());
        }
        let text = |name: &str| answer["Error"][name].as_str().unwrap_or_default().to_owned();
        Err(CallError::Refused(text("Code"), text("Message")))
    }

    async fn exchange(
        &self,
        what: &str,
        request: Builder,
        body: String,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let scope = format!("20261121/eu-west-1/{}/aws4_request", self.name.to_lowercase());
        let request = request
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={ROOT}/{scope}"))
            .body(Full::from(body))
            .map_err(|error| unreachable(what, &error))?;
        let exchange = async {
            let response = self.client.request(request).await;
            let (head, body) = response.map_err(|error| unreachable(what, &error))?.into_parts();
            let body = body.collect().await.map_err(|error| unreachable(what, &error))?;
            Ok((head.status, body.to_bytes()))
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|error| unreachable(what, &error))?
    }
}

fn unreachable(what: &str, error: &dyn std::fmt::Display) -> CallError {
    CallError::Unreachable(format!("{what}: {error}"))
}

/// An element of CloudFormation's answers.
fn value(element: Node<'_, '_>) -> Value {
    let mut parts = element.children().filter(Node::is_element).peekable();
    match parts.peek() {
        None => element.text().unwrap_or_default().into(),
        Some(first) if first.tag_name().name() == "member" => parts.map(value).collect(),
        Some(_) => parts.map(|part| (part.tag_name().name().to_owned(), value(part))).collect(),
    }
}

//! A stand-in for Secrets Manager: it knows the secrets that it was given, and answers for each as the service would.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::http::Server;

/// What there is to be had for an ARN.
#[derive(Clone, Debug)]
pub enum Secret {
    /// A text, JSON or not.
    Text(String),
    /// Bytes, in base64.
    Binary(String),
    /// A refusal: its code and its message.
    Refused(&'static str, &'static str),
}

type Shared = Arc<Mutex<Inner>>;

#[derive(Debug, Default)]
struct Inner {
    secrets: HashMap<String, Secret>,
    calls: BTreeMap<String, usize>,
}

/// The service, on a free port of the loopback interface.
#[derive(Debug)]
pub struct SecretsManager {
    inner: Shared,
    server: Server,
}

impl SecretsManager {
    /// Starts one that keeps no secret.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start() -> std::io::Result<Self> {
        let inner = Shared::default();
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let server = Server::start(routes).await?;
        Ok(Self { inner, server })
    }

    /// Keeps a secret under this ARN, in place of what was there.
    pub fn keep(&self, arn: &str, secret: Secret) {
        let mut inner = self.inner.lock().unwrap();
        inner.secrets.insert(arn.to_owned(), secret);
    }

    /// How often each operation was called.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.inner.lock().unwrap().calls.clone()
    }

    /// Where it listens: what `AWS_ENDPOINT_URL_SECRETS_MANAGER` takes.
    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }
}

async fn answer(State(inner): State<Shared>, headers: HeaderMap, body: String) -> (StatusCode, Json<Value>) {
    let request: Value = serde_json::from_str(&body).unwrap_or_default();
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let operation = target.and_then(|it| it.strip_prefix("secretsmanager."));
    let operation = operation.unwrap_or_default();
    let mut inner = inner.lock().unwrap();
    *inner.calls.entry(operation.to_owned()).or_default() += 1;
    if operation != "GetSecretValue" {
        let why = format!("only GetSecretValue is known here, not {target:?}");
        return refuse("UnknownOperationException", &why);
    }
    let arn = request["SecretId"].as_str().unwrap_or_default();
    let known = json!({ "ARN": arn, "Name": arn, "VersionStages": ["AWSCURRENT"] });
    let with = |name: &str, value: &str| {
        let mut answer = known.clone();
        answer[name] = json!(value);
        (StatusCode::OK, Json(answer))
    };
    match inner.secrets.get(arn) {
        Some(Secret::Text(text)) => with("SecretString", text),
        Some(Secret::Binary(bytes)) => with("SecretBinary", bytes),
        Some(Secret::Refused(code, message)) => refuse(code, message),
        None => refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    }
}

fn refuse(code: &str, message: &str) -> (StatusCode, Json<Value>) {
    let refusal = json!({ "__type": code, "Message": message });
    (StatusCode::BAD_REQUEST, Json(refusal))
}

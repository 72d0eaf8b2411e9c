//! A stand-in for Kinesis, for tests that need no local cloud: streams of one shard, that can be told to refuse.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::http::Server;

#[derive(Debug, Default)]
struct Inner {
    streams: HashMap<String, Vec<(String, Value)>>,
    refusals: Vec<&'static str>,
}

/// The service, on a free port of the loopback interface.
#[derive(Debug)]
pub struct Kinesis {
    inner: Arc<Mutex<Inner>>,
    server: Server,
}

impl Kinesis {
    /// Starts one without a stream.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start() -> std::io::Result<Self> {
        let inner = Arc::<Mutex<Inner>>::default();
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let server = Server::start(routes).await?;
        Ok(Self { inner, server })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Makes a stream.
    pub fn add(&self, arn: &str) {
        let streams = &mut self.inner.lock().unwrap().streams;
        streams.insert(arn.to_owned(), Vec::new());
    }

    /// Refuses the next call with this code; said twice, the next two.
    pub fn fail_next(&self, code: &'static str) {
        self.inner.lock().unwrap().refusals.push(code);
    }

    /// What is in a stream: partition keys and records.
    pub fn records(&self, arn: &str) -> Vec<(String, Value)> {
        let streams = &self.inner.lock().unwrap().streams;
        streams.get(arn).cloned().unwrap_or_default()
    }
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let request: Value = serde_json::from_str(&body).unwrap_or_default();
    let refuse = |code: &str| (StatusCode::BAD_REQUEST, Json(json!({ "__type": code })));
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    if target != Some("Kinesis_20131202.PutRecords") {
        return refuse("UnknownOperationException");
    }
    let mut inner = inner.lock().unwrap();
    if let Some(code) = inner.refusals.pop() {
        return refuse(code);
    }
    let arn = request["StreamARN"].as_str().unwrap_or_default();
    let Some(stream) = inner.streams.get_mut(arn) else {
        return refuse("ResourceNotFoundException");
    };
    let mut answers = Vec::new();
    for record in request["Records"].as_array().into_iter().flatten() {
        let data = BASE64_STANDARD.decode(record["Data"].as_str().unwrap());
        let key = record["PartitionKey"].as_str().unwrap().to_owned();
        stream.push((key, serde_json::from_slice(&data.unwrap()).unwrap()));
        answers.push(json!({ "SequenceNumber": stream.len().to_string(), "ShardId": "shardId-0" }));
    }
    let answer = json!({ "FailedRecordCount": 0, "Records": answers });
    (StatusCode::OK, Json(answer))
}

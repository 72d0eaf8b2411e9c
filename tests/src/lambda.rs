//! A stand-in for Lambda: the runtime API, and one of the real binaries as the process that polls it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use axum::Json;
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::http::Server;

type Verdict = Result<Value, Value>;

#[derive(Default)]
struct Inner {
    events: VecDeque<(Value, Duration, oneshot::Sender<Verdict>)>,
    at_work: Option<oneshot::Sender<Verdict>>,
    log: String,
}

#[derive(Clone, Default)]
struct Runtime {
    inner: Arc<Mutex<Inner>>,
    more: Arc<Notify>,
}

/// A function: one process of a real binary. It is killed when this is dropped.
pub struct Function {
    runtime: Runtime,
    child: Child,
    output: [JoinHandle<()>; 2],
    _server: Server,
}

/// The folder in which `cargo lambda build` leaves the functions.
pub fn built() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os("SLUICE_LAMBDA_DIR").map_or_else(|| root.join("target/lambda"), PathBuf::from)
}

impl Function {
    /// Starts `target/lambda/<name>/bootstrap` with this environment and nothing else but what Lambda sets.
    ///
    /// # Errors
    /// If the binary isn't built (`make build`), or can't be started.
    pub async fn start(name: &str, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let bootstrap = built().join(name).join("bootstrap");
        ensure!(
            bootstrap.exists(),
            "{} is not there: run `make build` first",
            bootstrap.display()
        );
        let runtime = Runtime::default();
        let router = axum::Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
            .with_state(runtime.clone());
        let server = Server::start(router).await?;
        let mut child = Command::new(&bootstrap)
            .env_clear()
            .env(
                "AWS_LAMBDA_RUNTIME_API",
                server.endpoint().trim_start_matches("http://"),
            )
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]1")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", "not-a-key")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", bootstrap.display()))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = [
            tokio::spawn(keep(runtime.clone(), stdout)),
            tokio::spawn(keep(runtime.clone(), stderr)),
        ];
        Ok(Self {
            runtime,
            child,
            output,
            _server: server,
        })
    }

    /// Hands over an event with a minute to work on it; what the function returned, or the error it reported.
    pub async fn invoke(&self, event: Value) -> Verdict {
        self.invoke_within(event, Duration::from_secs(60)).await
    }

    /// Hands over an event that has to be done in this time.
    pub async fn invoke_within(&self, event: Value, time: Duration) -> Verdict {
        let (verdict, done) = oneshot::channel();
        self.runtime
            .inner
            .lock()
            .unwrap()
            .events
            .push_back((event, time, verdict));
        self.runtime.more.notify_one();
        let late = tokio::time::timeout(time + Duration::from_secs(5), done).await;
        late.expect("the function outlived its time")
            .expect("the runtime is gone")
    }

    /// Ends the process; all that it ever wrote, to stdout and stderr.
    ///
    /// # Panics
    /// If it has ended already, or can't be ended.
    pub async fn end(mut self) -> String {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the process ended by itself: {ended:?}");
        self.child.kill().await.unwrap();
        for output in &mut self.output {
            output.await.unwrap();
        }
        self.log()
    }

    /// What of its output has arrived so far.
    pub fn log(&self) -> String {
        self.runtime.inner.lock().unwrap().log.clone()
    }

    /// The process's id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

async fn keep(runtime: Runtime, output: Option<impl AsyncRead + Unpin>) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut inner = runtime.inner.lock().unwrap();
        inner.log.push_str(&line);
        inner.log.push('\n');
    }
}

async fn next(State(runtime): State<Runtime>) -> Response {
    loop {
        let next = runtime.inner.lock().unwrap().events.pop_front();
        let Some((event, time, verdict)) = next else {
            runtime.more.notified().await;
            continue;
        };
        runtime.inner.lock().unwrap().at_work = Some(verdict);
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
        let mut headers = HeaderMap::new();
        headers.insert(
            "Lambda-Runtime-Aws-Request-Id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd".parse().unwrap(),
        );
        headers.insert(
            "Lambda-Runtime-Deadline-Ms",
            deadline.as_millis().to_string().parse().unwrap(),
        );
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:under-test";
        headers.insert("Lambda-Runtime-Invoked-Function-Arn", arn.parse().unwrap());
        return (headers, Json(event)).into_response();
    }
}

async fn end(
    State(runtime): State<Runtime>,
    Segments((_, end)): Segments<(String, String)>,
    body: String,
) -> StatusCode {
    let said = serde_json::from_str(&body).unwrap_or(Value::String(body));
    if let Some(verdict) = runtime.inner.lock().unwrap().at_work.take() {
        let _ = verdict.send(if end == "response" {
            Ok(said)
        } else {
            Err(said)
        });
    }
    StatusCode::ACCEPTED
}

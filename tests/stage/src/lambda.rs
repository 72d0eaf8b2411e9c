//! A stand-in for Lambda: the runtime API, and one of the real binaries as the process that polls it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

use crate::cloud::root;
use crate::http::Server;
use crate::on_failure::Ending;

type Verdict = Result<Value, Value>;

/// An event on its way to the function, and when it has to be done.
struct Invocation {
    request_id: String,
    event: Value,
    deadline: Duration,
    verdict: oneshot::Sender<Verdict>,
}

#[derive(Default)]
struct Inner {
    polled: Option<Instant>,
    events: VecDeque<Invocation>,
    at_work: Option<oneshot::Sender<Verdict>>,
    log: String,
}

#[derive(Clone, Default)]
struct Runtime {
    inner: Arc<Mutex<Inner>>,
    more: Arc<Notify>,
    ready: Arc<Notify>,
}

/// A function: one process of a real binary. It is killed when this is dropped.
pub struct Function {
    name: String,
    runtime: Runtime,
    child: Child,
    began: Instant,
    output: [JoinHandle<()>; 2],
    _server: Server,
}

/// The folder in which `cargo lambda build` leaves the functions.
pub fn built() -> PathBuf {
    std::env::var_os("SLUICE_LAMBDA_DIR").map_or_else(|| root().join("target/lambda"), PathBuf::from)
}

/// The program of a function.
///
/// # Errors
/// If it isn't built.
pub fn bootstrap(name: &str) -> anyhow::Result<PathBuf> {
    let bootstrap = built().join(name).join("bootstrap");
    ensure!(bootstrap.exists(), "{} is not there: run `make build` first", bootstrap.display());
    Ok(bootstrap)
}

/// A new id, as Lambda gives one to each invocation.
pub fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("8476a536-e9f4-11e8-9739-{next:012x}")
}

impl Runtime {
    fn note_poll(&self) {
        let polled = &mut self.inner.lock().unwrap().polled;
        if polled.is_none() {
            *polled = Some(Instant::now());
            self.ready.notify_one();
        }
    }

    fn hand_over(&self, request_id: String, event: Value, time: Duration) -> oneshot::Receiver<Verdict> {
        let (verdict, done) = oneshot::channel();
        let invocation = Invocation {
            request_id,
            event,
            deadline: SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time,
            verdict,
        };
        self.inner.lock().unwrap().events.push_back(invocation);
        self.more.notify_one();
        done
    }
}

impl Function {
    /// Starts `target/lambda/<name>/bootstrap` with this environment and nothing else but what Lambda sets.
    ///
    /// # Errors
    /// If the binary isn't built (`make build`), or can't be started.
    pub async fn start(name: &str, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let program = bootstrap(name)?;
        let mut command = Command::new(&program);
        let function = Self::run(name, &mut command, environment).await;
        function.with_context(|| format!("starting {}", program.display()))
    }

    /// Starts a function of this name, whatever its program is; the environment is as for [`start`](Self::start).
    ///
    /// # Errors
    /// If the program can't be executed.
    pub async fn run(
        name: &str,
        command: &mut Command,
        environment: &[(&str, &str)],
    ) -> std::io::Result<Self> {
        let runtime = Runtime::default();
        let router = axum::Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
            .with_state(runtime.clone());
        let server = Server::start(router).await?;
        let began = Instant::now();
        let mut child = command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", server.endpoint().trim_start_matches("http://"))
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
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output =
            [tokio::spawn(keep(runtime.clone(), stdout)), tokio::spawn(keep(runtime.clone(), stderr))];
        Ok(Self { name: name.to_owned(), runtime, child, began, output, _server: server })
    }

    /// Waits until the process asks for its first event: the time since it was started. Once.
    pub async fn ready(&self) -> Duration {
        self.runtime.ready.notified().await;
        let polled = self.runtime.inner.lock().unwrap().polled;
        polled.unwrap_or_else(Instant::now) - self.began
    }

    /// Hands over an event with a minute to work on it; what the function returned, or the error it reported.
    pub async fn invoke(&self, event: Value) -> Verdict {
        self.invoke_within(event, Duration::from_secs(60)).await
    }

    /// Hands over an event that has to be done in this time.
    pub async fn invoke_within(&self, event: Value, time: Duration) -> Verdict {
        let done = self.runtime.hand_over(request_id(), event, time);
        let late = tokio::time::timeout(time + Duration::from_secs(5), done).await;
        late.expect("the function outlived its time").expect("the runtime is gone")
    }

    /// Calls it as an asynchronous invocation, once, and ends its process if the time is over. What it returned, or the
    /// record for the `OnFailure` destination.
    pub async fn deliver(&mut self, event: Value, time: Duration) -> Verdict {
        let request_id = request_id();
        let done = self.runtime.hand_over(request_id.clone(), event.clone(), time);
        let ending = tokio::select! {
            biased;
            done = done => match done.expect("the runtime is gone") {
                Ok(returned) => return Ok(returned),
                Err(error) => Ending::Error(error),
            },
            ended = self.child.wait() => Ending::Exited(ended.unwrap()),
            () = tokio::time::sleep(time) => {
                self.child.kill().await.unwrap();
                Ending::TimedOut(time)
            }
        };
        Err(ending.record(&self.name, &request_id, &event))
    }

    /// Ends the process; all that it ever wrote, to stdout and stderr.
    ///
    /// # Panics
    /// If it has ended already, or can't be ended.
    pub async fn end(mut self) -> String {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the process ended by itself: {ended:?}");
        self.output().await
    }

    /// All that it ever wrote, to stdout and stderr. It is ended if it hasn't ended by itself.
    pub async fn output(mut self) -> String {
        let _ = self.child.kill().await;
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
    runtime.note_poll();
    loop {
        let next = runtime.inner.lock().unwrap().events.pop_front();
        let Some(Invocation { request_id, event, deadline, verdict }) = next else {
            runtime.more.notified().await;
            continue;
        };
        runtime.inner.lock().unwrap().at_work = Some(verdict);
        let mut headers = HeaderMap::new();
        headers.insert("Lambda-Runtime-Aws-Request-Id", request_id.parse().unwrap());
        headers.insert("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string().parse().unwrap());
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
        let _ = verdict.send(if end == "response" { Ok(said) } else { Err(said) });
    }
    StatusCode::ACCEPTED
}

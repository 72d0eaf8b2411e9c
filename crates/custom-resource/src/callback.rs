//! Sending the answer: one PUT to a pre-signed URL, tried again while that can help.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::deadline::Deadline;
use crate::response_url::ResponseUrl;

/// S3 takes a connection in milliseconds. What takes longer has no route to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one attempt, from connecting to the status.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
const ATTEMPTS: usize = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Puts the answer to where CloudFormation reads it: no Content-Type, which the signature would not cover, an exact
/// Content-Length, no redirects.
///
/// # Errors
/// Why the answer did not get through: the other side refused it for good, or could not be reached, or was too busy, until
/// the attempts or the time ran out. It names the host, and never the URL.
pub(crate) async fn put(url: &ResponseUrl, body: &Bytes, end: Deadline) -> Result<(), String> {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.enforce_http(false);
    if !url.is_https() {
        return send(http, url, body, end).await;
    }
    // Reading the system's roots takes longer than everything else here, so only where they are needed.
    let https = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("reading the system's root certificates: {error}"))?
        .https_only()
        .enable_http1()
        .wrap_connector(http);
    send(https, url, body, end).await
}

async fn send<C>(connector: C, url: &ResponseUrl, body: &Bytes, end: Deadline) -> Result<(), String>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client: Client<C, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let made = AtomicUsize::new(0);
    let pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .without_max_delay()
        .with_max_times(ATTEMPTS - 1);
    let sent = (|| {
        made.fetch_add(1, Ordering::Relaxed);
        attempt(&client, url, body, end)
    })
    .retry(pauses)
    .when(|failed| matches!(failed, Failed::Passing(_)))
    .adjust(|_, pause| pause.filter(|pause| Instant::now() + *pause < end.instant()))
    .notify(|failed, _| warn!(host = url.host(), "the answer did not get through: {failed}"))
    .await;
    sent.map_err(|failed| match failed {
        Failed::ForGood(why) => why,
        Failed::Passing(why) => format!(
            "{}: {why} (attempt {} of {ATTEMPTS}); a function in a VPC needs a route to S3 (NAT, or an S3 endpoint whose \
             policy allows CloudFormation's buckets)",
            url.host(),
            made.load(Ordering::Relaxed)
        ),
    })
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    ForGood(String),
    #[error("{0}")]
    Passing(String),
}

async fn attempt<C>(
    client: &Client<C, Full<Bytes>>,
    url: &ResponseUrl,
    body: &Bytes,
    end: Deadline,
) -> Result<(), Failed>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let request = Request::builder()
        .method(Method::PUT)
        .uri(url.uri().clone())
        .header(CONTENT_LENGTH, body.len())
        .body(Full::new(body.clone()))
        .map_err(|error| Failed::ForGood(error.to_string()))?;
    match timeout(ATTEMPT_TIMEOUT.min(end.remaining()), client.request(request)).await {
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) if is_worth_a_retry(response.status()) => {
            Err(Failed::Passing(format!("status {}", response.status())))
        }
        Ok(Ok(response)) => {
            let status = response.status();
            Err(Failed::ForGood(format!("{} answers with status {status}", url.host())))
        }
        Ok(Err(error)) => Err(Failed::Passing(causes(&error))),
        Err(_) => Err(Failed::Passing("no answer in time".to_owned())),
    }
}

fn is_worth_a_retry(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// An error and its causes in one line. None of them holds the URL.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

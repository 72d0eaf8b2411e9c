//! The services behind a port, for the real binaries.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::Aws;
use crate::http::{self, Server};

/// Serves both services at one endpoint: what `AWS_ENDPOINT_URL` takes.
///
/// # Errors
/// If no port can be opened.
pub async fn serve(aws: Aws) -> std::io::Result<Server> {
    Server::start(Router::new().fallback(answer).with_state(aws)).await
}

async fn answer(State(aws): State<Aws>, headers: HeaderMap, body: Bytes) -> Response {
    match aws.send(&headers, body).await {
        Some(answer) => (answer.status, answer.body).into_response(),
        None => http::closed(),
    }
}

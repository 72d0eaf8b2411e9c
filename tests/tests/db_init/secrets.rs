//! The secret, read through the SDK from a stand-in for Secrets Manager.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudformation::config::Credentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use custom_resource::Deadline;
use db_init::DbInit;
use db_init::secret::SecretsManager;
use serde_json::{Value, json};
use stage::http::Server;

use super::start;

/// Answers as Secrets Manager does. A secret's name says what is in it.
async fn get_secret_value(headers: HeaderMap, request: String) -> (StatusCode, Json<Value>) {
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    let request: Value = serde_json::from_str(&request).unwrap();
    let refuse = |code: &str, message: &str| {
        let refusal = json!({ "__type": code, "Message": message });
        (StatusCode::BAD_REQUEST, Json(refusal))
    };
    match request["SecretId"].as_str().unwrap() {
        "missing" => refuse(
            "ResourceNotFoundException",
            "Secrets Manager can't find it.",
        ),
        "forbidden" => refuse("AccessDeniedException", "the role may not read it"),
        "binary" => (
            StatusCode::OK,
            Json(json!({ "SecretBinary": "aHVudGVyMg==" })),
        ),
        text => (StatusCode::OK, Json(json!({ "SecretString": text }))),
    }
}

async fn secrets_manager() -> (Server, DbInit<SecretsManager>) {
    let server = Server::start(Router::new().route("/", post(get_secret_value)));
    let server = server.await.unwrap();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .http_client(http);
    let handler = DbInit::new(SecretsManager::new(&config.load().await));
    (server, handler)
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_told_with_its_name() {
    let (_server, handler) = secrets_manager().await;
    for (secret, complaint) in [
        ("missing", "there is no such secret"),
        (
            "forbidden",
            "AccessDeniedException: the role may not read it",
        ),
        ("binary", "holds no text"),
        ("plain", "no JSON object"),
        (r#"{"username":"admin"}"#, "no field `password`"),
    ] {
        let properties = json!({ "SecretArn": secret, "Host": "localhost", "Database": "shop" });
        let properties = serde_json::from_value(properties).unwrap();
        let deadline = Deadline::after(Duration::from_secs(20));
        let error = handler.make_ready(&properties, deadline).await.unwrap_err();
        let reason = format!("{error:#}");
        assert!(reason.contains(complaint), "{reason}");
        assert!(
            reason.starts_with(&format!("reading the secret {secret}: ")),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_secret_attached_to_a_cluster_is_enough_to_get_in() {
    let (_server, handler) = secrets_manager().await;
    let database = start().await;
    let secret = database.secret().to_string();
    let properties = json!({ "SecretArn": secret, "Database": "shop", "SslCa": database.ca_pem() });
    let properties = serde_json::from_value(properties).unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    let done = handler.make_ready(&properties, deadline).await.unwrap();
    assert_eq!(done.get("BinlogRetentionHours"), Some("24"));
}

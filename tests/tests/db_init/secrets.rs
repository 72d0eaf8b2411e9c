//! The secret, read through the SDK from a stand-in for Secrets Manager.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use custom_resource::Deadline;
use db_init::DbInit;
use serde_json::json;
use stage::secrets::{Secret, SecretsManager};

use super::start;

async fn secrets_manager() -> (SecretsManager, DbInit<db_init::secret::SecretsManager>) {
    let stand_in = SecretsManager::start().await.unwrap();
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(stand_in.endpoint())
        .http_client(http);
    let config = config.load().await;
    let handler = DbInit::new(db_init::secret::SecretsManager::new(&config));
    (stand_in, handler)
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_told_with_its_name() {
    let (stand_in, handler) = secrets_manager().await;
    let forbidden = ("AccessDeniedException", "the role may not read it");
    for (name, secret) in [
        ("forbidden", Secret::Refused(forbidden.0, forbidden.1)),
        ("binary", Secret::Binary("aHVudGVyMg==".to_owned())),
        ("plain", Secret::Text("hunter2".to_owned())),
        ("partial", Secret::Text(r#"{"username":"a"}"#.to_owned())),
    ] {
        stand_in.keep(name, secret);
    }
    for (name, complaint) in [
        ("missing", "there is no such secret"),
        ("forbidden", "AccessDeniedException: the role may not read it"),
        ("binary", "holds no text"),
        ("plain", "no JSON object"),
        ("partial", "no field `password`"),
    ] {
        let properties = json!({ "SecretArn": name, "Host": "localhost", "Database": "shop" });
        let properties = serde_json::from_value(properties).unwrap();
        let deadline = Deadline::after(Duration::from_secs(20));
        let error = handler.make_ready(&properties, deadline).await.unwrap_err();
        let reason = format!("{error:#}");
        assert!(reason.contains(complaint), "{reason}");
        assert!(reason.starts_with(&format!("reading the secret {name}: ")), "{reason}");
    }
}

#[tokio::test]
async fn a_secret_attached_to_a_cluster_is_enough_to_get_in() {
    let (stand_in, handler) = secrets_manager().await;
    let database = start().await;
    stand_in.keep("attached", Secret::Text(database.secret().to_string()));
    let properties = json!({ "SecretArn": "attached", "Database": "shop", "SslCa": database.ca_pem() });
    let properties = serde_json::from_value(properties).unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    let done = handler.make_ready(&properties, deadline).await.unwrap();
    assert_eq!(done.get("BinlogRetentionHours"), Some("24"));
}

//! The writer against a real server.

use mysql_async::prelude::Queryable;
use serde_json::json;
use stage::lambda::Function;
use stage::mysql::{MysqlServer, Options};
use stage::secrets::{Secret, SecretsManager};

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:master-AbCdEf";

#[tokio::test]
async fn rows_are_inserted_updated_and_deleted_in_a_table_of_their_own() {
    let options = Options { database: Some("blog".to_owned()), ..Options::default() };
    let server = MysqlServer::start(options).await.unwrap();
    let secrets = SecretsManager::start().await.unwrap();
    secrets.keep(ARN, Secret::Text(server.secret().to_string()));
    let ca = server.ca_pem().to_owned();
    let environment = [
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint()),
        ("SECRET_ARN", ARN),
        ("DATABASE", "blog"),
        ("SSL_MODE", "VERIFY_IDENTITY"),
        ("SSL_CA", &ca),
    ];
    let writer = Function::start("row-writer", &environment).await.unwrap();

    let written = writer.invoke(json!({ "rows": 3 })).await.unwrap();
    assert_eq!(written, json!({ "inserted": 3, "updated": 3, "deleted": 3 }));
    let written = writer.invoke(json!({})).await.unwrap();
    assert_eq!(written["inserted"], 10, "as many as one sees at a glance");
    let mut admin = server.admin().await.unwrap();
    let next: Option<u64> = admin
        .query_first("SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_NAME = 'sluice_probe'")
        .await
        .unwrap();
    assert_eq!(next, Some(14), "rows were really there");
    let left: Option<u64> = admin.query_first("SELECT COUNT(*) FROM blog.sluice_probe").await.unwrap();
    assert_eq!(left, Some(0));

    for wrong in [json!({ "rows": 0 }), json!({ "rows": 1001 })] {
        let refused = writer.invoke(wrong).await.unwrap_err();
        assert_eq!(refused["errorMessage"], "rows: from 1 to 1000");
    }
    // Whoever is not let in hears why, but no password.
    let mut wrong = server.secret();
    wrong["password"] = json!("hunter2");
    secrets.keep(ARN, Secret::Text(wrong.to_string()));
    let refused = writer.invoke(json!({})).await.unwrap_err().to_string();
    assert!(refused.contains("connecting to "), "{refused}");
    assert!(refused.contains("Access denied"), "{refused}");
    let log = writer.end().await;
    assert!(!refused.contains("hunter2") && !log.contains("hunter2"));
    let password = server.secret()["password"].as_str().unwrap().to_owned();
    assert!(!log.contains(&password), "{log}");
}

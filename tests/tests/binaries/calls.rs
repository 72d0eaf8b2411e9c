//! How many calls db-init makes: no more than it needs. Those of dms-pre and dms-post are counted on a paused clock, in
//! `tests/calls.rs`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stage::mysql::{MysqlServer, Options};
use stage::secrets::Secret;

use super::{SECRET, Scene};

/// The calls that a request takes, which is to succeed, by operation.
async fn calls_of_a(kind: &str, scene: &Scene, properties: Value) -> Vec<(String, usize)> {
    let all = || {
        let services = [scene.stack.calls(), scene.dms.all_calls(), scene.secrets.calls()];
        services.into_iter().flatten().collect::<BTreeMap<_, _>>()
    };
    let before = all();
    scene.done(kind, properties).await;
    let mut calls = all();
    for (operation, count) in &mut calls {
        *count -= before.get(operation).copied().unwrap_or_default();
    }
    calls.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn a_database_takes_one_call_for_each_secret_and_none_when_it_is_left() {
    const USER: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:user-Ab1";
    let scene = Scene::of("DbInit").await;
    let database = MysqlServer::start(Options::default()).await.unwrap();
    scene.attach(&database);
    let user = json!({ "username": "dms", "password": "for DMS" });
    scene.secrets.keep(USER, Secret::Text(user.to_string()));
    let mut properties = json!({
        "SecretArn": SECRET, "ReplicationUserSecretArn": USER, "Database": "shop", "SslCa": database.ca_pem(),
    });
    let both_secrets = [("GetSecretValue".to_owned(), 2)];
    for kind in ["Create", "Update"] {
        let calls = calls_of_a(kind, &scene, properties.clone()).await;
        assert_eq!(calls, both_secrets, "{kind}");
    }
    let orders = "CREATE TABLE orders (id INT PRIMARY KEY)";
    properties["Migrations"] = json!([{ "Version": 1, "Name": "orders", "Sql": orders }]);
    let calls = calls_of_a("Update", &scene, properties.clone()).await;
    assert_eq!(calls, both_secrets);
    assert_eq!(calls_of_a("Delete", &scene, properties).await, []);
}

//! The protocol, with the SDK as the client.

use aws_sdk_databasemigration::Client;
use aws_sdk_databasemigration::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_databasemigration::error::ProvideErrorMetadata;
use aws_sdk_databasemigration::types::{
    Filter, MigrationTypeValue, ReplicationEndpointTypeValue, StartReplicationTaskTypeValue, Tag,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use stage::dms::{Arn, TaskStatus};
use stage::dms::{Dms, DmsServer, Pace, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAPPINGS: &str = r#"{"rules":[{"rule-type":"selection","rule-id":"1","rule-name":"all","rule-action":"include",
    "object-locator":{"schema-name":"blog","table-name":"%"}}]}"#;

async fn stand_in() -> (Dms, DmsServer, Client) {
    let dms = Dms::new(Pace::immediate());
    let server = DmsServer::start(dms.clone()).await.unwrap();
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_sdk_databasemigration::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .http_client(http)
        .build();
    (dms, server, Client::from_conf(config))
}

fn by(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build().unwrap()
}

#[tokio::test]
async fn a_task_lives_its_life_through_the_sdk() {
    let (dms, _server, client) = stand_in().await;
    let wiring = dms.add_wiring("w");
    let tag = Tag::builder().key("team").value("orders").build();
    let created = client
        .create_replication_task()
        .replication_task_identifier("orders")
        .migration_type(MigrationTypeValue::Cdc)
        .source_endpoint_arn(wiring.source.as_str())
        .target_endpoint_arn(wiring.target.as_str())
        .replication_instance_arn(wiring.instance.as_str())
        .table_mappings(MAPPINGS)
        .tags(tag)
        .send()
        .await
        .unwrap();
    let arn = created.replication_task.unwrap().replication_task_arn.unwrap();
    client
        .start_replication_task()
        .replication_task_arn(&arn)
        .start_replication_task_type(StartReplicationTaskTypeValue::StartReplication)
        .cdc_start_position("mysql-bin.000001:4")
        .send()
        .await
        .unwrap();
    let refused = client.modify_replication_task().replication_task_arn(&arn).send().await.unwrap_err();
    assert!(refused.into_service_error().is_invalid_resource_state_fault());
    client.stop_replication_task().replication_task_arn(&arn).send().await.unwrap();
    client
        .modify_replication_task()
        .replication_task_arn(&arn)
        .replication_task_settings("{}")
        .send()
        .await
        .unwrap();

    let described = client.describe_replication_tasks().filters(by("replication-task-arn", &arn)).send();
    let task = described.await.unwrap().replication_tasks.unwrap().remove(0);
    assert_eq!(task.status(), Some("stopped"));
    assert_eq!(task.stop_reason(), Some("Stop Reason NORMAL"));
    assert_eq!(task.replication_task_settings(), Some("{}"));
    assert!(task.recovery_checkpoint().is_some());
    let stats = task.replication_task_stats().unwrap();
    assert_eq!(stats.start_date(), stats.fresh_start_date());
    assert!(stats.stop_date() >= stats.start_date());
    let bare = client.describe_replication_tasks().without_settings(true).send().await.unwrap();
    assert_eq!(bare.replication_tasks()[0].table_mappings(), None);

    let tags = client.list_tags_for_resource().resource_arn_list(&arn).send().await.unwrap();
    assert_eq!(tags.tag_list()[0].value(), Some("orders"));
    assert_eq!(tags.tag_list()[0].resource_arn(), Some(arn.as_str()));
    client.delete_replication_task().replication_task_arn(&arn).send().await.unwrap();
    let gone = client.describe_replication_tasks().filters(by("replication-task-arn", &arn)).send();
    assert!(gone.await.unwrap_err().into_service_error().is_resource_not_found_fault());
    assert_eq!(dms.status(&Arn::new(arn)), None);
}

#[tokio::test]
async fn an_endpoint_gives_no_password_back() {
    let (_dms, _server, client) = stand_in().await;
    let created = client
        .create_endpoint()
        .endpoint_identifier("Source")
        .endpoint_type(ReplicationEndpointTypeValue::Source)
        .engine_name("aurora")
        .server_name("db")
        .port(3306)
        .password("secret")
        .send()
        .await
        .unwrap();
    let endpoint = created.endpoint.unwrap();
    assert_eq!(endpoint.endpoint_identifier(), Some("source"));
    assert_eq!(endpoint.status(), Some("active"));
    assert_eq!(endpoint.port(), Some(3306));
    let again = client.describe_endpoints().filters(by("endpoint-id", "source")).send().await.unwrap();
    assert_eq!(again.endpoints()[0].endpoint_arn(), endpoint.endpoint_arn());
    assert!(!format!("{again:?}").contains("secret"));
}

#[tokio::test]
async fn long_lists_come_in_pages_that_lose_and_repeat_nothing() {
    let (dms, _server, client) = stand_in().await;
    let mut expected: Vec<_> =
        (0..45).map(|n| dms.add_task(&format!("task-{n}"), TaskStatus::Running).to_string()).collect();
    let mut pages = client.describe_replication_tasks().into_paginator().page_size(20).send();
    let (mut found, mut sizes) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.replication_tasks().len());
        found.extend(
            page.replication_tasks().iter().map(|task| task.replication_task_arn().unwrap().to_owned()),
        );
    }
    expected.sort();
    assert_eq!(sizes, [20, 20, 5]);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn throttling_is_something_the_sdk_tries_again() {
    let (dms, _server, client) = stand_in().await;
    let task = dms.add_task("orders", TaskStatus::Running);
    dms.fail_next("StopReplicationTask", Refusal::throttled());
    client.stop_replication_task().replication_task_arn(task.as_str()).send().await.unwrap();
    assert_eq!(dms.calls("StopReplicationTask"), 2);
}

#[tokio::test]
async fn an_operation_that_the_stand_in_does_not_know_says_so() {
    let (_dms, _server, client) = stand_in().await;
    let refused = client.describe_certificates().send().await.unwrap_err();
    assert_eq!(refused.code(), Some("UnknownOperationException"));
    assert!(refused.message().unwrap().ends_with("DescribeCertificates"));
}

#[tokio::test]
async fn a_request_without_a_target_or_without_json_is_a_bad_one() {
    let (_dms, server, _client) = stand_in().await;
    let address = server.endpoint().trim_start_matches("http://");
    for (headers, code) in [
        ("", "UnknownOperationException"),
        ("X-Amz-Target: AmazonDMSv20160101.DescribeEndpoints\r\n", "SerializationException"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: dms\r\n{headers}Content-Length: 1\r\nConnection: close\r\n\r\n{{"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("content-type: application/x-amz-json-1.1"), "{answer}");
        assert!(answer.contains(&format!(r#""__type":"{code}""#)), "{answer}");
    }
}

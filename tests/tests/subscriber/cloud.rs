//! The examples in the local cloud, deployed beside the other stacks and called as they are there.

use std::time::Duration;

use serde_json::{Value, json};
use stage::cloud::stacks::{Sight, Watch};
use stage::cloud::{Cloud, tool};
use stage::dms::Pace;
use stage::play::Play;
use tokio::time::Instant;

use super::record;

const EXAMPLES: &str = "sluice-examples";

/// What the AWS command line answers.
async fn aws(cloud: &Cloud, arguments: &[&str]) -> String {
    let mut aws = cloud.command(tool("aws").unwrap());
    let output = aws.args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// One of the programs that deploy, and what it says, having gone well.
async fn operate(cloud: &Cloud, command: &str, parameters: &Value) -> Vec<String> {
    let mut watch = Watch::default();
    let said = cloud.operate(command, parameters, &[], &mut watch, &mut |_| {}).await.unwrap();
    assert!(said.well, "{}", said.lines.join("\n"));
    said.lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumer_gets_the_records_of_its_table_past_one_that_it_cannot_read_and_the_writer_writes() {
    let cloud = Cloud::start_at(Pace::immediate()).await.unwrap();
    let mut play = Play::new(cloud).await.unwrap();
    play.stream_and_all_before_it().await.unwrap();
    let cloud = &play.cloud;

    let parameters = json!({ "SslCa": cloud.rds.ca_pem(), "MaximumRetryAttempts": 1 });
    operate(cloud, "deploy-examples", &parameters).await;
    let again = operate(cloud, "deploy-examples", &parameters).await;
    assert!(again.iter().any(|it| it.contains("nothing to change")), "{again:?}");
    let outputs = cloud.outputs(EXAMPLES).await.unwrap();
    let stream = cloud.outputs("sluice-stream").await.unwrap();
    let stream = &stream["StreamName"];

    let writer = &outputs["RowWriterFunctionName"];
    let written = cloud.invoke(writer, &json!({ "rows": 2 })).await.unwrap();
    assert_eq!(written, json!({ "inserted": 2, "updated": 2, "deleted": 2 }));

    let (old, new) = (json!({ "id": 641, "word": "hello" }), json!({ "id": 641, "word": "bye" }));
    let other = record("insert", json!({ "data": { "id": 642 } }));
    let stream = format!("--stream-name={stream}");
    let mut numbers = Vec::new();
    for record in [
        record("insert", json!({ "data": old })),
        other.replace("sluice_probe", "examples"),
        r#"{"metadata": {"table-name": "sluice_probe"}}"#.to_owned(),
        record("update", json!({ "data": new, "before": old })),
    ] {
        let data = format!("--data={record}");
        let put = ["kinesis", "put-record", &stream, "--partition-key=blog"];
        let answer = aws(cloud, &[&put[..], &[&data]].concat()).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        numbers.push(answer["SequenceNumber"].as_str().unwrap().to_owned());
    }

    // They come in order: once the last one is there, all before it are dealt with.
    let (mut watch, mut log) = (Watch::default(), Vec::new());
    let until = Instant::now() + Duration::from_secs(120);
    let shown = |log: &[String], what: &str| log.iter().filter(|it| it.contains(what)).count();
    while shown(&log, r#"word "hello" -> "bye""#) == 0 {
        assert!(Instant::now() < until, "{log:#?}\n{}", cloud.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut keep = |sight| {
            if let Sight::Function(said) = sight
                && said.function.contains("StreamSubscriber")
            {
                log.push(said.line);
            }
        };
        cloud.look(EXAMPLES, &mut watch, &mut keep).await.unwrap();
    }
    assert_eq!(shown(&log, r#"insert {"id":641,"word":"hello"}"#), 1, "{log:#?}");
    assert_eq!(shown(&log, r#""id":642"#), 0, "{log:#?}");

    // What could not be read was tried again and put aside, without its neighbours.
    let said = format!("record {}: `metadata.record-type` is missing", numbers[2]);
    assert!(shown(&log, &said) >= 2, "{log:#?}");
    let queue = format!("--queue-url={}", outputs["FailureQueueUrl"]);
    // For SQS, the command line takes no endpoint from the environment.
    let mut environment = cloud.environment().into_iter();
    let endpoint = environment.find(|(name, _)| *name == "AWS_ENDPOINT_URL");
    let endpoint = format!("--endpoint-url={}", endpoint.unwrap().1);
    let told = aws(cloud, &["sqs", "receive-message", &queue, &endpoint]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let message = told["Messages"][0]["Body"].as_str().unwrap();
    let message: Value = serde_json::from_str(message).unwrap();
    let given_up = &message["KinesisBatchInfo"];
    assert_eq!(given_up["startSequenceNumber"], numbers[2].as_str());
    assert_eq!(given_up["endSequenceNumber"], numbers[2].as_str());
    let condition = &message["requestContext"]["condition"];
    assert_eq!(*condition, "RetryAttemptsExhausted");

    // The examples sit in the database's network, and go before it.
    let said = operate(cloud, "destroy", &json!({})).await;
    let ends: Vec<&str> =
        said.iter().filter_map(|line| line.split_once(": DELETE_COMPLETE")).map(|(stack, _)| stack).collect();
    assert_eq!(ends, [EXAMPLES, "sluice-stream", "sluice-db-init", "sluice-database", "sluice"]);
}

//! The protocol: whatever the request and whatever the handler does, one answer.

#[path = "custom_resource/too_late.rs"]
mod too_late;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use custom_resource::{Attributes, Guard, Request, Resource};
use lambda_runtime::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use stage::callback::Callback;
use stage::request::{self, REQUEST_ID};
use stage::stack::STACK;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    #[serde(deserialize_with = "custom_resource::scalar")]
    size: u16,
    #[serde(default)]
    behaviour: String,
}

struct Handler;

impl Handler {
    async fn work(request: Request<Properties>) -> anyhow::Result<Attributes> {
        match request.properties.behaviour.as_str() {
            "fail" => Err(anyhow::anyhow!("no room")).context("growing to size 7"),
            "panic" => panic!("index 7 is out of bounds"),
            "spawned panic" => {
                tokio::spawn(async { panic!("index 7 is out of bounds") }).await.context("joining the task")
            }
            "hang" => std::future::pending().await,
            "attributes" => Ok(Attributes::default().with("Huge", "x".repeat(5000))),
            _ => Ok(Attributes::default().with("Size", request.properties.size)),
        }
    }
}

impl Resource for Handler {
    type Properties = Properties;

    async fn create(&self, request: Request<Properties>) -> anyhow::Result<Attributes> {
        Self::work(request).await
    }

    async fn update(&self, request: Request<Properties>) -> anyhow::Result<Attributes> {
        Self::work(request).await
    }

    async fn delete(&self, _request: Request<()>) -> anyhow::Result<()> {
        bail!("deleting was called")
    }
}

fn context(time: Duration) -> Context {
    let mut context = Context::default();
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
    context.deadline = u64::try_from(deadline.as_millis()).unwrap();
    context.request_id = "lambda-1".to_owned();
    context
}

/// Hands over one event; what the callback got, and whether Lambda is to deliver the event again.
async fn deliver(callback: &Callback, event: Value, time: Duration) -> (Vec<Value>, bool) {
    let guard = Guard::new(async || Ok(Handler));
    let again = guard.handle(event, &context(time)).await.is_err();
    (callback.puts().iter().map(stage::callback::Put::json).collect(), again)
}

async fn answer(kind: &str, properties: Value) -> Value {
    let callback = Callback::start().await.unwrap();
    let event = request::event(kind, "UnderTest", callback.url(), &properties);
    let (answers, again) = deliver(&callback, event, Duration::from_secs(60)).await;
    assert_eq!(answers.len(), 1);
    assert!(!again);
    answers[0].clone()
}

fn reason(answer: &Value) -> &str {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    answer["Reason"].as_str().unwrap()
}

#[tokio::test]
async fn a_success_carries_ids_and_attributes() {
    let answer = answer("Create", json!({ "Size": "7" })).await;
    assert_eq!(answer["Status"], "SUCCESS");
    assert_eq!(answer["Data"], json!({ "Size": "7" }));
    assert_eq!(answer["StackId"], STACK);
    assert_eq!(answer["RequestId"], REQUEST_ID);
    assert_eq!(answer["LogicalResourceId"], "UnderTest");
    assert_eq!(answer["PhysicalResourceId"], "UnderTest-0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f");
}

#[tokio::test]
async fn the_put_is_what_the_signature_covers() {
    let callback = Callback::start().await.unwrap();
    let event =
        request::event("Create", "UnderTest", callback.url(), &json!({ "Size": "7", "Behaviour": "fail" }));
    deliver(&callback, event, Duration::from_secs(60)).await;
    let put = callback.puts().remove(0);
    assert_eq!(put.method, "PUT");
    assert_eq!(put.path_and_query, format!("/{}", callback.path_and_query()));
    assert_eq!(put.headers.get("content-type"), None);
    assert_eq!(put.headers["content-length"], put.body.len().to_string());
    assert_eq!(put.headers.get("transfer-encoding"), None);
}

#[tokio::test]
async fn an_error_is_answered_with_all_its_causes_and_the_place_of_the_log() {
    let answer = answer("Update", json!({ "Size": "7", "Behaviour": "fail" })).await;
    assert!(reason(&answer).starts_with("growing to size 7: no room (log group "), "{answer}");
    assert!(reason(&answer).contains("Lambda request lambda-1"), "{answer}");
    assert_eq!(answer["PhysicalResourceId"], "UnderTest-0b6ad7a0");
}

#[tokio::test]
async fn a_panic_is_answered() {
    let answer = answer("Create", json!({ "Size": "7", "Behaviour": "panic" })).await;
    assert!(reason(&answer).starts_with("the handler panicked: index 7 is out of bounds"), "{answer}");
}

#[tokio::test]
async fn work_that_does_not_end_is_given_up_in_time_to_answer() {
    let callback = Callback::start().await.unwrap();
    let event =
        request::event("Create", "UnderTest", callback.url(), &json!({ "Size": "7", "Behaviour": "hang" }));
    let (answers, _) = deliver(&callback, event, Duration::from_secs(2)).await;
    assert!(reason(&answers[0]).contains("time is nearly over"), "{answers:?}");
}

#[tokio::test]
async fn attributes_that_do_not_fit_are_a_failure() {
    let answer = answer("Update", json!({ "Size": "7", "Behaviour": "attributes" })).await;
    assert!(reason(&answer).contains("CloudFormation takes 4096"), "{answer}");
}

#[tokio::test]
async fn bad_properties_are_named_by_their_path_and_mark_a_create_as_nothing_made() {
    for (properties, said) in [
        (json!({ "Size": "7000000" }), "ResourceProperties.Size: number too large"),
        (json!({}), "ResourceProperties: missing field `Size`"),
        (json!({ "Size": "7", "Sise": "8" }), "unknown field `Sise`"),
    ] {
        let answer = answer("Create", properties).await;
        assert!(reason(&answer).contains(said), "{answer}");
        assert!(answer["PhysicalResourceId"].as_str().unwrap().ends_with("-not-created"), "{answer}");
    }
}

#[tokio::test]
async fn the_delete_after_a_create_that_made_nothing_calls_no_handler() {
    let callback = Callback::start().await.unwrap();
    let mut event = request::event("Delete", "UnderTest", callback.url(), &json!({ "Size": "-1" }));
    event["PhysicalResourceId"] = json!("UnderTest-0b6a-not-created");
    let (answers, _) = deliver(&callback, event, Duration::from_secs(60)).await;
    assert_eq!(answers[0]["Status"], "SUCCESS");
}

#[tokio::test]
async fn a_delete_with_properties_of_any_shape_reaches_the_handler() {
    let answer = answer("Delete", json!({ "Long": { "ago": [1, 2] } })).await;
    assert!(reason(&answer).starts_with("deleting was called"), "{answer}");
}

#[tokio::test]
async fn an_unknown_request_type_and_a_torn_envelope_are_answered() {
    let unknown = answer("Replace", json!({ "Size": "7" })).await;
    assert!(reason(&unknown).contains("RequestType is \"Replace\""), "{unknown}");

    let callback = Callback::start().await.unwrap();
    let event = json!({ "RequestType": "Create", "ResponseURL": callback.url() });
    let (answers, _) = deliver(&callback, event, Duration::from_secs(60)).await;
    assert!(reason(&answers[0]).contains("missing field"), "{answers:?}");
    assert_ne!(answers[0]["PhysicalResourceId"], "");
}

#[tokio::test]
async fn a_handler_that_can_not_be_made_is_answered_and_made_again_for_the_next_request() {
    let attempts = AtomicUsize::new(0);
    let guard = Guard::new(async || match attempts.fetch_add(1, Ordering::Relaxed) {
        0 => bail!("no region"),
        _ => Ok(Handler),
    });
    let callback = Callback::start().await.unwrap();
    let event = request::event("Create", "UnderTest", callback.url(), &json!({ "Size": "7" }));
    let context = context(Duration::from_secs(60));
    guard.handle(event.clone(), &context).await.unwrap();
    guard.handle(event.clone(), &context).await.unwrap();
    guard.handle(event, &context).await.unwrap();
    let answers: Vec<Value> = callback.puts().iter().map(stage::callback::Put::json).collect();
    assert!(reason(&answers[0]).starts_with("preparing the handler: no region"), "{answers:?}");
    assert_eq!(answers[1]["Status"], "SUCCESS");
    assert_eq!(answers[2]["Status"], "SUCCESS");
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_callback_that_is_busy_is_tried_again() {
    let callback = Callback::start().await.unwrap();
    callback.answers([500, 503, 429, 408]);
    let event = request::event("Create", "UnderTest", callback.url(), &json!({ "Size": "7" }));
    let (answers, again) = deliver(&callback, event, Duration::from_secs(60)).await;
    assert_eq!((answers.len(), again), (5, false));
    assert!(answers.iter().all(|answer| answer == &answers[0]));
}

#[tokio::test]
async fn a_callback_that_refuses_is_not_tried_again_but_left_to_the_last_words() {
    for status in [400, 403, 404, 307] {
        let callback = Callback::start().await.unwrap();
        callback.answers([status]);
        let event = request::event("Create", "UnderTest", callback.url(), &json!({ "Size": "7" }));
        let (answers, again) = deliver(&callback, event, Duration::from_secs(60)).await;
        assert_eq!((answers.len(), again), (1, true), "{status}");
    }
}

#[tokio::test]
async fn a_callback_that_can_not_be_reached_is_lambdas_to_retry_before_the_time_is_over() {
    let callback = Callback::start().await.unwrap();
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/path?{}", stage::callback::SIGNATURE);
    let event = request::event("Create", "UnderTest", &url, &json!({ "Size": "7" }));
    let guard = Guard::new(async || Ok(Handler));
    let error = guard.handle(event, &context(Duration::from_secs(2))).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("needs a route to S3"), "{error}");
    assert!(!error.contains("Signature"), "{error}");
    assert!(callback.puts().is_empty());
}

#[tokio::test]
async fn a_url_that_is_none_is_dropped_and_other_events_are_errors() {
    let callback = Callback::start().await.unwrap();
    let event = request::event("Create", "UnderTest", "not a url", &json!({ "Size": "7" }));
    assert_eq!(deliver(&callback, event, Duration::from_secs(60)).await, (vec![], false));
    assert_eq!(
        deliver(&callback, json!({ "hello": "world" }), Duration::from_secs(60)).await,
        (vec![], true)
    );
}

#[tokio::test]
async fn a_panic_in_a_spawned_task_is_answered() {
    let answer = answer("Create", json!({ "Size": "7", "Behaviour": "spawned panic" })).await;
    assert!(reason(&answer).contains("joining the task"), "{answer}");
}

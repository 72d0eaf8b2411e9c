//! The cases that have a name: what the facts of the protocol ask for one by one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use custom_resource::Guard;
use lambda_runtime::Context;
use serde_json::{Value, json};
use stage::callback::{Callback, SIGNATURE};
use stage::request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::case::context;
use super::handler::{Behaviour, Calls, Handler};
use super::judge::is_discreet;
use super::log::{self, LOG, Log};

/// What came of one request.
struct Ended {
    result: anyhow::Result<()>,
    calls: Calls,
    log: String,
}

async fn handle(behaviour: Behaviour, event: Value, time: Duration) -> Ended {
    log::capture();
    let (log, calls) = (Log::default(), Arc::<Mutex<Calls>>::default());
    let guard = Guard::new(async || Handler::construct(&behaviour, &calls).await);
    let context: Context = context(time, "/aws/lambda/it");
    let handled = LOG.scope(Arc::clone(&log), guard.handle(event, &context));
    Ended {
        result: handled.await.map(drop),
        calls: std::mem::take(&mut calls.lock().unwrap()),
        log: log::text(&log),
    }
}

fn event(kind: &str, url: &str) -> Value {
    request::event(kind, "UnderTest", url, &json!({ "Size": "7" }))
}

fn done() -> Behaviour {
    Behaviour::Succeeds(vec![])
}

const AMPLE: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_reason_of_10_kb_goes_over_the_wire_with_its_head_and_the_place_of_the_log() {
    for filling in ["\0", "\"", "🦀", "\u{85}"] {
        let callback = Callback::start().await.unwrap();
        let text = format!("stopping task orders: {}", filling.repeat(10_000));
        let event = event("Update", callback.url());
        handle(Behaviour::Fails(vec![text]), event, AMPLE).await;
        let put = callback.puts().remove(0);
        assert!(put.body.len() <= 4096, "{filling:?}");
        assert_eq!(put.headers["content-length"], put.body.len().to_string());
        let answer = put.json();
        let reason = answer["Reason"].as_str().unwrap();
        assert!(reason.starts_with("stopping task orders:"), "{reason}");
        assert!(reason.ends_with("Lambda request lambda-1)"), "{reason}");
        assert!(!reason.contains(char::is_control), "{reason}");
    }
}

#[tokio::test]
async fn the_length_is_counted_in_bytes() {
    let callback = Callback::start().await.unwrap();
    let attributes = vec![("State", "größer als 7 🦀".to_owned())];
    let event = event("Create", callback.url());
    handle(Behaviour::Succeeds(attributes), event, AMPLE).await;
    let put = callback.puts().remove(0);
    assert_eq!(put.json()["Data"]["State"], "größer als 7 🦀");
    let characters = str::from_utf8(&put.body).unwrap().chars().count();
    assert_ne!(put.headers["content-length"], characters.to_string());
    assert_eq!(put.headers["content-length"], put.body.len().to_string());
}

#[tokio::test]
async fn a_callback_that_takes_a_connection_and_hangs_is_asked_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/path?{SIGNATURE}", listener.local_addr().unwrap());
    let server = async {
        let (hangs, _) = listener.accept().await.unwrap();
        let (mut answers, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 4096];
        let bytes = answers.read(&mut read).await.unwrap();
        answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        drop(hangs);
        String::from_utf8_lossy(&read[..bytes]).into_owned()
    };
    let handled = handle(done(), event("Create", &url), AMPLE);
    let both = async { tokio::join!(handled, server) };
    let (ended, request) = tokio::time::timeout(AMPLE, both).await.unwrap();
    ended.result.unwrap();
    let line = format!("PUT /path?{SIGNATURE} HTTP/1.1\r\n");
    assert!(request.starts_with(&line), "{request}");
    assert!(ended.log.contains("no answer in time"), "{}", ended.log);
}

#[tokio::test]
async fn a_callback_that_hangs_is_given_up_before_the_time_is_over() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/path?{SIGNATURE}", listener.local_addr().unwrap());
    // The kernel takes the connection; nobody reads from it. One attempt alone may take 6 s where there is time.
    let handled = handle(done(), event("Create", &url), SHORT);
    let ended = tokio::time::timeout(2 * SHORT, handled).await.unwrap();
    let error = format!("{:#}", ended.result.unwrap_err());
    assert!(error.contains("no answer in time"), "{error}");
    is_discreet(&(error + &ended.log)).unwrap();
}

#[tokio::test]
async fn retries_stop_at_the_deadline() {
    let callback = Callback::start().await.unwrap();
    callback.answers([503; 6]);
    let ended = handle(done(), event("Create", callback.url()), SHORT).await;
    assert!(ended.result.is_err());
    let attempts = callback.puts().len();
    assert!((2..6).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn retries_stop_after_six_attempts_however_much_time_there_is() {
    let callback = Callback::start().await.unwrap();
    callback.answers([500, 503, 429, 408, 502, 504]);
    let ended = handle(done(), event("Create", callback.url()), AMPLE).await;
    assert!(ended.result.is_err());
    assert_eq!(callback.puts().len(), 6);
    assert_eq!(ended.calls.calls.len(), 1);
}

#[tokio::test]
async fn what_a_vpc_lacks_when_s3_can_not_be_reached_is_in_the_log() {
    let callback = Callback::start().await.unwrap();
    let url = format!("{}/path?{SIGNATURE}", callback.nobody());
    let ended = handle(done(), event("Create", &url), SHORT).await;
    for word in ["127.0.0.1", "route to S3", "endpoint", "policy"] {
        assert!(ended.log.contains(word), "{word} is not in {}", ended.log);
    }
    is_discreet(&ended.log).unwrap();
}

/// Type of the request × what becomes of it → the physical id of the answer.
#[tokio::test]
async fn the_physical_id_is_fixed_at_create_and_echoed_ever_after() {
    let made = "UnderTest-0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f";
    let unmade = format!("{made}-not-created");
    let failing = || Behaviour::Fails(vec!["no room".to_owned()]);
    let panicking = || Behaviour::PanicsWithText("no room".to_owned());
    let unconstructed = || Behaviour::ConstructionFails("no region".to_owned());
    for behaviour in [done, failing, panicking, unconstructed] {
        for kind in ["Create", "Update", "Delete"] {
            let callback = Callback::start().await.unwrap();
            let behaviour = behaviour();
            let is_unmade = !behaviour.can_be_constructed();
            let event = event(kind, callback.url());
            let shown = format!("{kind}, {behaviour:?}");
            handle(behaviour, event, AMPLE).await.result.unwrap();
            let answer = callback.answer().await;
            let expected = match kind {
                "Create" if is_unmade => unmade.as_str(),
                "Create" => made,
                _ => "UnderTest-0b6ad7a0",
            };
            assert_eq!(answer["PhysicalResourceId"], expected, "{shown}");
        }
    }
}

#[tokio::test]
async fn a_repeated_delivery_is_answered_with_the_same_and_a_handler_that_could_not_be_made_is_made_again() {
    log::capture();
    let made = AtomicUsize::new(0);
    let (behaviour, calls) = (done(), Arc::default());
    let guard = Guard::new(async || match made.fetch_add(1, Ordering::Relaxed) {
        0 => anyhow::bail!("no region"),
        _ => Handler::construct(&behaviour, &calls).await,
    });
    let callback = Callback::start().await.unwrap();
    for _ in 0..3 {
        guard.handle(event("Create", callback.url()), &context(AMPLE, "/aws/lambda/it")).await.unwrap();
    }
    let [failed, first, second] = &callback.puts()[..] else { panic!("{:?}", callback.puts()) };
    assert_eq!(failed.json()["Status"], "FAILED");
    assert_eq!(first.json()["Status"], "SUCCESS");
    assert_eq!(first.body, second.body);
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_delete_of_a_made_up_id_reaches_the_handler_and_echoes_the_id() {
    let callback = Callback::start().await.unwrap();
    let mut event = event("Delete", callback.url());
    event["PhysicalResourceId"] = json!("stream-UnderTest-1XQ5T8J2Z");
    let ended = handle(done(), event, AMPLE).await;
    assert_eq!(ended.calls.calls.len(), 1);
    let answer = callback.answer().await;
    assert_eq!(answer["PhysicalResourceId"], "stream-UnderTest-1XQ5T8J2Z");
    assert_eq!(answer["Status"], "SUCCESS");
}

#[tokio::test]
async fn work_ends_when_cloudformation_stops_waiting_however_much_time_lambda_grants() {
    let callback = Callback::start().await.unwrap();
    let url = callback.url().replace("X-Amz-Expires=7200", "X-Amz-Expires=3");
    handle(Behaviour::NeverEnds, event("Create", &url), Duration::from_mins(15)).await.result.unwrap();
    let answer = callback.answer().await;
    assert!(answer["Reason"].as_str().unwrap().contains("time is nearly over"), "{answer}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let lacks = |field: &str| {
        let mut event = event("Create", "");
        event.as_object_mut().unwrap().remove(field);
        event
    };
    let sized = |size: Value| {
        let mut event = event("Create", "");
        event["ResourceProperties"]["Size"] = size;
        event
    };
    let more = |property: &str| {
        let mut event = event("Create", "");
        event["ResourceProperties"][property] = json!("8");
        event
    };
    let rows = [
        (event("Replace", ""), "RequestType is \"Replace\"; this handler knows Create, Update and Delete"),
        (lacks("StackId"), "missing field `StackId`"),
        (lacks("ResourceProperties"), "missing field `ResourceProperties`"),
        (sized(json!("7000000")), "ResourceProperties.Size: number too large"),
        (sized(json!(["7"])), "ResourceProperties.Size: invalid type"),
        (more("Sise"), "unknown field `Sise`"),
        (more("ServiceTime"), "unknown field `ServiceTime`"),
    ];
    for (mut event, said) in rows {
        let callback = Callback::start().await.unwrap();
        event["ResponseURL"] = json!(callback.url());
        handle(done(), event, AMPLE).await.result.unwrap();
        let answer = callback.answer().await;
        let reason = answer["Reason"].as_str().unwrap_or_default();
        assert!(reason.contains(said), "{said}: {answer}");
    }
}

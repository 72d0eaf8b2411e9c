//! Functions that died, and requests that nobody waits for any more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use custom_resource::Guard;
use serde_json::{Value, json};
use stage::callback::Callback;
use stage::request::{self, REQUEST_ID};

use super::{Handler, context, deliver, reason};

fn record(request: &Value, condition: &str, error: &str) -> Value {
    json!({
        "version": "1.0",
        "requestContext": {
            "requestId": "e4b46cbf", "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:stream-pre:$LATEST",
            "condition": condition, "approximateInvokeCount": 1,
        },
        "requestPayload": request,
        "responsePayload": { "errorMessage": error },
    })
}

#[tokio::test]
async fn last_words_answer_for_a_function_that_died() {
    let callback = Callback::start().await.unwrap();
    let died = request::event("Create", "DmsPre", callback.url(), &json!({ "Size": "7" }));
    let record = record(&died, "RetriesExhausted", "Task timed out after 900.00 seconds");
    let (answers, again) = deliver(&callback, record, Duration::from_secs(60)).await;
    assert!(!again);
    assert!(
        reason(&answers[0])
            .starts_with("function stream-pre ended without an answer: Task timed out after 900.00"),
        "{answers:?}"
    );
    // It may have made something, so the Delete that follows has to reach its handler.
    assert_eq!(answers[0]["PhysicalResourceId"], "DmsPre-0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f");
    assert_eq!(answers[0]["RequestId"], REQUEST_ID);
}

#[tokio::test]
async fn last_words_keep_the_id_that_there_is() {
    let callback = Callback::start().await.unwrap();
    let died = request::event("Update", "DmsPre", callback.url(), &json!({}));
    let (answers, _) =
        deliver(&callback, record(&died, "EventAgeExceeded", ""), Duration::from_secs(60)).await;
    assert_eq!(answers[0]["PhysicalResourceId"], "DmsPre-0b6ad7a0");
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_starts_nothing() {
    let callback = Callback::start().await.unwrap();
    let (before, after) = callback.url().split_once("X-Amz-Date=").unwrap();
    let url = format!("{before}X-Amz-Date=20200101T000000Z{}", &after[16..]);
    let started = AtomicUsize::new(0);
    let guard = Guard::new(async || {
        started.fetch_add(1, Ordering::Relaxed);
        Ok(Handler)
    });
    for kind in ["Create", "Update", "Delete"] {
        let late = request::event(kind, "UnderTest", &url, &json!({ "Size": "7" }));
        guard.handle(late.clone(), &context(Duration::from_secs(60))).await.unwrap();
        let record = record(&late, "EventAgeExceeded", "");
        guard.handle(record, &context(Duration::from_secs(60))).await.unwrap();
    }
    assert_eq!(started.load(Ordering::Relaxed), 0);
    assert!(callback.puts().is_empty());
}

#[tokio::test]
async fn work_ends_when_cloudformation_stops_waiting_however_much_time_lambda_grants() {
    let callback = Callback::start().await.unwrap();
    let url = callback.url().replace("X-Amz-Expires=7200", "X-Amz-Expires=3");
    let event = request::event("Create", "UnderTest", &url, &json!({ "Size": "7", "Behaviour": "hang" }));
    let (answers, _) = deliver(&callback, event, Duration::from_secs(900)).await;
    assert!(reason(&answers[0]).contains("time is nearly over"), "{answers:?}");
}

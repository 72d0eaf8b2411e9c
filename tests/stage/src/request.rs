//! Requests as CloudFormation makes them.

use serde_json::{Value, json};

use crate::stack::STACK;

/// What all requests of the tests are called.
pub const REQUEST_ID: &str = "afd8d7c5-9376-4013-8b3b-307517b8719e";

/// The resource that decoded requests are about.
pub const UNDER_TEST: &str = "UnderTest";

/// A request as Lambda hands it over: `kind` is Create, Update or Delete.
pub fn event(kind: &str, resource: &str, response_url: &str, properties: &Value) -> Value {
    let mut event = json!({
        "RequestType": kind,
        "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:under-test",
        "ResponseURL": response_url,
        "StackId": STACK,
        "RequestId": REQUEST_ID,
        "LogicalResourceId": resource,
        "ResourceType": format!("Custom::{resource}"),
        "ResourceProperties": properties,
    });
    event["ResourceProperties"]["ServiceToken"] = event["ServiceToken"].clone();
    event["ResourceProperties"]["ServiceTimeout"] = json!("960");
    if kind != "Create" {
        event["PhysicalResourceId"] = json!(format!("{resource}-0b6ad7a0"));
    }
    if kind == "Update" {
        event["OldResourceProperties"] = json!({ "Whatever": ["it", "was"] });
    }
    event
}

/// What EventBridge says when the stack's status changes.
pub fn status_change(status: &str) -> Value {
    json!({
        "version": "0", "id": "b2f1", "detail-type": "CloudFormation Stack Status Change", "source": "aws.cloudformation",
        "account": "123456789012", "time": "2026-11-21T10:00:00Z", "region": "eu-west-1", "resources": [STACK],
        "detail": {
            "stack-id": STACK,
            "status-details": { "status": status, "status-reason": "" },
            "client-request-token": "",
        },
    })
}

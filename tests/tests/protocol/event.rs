//! Any event: requests as CloudFormation makes them, torn in every way; records of functions that died; any JSON at all.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};

/// What stands in an event where the URL is to come.
pub(crate) const URL: &str = "(the URL)";

/// A property that nobody may repeat.
pub(crate) const SECRET: &str = "pa55w0rd-h0rse";

const STACKS: [&str; 3] = [
    "arn:aws:cloudformation:eu-west-1:123456789012:stack/stream/0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f",
    "arn:aws:cloudformation:eu-west-1:123456789012:stack/stream/5d0c0b9e-a73b-11f0-9262-0e1234567890",
    "arn:aws:cloudformation:eu-west-1:123456789012:stack/other/77f1c2d0-a740-11f0-b1a5-0242ac120002",
];

const FIELDS: [&str; 10] = [
    "RequestType",
    "ServiceToken",
    "ResponseURL",
    "StackId",
    "RequestId",
    "LogicalResourceId",
    "PhysicalResourceId",
    "ResourceType",
    "ResourceProperties",
    "OldResourceProperties",
];

/// Any payload.
pub(crate) fn events() -> BoxedStrategy<Value> {
    let record = (request(), record_context(), json(), any::<bool>());
    let record = record.prop_map(|(request, context, response, is_told)| {
        let response = if is_told {
            json!({ "errorMessage": response, "errorType": "Runtime.ExitError" })
        } else {
            response
        };
        json!({
            "version": "1.0", "requestContext": context, "requestPayload": request, "responsePayload": response,
        })
    });
    prop_oneof![16 => request(), 3 => record, 1 => json()].boxed()
}

fn record_context() -> impl Strategy<Value = Value> {
    let condition = select(&["RetriesExhausted", "EventAgeExceeded", "SomethingNew"][..]);
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:pre:$LATEST";
    let usual = (condition, 0..4_u8).prop_map(move |(condition, count)| {
        json!({
            "requestId": "e4b46cbf", "functionArn": arn, "condition": condition, "approximateInvokeCount": count,
        })
    });
    prop_oneof![4 => usual, 1 => json()]
}

/// A request: whole in most cases, else with up to three fields taken out, put in or replaced.
fn request() -> BoxedStrategy<Value> {
    let usual = |texts: &'static [&'static str]| select(texts).prop_map(str::to_owned);
    let stack = prop_oneof![8 => usual(&STACKS), 1 => text()];
    let logical = prop_oneof![8 => usual(&["DbInit", "DmsPre", "DmsPost"]), 1 => text()];
    let request = prop_oneof![
        8 => Just("afd8d7c5-9376-4013-8b3b-307517b8719e".to_owned()),
        1 => text(),
    ];
    let physical = prop_oneof![
        6 => usual(&["DbInit-0b6ad7a0", "stream-DmsPre-1XQ5T8J2Z", "x"]),
        2 => usual(&["DbInit-0b6ad7a0-not-created", "-not-created"]),
        1 => text(),
    ];
    let kind = select(&["Create", "Create", "Update", "Delete"][..]);
    let whole = (kind, stack, request, logical, physical, properties(), properties());
    let field = prop_oneof![9 => usual(&FIELDS), 1 => text()];
    // The secret belongs to the properties; the envelope is no secret.
    let tear = prop_oneof![
        4 => (field, prop_oneof![Just(None), json().prop_map(Some)]),
        1 => (usual(&FIELDS[8..]), value().prop_map(Some)),
    ];
    let tears = prop_oneof![3 => Just(vec![]), 1 => vec(tear, 1..4)];
    (whole, tears)
        .prop_map(|(whole, tears)| {
            let (kind, stack, request, logical, physical, properties, old) = whole;
            let mut event = json!({
                "RequestType": kind, "ServiceToken": "arn:aws:lambda:…", "ResponseURL": URL, "StackId": stack,
                "RequestId": request, "LogicalResourceId": logical, "ResourceType": "Custom::It",
                "ResourceProperties": properties,
            });
            if kind != "Create" {
                event["PhysicalResourceId"] = physical.into();
            }
            if kind == "Update" {
                event["OldResourceProperties"] = old;
            }
            for (field, value) in tears {
                let fields = event.as_object_mut().unwrap();
                match value {
                    Some(value) => fields.insert(field, value),
                    None => fields.remove(&field),
                };
            }
            event
        })
        .boxed()
}

/// Properties that the handler can read, most often; a secret is among them.
fn properties() -> BoxedStrategy<Value> {
    let timeout = prop_oneof![
        6 => Just(json!("960")),
        1 => (0..4000_u32).prop_map(Value::from),
        1 => (0..4000_u32).prop_map(|seconds| seconds.to_string().into()),
        1 => json(),
    ];
    let tear =
        (select(&["Size", "Words", "Mode", "Nested", "Password", "Sise", "ServiceTimeout"][..]), value());
    let tears = prop_oneof![3 => Just(vec![]), 1 => vec(tear, 1..3)];
    let object = (timeout, tears).prop_map(|(timeout, tears)| {
        let mut properties = json!({
            "ServiceToken": "arn:aws:lambda:…", "ServiceTimeout": timeout, "Size": "7", "Words": [SECRET, ""],
            "Mode": "Slow", "Nested": { "On": false }, "Password": SECRET,
        });
        for (name, value) in tears {
            properties[name] = value;
        }
        properties
    });
    prop_oneof![9 => object, 1 => value()].boxed()
}

/// Any value, or the secret in a place where it may not belong.
fn value() -> BoxedStrategy<Value> {
    let secret = select(vec![
        json!(SECRET),
        json!([SECRET]),
        json!({ "On": SECRET }),
        json!([{ "Sql": SECRET }]),
        json!(format!("`, expected \"{SECRET}\", expected ")),
    ]);
    prop_oneof![1 => json(), 1 => secret].boxed()
}

/// Any JSON.
fn json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
    .boxed()
}

/// Any text: empty, of all characters there are, of control characters, long.
pub(crate) fn text() -> BoxedStrategy<String> {
    let control = select(&['\0', '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{feff}'][..]);
    let characters = vec(any::<char>(), 0..24).prop_map(|characters| characters.into_iter().collect());
    let controls = vec(control, 0..12).prop_map(|characters| characters.into_iter().collect());
    let long = (any::<char>(), 1..1500_usize).prop_map(|(c, times)| c.to_string().repeat(times));
    prop_oneof![
        1 => Just(String::new()),
        2 => string_regex("[a-zA-Z0-9 :/-]{1,20}").unwrap(),
        5 => characters,
        1 => controls,
        1 => long,
    ]
    .boxed()
}

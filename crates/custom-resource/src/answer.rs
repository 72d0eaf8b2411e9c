//! The body of the answer: valid, complete, and never too long.

use bytes::Bytes;
use serde::Serialize;

use crate::physical_id::PhysicalId;
use crate::reason::Reason;
use crate::recipient::Recipient;
use crate::resource::Attributes;

/// CloudFormation refuses a longer body, and then shows its own words in place of the reason.
pub(crate) const MAX_BYTES: usize = 4096;

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It succeeded, with these attributes for `Fn::GetAtt`.
    Done(Attributes),
    /// It failed.
    Failed(Reason),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    physical_resource_id: &'a str,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Attributes>,
}

/// Writes the answer to a request. `too_long` makes the reason for attributes that don't fit.
pub(crate) fn body(
    to: &Recipient,
    id: &PhysicalId,
    outcome: &Outcome,
    too_long: impl Fn(usize) -> Reason,
) -> Bytes {
    match outcome {
        Outcome::Done(attributes) => {
            let body = write(to, id, None, Some(attributes));
            if body.len() <= MAX_BYTES { body } else { failed(to, id, too_long(body.len())) }
        }
        Outcome::Failed(reason) => failed(to, id, reason.clone()),
    }
}

fn failed(to: &Recipient, id: &PhysicalId, mut reason: Reason) -> Bytes {
    loop {
        let body = write(to, id, Some(&reason), None);
        // A character taken off frees at least one byte, and more where it is escaped: this ends.
        match body.len().checked_sub(MAX_BYTES) {
            Some(excess) if excess > 0 && !reason.is_empty() => {
                reason = reason.shortened(excess.div_ceil(2));
            }
            _ => return body,
        }
    }
}

fn write(to: &Recipient, id: &PhysicalId, reason: Option<&Reason>, data: Option<&Attributes>) -> Bytes {
    let body = Body {
        status: if reason.is_some() { "FAILED" } else { "SUCCESS" },
        reason: reason.map(ToString::to_string),
        physical_resource_id: id.as_str(),
        stack_id: &to.stack_id,
        request_id: &to.request_id,
        logical_resource_id: &to.logical_id,
        data,
    };
    // Strings and string maps always serialize.
    serde_json::to_vec(&body).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use lambda_runtime::Context;
    use serde_json::{Value, json};

    use super::*;

    fn recipient() -> Recipient {
        let mut event = json!({
            "ResponseURL": "https://host/path",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/ünï/8f2b1c00",
            "RequestId": "afd8d7c5-9376-4013-8b3b-307517b8719e",
            "LogicalResourceId": "DbInit",
        });
        Recipient::find(&mut event).unwrap().unwrap()
    }

    fn answer(outcome: &Outcome) -> (usize, Value) {
        let to = recipient();
        let id = PhysicalId::of(&to.stack_id, &to.logical_id);
        let body =
            body(&to, &id, outcome, |bytes| Reason::new(format!("{bytes} bytes"), &Context::default()));
        (body.len(), serde_json::from_slice(&body).unwrap())
    }

    fn reason(text: &str) -> Outcome {
        Outcome::Failed(Reason::new(text, &Context::default()))
    }

    #[test]
    fn ids_go_back_verbatim() {
        let (_, body) = answer(&Outcome::Done(Attributes::default().with("Revision", 7)));
        assert_eq!(body["StackId"], recipient().stack_id);
        assert_eq!(body["RequestId"], "afd8d7c5-9376-4013-8b3b-307517b8719e");
        assert_eq!(body["LogicalResourceId"], "DbInit");
        assert_eq!(body["PhysicalResourceId"], "DbInit-8f2b1c00");
        assert_eq!(body["Status"], "SUCCESS");
        assert_eq!(body["Data"], json!({ "Revision": "7" }));
        assert_eq!(body.get("Reason"), None);
    }

    #[test]
    fn a_reason_of_any_kind_fits_with_its_head() {
        for filling in ["\0", "\"", "\\", "🦀", "x"] {
            let (bytes, body) = answer(&reason(&format!("stopping task orders: {}", filling.repeat(10_000))));
            assert!(bytes <= MAX_BYTES, "{filling:?}: {bytes}");
            assert!(bytes > MAX_BYTES - 200 || filling == "\0", "{filling:?}: cut more than needed, {bytes}");
            assert_eq!(body["Status"], "FAILED");
            let reason = body["Reason"].as_str().unwrap();
            assert!(reason.starts_with("stopping task orders:"), "{reason}");
            assert!(reason.contains("(log group"), "{reason}");
        }
    }

    #[test]
    fn a_body_of_just_4096_bytes_is_left_alone() {
        let (empty, _) = answer(&reason("x"));
        let (bytes, body) = answer(&reason(&"x".repeat(MAX_BYTES - empty + 1)));
        assert_eq!(bytes, MAX_BYTES);
        assert!(!body["Reason"].as_str().unwrap().contains('…'));
        let (bytes, body) = answer(&reason(&"x".repeat(MAX_BYTES - empty + 2)));
        assert!(bytes <= MAX_BYTES);
        assert!(body["Reason"].as_str().unwrap().contains('…'));
    }

    #[test]
    fn attributes_that_do_not_fit_fail_the_request() {
        let (bytes, body) = answer(&Outcome::Done(Attributes::default().with("Huge", "x".repeat(5000))));
        assert!(bytes <= MAX_BYTES);
        assert_eq!(body["Status"], "FAILED");
        assert!(body["Reason"].as_str().unwrap().contains("bytes"));
    }
}

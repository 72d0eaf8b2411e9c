//! What is said for a function that ended without an answer.

use std::fmt;

use serde_json::Value;

/// How an invocation ended, by the record that Lambda sends to the function's `OnFailure` destination. All of it is read
/// leniently: what is missing is left out. (assumption: every-end-is-an-error)
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Ending {
    /// `RetriesExhausted`, `EventAgeExceeded`, or a newer one.
    condition: String,
    /// The function's name.
    function: String,
    /// Lambda's id of the invocation.
    request_id: String,
    /// What the runtime, or Lambda itself, says of the end.
    error: String,
}

impl Ending {
    /// Reads a record.
    pub(crate) fn of(record: &Value) -> Self {
        let text =
            |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let arn = text("/requestContext/functionArn");
        Self {
            condition: text("/requestContext/condition"),
            // arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]
            function: arn.split(':').nth(6).unwrap_or(&arn).to_owned(),
            request_id: text("/requestContext/requestId"),
            error: without_prefix(&text("/responsePayload/errorMessage")).to_owned(),
        }
    }
}

/// What Lambda says of an end, less the request's id, which is told anyway: `RequestId: 1c2… Error: Task timed out …`.
fn without_prefix(error: &str) -> &str {
    let said = error.strip_prefix("RequestId: ").and_then(|rest| rest.split_once(" Error: "));
    said.map_or(error, |(_, said)| said)
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |text: &str, otherwise: &str| {
            if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
        };
        let (function, request) = (or(&self.function, "(unknown)"), or(&self.request_id, "(unknown)"));
        if self.condition == "EventAgeExceeded" {
            return write!(
                f,
                "Lambda did not get to run function {function} in time: its event grew too old (throttling, or no \
                 concurrency left; Lambda request {request})"
            );
        }
        let error = or(&self.error, "it was killed, for time or memory, or it could not start");
        write!(
            f,
            "function {function} ended without an answer: {error} (what it wrote is in its own log, Lambda request {request})"
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_out_is_told_with_lambdas_words_and_the_place_of_the_log() {
        let record = json!({
            "version": "1.0",
            "timestamp": "2026-11-21T10:00:00.000Z",
            "requestContext": {
                "requestId": "e4b46cbf", "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:pre-7:$LATEST",
                "condition": "RetriesExhausted", "approximateInvokeCount": 1,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "responsePayload": { "errorMessage": "RequestId: e4b46cbf Error: Task timed out after 900.00 seconds" },
        });
        let said = Ending::of(&record).to_string();
        assert!(
            said.starts_with("function pre-7 ended without an answer: Task timed out after 900.00 seconds"),
            "{said}"
        );
        assert!(said.contains("Lambda request e4b46cbf"), "{said}");
    }

    #[test]
    fn an_event_that_grew_too_old_says_that_nothing_was_called() {
        let record =
            json!({ "requestContext": { "condition": "EventAgeExceeded", "approximateInvokeCount": 0 } });
        let said = Ending::of(&record).to_string();
        assert!(said.starts_with("Lambda did not get to run function (unknown)"), "{said}");
    }

    #[test]
    fn an_empty_record_still_says_something() {
        let said = Ending::of(&json!({})).to_string();
        assert!(said.contains("killed, for time or memory"), "{said}");
    }
}

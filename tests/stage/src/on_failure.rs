//! What Lambda makes of an asynchronous invocation that came to nothing: the record for the `OnFailure` destination, in
//! Lambda's own words.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

/// How an invocation ended, other than with a result. Nothing is tried again, as `MaximumRetryAttempts: 0` has it.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The function reported this error.
    Error(Value),
    /// The process was gone before it had reported anything.
    Exited(ExitStatus),
    /// The process was still there when its time was over, and was killed.
    TimedOut(Duration),
    /// The program could not be executed.
    NoEntry(String),
    /// The event grew too old before the function could be called.
    TooOld,
}

impl Ending {
    /// The record of the invocation `request_id` of a function, made with this event.
    ///
    /// # Panics
    /// Never: the time of the day can be written.
    pub fn record(&self, function: &str, request_id: &str, event: &Value) -> Value {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let (condition, calls) = match self {
            Self::TooOld => ("EventAgeExceeded", 0),
            _ => ("RetriesExhausted", 1),
        };
        let mut record = json!({
            "version": "1.0",
            "timestamp": OffsetDateTime::now_utc().format(format).unwrap(),
            "requestContext": {
                "requestId": request_id,
                "functionArn": format!("arn:aws:lambda:eu-west-1:123456789012:function:{function}:$LATEST"),
                "condition": condition,
                "approximateInvokeCount": calls,
            },
            "requestPayload": event,
        });
        let payload = match self {
            Self::TooOld => return record,
            Self::Error(error) => error.clone(),
            ending => json!({
                "errorType": ending.error_type(),
                "errorMessage": format!("RequestId: {request_id} Error: {ending}"),
            }),
        };
        record["responseContext"] =
            json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" });
        record["responsePayload"] = payload;
        record
    }

    fn error_type(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::NoEntry(_) => "Runtime.InvalidEntrypoint",
            _ => "Runtime.ExitError",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{error}"),
            Self::Exited(status) => match (status.code(), status.signal()) {
                (Some(0), _) => f.write_str("Runtime exited without providing a reason"),
                (Some(code), _) => write!(f, "Runtime exited with error: exit status {code}"),
                (None, signal) => {
                    let signal = signal.unwrap_or_default();
                    write!(f, "Runtime exited with error: signal: {}", name(signal))
                }
            },
            Self::TimedOut(time) => {
                write!(f, "Task timed out after {:.2} seconds", time.as_secs_f64())
            }
            Self::NoEntry(why) => write!(f, "fork/exec /var/task/bootstrap: {why}"),
            Self::TooOld => f.write_str("the event is too old"),
        }
    }
}

/// A signal, as Go calls it, which Lambda is written in.
fn name(signal: i32) -> String {
    match signal {
        6 => "aborted".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        15 => "terminated".to_owned(),
        other => format!("signal {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(ending: &Ending) -> Value {
        let record = ending.record("dms-pre", "e4b4", &json!({ "ResponseURL": "…" }));
        assert_eq!(record["requestPayload"]["ResponseURL"], "…");
        record["responsePayload"]["errorMessage"].clone()
    }

    #[test]
    fn an_end_is_told_as_lambda_tells_it() {
        for (ending, told) in [
            (
                Ending::Exited(ExitStatus::from_raw(9)),
                "RequestId: e4b4 Error: Runtime exited with error: signal: killed",
            ),
            (
                Ending::Exited(ExitStatus::from_raw(1 << 8)),
                "RequestId: e4b4 Error: Runtime exited with error: exit status 1",
            ),
            (
                Ending::TimedOut(Duration::from_secs(3)),
                "RequestId: e4b4 Error: Task timed out after 3.00 seconds",
            ),
            (
                Ending::NoEntry("no such file or directory".to_owned()),
                "RequestId: e4b4 Error: fork/exec /var/task/bootstrap: no such file or directory",
            ),
            (Ending::Error(json!({ "errorType": "HandlerError", "errorMessage": "no room" })), "no room"),
        ] {
            assert_eq!(message(&ending), told);
        }
    }

    #[test]
    fn an_event_that_was_never_delivered_has_no_response() {
        let record = Ending::TooOld.record("dms-pre", "e4b4", &json!({}));
        assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 0);
        assert_eq!(record.get("responsePayload"), None);
    }
}

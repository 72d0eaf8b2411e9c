//! What Lambda handed over, taken apart in an order in which every failure can still be answered.

use anyhow::{Context as _, anyhow};
use aws_lambda_events::cloudformation::{CreateRequest, DeleteRequest, UpdateRequest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::last_words::Ending;
use crate::physical_id::PhysicalId;
use crate::recipient::Recipient;
use crate::response_url::InvalidUrl;

/// One payload.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request of CloudFormation's.
    Request(Recipient, Value),
    /// A request that a function was given and did not answer, and how it ended.
    LastWords(Recipient, Ending),
    /// Anything else.
    Other(Value),
}

/// Tells what a payload is, and finds where to answer.
///
/// # Errors
/// [`InvalidUrl`] if it wants an answer at a place that nothing can be sent to.
pub(crate) fn read(mut event: Value) -> Result<Event, InvalidUrl> {
    if let Some(recipient) = Recipient::find(&mut event)? {
        return Ok(Event::Request(recipient, event));
    }
    let request = event.get_mut("requestPayload").map(Recipient::find).transpose()?.flatten();
    Ok(match request {
        Some(recipient) => Event::LastWords(recipient, Ending::of(&event)),
        None => Event::Other(event),
    })
}

/// What CloudFormation asks for. Old properties are not decoded: no handler needs them, and they may have any shape.
#[derive(Debug)]
pub(crate) enum Asked {
    Create {
        properties: Value,
    },
    Update {
        physical_id: PhysicalId,
        properties: Value,
    },
    /// A Delete has no properties here: old shapes come back in it years later, and must not make it fail.
    Delete {
        physical_id: PhysicalId,
    },
}

/// The request's type, as far as it can be told.
pub(crate) fn request_type(event: &Value) -> &str {
    event.get("RequestType").and_then(Value::as_str).unwrap_or("(none)")
}

/// Decodes the envelope of a request whose recipient has been found.
///
/// # Errors
/// Says which field of the envelope is missing or wrong.
pub(crate) fn decode(mut event: Value) -> anyhow::Result<Asked> {
    let kind = request_type(&event).to_owned();
    // The wire type wants the field; its value has been taken out.
    event["ResponseURL"] = json!("");
    match kind.as_str() {
        "Create" => {
            let CreateRequest::<Value> { resource_properties, .. } = envelope(event)?;
            Ok(Asked::Create { properties: resource_properties })
        }
        "Update" => {
            if event.get("OldResourceProperties").is_none() {
                event["OldResourceProperties"] = json!({});
            }
            let UpdateRequest::<Value, Value> { resource_properties, physical_resource_id, .. } =
                envelope(event)?;
            Ok(Asked::Update {
                physical_id: existing(&physical_resource_id)?,
                properties: resource_properties,
            })
        }
        "Delete" => {
            event["ResourceProperties"] = json!({});
            let DeleteRequest::<Value> { physical_resource_id, .. } = envelope(event)?;
            Ok(Asked::Delete { physical_id: existing(&physical_resource_id)? })
        }
        other => Err(anyhow!("RequestType is {other:?}; this handler knows Create, Update and Delete")),
    }
}

fn envelope<T: DeserializeOwned>(event: Value) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(event).context("decoding the request that CloudFormation sent")
}

fn existing(id: &str) -> anyhow::Result<PhysicalId> {
    PhysicalId::received(id).context("the request has an empty PhysicalResourceId")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(request_type: &str) -> Value {
        json!({
            "RequestType": request_type, "ResponseURL": "https://host/path?secret", "StackId": "arn:x:stack/name/uuid",
            "RequestId": "r-1", "ResourceType": "Custom::DbInit", "LogicalResourceId": "DbInit",
            "PhysicalResourceId": "id-1", "ResourceProperties": { "Database": "blog" }, "SomethingNew": 1,
        })
    }

    #[test]
    fn payloads_are_told_apart() {
        assert!(matches!(read(event("Create")), Ok(Event::Request(..))));
        let record = json!({ "requestContext": {}, "requestPayload": event("Create") });
        assert!(matches!(read(record), Ok(Event::LastWords(..))));
        for other in [
            json!({ "detail-type": "…" }),
            json!("text"),
            json!({ "requestPayload": { "detail-type": "…" } }),
        ] {
            assert!(matches!(read(other), Ok(Event::Other(_))));
        }
        assert!(read(json!({ "requestPayload": { "ResponseURL": "nowhere" } })).is_err());
    }

    #[test]
    fn fields_nobody_knows_yet_are_accepted() {
        for request_type in ["Create", "Update", "Delete"] {
            decode(event(request_type)).unwrap();
        }
    }

    #[test]
    fn a_delete_is_decoded_whatever_its_properties_are() {
        for properties in [json!(null), json!("text"), json!([1]), json!({ "Old": { "Shape": true } })] {
            let mut event = event("Delete");
            event["ResourceProperties"] = properties;
            assert!(matches!(decode(event).unwrap(), Asked::Delete { .. }));
        }
    }

    #[test]
    fn what_is_wrong_with_an_envelope_is_named() {
        let unknown = decode(event("Replace")).unwrap_err().to_string();
        assert!(unknown.contains("\"Replace\""), "{unknown}");
        let mut no_id = event("Update");
        no_id.as_object_mut().unwrap().remove("PhysicalResourceId");
        let reason = format!("{:#}", decode(no_id).unwrap_err());
        assert!(reason.contains("PhysicalResourceId"), "{reason}");
    }
}

//! What Lambda handed over, taken apart in an order in which every failure can still be answered.

use anyhow::{Context as _, anyhow};
use aws_lambda_events::cloudformation::{CreateRequest, DeleteRequest, UpdateRequest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::physical_id::PhysicalId;
use crate::response_url::{InvalidUrl, ResponseUrl};

/// Where to answer, and the ids to send back verbatim. All of it is read leniently: whatever else is wrong with the
/// request, this is what the answer needs.
#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) url: ResponseUrl,
    pub(crate) stack_id: String,
    pub(crate) request_id: String,
    pub(crate) logical_id: String,
    pub(crate) physical_id: Option<PhysicalId>,
}

impl Recipient {
    /// Finds the place to answer, and takes the URL out of the event so that nothing after this can show it. `None` if
    /// the event isn't a custom-resource request.
    ///
    /// # Errors
    /// [`InvalidUrl`] if there is a `ResponseURL` that nothing can be sent to.
    pub(crate) fn find(event: &mut Value) -> Result<Option<Self>, InvalidUrl> {
        let Some(url) = event
            .as_object_mut()
            .and_then(|event| event.remove("ResponseURL"))
        else {
            return Ok(None);
        };
        let text = |name: &str| {
            event
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Some(Self {
            url: ResponseUrl::parse(url.as_str().unwrap_or_default())?,
            stack_id: text("StackId"),
            request_id: text("RequestId"),
            logical_id: text("LogicalResourceId"),
            physical_id: PhysicalId::received(&text("PhysicalResourceId")),
        }))
    }

    /// The stack's name, for the log.
    pub(crate) fn stack_name(&self) -> &str {
        self.stack_id.split('/').nth(1).unwrap_or(&self.stack_id)
    }
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
    event
        .get("RequestType")
        .and_then(Value::as_str)
        .unwrap_or("(none)")
}

/// Decodes the envelope of an event that [`Recipient::find`] has seen.
///
/// # Errors
/// Says which field of the envelope is missing or wrong.
pub(crate) fn decode(mut event: Value) -> anyhow::Result<Asked> {
    let kind = request_type(&event).to_owned();
    // The wire type wants the field; its value has been taken out.
    event["ResponseURL"] = json!("");
    match kind.as_str() {
        "Create" => {
            let CreateRequest::<Value> {
                resource_properties,
                ..
            } = envelope(event)?;
            Ok(Asked::Create {
                properties: resource_properties,
            })
        }
        "Update" => {
            if event.get("OldResourceProperties").is_none() {
                event["OldResourceProperties"] = json!({});
            }
            let UpdateRequest::<Value, Value> {
                resource_properties,
                physical_resource_id,
                ..
            } = envelope(event)?;
            Ok(Asked::Update {
                physical_id: existing(&physical_resource_id)?,
                properties: resource_properties,
            })
        }
        "Delete" => {
            event["ResourceProperties"] = json!({});
            let DeleteRequest::<Value> {
                physical_resource_id,
                ..
            } = envelope(event)?;
            Ok(Asked::Delete {
                physical_id: existing(&physical_resource_id)?,
            })
        }
        other => Err(anyhow!(
            "RequestType is {other:?}; this handler knows Create, Update and Delete"
        )),
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
    fn the_url_is_taken_out_of_the_event() {
        let mut event = event("Create");
        let recipient = Recipient::find(&mut event).unwrap().unwrap();
        assert!(!event.to_string().contains("secret"));
        assert_eq!(recipient.stack_name(), "name");
    }

    #[test]
    fn an_event_without_a_url_is_no_custom_resource_request() {
        assert!(
            Recipient::find(&mut json!({ "detail-type": "…" }))
                .unwrap()
                .is_none()
        );
        assert!(Recipient::find(&mut json!("text")).unwrap().is_none());
        assert!(Recipient::find(&mut json!({ "ResponseURL": 7 })).is_err());
    }

    #[test]
    fn fields_nobody_knows_yet_are_accepted() {
        for request_type in ["Create", "Update", "Delete"] {
            decode(event(request_type)).unwrap();
        }
    }

    #[test]
    fn a_delete_is_decoded_whatever_its_properties_are() {
        for properties in [
            json!(null),
            json!("text"),
            json!([1]),
            json!({ "Old": { "Shape": true } }),
        ] {
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

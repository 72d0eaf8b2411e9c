//! Where to answer, and until when anybody listens.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::physical_id::PhysicalId;
use crate::response_url::{InvalidUrl, ResponseUrl};

/// How long CloudFormation waits for an answer unless the resource says otherwise.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Where to answer, and the ids to send back verbatim. All of it is read leniently: whatever else is wrong with the
/// request, this is what the answer needs.
#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) url: ResponseUrl,
    pub(crate) stack_id: String,
    pub(crate) request_id: String,
    pub(crate) logical_id: String,
    pub(crate) physical_id: Option<PhysicalId>,
    service_timeout: Duration,
}

impl Recipient {
    /// Finds the place to answer, and takes the URL out of the event so that nothing after this can show it. `None` if
    /// the event isn't a custom-resource request.
    ///
    /// # Errors
    /// [`InvalidUrl`] if there is a `ResponseURL` that nothing can be sent to.
    pub(crate) fn find(event: &mut Value) -> Result<Option<Self>, InvalidUrl> {
        let Some(url) = event.as_object_mut().and_then(|event| event.remove("ResponseURL")) else {
            return Ok(None);
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(Self {
            url: ResponseUrl::parse(url.as_str().unwrap_or_default())?,
            stack_id: text("StackId"),
            request_id: text("RequestId"),
            logical_id: text("LogicalResourceId"),
            physical_id: PhysicalId::received(&text("PhysicalResourceId")),
            service_timeout: service_timeout(event).unwrap_or(SERVICE_TIMEOUT),
        }))
    }

    /// The stack's name, for the log.
    pub(crate) fn stack_name(&self) -> &str {
        self.stack_id.split('/').nth(1).unwrap_or(&self.stack_id)
    }

    /// The id of what this request made, or may have made.
    pub(crate) fn made(&self) -> PhysicalId {
        self.physical_id.clone().unwrap_or_else(|| PhysicalId::of(&self.stack_id, &self.logical_id))
    }

    /// The moment from which on nobody listens: the resource's `ServiceTimeout` after the URL was signed, or the URL's own
    /// end. `None` if the URL doesn't tell.
    pub(crate) fn listens_until(&self) -> Option<SystemTime> {
        let (signed, expires) = (self.url.signed_at()?, self.url.expires_after());
        Some(signed + self.service_timeout.min(expires.unwrap_or(self.service_timeout)))
    }

    /// Whether that moment is over.
    pub(crate) fn has_stopped_listening(&self) -> bool {
        self.listens_until().is_some_and(|until| until <= SystemTime::now())
    }
}

/// The property of that name, in either spelling. What is out of CloudFormation's bounds is not believed.
fn service_timeout(event: &Value) -> Option<Duration> {
    let seconds = match event.get("ResourceProperties")?.get("ServiceTimeout")? {
        Value::String(text) => text.parse().ok()?,
        number => number.as_u64()?,
    };
    (1..=3600).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recipient(url: &str, properties: &Value) -> Recipient {
        let mut event = json!({ "ResponseURL": url, "StackId": "arn:x:stack/name/uuid", "ResourceProperties": properties });
        Recipient::find(&mut event).unwrap().unwrap()
    }

    fn listens_for(url: &str, properties: &Value) -> Option<u64> {
        // 2026-11-21 00:00:00 UTC
        let signed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_219_200);
        let until = recipient(url, properties).listens_until()?;
        Some(until.duration_since(signed).unwrap().as_secs())
    }

    #[test]
    fn the_url_is_taken_out_of_the_event() {
        let mut event =
            json!({ "ResponseURL": "https://host/path?secret", "StackId": "arn:x:stack/name/uuid" });
        let recipient = Recipient::find(&mut event).unwrap().unwrap();
        assert!(!event.to_string().contains("secret"));
        assert_eq!(recipient.stack_name(), "name");
    }

    #[test]
    fn an_event_without_a_url_is_no_custom_resource_request() {
        assert!(Recipient::find(&mut json!({ "detail-type": "…" })).unwrap().is_none());
        assert!(Recipient::find(&mut json!("text")).unwrap().is_none());
        assert!(Recipient::find(&mut json!({ "ResponseURL": 7 })).is_err());
    }

    #[test]
    fn somebody_listens_for_the_service_timeout_or_until_the_url_expires() {
        let url = "https://host/?X-Amz-Date=20261121T000000Z&X-Amz-Expires=7200";
        assert_eq!(listens_for(url, &json!({ "ServiceTimeout": "960" })), Some(960));
        assert_eq!(listens_for(url, &json!({ "ServiceTimeout": 960 })), Some(960));
        assert_eq!(listens_for(url, &json!({})), Some(3600));
        assert_eq!(listens_for(url, &json!({ "ServiceTimeout": "99999" })), Some(3600));
        let short = "https://host/?X-Amz-Expires=300&X-Amz-Date=20261121T000000Z";
        assert_eq!(listens_for(short, &json!({ "ServiceTimeout": "960" })), Some(300));
        let dateless = "https://host/path";
        assert_eq!(listens_for(dateless, &json!({})), None);
    }
}

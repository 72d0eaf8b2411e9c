//! What a handler implements, and what it is given.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use anyhow::anyhow;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::deadline::Deadline;
use crate::physical_id::PhysicalId;

/// One request, after everything about it was decoded.
#[derive(Debug)]
pub struct Request<P> {
    /// The stack's ARN.
    pub stack_id: String,
    /// CloudFormation's id for the request. It names an attempt in the log; CloudFormation may use it again when it
    /// retries, so it can't tell whether something was done already.
    pub request_id: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// The resource's physical id. This crate decides it; a handler can't change it.
    pub physical_id: PhysicalId,
    /// When the handler has to be done; some time is left after it to say where things stood.
    pub deadline: Deadline,
    /// The resource's properties.
    pub properties: P,
}

/// Attributes of a resource, for `Fn::GetAtt`: names and values. Together with the ids they have to fit into 4,096 bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<&'static str, String>);

impl Attributes {
    /// The same attributes and one more. Create and Update have to set the same names, or else a template that takes one
    /// fails on the other.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.insert(name, format!("{value}"));
        self
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// A kind of custom resource.
///
/// An error becomes the reason of a FAILED answer, its whole chain of causes in one line. Each method may be called again
/// for work that is done already, and has to end in the same state.
pub trait Resource: Send + Sync + 'static {
    /// The properties, decoded from `ResourceProperties`; the error of a bad one names its path.
    type Properties: DeserializeOwned + Send + 'static;

    /// Makes the resource.
    fn create(
        &self,
        request: Request<Self::Properties>,
    ) -> impl Future<Output = anyhow::Result<Attributes>> + Send;

    /// Changes the resource; in a rollback, back to what it was.
    fn update(
        &self,
        request: Request<Self::Properties>,
    ) -> impl Future<Output = anyhow::Result<Attributes>> + Send;

    /// Removes the resource. Properties are not decoded: a Delete never fails for their shape.
    fn delete(&self, request: Request<()>) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Takes an event that isn't a custom-resource request; what it returns goes to a caller that waits. An error is
    /// Lambda's to retry.
    fn notified(
        &self,
        _event: Value,
        _deadline: Deadline,
    ) -> impl Future<Output = anyhow::Result<Value>> + Send {
        async {
            Err(anyhow!(
                "the event has no ResponseURL, and this function takes custom-resource requests only"
            ))
        }
    }
}

//! Operations on tags.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Arn;
use super::model::Model;
use super::refusal::{Input, Refusal};

/// How many tags a resource can have.
const TAGS: usize = 10;

impl Model {
    pub(super) fn add_tags(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = self.tagged(now, input.required("ResourceArn")?)?;
        let given = input.0.get("Tags").and_then(Value::as_array).into_iter().flatten().map(Input);
        let given = given.filter_map(|tag| tag.text("Key"));
        let mut keys: BTreeSet<&str> = given.collect();
        keys.extend(self.tags.get(&arn).into_iter().flatten().map(|(key, _)| key.as_str()));
        if keys.len() > TAGS {
            let why = format!("A resource can have no more than {TAGS} tags: {arn}");
            return Err(Refusal::bad_value(why));
        }
        self.tag(&arn, input);
        Ok(json!({}))
    }

    pub(super) fn remove_tags(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = self.tagged(now, input.required("ResourceArn")?)?;
        let keys = input.texts("TagKeys");
        if let Some(tags) = self.tags.get_mut(&arn) {
            tags.retain(|key, _| !keys.contains(&key.as_str()));
        }
        Ok(json!({}))
    }

    pub(super) fn list_tags(&self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let mut arns = input.texts("ResourceArnList");
        arns.extend(input.text("ResourceArn"));
        if arns.is_empty() {
            let why = "Either ResourceArn or ResourceArnList must be provided";
            return Err(Refusal::bad_value(why));
        }
        let mut list = Vec::new();
        for arn in arns {
            let tags = self.tags.get(&self.tagged(now, arn)?);
            for (key, value) in tags.into_iter().flatten() {
                list.push(json!({ "ResourceArn": arn, "Key": key, "Value": value }));
            }
        }
        Ok(json!({ "TagList": list }))
    }

    /// Puts the tags of a request on a resource.
    pub(super) fn tag(&mut self, arn: &Arn, input: Input<'_>) {
        let tags = self.tags.entry(arn.clone()).or_default();
        let given = input.0.get("Tags").and_then(Value::as_array);
        for tag in given.into_iter().flatten().map(Input) {
            if let Some(key) = tag.text("Key") {
                let value = tag.text("Value").unwrap_or_default();
                tags.insert(key.to_owned(), value.to_owned());
            }
        }
    }

    fn tagged(&self, now: Instant, arn: &str) -> Result<Arn, Refusal> {
        let resource = Arn::new(arn);
        if self.exists(now, &resource) {
            return Ok(resource);
        }
        Err(Refusal::not_found(format!("Resource not found: {arn}")))
    }
}

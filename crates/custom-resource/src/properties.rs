//! Resource properties: typed, with the path of whatever is wrong.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde_json::Value;

/// The properties that belong to CloudFormation, not to the resource.
const PROTOCOL: [&str; 2] = ["ServiceToken", "ServiceTimeout"];

/// Decodes a resource's properties, without the two that every custom resource carries.
///
/// # Errors
/// Says the path of the property and what is wrong with it: `ResourceProperties.Migrations[2].Sql: …`.
pub(crate) fn decode<P: DeserializeOwned>(mut properties: Value) -> anyhow::Result<P> {
    if let Some(properties) = properties.as_object_mut() {
        properties.retain(|name, _| !PROTOCOL.contains(&name.as_str()));
    }
    serde_path_to_error::deserialize(properties).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { format!(".{path}") };
        let said = without_value(&error.inner().to_string());
        anyhow::anyhow!("ResourceProperties{path}: {said}")
    })
}

/// What serde says of a value, less the text of it: that may be a password, or SQL with values.
fn without_value(said: &str) -> String {
    for start in ["invalid type: string", "invalid value: string", "unknown variant"] {
        if let Some(rest) = said.strip_prefix(start) {
            // The last one: the value may hold the words too.
            let (_, expected) = rest.rsplit_once(", expected ").unwrap_or_default();
            return format!("{start}, expected {expected}");
        }
    }
    said.to_owned()
}

/// Decodes a scalar in either spelling: CloudFormation writes every scalar of a template as a string, tests and people
/// write numbers and booleans too. For `#[serde(deserialize_with = "custom_resource::scalar")]`.
///
/// # Errors
/// What the type's [`FromStr`] says of the text.
pub fn scalar<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_any(Scalar(PhantomData))
}

struct Scalar<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Properties {
        #[serde(deserialize_with = "scalar")]
        hours: u16,
        #[serde(default)]
        list: Vec<Item>,
        sort: Option<Sort>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Sort {
        Up,
        Down,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Item {
        sql: String,
    }

    fn reason(properties: Value) -> String {
        decode::<Properties>(properties).unwrap_err().to_string()
    }

    #[test]
    fn numbers_are_read_in_both_spellings() {
        for hours in [json!("24"), json!(24)] {
            let properties: Properties = decode(json!({ "Hours": hours })).unwrap();
            assert_eq!(properties.hours, 24);
        }
    }

    #[test]
    fn the_protocols_own_properties_are_taken_off() {
        let properties = json!({ "ServiceToken": "arn:…", "ServiceTimeout": "960", "Hours": "1" });
        assert_eq!(
            decode::<Properties>(properties).unwrap(),
            Properties { hours: 1, list: vec![], sort: None }
        );
    }

    #[test]
    fn the_reason_starts_with_the_path_of_the_bad_property() {
        let bad = reason(json!({ "Hours": "1", "List": [{ "Sql": "a" }, { "Sql": 7 }] }));
        assert!(bad.starts_with("ResourceProperties.List[1].Sql: invalid type: integer `7`"), "{bad}");
        let bad = reason(json!({ "Hours": "a day" }));
        assert_eq!(bad, "ResourceProperties.Hours: invalid digit found in string");
    }

    #[test]
    fn missing_and_misspelt_properties_are_named() {
        assert_eq!(reason(json!({})), "ResourceProperties: missing field `Hours`");
        let bad = reason(json!({ "Hours": "1", "Lisst": [] }));
        assert!(bad.contains("unknown field `Lisst`, expected one of `Hours`, `List`, `Sort`"), "{bad}");
    }

    #[test]
    fn the_text_of_a_bad_property_is_not_repeated() {
        let secret = "INSERT INTO t VALUES ('s3cret, expected ')";
        for properties in [
            json!(secret),
            json!({ "Hours": "1", "List": secret }),
            json!({ "Hours": "1", "List": [secret] }),
            json!({ "Hours": "1", "Sort": secret }),
            json!({ "Hours": secret }),
        ] {
            let bad = reason(properties);
            assert!(!bad.contains("s3cret"), "{bad}");
        }
        assert_eq!(
            reason(json!({ "Hours": "1", "List": secret })),
            "ResourceProperties.List: invalid type: string, expected a sequence"
        );
        assert_eq!(
            reason(json!({ "Hours": "1", "Sort": secret })),
            "ResourceProperties.Sort: unknown variant, expected `Up` or `Down`"
        );
    }

    #[test]
    fn properties_that_are_no_object_are_refused() {
        assert!(reason(json!(null)).starts_with("ResourceProperties: "));
        assert!(reason(json!("text")).starts_with("ResourceProperties: "));
    }
}

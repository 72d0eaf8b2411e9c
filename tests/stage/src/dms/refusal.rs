//! How DMS says no, and how its requests are read.

use super::Arn;
use serde_json::{Map, Value};

/// A JSON object: a request, or what DMS keeps of one.
pub(super) type Document = Map<String, Value>;

/// An error as DMS answers it: a code that programs branch on and a message for people.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The error's code, such as `InvalidResourceStateFault`.
    pub code: String,
    /// DMS's own words.
    pub message: String,
}

impl Refusal {
    /// Any error, by code and message.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// `InvalidResourceStateFault`: not in its present state.
    pub fn invalid_state(message: impl Into<String>) -> Self {
        Self::new("InvalidResourceStateFault", message)
    }

    /// `ResourceNotFoundFault`: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundFault", message)
    }

    /// `ThrottlingException`: too many calls.
    pub fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    pub(super) fn already_exists(what: &str, name: &str) -> Self {
        Self::new("ResourceAlreadyExistsFault", format!("{what} already exists: {name}"))
    }

    pub(super) fn bad_value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValueException", message)
    }

    pub(super) fn bad_combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombinationException", message)
    }
}

/// The members of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a>(pub(super) &'a Value);

impl<'a> Input<'a> {
    /// A member that may be left out.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A member that must be there.
    pub(super) fn required(self, name: &str) -> Result<&'a str, Refusal> {
        let text = self.text(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            Refusal::bad_value(format!("The parameter {name} must be provided and must not be blank."))
        })
    }

    /// An ARN that must be there.
    pub(super) fn arn(self, name: &str) -> Result<Arn, Refusal> {
        self.required(name).map(Arn::new)
    }

    /// A resource's name, which DMS keeps in lower case.
    pub(super) fn identifier(self, name: &str) -> Result<String, Refusal> {
        let text = self.required(name)?.to_lowercase();
        let well_formed = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !text.ends_with('-')
            && !text.contains("--")
            && text.len() <= 255;
        well_formed.then_some(text).ok_or_else(|| {
            Refusal::bad_value(format!(
                "The parameter {name} is not a valid identifier. Identifiers must begin with a letter; must contain \
                 only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive \
                 hyphens."
            ))
        })
    }

    /// A list of texts; empty when it is left out.
    pub(super) fn texts(self, name: &str) -> Vec<&'a str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Writes the members given into a document, but for these.
    pub(super) fn write_to(self, document: &mut Document, except: &[&str]) {
        for (name, value) in self.0.as_object().into_iter().flatten() {
            if !except.contains(&name.as_str()) && !value.is_null() {
                document.insert(name.clone(), value.clone());
            }
        }
    }
}

/// A member of a document, as text.
pub(super) fn text<'a>(document: &'a Document, name: &str) -> &'a str {
    document.get(name).and_then(Value::as_str).unwrap_or_default()
}

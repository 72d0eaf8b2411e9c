//! A value as DMS wrote it.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A value of a column, or of another field of a record: JSON, kept as the text that DMS wrote.
///
/// Nothing is rounded. Whoever needs a number says which kind, and gets it exactly or not at all: DMS writes integers of
/// more than 15 digits as `1.2345678901234567e18` unless its endpoint has `UseLargeIntegerValue`, and such a value is an
/// error for `i64`, not a number that is a little off.
///
/// Two values are equal if their texts are. DMS writes the same value the same way each time.
///
/// ```
/// # use change_event::Value;
/// let id: Value = serde_json::from_str("18446744073709551615")?;
/// assert_eq!(id.decode::<u64>()?, u64::MAX);
/// assert!(id.decode::<i64>().is_err());
///
/// let price: Value = serde_json::from_str("12.30")?;
/// assert_eq!(price.text(), "12.30");
///
/// let note: Value = serde_json::from_str("null")?;
/// assert_eq!(note.decode::<Option<String>>()?, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Value(Box<RawValue>);

impl Value {
    /// The JSON, as it was written: a string with its quotes and escapes, a number with all of its digits.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Whether it is `null`, SQL's NULL.
    pub fn is_null(&self) -> bool {
        self.text() == "null"
    }

    /// The value as a type of the caller's: `i64`, `u64`, `i128`, `f64`, `bool`, `String`, an `Option` of these where a
    /// column may be NULL, or whatever else can be deserialized.
    ///
    /// # Errors
    /// If it is no such value. The error may quote what it found.
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

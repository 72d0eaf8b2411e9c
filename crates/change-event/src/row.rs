//! A row, or any other set of named values.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::malformed::Malformed;
use crate::value::Value;

/// A row's columns by their names, in the order of the names.
///
/// The fields of a record that this crate doesn't know are kept in the same way.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, Value>);

impl Row {
    /// A column's value; `None` if the record doesn't hold the column, which is not the same as NULL.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    /// All columns and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(column, value)| (column.as_str(), value))
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row as a type of the caller's. Numbers are as exact as its fields are.
    ///
    /// ```
    /// # use change_event::Row;
    /// #[derive(serde::Deserialize)]
    /// struct Order { id: u64, note: Option<String> }
    ///
    /// let row: Row = serde_json::from_str(r#"{"id": 9007199254740993, "note": null, "weight": 1.5}"#)?;
    /// let order: Order = row.decode()?;
    /// assert_eq!(order.id, 9007199254740993);
    /// assert_eq!(order.note, None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a column is missing that the type wants, or has another type. The error may quote what it found.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&serde_json::to_string(self)?)
    }

    /// Takes a field out if it can be read; otherwise it stays, for whoever can.
    pub(crate) fn claim<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let read = read(self.0.get(name)?)?;
        self.0.remove(name);
        Some(read)
    }

    /// Takes the field out that a path ends with; `None` if it isn't there or null.
    ///
    /// # Errors
    /// If it can't be decoded as `wanted` in words says.
    pub(crate) fn take<T: DeserializeOwned>(
        &mut self,
        path: &'static str,
        wanted: &'static str,
    ) -> Result<Option<T>, Malformed> {
        let name = path.rsplit('.').next().unwrap_or(path);
        let value = self.0.remove(name).filter(|value| !value.is_null());
        let decode = |value: Value| value.decode();
        // serde's own error may quote a row.
        value.map(decode).transpose().map_err(|_| Malformed::Unexpected { field: path, wanted })
    }

    /// The same, of a field that has to be there.
    pub(crate) fn require<T: DeserializeOwned>(
        &mut self,
        path: &'static str,
        wanted: &'static str,
    ) -> Result<T, Malformed> {
        self.take(path, wanted)?.ok_or(Malformed::Missing(path))
    }
}

/// The row as a JSON object on one line.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

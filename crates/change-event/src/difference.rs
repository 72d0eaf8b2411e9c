//! What lies between a row and what it was.

use std::collections::BTreeMap;
use std::fmt;

use crate::change::{Change, Operation};
use crate::row::Row;
use crate::value::Value;

/// What became of a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate<'a> {
    /// It came with the row, which was loaded or inserted.
    Added(&'a Value),
    /// It was updated.
    Changed {
        /// What it was.
        from: &'a Value,
        /// What it is.
        to: &'a Value,
    },
    /// An update left it as it was.
    Same(&'a Value),
    /// It went with the row, which was deleted.
    Removed(&'a Value),
    /// The record of an update shows one side of it at most. It may have changed.
    Unknown,
}

/// What a change has changed, column by column.
///
/// It says what the record says, and no more: a column of an update that has only its new value, or only its old one, is
/// [`Fate::Unknown`], neither changed nor the same. There are such columns if the task has no before-images or only those
/// of the primary key, and for LOBs; and where the endpoint lacks `IncludeNullAndEmpty`, for columns that became NULL or
/// were NULL.
///
/// `Display` shows on one line what did change, with values in JSON: `example "a" -> "b", note null -> "new"`.
///
/// ```
/// use change_event::{Fate, Message};
///
/// // A task whose before-images hold the primary key only.
/// let json = br#"{
///   "data": {"id": 7, "example": "new"}, "before": {"id": 7},
///   "metadata": {"timestamp": "2026-11-21T10:00:00Z", "record-type": "data", "operation": "update",
///                "schema-name": "blog", "table-name": "examples"}
/// }"#;
/// let Message::Change(change) = Message::parse(json)? else { panic!("it is about a row") };
/// let difference = change.difference();
/// assert!(matches!(difference.of("id"), Fate::Same(_)));
/// assert_eq!(difference.of("example"), Fate::Unknown);
/// assert_eq!(difference.unknown().collect::<Vec<_>>(), ["example"]);
/// # Ok::<(), change_event::Malformed>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference<'a>(BTreeMap<&'a str, Fate<'a>>);

impl<'a> Difference<'a> {
    pub(crate) fn new(change: &'a Change) -> Self {
        let before = change.before.as_ref();
        let columns = before.into_iter().flat_map(Row::iter).chain(change.data.iter());
        let fate = |column| {
            let (from, to) = (before.and_then(|row| row.get(column)), change.data.get(column));
            match (change.operation, from, to) {
                (Operation::Load | Operation::Insert, _, Some(to)) => Fate::Added(to),
                (Operation::Update, Some(from), Some(to)) if from == to => Fate::Same(to),
                (Operation::Update, Some(from), Some(to)) => Fate::Changed { from, to },
                // Without before-images, `data` still holds the row that is gone.
                (Operation::Delete, Some(gone), _) | (Operation::Delete, None, Some(gone)) => {
                    Fate::Removed(gone)
                }
                _ => Fate::Unknown,
            }
        };
        Self(columns.map(|(column, _)| (column, fate(column))).collect())
    }

    /// What became of a column; [`Fate::Unknown`] also for one that the record doesn't hold at all.
    pub fn of(&self, column: &str) -> Fate<'a> {
        self.0.get(column).copied().unwrap_or(Fate::Unknown)
    }

    /// The columns that are known to have come, gone or changed.
    pub fn changed(&self) -> impl Iterator<Item = (&'a str, Fate<'a>)> {
        let changed = |it: &(&str, Fate<'_>)| !matches!(it.1, Fate::Same(_) | Fate::Unknown);
        self.0.iter().map(|(column, fate)| (*column, *fate)).filter(changed)
    }

    /// The columns of which the record doesn't tell whether they have changed.
    pub fn unknown(&self) -> impl Iterator<Item = &'a str> {
        let unknown = self.0.iter().filter(|(_, fate)| **fate == Fate::Unknown);
        unknown.map(|(column, _)| *column)
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (column, fate)) in self.changed().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            match fate {
                Fate::Changed { from, to } => write!(f, "{comma}{column} {from} -> {to}"),
                Fate::Added(value) | Fate::Removed(value) => write!(f, "{comma}{column} {value}"),
                Fate::Same(_) | Fate::Unknown => Ok(()),
            }?;
        }
        Ok(())
    }
}

//! What is wrong with a record that can't be read.

use thiserror::Error;

/// Why a record is none of DMS's, or of a kind that this crate doesn't know. It quotes no value of a row.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Malformed {
    /// It is not JSON, or no object.
    #[error("no JSON object (line {line}, column {column})")]
    NoObject {
        /// Where the text goes wrong, counted from 1.
        line: usize,
        /// The byte there, counted from 1; 0 stands for the line's end.
        column: usize,
    },
    /// A field isn't there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field holds something else.
    #[error("`{field}` is not {wanted}")]
    Unexpected {
        /// The field's path.
        field: &'static str,
        /// What it should hold.
        wanted: &'static str,
    },
}

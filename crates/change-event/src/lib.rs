//! The changes of a database's rows, as AWS DMS writes them to a Kinesis stream, for those who consume the stream with a
//! Lambda function.
//!
//! [`process`] is the way in: it reads the records of an event, hands each to the caller's function as a [`Message`], and
//! gives what Lambda has to be told. A [`Change`] says what was done to which [`Row`] and, by its [`Difference`], what that
//! changed. [`Message::parse`] reads a single JSON document, such as a line of an archive.
//!
//! # Guarantees
//! - A record that can't be read is an error that names it by its sequence number, and never a panic.
//! - Nothing is rounded and nothing is dropped: a [`Value`] is the text that DMS wrote, and fields that this crate doesn't
//!   know are kept.
//! - Where a record doesn't tell whether a column has changed, the difference doesn't either.
//! - After a failure nothing later in the batch is handled, so that Lambda can go back to it without changing the order.
//! - An error of this crate's quotes no value of a row. What [`Value::decode`] and [`Row::decode`] say may.
//!
//! # Caveats
//! - DMS and Lambda deliver at least once. `transaction_id` with `transaction_record_id`, or `stream_position`, of a
//!   change's [`Metadata`] tell a second delivery from a second change.
//! - Order holds within a partition key. That is the table by default, and the row where a task has `ParallelApply…`.
//!
//! # Layout
//! `batch` goes through an event, `message` reads a record into `change` or `control` and `metadata`, `difference` compares,
//! `row` and `value` hold what is read, `malformed` says what can't be.

mod batch;
mod change;
mod control;
mod difference;
mod malformed;
mod message;
mod metadata;
mod row;
mod value;

pub use aws_lambda_events::kinesis::KinesisEvent;
pub use aws_lambda_events::streams::KinesisEventResponse;

pub use batch::{BoxError, Failure, Outcome, process};
pub use change::{Change, Operation};
pub use control::Control;
pub use difference::{Difference, Fate};
pub use malformed::Malformed;
pub use message::Message;
pub use metadata::{Metadata, Table};
pub use row::Row;
pub use value::Value;

//! Rows on their way: somebody who writes them, somebody who sees the changes, and the count at the end.
//!
//! # Layout
//! - `writer`: inserts, updates and deletes rows of one table, whatever happens meanwhile
//! - `subscriber`: sees the changes that come out of the Kinesis stream; `decode`: what a record or a line says
//! - `count`: the rows, the binary log (`log`) and the stream, compared

pub mod count;
pub mod decode;
mod log;
pub mod subscriber;
pub mod writer;

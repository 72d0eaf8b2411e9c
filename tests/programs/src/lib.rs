//! What the programs share. None of it is a test, and no test links it.
//!
//! # Layout
//! - [`chaos`]: random operations and random trouble; [`compare`]: the same operations with Sluice and without it
//! - [`timeline`]: what happened, as a picture
//! - `bin`: the programs that show them, the demo of [`stage::play`], the benchmark, and the local cloud alone

pub mod chaos;
pub mod compare;
pub mod timeline;

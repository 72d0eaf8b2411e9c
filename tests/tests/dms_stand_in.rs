//! The stand-in for DMS keeps DMS's rules.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "dms_stand_in/arranged.rs"]
mod arranged;
#[path = "dms_stand_in/client.rs"]
mod client;
#[path = "dms_stand_in/protocol.rs"]
mod protocol;
#[path = "dms_stand_in/resources.rs"]
mod resources;
#[path = "dms_stand_in/tasks.rs"]
mod tasks;

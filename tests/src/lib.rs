//! The stage that Sluice is rehearsed on: stand-ins for what its handlers talk to, and the local cloud's driver.
//!
//! # Layout
//! [`dms`] is the one model of DMS; [`stack`] is CloudFormation as the handlers read it; [`lambda`] runs a real binary as
//! Lambda does, and [`callback`] takes its answers. Whatever speaks HTTP does so over [`http`].

pub mod callback;
pub mod cloud;
pub mod dms;
pub mod http;
pub mod lambda;
pub mod mysql;
pub mod play;
pub mod rds;
pub mod request;
pub mod stack;

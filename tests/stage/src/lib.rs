//! The stage that Sluice is rehearsed on: stand-ins for what its handlers talk to, and the local cloud's driver.
//!
//! # Layout
//! - What the handlers talk to: [`dms`] is the one model of DMS; [`stack`] is CloudFormation as they read it; [`aws`] brings
//!   both to a client, in process or by a port, and lets things happen on the way; [`secrets`] is Secrets Manager;
//!   [`mysql`] starts a real database server; [`callback`] takes their answers. Whatever speaks HTTP does so over [`http`],
//!   behind [`tls`] where somebody asks for it. [`gate`] stands in anybody's way.
//! - What the stream is made of: [`replica`] is the engine behind DMS, which moves real rows; [`kinesis`] stands in for
//!   where they go; [`service`] is how they, Secrets Manager and the local cloud's
//!   CloudFormation are called; [`traffic`] is who writes rows, who sees them, and the count.
//! - What happens: [`lives`] makes up deployments, and what goes wrong in them.
//! - Who calls them: [`request`] makes requests as CloudFormation does; [`lambda`] runs a real binary as Lambda does, and
//!   [`on_failure`] is what Lambda says of one that died.
//! - All of it together: [`cloud`] drives the local cloud, in which [`rds`] stands behind the database's cluster; [`play`] is
//!   what happens there, for the demo and the lifecycle test.

pub mod aws;
pub mod callback;
pub mod cloud;
pub mod dms;
pub mod gate;
pub mod http;
pub mod kinesis;
pub mod lambda;
pub mod lives;
pub mod mysql;
pub mod on_failure;
pub mod play;
pub mod rds;
pub mod replica;
pub mod request;
pub mod secrets;
pub mod service;
pub mod stack;
pub mod tls;
pub mod traffic;

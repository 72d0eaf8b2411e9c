//! The engine behind the stand-in for DMS: real rows, from a real binary log to a stream.

#[path = "replica/changes.rs"]
mod changes;
#[path = "replica/interruptions.rs"]
mod interruptions;
#[path = "replica/load.rs"]
mod load;
#[path = "replica/world.rs"]
mod world;

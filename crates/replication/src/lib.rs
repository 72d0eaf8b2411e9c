//! What dms-pre and dms-post mean: bring a stack's DMS tasks to rest before they change, and to run afterwards.
//!
//! # Layout
//! A request is worked on in three steps. [`look`] reads the operation on the stack, its change set and its tasks.
//! [`decide`] says what is to be done about a task: a pure function of what was read. `settle` does it for all tasks
//! together, in a loop, in both directions. [`pre`] and [`post`] are the two handlers.
//!
//! [`change`] knows what in a change set concerns a task; [`succession`] where one begins that replaces another; [`mark`] and `pauses` what tells that a task was paused; [`task`]
//! what a task is; `course` how far one has come. The services are in `cloudformation` and `dms`, and the SDK's types stay there.
//!
//! # Guarantees
//! - Statuses are polled once a second, one call for up to 100 tasks, and a final one ends the wait at once.
//! - **Nothing lost leaves a paused task at rest.** That a task was paused is told by a mark on it, put on before the stop; by
//!   what DmsPre hands to DmsPost through CloudFormation; and, once the operation is over, by DMS's own dates.
//! - **A call that may have gone through has gone through**, until DMS shows otherwise. What changes something is sent once,
//!   at most a second after a look at the stack, and given up after ten. It is sent again after the next look.
//! - A mark comes off only when the task runs, and then the one that was read before. So no two calls depend on each
//!   other's order.
//! - Nothing reloads a table, and nothing starts a task from "now" that has a position to lose.
//!
//! # Caveats
//! A call that CloudFormation has given up on may change something for some seconds more. So what rests is watched for 30 s
//! where such a call may be about to start it, and what runs where one may be about to stop it.

mod aws;
pub mod change;
mod cloudformation;
mod course;
pub mod decide;
mod dms;
mod hints;
pub mod look;
pub mod mark;
mod pauses;
pub mod post;
pub mod pre;
mod settle;
pub mod succession;
pub mod task;

pub use post::DmsPost;
pub use pre::DmsPre;

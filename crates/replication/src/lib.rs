//! What dms-pre and dms-post mean: bring a stack's DMS tasks to rest before they change, and to run afterwards.
//!
//! # Layout
//! A request is worked on in three steps: [`observe`] reads the stack's status, its change set and its tasks; [`plan`]
//! decides about each task, a pure function of what was read; `pause` and `run` carry it out for all tasks together.
//! [`change`] knows what in a change set concerns a task. [`pre`] and [`post`] are the two handlers.
//!
//! The services are behind two traits, [`Stack`] and [`Tasks`]; the SDK's types stay in `stack.rs` and `dms.rs`.
//!
//! # Guarantees
//! - Statuses are polled once a second, one call for up to 100 tasks, and a final one ends the wait at once.
//! - The only state is a tag on the task, [`PAUSE_MARK`](tasks::PAUSE_MARK): put on before a stop, taken off once the task
//!   runs again. A crash between any two calls leaves what the next call, or the event at the deployment's end, can
//!   finish.
//! - Nothing reloads a table, and nothing starts a task from "now" that has a position to lose.

mod apply;
mod attempt;
mod aws;
pub mod change;
mod connections;
mod deployment;
pub mod dms;
mod hints;
pub mod observe;
mod pause;
pub mod plan;
pub mod post;
pub mod pre;
mod run;
pub mod stack;
pub mod task;
pub mod tasks;
mod wait;

pub use post::DmsPost;
pub use pre::DmsPre;
pub use stack::Stack;
pub use tasks::Tasks;

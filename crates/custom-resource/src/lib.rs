//! CloudFormation's custom-resource protocol, from the payload that Lambda hands over to the one answer that
//! CloudFormation waits for. It knows no DMS, no SQL and no AWS SDK.
//!
//! A handler implements [`Resource`] and calls [`run`] in `main`; everything else happens here.
//!
//! # Expected flow
//! 1. The payload arrives as a [`serde_json::Value`], so that nothing in it can fail before this crate sees it.
//! 2. The place to answer (`ResponseURL`, and the ids to send back) is found first.
//! 3. Envelope and properties are decoded, the handler is constructed (once, lazily) and called: all of it inside a guard
//!    that turns an error, a panic and the deadline into a reason.
//! 4. One PUT carries the answer to the URL, byte for byte as given.
//!
//! # Guarantees
//! - A request whose `ResponseURL` can be read is answered exactly once, also when its envelope or its properties can't be
//!   decoded, when constructing the handler fails, when the handler fails or panics, and when it does not end in time.
//! - The body is at most 4,096 bytes; a reason too long is cut behind its head, and control characters are taken out.
//! - The physical id is fixed by the stack and the logical id, and echoed on Update and Delete. A Create that failed
//!   before the handler was called answers an id that marks this, and the Delete that follows calls no handler.
//! - The URL, which is a credential, is in no log and no error: [`ResponseUrl`] does not show it.
//!
//! # Assumptions
//! - The process lives until the deadline that Lambda states, and the runtime unwinds (`panic = "unwind"`).
//! - Handlers don't block the thread: a blocked thread can't watch its deadline.
//!
//! # Caveats
//! - CloudFormation delivers at least once: a handler is called again for a request it has finished, and has to be
//!   idempotent.
//! - A killed process (out of memory, Lambda's own time-out) answers nobody.
//!
//! # Layout
//! [`resource`] is what a handler sees; `guard` runs it; `event` reads the request, `answer` writes the body, `callback`
//! sends it; `physical_id`, `properties`, `deadline` and `reason` are the small parts these share.

mod answer;
mod callback;
mod deadline;
mod event;
mod guard;
mod last_words;
mod logging;
mod physical_id;
mod properties;
mod reason;
mod recipient;
pub mod resource;
mod response_url;
mod runtime;

pub use deadline::Deadline;
pub use guard::Guard;
pub use physical_id::PhysicalId;
pub use properties::scalar;
pub use resource::{Attributes, Request, Resource};
pub use response_url::{InvalidUrl, ResponseUrl};
pub use runtime::{Error, run};

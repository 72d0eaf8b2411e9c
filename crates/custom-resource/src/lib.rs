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
//! Each names its test: in this crate's modules, or in `tests/tests` of the workspace.
//! - **One answer.** A request whose `ResponseURL` can be read gets one answer: after success, an error, a panic (also in
//!   a task that the handler spawned and joins), a torn envelope, bad properties, an unknown request type, a handler that
//!   can't be made, and work that does not end in time. (`protocol`, `custom_resource`)
//! - **Also for the dead.** The record that Lambda sends when a function ended without an answer, or was never called, is
//!   answered FAILED by any function built on this crate. It keeps the id under which something may have been made.
//!   (`faults`, `last_words`)
//! - **Nothing late.** A request that CloudFormation has stopped waiting for starts nothing, and work ends when
//!   CloudFormation stops waiting, even if Lambda grants more. (`a_request_that_nobody_waits_for_any_more_starts_nothing`,
//!   `work_ends_when_cloudformation_stops_waiting_however_much_time_lambda_grants`)
//! - **It fits.** The body is at most 4,096 bytes. A reason too long is cut behind its head and keeps the place of the log;
//!   control characters are taken out. (`a_reason_of_any_kind_fits_with_its_head`)
//! - **The id stays.** It is fixed by the stack and the logical id, and echoed on Update and Delete. A Create that failed
//!   before the handler was called answers an id that marks this, and the Delete that follows calls no handler.
//!   (`cloudformation`, `physical_id`)
//! - **Deletes pass.** A Delete is never refused for its properties. (`a_delete_is_decoded_whatever_its_properties_are`)
//! - **As signed.** The PUT has the very path and query of the URL, no Content-Type, and an exact Content-Length. What can
//!   pass is tried again, never beyond the time there is; a refusal is not. (`the_put_is_what_the_signature_covers`,
//!   `a_callback_that_refuses_is_not_tried_again_but_left_to_the_last_words`)
//! - **Out of sight.** The URL, which is a credential, is taken out of the event first; it is in no log and no error, at any
//!   level. [`ResponseUrl`] does not show it. (`protocol`, `binaries`)
//!
//! # Assumptions
//! - The runtime unwinds (`panic = "unwind"`; guarded by `a_panic_unwinds_in_what_ships`).
//! - Handlers don't block the thread: a blocked thread can't watch its deadline.
//! - The clocks of this machine and of CloudFormation differ by less than the minute that templates leave.
//!
//! # Caveats
//! - CloudFormation delivers at least once: a handler is called again for a request it has finished, and has to be
//!   idempotent. (assumption: requests-may-repeat)
//! - A handler isn't told which of two requests is the newer one: a duplicate of an Update that comes after the next
//!   Update undoes it. Lambda holds an event for five minutes at most in the templates.
//! - A Create whose handler could not be constructed says that nothing was made. If a duplicate of it could be served,
//!   what that made stays behind.
//! - CloudFormation can send a Delete while the Create is still at work, in another process. Handlers that start things
//!   have to look whether they are still wanted before each; this crate can't know.
//! - A killed process answers nobody by itself: the template has to name a function for last words (`OnFailure`).
//! - A panic in a task that nobody joins is in the log only.
//!
//! # Layout
//! [`resource`] is what a handler sees; `guard` runs it; `event` tells payloads apart, `recipient` knows where to answer,
//! `last_words` speaks for the dead, `answer` writes the body, `callback` sends it; `physical_id`, `properties`,
//! `deadline` and `reason` are the small parts these share.

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

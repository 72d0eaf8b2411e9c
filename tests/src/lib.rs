//! What the plays need besides the stage: the handlers called in the tests' own process, through the SDK, and many made-up
//! cases.

mod sdk;
pub mod trials;

use std::time::Duration;

use custom_resource::{Deadline, PhysicalId, Request};
use stage::request::{REQUEST_ID, UNDER_TEST};
use stage::stack::STACK;

pub use sdk::config;

/// A decoded request of the one stack there is, with what Lambda grants at most, less a reserve.
///
/// # Panics
/// Never: the ids are fixed.
pub fn decoded<P>(properties: P) -> Request<P> {
    Request {
        stack_id: STACK.to_owned(),
        request_id: REQUEST_ID.to_owned(),
        logical_id: UNDER_TEST.to_owned(),
        physical_id: PhysicalId::received("UnderTest-1").unwrap(),
        deadline: Deadline::after(Duration::from_secs(885)),
        properties,
    }
}

//! A small CloudFormation, and a Lambda that goes wrong in every way, around the real guard and a handler with side
//! effects. Whatever happens in whatever order: each request is answered, and the last Delete leaves nothing.
//!
//! # What CloudFormation does here
//! - It sends a Create, Updates and a Delete, one after the other. It goes on at the first answer, and ignores those after
//!   it. What was not answered in its `ServiceTimeout` has failed.
//! - After a Create that failed comes its Delete, with the id of the answer or one that is made up. Another resource's
//!   failure cancels a Create: its Delete comes at once, with a made-up id, while it still runs.
//! - After an Update that failed, or that another resource's failure undoes, comes an Update with the old properties. A
//!   rollback or a Delete that fails is sent again, a rollback with the same RequestId.
//! - Once all is gone and an hour has passed, the resource may be created again: the same logical id in the same stack.
//!
//! # What Lambda does here
//! It delivers at least once, so also twice at the same time, after CloudFormation has gone on, and when nobody listens any
//! more. A process can die at any await point (the guard's future is dropped), may get no answer through, or never starts.
//! The last words get a record of that; they themselves do not die.
//!
//! # What the handler has to do
//! The guard can't see what another process does, so that three things are left to the handler. Without any one of them
//! this test fails.
//! - It finds what it made by stack and logical id. The physical id of a Delete may be made up.
//! - Its Delete leaves a mark where the thing was, and every side effect of a Create or an Update looks at it in the same
//!   transaction: a Create may go on, or only begin, after its Delete was answered. The mark has to stay for as long as a
//!   request that is older than the Delete may begin, which is an hour, and the longest run of the function.
//! - Each step can be repeated.
//!
//! # What is left out, since it can't be known
//! - What a thing is like while a request older than the last one is at work: a handler isn't told which of two requests is
//!   the newer one, so that a late duplicate of an Update undoes the Update after it. That nothing is left in the end holds
//!   all the same.
//! - A handler that can't be constructed in one delivery of a Create, but can in another one. The first answers that nothing
//!   was made, and the Delete that follows believes it, whatever the other made.

#[path = "cloudformation/handler.rs"]
mod handler;
#[path = "cloudformation/lambda.rs"]
mod lambda;
#[path = "cloudformation/plan.rs"]
mod plan;
#[path = "cloudformation/requests.rs"]
mod requests;
#[path = "cloudformation/stack.rs"]
mod stack;

use std::time::Duration;

use plays::trials::{Trials, saw};
use stack::CloudFormation;
use tokio::runtime;
use tokio::task::LocalSet;

/// What runs at the same time is up to the machine, so that a seed doesn't decide everything.
#[test]
fn every_request_is_answered_and_the_last_delete_leaves_nothing() {
    let trials = Trials {
        cases: 2000,
        // Most of a sequence is waiting.
        threads: 24,
        fresh: false,
        must_be_seen: &MUST_BE_SEEN,
    };
    trials.run(plan::lives, || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        move |lives| {
            let work = async {
                let work = async { CloudFormation::start().await.live(&lives).await };
                tokio::time::timeout(Duration::from_secs(60), work).await
            };
            let ended = LocalSet::new().block_on(&runtime, work);
            ended.unwrap_or_else(|_| vec!["it does not come to an end".to_owned()])
        }
    });
}

const MUST_BE_SEEN: [&str; 15] = [
    "a Delete that failed and was sent again",
    "a duplicate after the last Delete",
    "a function that ended without an answer",
    "a process that was killed",
    "a request that its Delete overtook, refused by the world",
    "a request that nobody waits for any more",
    "a second answer, ignored",
    "an Update that was rolled back",
    "an answer that did not get through",
    "an event that grew too old",
    "the Delete of a Create that never began",
    "the Delete of a Create that was cancelled",
    "the Delete of a failed Create, by an id made up",
    "the Delete of a failed Create, by the id given",
    "work that hung",
];

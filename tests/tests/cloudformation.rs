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

#[path = "cloudformation/answers.rs"]
mod answers;
#[path = "cloudformation/handler.rs"]
mod handler;
#[path = "cloudformation/lambda.rs"]
mod lambda;
#[path = "cloudformation/plan.rs"]
mod plan;
#[path = "cloudformation/stack.rs"]
mod stack;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use stack::CloudFormation;
use tokio::runtime;
use tokio::task::LocalSet;

/// So many sequences, unless PROPTEST_CASES says otherwise.
const SEQUENCES: u32 = 2000;

/// Most of a sequence is waiting.
const AT_ONCE: u32 = 24;

/// What has happened so far, and how often.
static SEEN: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

/// Counts what must not be missing from a long run.
pub(crate) fn saw(what: &'static str) {
    *SEEN.lock().unwrap().entry(what).or_default() += 1;
}

#[test]
fn every_request_is_answered_and_the_last_delete_leaves_nothing() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let cases: u32 = cases.unwrap_or(SEQUENCES);
    let seed = match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    };
    let failed = AtomicBool::new(false);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let run = |seed| {
            let failure = sequences(seed, cases.div_ceil(AT_ONCE), &failed);
            failed.fetch_or(failure.is_some(), Ordering::Relaxed);
            failure
        };
        let all: Vec<_> = (0..AT_ONCE)
            .map(|n| scope.spawn(move || run(seed.wrapping_add(n.into()))))
            .collect();
        all.into_iter()
            .filter_map(|run| run.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));

    let seen = SEEN.lock().unwrap();
    println!("{cases} sequences from seed {seed}: {seen:#?}");
    if cases >= SEQUENCES {
        let missing: Vec<_> = MUST_BE_SEEN
            .iter()
            .filter(|what| !seen.contains_key(*what))
            .collect();
        assert!(missing.is_empty(), "never seen: {missing:?}");
    }
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

/// Runs so many sequences in this thread, until another thread has found a fault. The smallest sequence that fails.
fn sequences(seed: u64, cases: u32, found: &AtomicBool) -> Option<String> {
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_time: 30_000,
        ..Config::default()
    });
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runner.run(&plan::lives(), |lives| {
        if found.load(Ordering::Relaxed) {
            return Ok(());
        }
        let work = async {
            let work = async { CloudFormation::start().await.live(&lives).await };
            tokio::time::timeout(Duration::from_secs(60), work).await
        };
        match LocalSet::new().block_on(&runtime, work) {
            Ok(faults) if faults.is_empty() => Ok(()),
            Ok(faults) => Err(TestCaseError::fail(faults.join("\n"))),
            Err(_) => Err(TestCaseError::fail("it does not come to an end")),
        }
    });
    let failure = result.err()?;
    Some(format!(
        "with PROPTEST_RNG_SEED={seed} (what runs at the same time is up to the machine):\n{failure}"
    ))
}

//! Random stacks live through random deployments and whatever goes wrong in them, over the stand-in for DMS and with the
//! real handlers, and are judged.

#[path = "deployments/cloudformation.rs"]
mod cloudformation;
#[path = "deployments/functions.rs"]
mod functions;
#[path = "deployments/handlers.rs"]
mod handlers;
#[path = "deployments/incidents.rs"]
mod incidents;
#[path = "deployments/judge.rs"]
mod judge;
#[path = "deployments/lambda.rs"]
mod lambda;
#[path = "deployments/plan.rs"]
mod plan;
#[path = "deployments/resources.rs"]
mod resources;
#[path = "deployments/template.rs"]
mod template;
#[path = "deployments/update.rs"]
mod update;
#[path = "deployments/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use cloudformation::CloudFormation;
use plan::Life;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::runtime;
use world::World;

/// So many lives, unless PROPTEST_CASES says otherwise.
const LIVES: u32 = 400;

/// They are the same in every run, unless PROPTEST_RNG_SEED says otherwise.
const SEED: u64 = 1;

/// The lives are shared out among threads.
const THREADS: u32 = 2;

/// What has happened so far, and how often.
static SEEN: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

/// Counts what must not be missing from a long run.
pub(crate) fn saw(what: &'static str) {
    *SEEN.lock().unwrap().entry(what).or_default() += 1;
}

#[test]
fn whatever_happens_the_stream_goes_on_where_it_was_and_what_an_operator_stopped_rests() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let cases: u32 = cases.unwrap_or(LIVES);
    let seed = match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => SEED,
    };
    let failed = AtomicBool::new(false);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let run = |seed| {
            let failure = lives(seed, cases.div_ceil(THREADS), &failed);
            failed.fetch_or(failure.is_some(), Ordering::Relaxed);
            failure
        };
        let all: Vec<_> = (0..THREADS)
            .map(|n| scope.spawn(move || run(seed.wrapping_add(n.into()))))
            .collect();
        all.into_iter()
            .filter_map(|run| run.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));

    let seen = SEEN.lock().unwrap();
    println!("{cases} lives from seed {seed}: {seen:#?}");
    if cases >= LIVES {
        let missing: Vec<_> = MUST_BE_SEEN
            .iter()
            .filter(|what| !seen.contains_key(*what))
            .collect();
        assert!(missing.is_empty(), "never seen: {missing:?}");
    }
}

const MUST_BE_SEEN: [&str; 13] = [
    "a failed update that was rolled back later",
    "a process that died",
    "a replacement that began at its predecessor's checkpoint",
    "a request that was delivered again, later",
    "a resource that was replaced",
    "a rollback that failed, and was continued",
    "a stack that was deleted",
    "a task that an operator deleted",
    "a task that an operator started",
    "a task that an operator stopped",
    "an event that came again, minutes later",
    "an update that failed with rollback disabled",
    "an update that was cancelled",
];

/// Lives through so many in this thread, until another thread has found a fault. The smallest life that fails.
fn lives(seed: u64, cases: u32, found: &AtomicBool) -> Option<String> {
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    });
    let result = runner.run(&plan::life(), |life| {
        if found.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (faults, story) = live(&life);
        if faults.is_empty() {
            return Ok(());
        }
        let faults = faults.join("\n");
        Err(TestCaseError::fail(format!("{faults}\n{story}")))
    });
    let story = match result {
        Ok(()) => return None,
        Err(TestError::Fail(why, life)) => {
            format!("{why}\nThe smallest life that shows it: {life:?}")
        }
        Err(other) => other.to_string(),
    };
    Some(format!("with PROPTEST_RNG_SEED={seed}:\n{story}"))
}

/// Lives through it; what went wrong, and the story.
fn live(life: &Life) -> (Vec<String>, String) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new(&life.nature);
        let world = CloudFormation::new(world).live(life).await;
        (world.faults(), world.log())
    })
}

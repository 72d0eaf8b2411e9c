//! The protocol over loopback, case after case: whatever the event, the handler and the callback, one answer.
//!
//! `PROPTEST_CASES` says how many cases there are (10,000), `PROPTEST_RNG_SEED` which: a failure names its seed.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use custom_resource::Guard;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRng, TestRunner};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet, spawn_local};

#[path = "protocol/callback.rs"]
mod callback;
#[path = "protocol/case.rs"]
mod case;
#[path = "protocol/event.rs"]
mod event;
#[path = "protocol/expectation.rs"]
mod expectation;
#[path = "protocol/handler.rs"]
mod handler;
#[path = "protocol/judge.rs"]
mod judge;
#[path = "protocol/log.rs"]
mod log;
#[path = "protocol/wire.rs"]
mod wire;

use callback::Callback;
use case::{Case, context};
use handler::{Calls, Handler};
use judge::{Made, Seen, judge};
use log::{LOG, Log, WORKER};

const CASES: u32 = 10_000;
/// How many cases a worker has under way, of those that work and of those that wait.
const QUICK: usize = 16;
const SLOW: usize = 512;
/// After so many cases there is a new callback: a port has only so many connections.
const CASES_A_PORT: usize = 5_000;

/// Which cases there are. Each is made of the seed and its number alone.
#[derive(Clone, Copy)]
struct Cases {
    seed: u64,
    count: usize,
}

impl Cases {
    fn of_environment() -> Self {
        let config = Config::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            seed: match config.rng_seed {
                RngSeed::Fixed(seed) => seed,
                RngSeed::Random => u64::from(now.subsec_nanos()),
            },
            count: match std::env::var("PROPTEST_CASES") {
                Ok(_) => config.cases as usize,
                Err(_) => CASES as usize,
            },
        }
    }

    fn tree(self, strategy: &BoxedStrategy<Case>, number: usize) -> impl ValueTree<Value = Case> + use<> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&(number as u64).to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        strategy.new_tree(&mut runner).unwrap()
    }
}

#[test]
fn every_request_is_answered_once_and_validly_whatever_happens() {
    log::capture();
    let (cases, started) = (Cases::of_environment(), Instant::now());
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let is_over = AtomicBool::new(false);
    let ids = Mutex::new(HashMap::new());
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|worker| {
                let numbers = (worker..cases.count).step_by(workers);
                let work = || {
                    let work = work(cases, numbers, &ids, &is_over);
                    let failed = LocalSet::new().block_on(&runtime(), work);
                    is_over.fetch_or(failed.is_err(), Ordering::Relaxed);
                    failed
                };
                let thread = thread::Builder::new().name(WORKER.to_owned());
                thread.spawn_scoped(scope, work).unwrap()
            })
            .collect();
        workers.into_iter().find_map(|worker| {
            let failed = worker.join();
            // What a worker's own panic said is in the captured log.
            failed.unwrap_or_else(|_| panic!("a worker panicked: {}", log::elsewhere())).err()
        })
    });
    if let Some((number, error)) = failed {
        let how = format!("PROPTEST_RNG_SEED={} PROPTEST_CASES={}", cases.seed, cases.count);
        println!("case {number} of {how} fails: {error:#}");
        let (case, error) = shrink(cases, number).unwrap_or_else(|| panic!("not by itself: {error:#}"));
        panic!("case {number} of {how}, as small as it gets: {case:#?}\nit fails: {error:#}");
    }
    println!("{} cases in {:?}, seed {}", cases.count, started.elapsed(), cases.seed);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs one worker's share. An error names the case.
async fn work(
    cases: Cases,
    numbers: impl Iterator<Item = usize>,
    ids: &Mutex<HashMap<[String; 2], String>>,
    is_over: &AtomicBool,
) -> Result<(), (usize, anyhow::Error)> {
    let strategy = case::cases();
    let (quick, slow) = (Arc::new(Semaphore::new(QUICK)), Arc::new(Semaphore::new(SLOW)));
    let mut callback = Arc::new(Callback::start().await);
    let mut running = JoinSet::new();
    let check = |(number, made): (usize, anyhow::Result<Option<Made>>)| {
        let is_right = made.and_then(|made| has_one_id(ids, made));
        is_right.map_err(|error| (number, error))
    };
    for (nth, number) in numbers.enumerate() {
        let case = cases.tree(&strategy, number).current();
        let room = if case.is_slow() { &slow } else { &quick };
        let room = Arc::clone(room).acquire_owned().await.unwrap();
        if nth % CASES_A_PORT == CASES_A_PORT - 1 {
            callback = Arc::new(Callback::start().await);
        }
        let callback = Arc::clone(&callback);
        running.spawn_local(async move {
            let _room = room;
            (number, run(&case, &callback, number).await)
        });
        while let Some(done) = running.try_join_next() {
            check(done.unwrap())?;
        }
        if nth % 1000 == 0 {
            judge::is_discreet(&log::elsewhere()).map_err(|error| (number, error))?;
        }
        if is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
    while let Some(done) = running.join_next().await {
        check(done.unwrap())?;
    }
    judge::is_discreet(&log::elsewhere()).map_err(|error| (0, error))
}

/// Whether the id is the one that the same stack and logical id had in every other case.
fn has_one_id(ids: &Mutex<HashMap<[String; 2], String>>, made: Option<Made>) -> anyhow::Result<()> {
    // One that was too long is cut, and shorter still where it takes a mark.
    if let Some((of, id)) = made.filter(|(_, id)| id.len() < 1000) {
        let mut ids = ids.lock().unwrap();
        let known = ids.entry(of).or_insert_with(|| id.clone());
        ensure!(*known == id, "{known} is {id} now");
    }
    Ok(())
}

/// Runs one case.
async fn run(case: &Case, callback: &Callback, number: usize) -> anyhow::Result<Option<Made>> {
    let url = case.url(callback, number);
    let event = case.event(&url);
    let (context, log, calls) =
        (context(case.time(), &case.log_group), Log::default(), Arc::<Mutex<Calls>>::default());
    callback.open(number, &case.replies);
    let handled = {
        let (behaviour, calls, event) = (case.behaviour.clone(), Arc::clone(&calls), event.clone());
        // In a task of its own, so that a panic which gets out is seen.
        spawn_local(LOG.scope(Arc::clone(&log), async move {
            let guard = Guard::new(async || Handler::construct(&behaviour, &calls).await);
            guard.handle(event, &context).await.map(drop)
        }))
    };
    let handled = handled.await;
    let inbox = callback.close(number);
    let seen = Seen {
        url,
        event,
        result: handled.map_err(|panic| anyhow::anyhow!("the guard let it out: {panic}"))?,
        inbox,
        calls: std::mem::take(&mut calls.lock().unwrap()),
        log: log::text(&log),
    };
    judge(case, &seen)
}

/// The smallest case that fails as this one does, or in any other way; `None` if it doesn't fail by itself.
fn shrink(cases: Cases, number: usize) -> Option<(Case, anyhow::Error)> {
    let shrink = || {
        let fails = |case: &Case| {
            let run = async { run(case, &Callback::start().await, number).await };
            LocalSet::new().block_on(&runtime(), run).err()
        };
        let mut tree = cases.tree(&case::cases(), number);
        let mut smallest = (tree.current(), fails(&tree.current())?);
        let started = Instant::now();
        let mut more = tree.simplify();
        while more && started.elapsed().as_secs() < 30 {
            let case = tree.current();
            more = match fails(&case) {
                Some(error) => {
                    smallest = (case, error);
                    tree.simplify()
                }
                None => tree.complicate(),
            };
        }
        Some(smallest)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(WORKER.to_owned());
        let thread = thread.spawn_scoped(scope, AssertUnwindSafe(shrink)).unwrap();
        thread.join().unwrap()
    })
}

//! Many made-up cases, shared out among threads, and a count of what happened in them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// What has happened so far, and how often.
static SEEN: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

/// What the threads are called in which cases are tried.
pub const THREAD: &str = "trials";

/// The seed of cases that are the same in every run.
const SEED: u64 = 1;

/// Counts what must not be missing from a long run.
pub fn saw(what: &'static str) {
    *SEEN.lock().unwrap().entry(what).or_default() += 1;
}

/// How the cases are tried.
#[derive(Clone, Copy, Debug)]
pub struct Trials {
    /// So many, unless PROPTEST_CASES says otherwise.
    pub cases: u32,
    /// So many threads.
    pub threads: u32,
    /// Another seed in each run, which is printed. Otherwise it is always the same; PROPTEST_RNG_SEED wins over both.
    pub fresh: bool,
    /// What [`saw`] has to count at least once in that many cases.
    pub must_be_seen: &'static [&'static str],
}

impl Trials {
    /// Tries cases, until one fails. Each thread makes a trial of its own: what goes wrong in a case, nothing if all is
    /// well.
    ///
    /// # Panics
    /// If a case fails, with the smallest one like it that does; or if something was never seen.
    pub fn run<S, T>(&self, cases: impl Fn() -> S + Sync, trial: impl Fn() -> T + Sync)
    where
        S: Strategy,
        T: FnMut(S::Value) -> Vec<String>,
    {
        let count = std::env::var("PROPTEST_CASES").ok();
        let count = count.and_then(|text| text.parse().ok());
        let count: u32 = count.unwrap_or(self.cases);
        let seed = match Config::default().rng_seed {
            RngSeed::Fixed(seed) => seed,
            RngSeed::Random if self.fresh => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                now.as_secs() * u64::from(self.threads)
            }
            RngSeed::Random => SEED,
        };
        let failed = AtomicBool::new(false);
        let run = |seed| {
            let count = count.div_ceil(self.threads);
            let failure = in_one_thread(seed, count, &cases(), trial(), &failed);
            failed.fetch_or(failure.is_some(), Ordering::Relaxed);
            failure
        };
        let failures: Vec<String> = std::thread::scope(|scope| {
            let seeds = (0..self.threads).map(|n| seed.wrapping_add(n.into()));
            let all: Vec<_> = seeds
                .map(|seed| {
                    let (thread, run) = (std::thread::Builder::new().name(THREAD.to_owned()), &run);
                    thread.spawn_scoped(scope, move || run(seed)).unwrap()
                })
                .collect();
            let said = |panic: Box<dyn std::any::Any + Send>| {
                let text = panic.downcast_ref::<String>().cloned();
                text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()))
            };
            let ended = all.into_iter().map(|run| {
                run.join().unwrap_or_else(|panic| Some(format!("a thread panicked: {:?}", said(panic))))
            });
            ended.flatten().collect()
        });
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));

        let seen = SEEN.lock().unwrap();
        println!("{count} cases from seed {seed}: {seen:#?}");
        if count >= self.cases {
            let missing = self.must_be_seen.iter();
            let missing: Vec<_> = missing.filter(|what| !seen.contains_key(*what)).collect();
            assert!(missing.is_empty(), "never seen: {missing:?}");
        }
    }
}

/// Tries so many cases, until another thread has found one that fails. The smallest one that fails.
fn in_one_thread<S: Strategy>(
    seed: u64,
    count: u32,
    cases: &S,
    trial: impl FnMut(S::Value) -> Vec<String>,
    failed: &AtomicBool,
) -> Option<String> {
    let mut runner = TestRunner::new(Config {
        cases: count,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    });
    let trial = RefCell::new(trial);
    let result = runner.run(cases, |case| {
        if failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let faults = (trial.borrow_mut())(case);
        match faults.is_empty() {
            true => Ok(()),
            false => Err(TestCaseError::fail(faults.join("\n"))),
        }
    });
    let failure = result.err()?;
    Some(format!("with PROPTEST_RNG_SEED={seed}:\n{failure}"))
}

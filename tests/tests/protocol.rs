//! The protocol over loopback, case after case: whatever the event, the handler and the callback, one answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use custom_resource::Guard;
use plays::trials::{Trials, saw};
use stage::callback::Callback;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

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

use case::{Case, context};
use handler::{Calls, Handler};
use judge::{Made, Seen, judge};
use log::{LOG, Log};

/// After so many cases a thread has a new callback: a port has only so many connections.
const CASES_A_PORT: usize = 1_000;

const MUST_BE_SEEN: [&str; 10] = [
    "a Delete of what was not created",
    "a notice",
    "a request that is answered",
    "a request that is refused",
    "an event that nobody can be answered for",
    "an answer that is refused",
    "an answer that is taken",
    "an answer that is taken at another attempt",
    "last words",
    "nobody at home",
];

#[test]
fn every_request_is_answered_once_and_validly_whatever_happens() {
    log::capture();
    // Most of a slow case is waiting.
    let trials = Trials { cases: 10_000, threads: 128, fresh: true, must_be_seen: &MUST_BE_SEEN };
    // The physical ids by stack and logical id, of all cases.
    let ids = Mutex::<HashMap<_, _>>::default();
    trials.run(case::cases, || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (mut callback, mut count, ids) = (runtime.block_on(Callback::start()).unwrap(), 0, &ids);
        move |case| {
            count += 1;
            if count % CASES_A_PORT == 0 {
                callback = runtime.block_on(Callback::start()).unwrap();
            }
            let made = LocalSet::new().block_on(&runtime, run(&case, &callback));
            let right = made.and_then(|made| has_one_id(ids, made));
            let right = right.and_then(|()| in_no_case());
            right.err().map(|error| format!("{error:#}")).into_iter().collect()
        }
    });
}

/// Whether what was written outside any case is fit to be seen. Some case of another thread may have led to it.
fn in_no_case() -> anyhow::Result<()> {
    judge::is_discreet(&log::elsewhere()).context("outside any case, maybe by another thread's")
}

/// Whether the id is the one that the same stack and logical id had in every other case.
fn has_one_id(ids: &Mutex<HashMap<[String; 2], String>>, made: Option<Made>) -> anyhow::Result<()> {
    // One that was too long is cut, and shorter still where it takes a mark.
    if let Some((of, id)) = made.filter(|(_, id)| id.len() < 1000) {
        let mut ids = ids.lock().unwrap();
        let known = ids.entry(of).or_insert_with(|| id.clone());
        anyhow::ensure!(*known == id, "{known} is {id} now");
    }
    Ok(())
}

/// Runs one case.
async fn run(case: &Case, callback: &Callback) -> anyhow::Result<Option<Made>> {
    let number = callback.open(case.replies.iter().copied());
    let url = case.url(callback, number);
    let event = case.event(&url);
    let (context, log, calls) =
        (context(case.time(), &case.log_group), Log::default(), Arc::<Mutex<Calls>>::default());
    let handled = {
        let (behaviour, calls, event) = (case.behaviour.clone(), Arc::clone(&calls), event.clone());
        // In a task of its own, so that a panic which gets out is seen.
        spawn_local(LOG.scope(Arc::clone(&log), async move {
            let guard = Guard::new(async || Handler::construct(&behaviour, &calls).await);
            guard.handle(event, &context).await.map(drop)
        }))
    };
    let handled = handled.await;
    let seen = Seen {
        url,
        event,
        result: handled.map_err(|panic| anyhow::anyhow!("the guard let it out: {panic}"))?,
        line: callback.take(number),
        calls: std::mem::take(&mut calls.lock().unwrap()),
        log: log::text(&log),
    };
    judge(case, &seen)
}

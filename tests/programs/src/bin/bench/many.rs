//! Delays, and stacks of many tasks.

use std::time::Duration;

use futures::future::try_join_all;
use stage::dms::{Pace, Throttle};

use crate::errand::{Errand, PAUSE, RESUME};
use crate::figures::Samples;

/// DMS's documented bucket: so many calls, and so many more each second.
const BUCKET: f64 = 200.0;
const RATE: f64 = 8.0;
/// Seconds that a task takes to start or to stop.
const TRANSITION: f64 = 5.0;

/// The least number of seconds: each task takes two calls. The marks come off while the last tasks start, but the last stop
/// is the last call.
fn bound(errand: &Errand, tasks: usize) -> f64 {
    let calls = ((tasks * 2) as f64 - BUCKET).max(0.0) / RATE;
    match errand.function {
        "dms-post" => calls.max(TRANSITION),
        _ => calls + TRANSITION,
    }
}

/// Seconds between a change of status at DMS and the end of the invocation that waited for it.
pub(crate) struct Delay {
    pub(crate) what: &'static str,
    pub(crate) seconds: Samples,
}

/// Lets DMS take between two and three seconds, so that the change comes at any moment of the second between two polls.
pub(crate) async fn delays() -> anyhow::Result<Vec<Delay>> {
    const AT_ONCE: u64 = 5;
    const TIMES: u64 = 8;
    let mut all = Vec::new();
    for errand in [PAUSE, RESUME] {
        let mut seconds = Samples::default();
        for time in 0..TIMES {
            let one = |number: u64| {
                let change = 2_000 + (number * TIMES + time) * 1_000 / (AT_ONCE * TIMES);
                delay(&errand, Duration::from_millis(change))
            };
            for delay in try_join_all((0..AT_ONCE).map(one)).await? {
                seconds.add(delay.as_secs_f64());
            }
        }
        let what = errand.what;
        all.push(Delay { what, seconds });
    }
    Ok(all)
}

async fn delay(errand: &Errand, change: Duration) -> anyhow::Result<Duration> {
    let pace = Pace { start: change, stop: change, ..Pace::immediate() };
    let scene = errand.scene(pace, 1).await?;
    errand.run(&scene).await?;
    let now = scene.dms.time();
    let statuses = scene.dms.statuses(&scene.tasks[0]);
    let (changed, _) = statuses.last().expect("the task has a status");
    Ok(now.saturating_sub(*changed))
}

/// A stack of many tasks at DMS's rate.
pub(crate) struct Many {
    pub(crate) what: &'static str,
    pub(crate) tasks: usize,
    /// Seconds.
    pub(crate) took: f64,
    /// The least number of seconds.
    pub(crate) bound: f64,
    pub(crate) calls: usize,
}

/// Pauses and resumes stacks of more and more tasks.
pub(crate) async fn stacks() -> anyhow::Result<Vec<Many>> {
    let sizes = [1, 10, 100, 450];
    let [pause, resume] = [PAUSE, RESUME];
    let runs = sizes.into_iter().flat_map(|tasks| [many(&pause, tasks), many(&resume, tasks)]);
    let mut all = try_join_all(runs).await?;
    all.sort_by_key(|many| many.what);
    Ok(all)
}

async fn many(errand: &Errand, tasks: usize) -> anyhow::Result<Many> {
    let pace = Pace {
        start: Duration::from_secs_f64(TRANSITION),
        stop: Duration::from_secs_f64(TRANSITION),
        ..Pace::immediate()
    };
    let scene = errand.scene(pace, tasks).await?;
    scene.dms.throttles(Throttle::documented(0.0));
    let before: usize = scene.dms.all_calls().values().sum();
    let took = errand.run(&scene).await?.as_secs_f64();
    let calls: usize = scene.dms.all_calls().values().sum();
    Ok(Many { what: errand.what, tasks, took, bound: bound(errand, tasks), calls: calls - before })
}
